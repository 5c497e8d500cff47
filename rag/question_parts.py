"""Several questions in one ("What is HNSW and what does SODA do?"), and the two sides of a comparison, taken apart."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rag import text
from rag.answerers.definitions import thing_of
from rag.question_library import without_greeting
from rag.questions import Understanding, understand

_ASKING = r"(?:what|how|why|when|where|who|whom|whose|which|(?:in|on|at|by|for|to|from|since)\s(?:what|which|whom))"
_TELLING = (
    r"(?:explain|describe|define|summari[sz]e|compare|list|find|show|name|tell\sme|give\sme|is\sthere|are\sthere)"
)
_HELPING = r"(?:is|are|was|were|does|do|did|can|could|has|have)"
_POLITE = r"(?:(?:please|(?:can|could)\syou(?:\stell\sme)?|tell\sme|i\swonder|also)\W+)?"
_OPENS = re.compile(rf"^\W*{_POLITE}(?:{_ASKING}|{_TELLING}|{_HELPING})\s+\S", re.IGNORECASE)
# After a bare "and", a helping verb opens a question only before its subject: "which are large and do well" is one.
_SUBJECT = r"(?:it|they|there|this|that|(?-i:[A-Z]))"
_JOINT = re.compile(
    rf"(?:[?;.!]\s+(?:(?:and|also)\s+)*(?={_POLITE}(?:{_ASKING}|{_TELLING}|{_HELPING})\s)"
    rf"|\s*,?\s(?:and|but)\s(?:also\s)?(?=(?:{_ASKING}|{_TELLING}|{_HELPING}\s{_SUBJECT})(?:\s|\b)))",
    re.IGNORECASE,
)
_PRONOUN = re.compile(
    r"\b(?:it|its|they|them|their|this|that\s(?:paper|work|method|model)|the\s(?:paper|authors|same|other|latter|former)"
    r"|these|those|one)\b",
    re.IGNORECASE,
)
_NAME_FOR = re.compile(
    r"\b(?P<owner>its|their)\b|\b(?:it|they|this(?:\spaper)?|that\spaper|the\spaper)\b", re.IGNORECASE
)
# A question after a question; in a title each word of it would have a capital letter.
_ANEW = re.compile(rf"(?i:{_ASKING})\s{_HELPING}\s")
_MOST, _LONGEST = 3, 400

_A, _B = r"(?P<one>.{2,80}?)", r"(?P<two>.{2,80}?)"
_BOTH = r"(?:(?:and|vs\.?|versus)\s)"
_SIDES = tuple(
    re.compile(rf"^\W*{_POLITE}{pattern}\W*$", re.IGNORECASE)
    for pattern in (
        rf"(?:compare|contrast|compare\sand\scontrast)\s{_A}\s(?:and|with|to|against|vs\.?|versus)\s{_B}",
        rf"{_A}\s(?:vs\.?|versus)\s{_B}",
        rf"(?:what(?:['’]s|\sis|\sare)\s)?(?:the\s)?(?:(?:main|key)\s)?(?:differences?|comparison)\sbetween\s{_A}\s{_BOTH}{_B}",
        rf"how\s(?:do|does|are|is)\s{_A}\s{_BOTH}{_B}\s(?:differ|different|compare|related)(?:\sfrom\seach\sother)?",
    )
)
_LEADING = re.compile(r"^(?:(?:the|a|an|both|using|papers\s(?:on|about)|work\son)\s)+", re.IGNORECASE)
_NO_SIDE = re.compile(
    r"\b(?:it|its|this|that|they|them|these|those|one|ones|other|others|two|both|and|or|with|versus|vs|first|second|third"
    r"|former|latter|last|paper|papers|in|on|for)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Part:
    """One of the questions in a question, or a `side` of a comparison: what to ask, and how to call it when it cannot
    be answered."""

    question: str
    told: str
    understanding: Understanding
    side: bool = False

    @property
    def of_record(self) -> bool:
        """Whether it asks of records rather than of contents."""
        said = self.understanding
        return bool(said.metadata or said.comparison or (said.library and not said.library.declined))

    @property
    def named(self) -> bool:
        """Whether it says by name what it asks about, so that it can be told what answers it."""
        return bool(self.of_record or self.understanding.names or thing_of(self.question))


def parts_of(question: str) -> tuple[Part, ...]:
    """The questions that a question joins, each whole by itself; none where it is one question.

    >>> [part.question for part in parts_of("When did WGAN come out and is it older than ScaleLong?")]
    ['When did WGAN come out?', 'is WGAN older than ScaleLong?']
    >>> parts_of("What is dropout and why does it help?")
    ()
    """
    plain = without_greeting(" ".join(question.split()))
    if len(plain) > _LONGEST:
        return ()
    whole = understand(plain)
    if whole.library or whole.comparison or (whole.metadata and whole.metadata.also):
        return ()
    clauses = [clause.strip(" ,?.!;") for clause in _JOINT.split(plain)]
    if not 1 < len(clauses) <= _MOST or not all(map(_is_question, clauses)):
        return ()
    parts = [_part(clauses[0], clauses[0])]
    for clause in clauses[1:]:
        told = _completed(clause, parts[0])
        if told is None:
            return ()
        parts.append(_part(told, clause))
    leans = [_PRONOUN.search(clause) is not None for clause in clauses]
    anew = plain.count("?") > 1 and _ANEW.match(clauses[-1])
    in_title = whole.metadata and not all(part.of_record for part in parts) and clauses[-1][:1].isupper() and not anew
    if leans[0] or in_title:
        return ()
    # "What is dropout and why does it help?" is answered best from one paper at once.
    mixed = len({part.of_record for part in parts}) > 1 or parts[0].of_record
    return tuple(parts) if mixed or not any(leans) else ()


def sides_of(question: str) -> tuple[Part, ...]:
    """The two things that a question asks to compare, and nothing else of them; none for any other question.

    >>> [side.told for side in sides_of("What is the difference between pruning and distillation?")]
    ['pruning', 'distillation']
    """
    plain = without_greeting(" ".join(question.split()))
    if len(plain) > _LONGEST:
        return ()
    for pattern in _SIDES:
        match = pattern.match(plain)
        if match:
            sides = [_LEADING.sub("", match[name].strip(" ,?.!;:\"“”'")) for name in ("one", "two")]
            fine = all(text.content_words(side) and not _NO_SIDE.search(side) for side in sides)
            return tuple(_part(f"What is {side}", side, side=True) for side in sides) if fine else ()
    return ()


def _is_question(clause: str) -> bool:
    return bool(_OPENS.match(clause) and (text.content_words(clause) or _PRONOUN.search(clause)))


def _part(question: str, told: str, *, side: bool = False) -> Part:
    whole = f"{question}?"
    return Part(whole, told if side else f"{told}?", understand(whole), side)


def _completed(clause: str, first: Part) -> str | None:
    """A later question with the first one's subject where it has a pronoun for it; None where that is not clear."""
    if _PRONOUN.search(clause) is None:
        return clause
    said = first.understanding
    named = (
        said.metadata.paper if said.metadata else said.names[0] if len(said.names) == 1 else thing_of(first.question)
    )
    if not named or not _NAME_FOR.search(clause):
        return None
    whole = _NAME_FOR.sub(lambda match: f"{named}’s" if match["owner"] else named, clause, count=1)
    return None if _PRONOUN.search(whole) else whole
