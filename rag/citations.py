"""The citation check: does the cited abstract say what each sentence of an answer says, and in which sentence?"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from rag import text
from rag.agreement import agreement
from rag.answers import Citation, Quote, Sentence
from rag.markers import bracketed, numbers_in, renumber, without_markers
from rag.orders import gives_orders

if TYPE_CHECKING:
    from rag.interfaces import Encoder, Vectors
    from rag.papers import Paper

# Logistic weights of (1, cosine, coverage) for "this passage says this", fitted by eval/bench/calibrate_support.py.
_BIAS, _COSINE, _COVERAGE = -6.0, 2.5, 10.0
_NEAR = 0.85  # share of the nearest stretch's topic score that another needs to be looked at
_PAIR_MARGIN = 0.06  # two sentences are quoted only when they support clearly better than one
# Of few words the one that the paper does not say is the claim: "Ember is banned".
_TERSE, _UNSAID_IN_TERSE = 3, 0.5
_LEAD = re.compile(r"\s*(?:(?:[-*•]|\d{1,2}[.)])\s+|#{1,6}\s+)?")


@dataclass(frozen=True, slots=True)
class DraftSentence:
    """A sentence before the check. `text` holds canonical markers (`markers.canonical`); `lead` is what stands
    before it (a space, a line break, a bullet). `origin` is the stretch it was cut from, when it was cut; a
    metadata answer's origin has `start == end == 0`."""

    text: str
    lead: str = " "
    origin: Quote | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """An answer after the check. `order[i]` is the source number, as drafted, that is now [i + 1]."""

    text: str
    sentences: tuple[Sentence, ...]
    citations: tuple[Citation, ...]
    order: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Support:
    """How well a paper supports a sentence, 0..1, and by which stretch of its abstract."""

    score: float
    quote: Quote


def split_draft(draft: str) -> list[DraftSentence]:
    """The sentences of a text with canonical markers, line by line; bullets and blank lines become leads."""
    found: list[DraftSentence] = []
    blank = ""
    for line in draft.splitlines():
        if not line.strip():
            blank = "\n"
            continue
        bullet = _LEAD.match(line)
        start = bullet.end() if bullet else 0
        lead = (
            f"\n{blank}{line[:start].strip()}{' ' if line[:start].strip() else ''}" if found else line[:start].lstrip()
        )
        blank = ""
        for span in text.sentences(bracketed(line[start:])):
            found.append(DraftSentence(line[start + span.start : start + span.end], lead))
            lead = " "
    return found


def check(draft: Sequence[DraftSentence], papers: Sequence[Paper], *, encoder: Encoder, min_support: float) -> Checked:
    """Compare each drafted sentence with the abstracts it cites, and number the citations in reading order.

    Source n of the draft is `papers[n - 1]`; markers of other sources are dropped. A sentence is supported when one
    of its citations has at least `min_support`. No network, unless `encoder` uses it.
    """
    cited = [[n for n in numbers_in(item.text) if 1 <= n <= len(papers)] for item in draft]
    order = tuple(dict.fromkeys(number for numbers in cited for number in numbers))
    shown = {number: place for place, number in enumerate(order, start=1)}
    scorer = SupportScorer(encoder)
    scorer.prepare(
        [without_markers(item.text) for item, numbers in zip(draft, cited, strict=True) if numbers and not item.origin],
        [papers[n - 1] for item, numbers in zip(draft, cited, strict=True) if not item.origin for n in numbers],
    )
    sentences: list[Sentence] = []
    citations: list[Citation] = []
    for index, (item, numbers) in enumerate(zip(draft, cited, strict=True)):
        found = [
            _citation(shown[n], papers[n - 1], scorer.support_of(item, papers[n - 1]), index, min_support)
            for n in numbers
        ]
        citations += found
        supported = any(citation.supported for citation in found)
        sentences.append(Sentence(renumber(item.text, shown), tuple(shown[n] for n in numbers), supported))
    body = "".join(item.lead + done.text for item, done in zip(draft, sentences, strict=True)).strip()
    return Checked(body, tuple(sentences), tuple(citations), order)


def _citation(marker: int, paper: Paper, support: Support, sentence: int, min_support: float) -> Citation:
    quote = support.quote
    return Citation(
        marker=marker,
        paper_id=paper.id,
        title=paper.title,
        quote=quote.text,
        start=quote.start,
        end=quote.end,
        support=round(support.score, 4),
        sentence=sentence,
        supported=support.score >= min_support,
    )


