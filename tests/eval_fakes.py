"""A tiny made-up library and systems over it: one that is right, and broken ones that measures must notice."""

from __future__ import annotations

import random
from dataclasses import replace

from eval.case import Case
from eval.reply import Cite, Reply, Said
from rag.papers import Paper

METHODS = [
    ("Zephyr", "graph embedding", "40 times faster than random walks", "ten citation graphs"),
    ("Marlin", "speech recognition", "a word error rate of 4.2 percent", "noisy phone calls"),
    ("Quartz", "image compression", "31 percent smaller files", "aerial photographs"),
    ("Heron", "protein folding", "an error of 1.7 angstrom", "membrane proteins"),
    ("Tundra", "weather forecasting", "forecasts 12 days ahead", "arctic stations"),
    ("Saffron", "machine translation", "28.4 BLEU", "Swahili news"),
    ("Cobalt", "fraud detection", "a recall of 93 percent", "card payments"),
    ("Willow", "text summarisation", "a ROUGE-L of 41.5", "court decisions"),
    ("Basalt", "seismic inversion", "maps with a resolution of 20 metres", "the North Sea"),
    ("Lantern", "question answering", "an exact match of 77.3", "nursing handbooks"),
]


def paper(name: str, task: str, result: str, data: str) -> Paper:
    abstract = f"We present {name}, a method for {task}. {name} reaches {result} on {data}. Its code is public."
    return Paper(id=name.lower(), title=f"{name}: a new method for {task}", abstract=abstract, year=2021)


PAPERS = [paper(*method) for method in METHODS]
BY_ID = {item.id: item for item in PAPERS}
CASES = [
    *(
        Case(
            id=f"result-{name.lower()}",
            question=f"What does {name} reach on {data}?",
            relevant=(f"{name}: a new method for {task}",),
            facts=((result,),),
            answer=f"{name} reaches {result} on {data}.",
            tags=("single",),
        )
        for name, task, result, data in METHODS
    ),
    *(
        Case(
            id=f"funding-{name.lower()}",
            question=f"Who funded the work on {name}?",
            answerable=False,
            tags=("near-miss",),
        )
        for name, *_ in METHODS
    ),
]


PARAPHRASES = [
    case.model_copy(
        update={"id": f"again-{case.id}", "question": f"Tell me: {case.question}", "paraphrase_of": case.id}
    )
    for case in CASES
]


def perfect(question: str) -> Reply:
    """Finds the paper, answers with its sentence, abstains when funding is asked for."""
    found = next(item for item in PAPERS if item.title.split(":")[0] in question)
    ranked = (found.id, *(item.id for item in PAPERS if item is not found))
    if "funded" in question:
        return Reply(abstained="no funding is mentioned", retrieved=ranked, context=ranked[:3], confidence=0.1)
    sentence = found.abstract.split(". ")[1] + "."
    said = (Said(sentence, (Cite(found.id, sentence),)),)
    return Reply(sentence, said, ranked, ranked[:3], confidence=0.9)


def random_retriever(question: str) -> Reply:
    """Ranks at random and answers from whatever comes first."""
    ranked = [item.id for item in PAPERS]
    random.Random(question).shuffle(ranked)
    if "funded" in question:
        return replace(perfect(question), retrieved=tuple(ranked), context=tuple(ranked[:3]))
    sentence = BY_ID[ranked[0]].abstract.split(". ")[1] + "."
    said = (Said(sentence, (Cite(ranked[0], sentence),)),)
    return Reply(sentence, said, tuple(ranked), tuple(ranked[:3]), confidence=0.9)


def swapped_citations(question: str) -> Reply:
    """Right in every word, but cites the next paper."""
    reply = perfect(question)
    swapped = tuple(
        Said(said.text, tuple(Cite(PAPERS[(_place(cite.paper_id) + 1) % len(PAPERS)].id) for cite in said.cites))
        for said in reply.sentences
    )
    return replace(reply, sentences=swapped)


def always_abstains(question: str) -> Reply:
    reply = perfect(question)
    return Reply(abstained="I would rather not", retrieved=reply.retrieved, context=reply.context, confidence=0.5)


def never_abstains(question: str) -> Reply:
    reply = perfect(question)
    if reply.answered:
        return replace(reply, confidence=0.5)
    found = reply.retrieved[0]
    sentence = BY_ID[found].abstract.split(". ")[0] + "."
    said = (Said(sentence, (Cite(found, sentence),)),)
    return Reply(sentence, said, reply.retrieved, reply.context, confidence=0.5)


def blind_retriever(question: str) -> Reply:
    """Answers rightly, as if by heart, but ranks everything except the paper."""
    reply = perfect(question)
    return replace(reply, retrieved=reply.retrieved[1:], context=reply.retrieved[1:4])


def invents(question: str) -> Reply:
    """Cites the right paper for what no paper says."""
    reply = perfect(question)
    if not reply.answered:
        return reply
    sentence = "The method cures seasickness in 999 of 1,000 sailors."
    return replace(reply, text=sentence, sentences=(Said(sentence, reply.sentences[0].cites),))


def cites_nothing(question: str) -> Reply:
    reply = perfect(question)
    return replace(reply, sentences=tuple(Said(said.text) for said in reply.sentences))


def cites_too_much(question: str) -> Reply:
    """Adds two papers that have nothing to do with it to each sentence."""
    reply = perfect(question)
    more = tuple(Cite(paper) for paper in reply.retrieved[1:3])
    return replace(reply, sentences=tuple(Said(said.text, said.cites + more) for said in reply.sentences))


def dangles(question: str) -> Reply:
    """Leaves a marker that leads nowhere in each sentence."""
    reply = perfect(question)
    return replace(reply, sentences=tuple(replace(said, dangling=1) for said in reply.sentences))


def rambles(question: str) -> Reply:
    """Says the whole abstract, whatever was asked of it."""
    reply = perfect(question)
    if not reply.answered:
        return reply
    paper = BY_ID[reply.retrieved[0]]
    cites = (Cite(paper.id),)
    said = tuple(Said(f"{part.rstrip('.')}.", cites) for part in paper.abstract.split(". "))
    return replace(reply, text=paper.abstract, sentences=said)


def spends(question: str) -> Reply:
    return replace(perfect(question), usage={"prompt": 9_000, "completion": 1_000}, cost=0.1)


def saves(question: str) -> Reply:
    return replace(perfect(question), usage={"prompt": 90, "completion": 10}, cost=0.001)


class Wavers:
    """Right at first; asked the same again, or in other words, it says something else."""

    def __init__(self) -> None:
        self._asked: set[str] = set()

    def __call__(self, question: str) -> Reply:
        plain = question.removeprefix("Tell me: ")
        first = plain not in self._asked
        self._asked.add(plain)
        return perfect(plain) if first else invents(plain)


def _place(paper_id: str) -> int:
    return [item.id for item in PAPERS].index(paper_id)
