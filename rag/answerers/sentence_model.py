"""How likely a sentence of the right paper is to hold the answer: a small logistic model over readable signs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from rag import text
from rag.answer_signs import holds, number_near
from rag.answerers.definitions import asks_definition
from rag.question_target import asked_for

if TYPE_CHECKING:
    from rag.evidence import ScoredSentence
    from rag.questions import Understanding

MODEL_FILE = Path(__file__).parent / "sentence_model.json"

_NAME = re.compile(r"\b[A-Za-z][\w\-]*[A-Z0-9][\w\-]*\b")
_RESULT = re.compile(
    r"\b(?:outperform|achiev|surpass|improv|results?\b|experiment|show\b|demonstrat|evaluat|accuracy|state-of-the-art"
    r"|gains?\b|reduc|faster|better|empirical|benchmark|datasets?\b)\w*",
    re.I,
)
_METHOD = re.compile(
    r"\b(?:propos|present|introduc|develop|devis|leverag|design|employ|consist|combin|learn|train|build"
    r"|use[sd]?\b|using"
    r"|by \w+ing|via\b|based on|we \w+)\w*",
    re.I,
)
_REASON = re.compile(
    r"\b(?:because|due to|since|however|lack|limit|challeng|difficult|suffer|problem|fail|costly|expensive|hinder|caus"
    r"|lead|therefore|drawback|requir|prevent)\w*",
    re.I,
)
_CONTRIBUTION = re.compile(
    r"\b(?:we|this (?:paper|work|study)|our)\b.{0,40}\b(?:propos|present|introduc|develop|show|find|demonstrat|study"
    r"|investigat|prove|analy[sz]|explor|provid|design|devis|describ|establish|address|formulat|build|creat|releas)\w*"
    r"|\bpropos\w+",
    re.I,
)
_BACKGROUND = re.compile(
    r"\b(?:recent(?:ly)?|existing|previous|prior|traditional|conventional|current|has been|have been|often|typically"
    r"|usually|widely|commonly|most)\b",
    re.I,
)
_OWN = re.compile(r"\b(?:we|our|ours|us)\b", re.I)
_ANNOUNCEMENT = re.compile(
    r"\b(?:code|models?|implementation|datasets?|data|project page|demo|checkpoints?|weights|software|package)\b[^.]*"
    r"\b(?:available|released?|found|open-?sourced?|at http|public)\b|https?://",
    re.I,
)
_ASKS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "number",
        re.compile(
            r"\bhow (?:many|much|large|big|long|often|fast|far|high|small|old)\b|\bby what\b"
            r"|\b(?:what|which) (?:\w+ )?(?:share|percentage|factor|number|fraction|proportion|accuracy"
            r"|score|rate|size|speed\w*"
            r"|fid|bleu|f1|error|ratio|amount|rank)\b",
            re.I,
        ),
    ),
    (
        "reason",
        re.compile(r"^\W*why\b|\bwhat (?:problem|limitation|challenge|motivat|is wrong|goes wrong)\w*", re.I),
    ),
    (
        "code",
        re.compile(
            r"\b(?:code|github|repositor\w+|implementation|open[- ]?sourced?|available|released?|url|link|demo|website"
            r"|checkpoints?)\b",
            re.I,
        ),
    ),
    (
        "result",
        re.compile(
            r"\b(?:results?|performance|perform|accura\w+|scores?|outperform|better|improve\w*|gain"
            r"|compare\w*|evaluat\w+"
            r"|benchmarks?|datasets?|tested|experiments?|beat|how (?:well|good|accurate))\b",
            re.I,
        ),
    ),
    (
        "method",
        re.compile(
            r"^\W*(?:how (?:do|does|did|can|is|are|to|could)|what (?:method|approach|technique|idea|does))\b",
            re.I,
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class SentenceModel:
    """A logistic regression over `signs`; written by `eval/bench/answer_quality.py --fit`."""

    weights: Mapping[str, float]
    bias: float

    @classmethod
    def read(cls, path: Path = MODEL_FILE) -> SentenceModel:
        """Read the weights that ship with the package."""
        plain = json.loads(path.read_text(encoding="utf-8"))
        return cls({name: float(weight) for name, weight in plain["weights"].items()}, float(plain["bias"]))

    def probability(self, found: Mapping[str, float]) -> float:
        """Probability (0..1) that a sentence with these signs holds the answer."""
        total = self.bias + sum(self.weights.get(name, 0.0) * value for name, value in found.items())
        return 1 / (1 + math.exp(-total))


@lru_cache(maxsize=1)
def shipped_model() -> SentenceModel:
    """The model in the package, read once."""
    return SentenceModel.read()


def kind_of(question: str, understanding: Understanding) -> str:
    """What kind of sentence answers a question: number, reason, code, result, method, definition, or open."""
    if understanding.asked == "number":
        return "number"
    if asks_definition(question):
        return "definition"
    return next((kind for kind, pattern in _ASKS if pattern.search(question)), "open")


def is_announcement(sentence: str) -> bool:
    """Whether a sentence only says where code or data is."""
    return bool(_ANNOUNCEMENT.search(sentence)) and len(text.words(sentence)) < 30


def signs(kind: str, topic: str, title: str, group: Sequence[ScoredSentence]) -> list[dict[str, float]]:
    """The signs of each sentence of one paper (`group`, in order), for a question of a kind about a topic."""
    best_coverage = max(item.coverage for item in group)
    nearest = max(range(len(group)), key=lambda place: group[place].relevance)
    asked = frozenset(text.stems(topic))
    known = asked | frozenset(text.stems(title))
    phrase = asked_for(topic) if kind == "number" else frozenset[str]()
    return [
        _signs_of(item, kind=kind, known=known)
        | {
            "cosine": item.cosine,
            "coverage": item.coverage,
            "number_near": number_near(phrase, item.text),
            "coverage_lag": best_coverage - item.coverage,
            "first": float(place == 0 and len(group) > 1),
            "after_nearest": float(place == nearest + 1),
        }
        for place, item in enumerate(group)
    ]


def _signs_of(item: ScoredSentence, *, kind: str, known: frozenset[str]) -> dict[str, float]:
    number, result = holds("number", item.text), bool(_RESULT.search(item.text))
    contribution, background = bool(_CONTRIBUTION.search(item.text)), bool(_BACKGROUND.search(item.text))
    return {
        "number": float(number),
        "number_asked": float(number and kind == "number"),
        "result_asked": float(result and kind == "result"),
        "result_number_asked": float(number and kind == "result"),
        "reason_asked": float(kind == "reason" and bool(_REASON.search(item.text))),
        "background_asked": float(kind == "reason" and background),
        "method_asked": float(kind == "method" and bool(_METHOD.search(item.text))),
        "own_asked": float(kind == "method" and bool(_OWN.search(item.text))),
        "code_asked": float(kind == "code" and bool(_ANNOUNCEMENT.search(item.text))),
        "contribution": float(contribution),
        "contribution_open": float(contribution and kind in {"open", "definition"}),
        "background": float(background),
        "own": float(bool(_OWN.search(item.text))),
        "names": float(bool(_NAME.search(item.text))),
        "announcement": float(is_announcement(item.text)),
        "new_words": min(30, len(frozenset(text.stems(item.text)) - known)) / 30,
    }