class SupportScorer:
    """Scores (sentence, paper) pairs: topic by encoder cosine and stem coverage, details by `agreement`."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._vectors: dict[str, Vectors] = {}

    def prepare(self, claims: Sequence[str], papers: Sequence[Paper]) -> None:
        """Encode all that the pairs will need in one call."""
        wanted = list(claims) + [span.text for paper in papers for span in _stretches(paper)]
        missing = [item for item in dict.fromkeys(wanted) if item and item not in self._vectors]
        if missing:
            self._vectors.update(zip(missing, self._encoder.encode(missing), strict=True))

    def support_of(self, item: DraftSentence, paper: Paper) -> Support:
        """The support of one drafted sentence; a cut one is only compared with what it was cut from.

        A written one that tells its reader or a model what to do has none, whatever the abstract says.
        """
        claim = _without_own_date(without_markers(item.text), paper)
        if item.origin is None:
            found = self.support(claim, paper)
            return Support(0.0, found.quote) if gives_orders(claim) else found
        if item.origin.start == item.origin.end:
            return Support(1.0, item.origin)
        share = _coverage(claim, item.origin.text, paper.title)
        return Support(share * agreement(claim, item.origin.text, whole=_whole(paper)), item.origin)

    def support(self, claim: str, paper: Paper) -> Support:
        """The best stretch (one sentence, or two in a row) of a paper for a claim, and its score.

        Only stretches about as near to the claim as the nearest one count: one that contradicts the claim must not
        be passed over for another that says less.
        """
        claim = _without_own_date(claim, paper)
        spans = _stretches(paper)
        if not spans or not claim:
            return Support(0.0, Quote(paper.title, 0, 0))
        self.prepare([claim], [paper])
        pairs = [
            (Quote(paper.abstract[one.start : two.end], one.start, two.end), [one.text, two.text])
            for one, two in pairwise(spans)
        ]
        singles = [(span, [span.text]) for span in spans]
        best = self._best(claim, singles, paper)
        pair = self._best(claim, pairs, paper) if pairs else best
        found = pair if pair.score > best.score + _PAIR_MARGIN else best
        return Support(found.score * _UNSAID_IN_TERSE, found.quote) if _adds_to_terse(claim, paper) else found

    def _best(self, claim: str, stretches: Sequence[tuple[Quote, list[str]]], paper: Paper) -> Support:
        topics = [self._topic(claim, parts, paper) for _, parts in stretches]
        near = _NEAR * max(topics)
        whole = _whole(paper)
        told = claim.replace(f"“{paper.title}”", "the paper")  # what its title denies or counts, the claim does not
        found = [
            Support(topic * agreement(told, span.text, whole=whole), span)
            for (span, _), topic in zip(stretches, topics, strict=True)
            if topic >= near
        ]
        return max(found, key=_score)

    def _topic(self, claim: str, parts: Sequence[str], paper: Paper) -> float:
        cosine, coverage = self.features(claim, parts, paper.title)
        return 1 / (1 + math.exp(-(_BIAS + _COSINE * cosine + _COVERAGE * coverage)))

    def features(self, claim: str, evidence: Sequence[str], title: str) -> tuple[float, float]:
        """Cosine between a claim and the evidence's vectors' sum, and the share of the claim's stems in it."""
        vector = self._vectors[evidence[0]]
        for part in evidence[1:]:
            vector = vector + self._vectors[part]
        length = float((vector @ vector) ** 0.5) or 1.0
        return float(self._vectors[claim] @ vector) / length, _coverage(claim, " ".join(evidence), title)


def _without_own_date(claim: str, paper: Paper) -> str:
    """A claim without the date in brackets behind its paper's title, where the record holds it: no abstract does."""
    head, quoted, rest = claim.partition(f"“{paper.title}” (")
    day, closed, rest = rest.partition(")")
    year = str(paper.year or (paper.date or "")[:4])
    return f"{head}{quoted[:-2]}{rest}" if closed and year.isdigit() and day.endswith(year) else claim


def _score(support: Support) -> float:
    return support.score


def _stretches(paper: Paper) -> list[Quote]:
    return [Quote(span.text, span.start, span.end) for span in text.sentences(paper.abstract)]


def _whole(paper: Paper) -> str:
    return f"{paper.title}. {paper.abstract}"


_REPORTING = frozenset(
    text.stem(word)
    for word in "paper authors author work study propose proposes present presents introduce show shows find report"
    " describe abstract article state according".split()
)


def _adds_to_terse(claim: str, paper: Paper) -> bool:
    """Whether a claim of few content words has one that stands nowhere in the paper."""
    stems = set(text.stems(claim)) - _REPORTING
    return len(stems) <= _TERSE and not stems <= set(text.stems(_whole(paper)))


def _coverage(claim: str, evidence: str, title: str) -> float:
    """Share of the claim's content stems that the evidence says; the title's words and reporting verbs are given."""
    said = set(text.stems(evidence))
    given = _REPORTING | set(text.stems(title))
    asked = [stem for stem in dict.fromkeys(text.stems(claim)) if stem in said or stem not in given]
    return sum(stem in said for stem in asked) / len(asked) if asked else 0.0
