"""Unanswerable questions by construction: about a paper of the library, but of what its abstract does not say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from eval.case import Case
from eval.making.names import Texts, title_name
from rag.papers import Paper
from rag.text import sentences

UNSAID = "The abstracts do not say this."
_TRAINED = ("train", "pretrain", "finetun", "fine-tun")
_SOFTWARE = ("software", "librar", "toolkit", "system", "package", "framework", "platform", "tool")
_MAKERS = (
    *("universit", "institut", "college", "compan", "laborator", "industr", "Google", "Microsoft", "Meta", "Facebook"),
    *("OpenAI", "DeepMind", "Amazon", "IBM", "NVIDIA", "Stanford", "Berkeley"),
)
# What could be asked of a named method; how the words begin of which its abstract needs one for the question to make
# sense (none: always); and those of which an abstract that answers it needs one.
_ASPECTS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "How many dollars did it cost to train {name}?",
        _TRAINED,
        ("dollar", "$", "cost", "price", "USD", "cheap", "expens"),
    ),
    ("Who funded the work on {name}?", (), ("fund", "grant", "sponsor", "financ", "donat")),
    ("Under which licence is {name} released?", (), ("licen", "open-source", "open source", "MIT", "Apache")),
    (
        "How much carbon dioxide did the training of {name} emit?",
        _TRAINED,
        ("carbon", "emission", "emit", "CO2", "energy", "footprint"),
    ),
    (
        "Which programming language is {name} written in?",
        _SOFTWARE,
        ("Python", "C++", "Java", "programming", "language", "implement", "code", "written"),
    ),
    (
        "On how many GPUs was {name} trained?",
        _TRAINED,
        ("GPU", "TPU", "accelerator", "hardware", "V100", "A100", "H100", "P100"),
    ),
    (
        "How many people tried {name} out?",
        _SOFTWARE,
        ("participant", "volunteer", "subject", "user", "human", "people", "annotator", "student", "patient", "person"),
    ),
    ("Which optimiser was used to train {name}?", _TRAINED, ("optimi", "Adam", "SGD", "gradient", "momentum")),
    (
        "Which university or company developed {name}?",
        (),
        _MAKERS,
    ),
    ("Which random seeds were used in the experiments with {name}?", _TRAINED, ("seed", "random")),
)
# A title that names no method: what it names is neither trained nor scored.
_RESOURCE = re.compile(
    r"\b(?:data ?sets?|benchmark\w*|corpus|corpora|collections?|questions|surveys?|reviews?|challenges?|tutorial)\b",
    re.IGNORECASE,
)
_DATASET = re.compile(r"(\S+) on (?:the )?([A-Z][\w.+]*(?:-[A-Z0-9][\w.+]*)*)(?=[ ,.;)]|$)")
_COMMON = re.compile(r"[A-Z][a-z]+")  # one capitalised word may open a phrase: "on English text"
_HARDWARE = re.compile(r"(?:[CGT]PU|FPGA|[VAHP]100|RTX|IBM|NVIDIA)s?")
_NOT_TRIED = re.compile(r"(?:bas|rel|buil|depend|improv|focus|run|work|operat|implement)\w*", re.IGNORECASE)
_SCORED = re.compile(  # beginnings of words in sentences that tell results
    r"(?<!\w)(?:accura|score|benchmark|data ?set|F1|FID|BLEU|ROUGE|perplexit|error|outperform|state[- ]of[- ]the[- ]art"
    r"|precision|recall|AUC|mAP|nDCG|points?\b|evaluat|experiment|result|improve)|\d%",
    re.IGNORECASE,
)


def aspect_cases(papers: Sequence[Paper], texts: Texts) -> Iterator[Case]:
    """Something that could be asked of any method, where no paper that names it has a word for the answer."""
    for place, paper in enumerate(papers):
        name = title_name(paper)
        if not name:
            continue
        speaking = texts.holding(name)
        # Each paper starts elsewhere in the table, so that a library is asked about all aspects.
        for question, fitting, words in (*_ASPECTS[place % len(_ASPECTS) :], *_ASPECTS[: place % len(_ASPECTS)]):
            if _fits(paper, fitting, texts) and texts.lack(speaking, words):
                yield _case(question.format(name=name), paper, "unsaid", words)
                break


def swapped_cases(papers: Sequence[Paper], texts: Texts) -> Iterator[Case]:
    """A method asked for its result on a dataset that only papers which do not speak of the method name."""
    datasets = {name: paper.id for paper in papers for name in _datasets(paper)}
    ordered = sorted(datasets)
    for place, paper in enumerate(papers):
        name = title_name(paper)
        if not name or not ordered or not _fits(paper, _TRAINED, texts):
            continue
        speaking = texts.holding(name)
        start = (place * 7) % len(ordered)
        for dataset in (*ordered[start:], *ordered[:start]):
            if dataset.casefold() != name.casefold() and texts.lack(speaking, [dataset]):
                yield _case(f"Which score does {name} reach on {dataset}?", paper, "swapped", [dataset])
                break


def _fits(paper: Paper, beginnings: Sequence[str], texts: Texts) -> bool:
    """Whether it makes sense to ask this of what the paper names."""
    return not beginnings or not (_RESOURCE.search(paper.title) or texts.lack([paper.id], beginnings))


def _datasets(paper: Paper) -> Iterator[str]:
    """Names after “on” that look like those of datasets, with a second capital, a digit or a hyphen, in sentences that
    tell results."""
    for span in sentences(paper.abstract):
        for match in _DATASET.finditer(span.text) if _SCORED.search(span.text) else ():
            name = match[2].rstrip(".")
            if len(name) > 2 and not (_COMMON.fullmatch(name) or _HARDWARE.match(name) or _NOT_TRIED.match(match[1])):
                yield name


def _case(question: str, paper: Paper, kind: str, absent: Sequence[str]) -> Case:
    return Case(
        id=f"{kind}-{paper.id}",
        question=question,
        answer=UNSAID,
        answerable=False,
        tags=("made", "unanswerable", kind),
        about=(paper.title,),
        absent=tuple(absent),
    )
