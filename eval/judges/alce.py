"""Citation verdicts per sentence by ALCE's rules (Gao et al. 2023, section 4), with any judge in the place of
its NLI model.
"""

from __future__ import annotations

from collections.abc import Callable

from eval.judges.base import Evidence, Judge, SentenceVerdict
from eval.reply import Reply, Said
from rag.papers import Paper

Lookup = Callable[[str], Paper | None]


def judge_reply(reply: Reply, lookup: Lookup, judge: Judge) -> tuple[SentenceVerdict, ...]:
    """A verdict for each sentence of an answer; none for an abstention or a failure."""
    if not reply.answered:
        return ()
    context = [Evidence(paper) for paper in map(lookup, reply.context) if paper]
    return tuple(_verdict(said, lookup, judge, context) for said in reply.sentences)


def _verdict(said: Said, lookup: Lookup, judge: Judge, context: list[Evidence]) -> SentenceVerdict:
    found = [(cite, lookup(cite.paper_id)) for cite in said.cites]
    cited = [Evidence(paper, cite.metadata) for cite, paper in found if paper]
    supported = bool(cited) and judge.supports(said.text, cited)
    known = iter(_precise(said.text, cited, judge) if supported else [False] * len(cited))
    precise = tuple(next(known) if paper else False for _, paper in found)
    faithful = supported or any(judge.supports(said.text, [evidence]) for evidence in context)
    return SentenceVerdict(supported, precise, faithful)


def _precise(claim: str, cited: list[Evidence], judge: Judge) -> list[bool]:
    """A citation of a supported sentence is imprecise when it does not support it alone and the others do
    without it.
    """
    if len(cited) == 1:
        return [True]
    return [
        judge.supports(claim, [one]) or not judge.supports(claim, [other for other in cited if other is not one])
        for one in cited
    ]
