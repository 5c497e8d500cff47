"""Questions for the gist of one thing ("What is dropout?", "How does RRF work?"), and the sentence that gives it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rag import text

_THING = r"(?:(?:a|an|the) )?(?P<thing>[\w\-.()'’+]+(?: (?!and\b)[\w\-.()'’+]+){0,2})"
_IDEA = r"(?:(?:main|key|basic|core|central) )?(?:idea|concept|principle)s?"
_SUMMARY = r"(?:short |brief )?(?:summari[sz]e|summary of|introduction to)"
_DEFINED = re.compile(
    rf"^\W*(?:what(?:['’]s| is| are| was| were)|who is|define|explain|describe|tell me(?: more)? about) {_THING}"
    r"\W*(?:and\b.*)?$",
    re.IGNORECASE,
)
_GIST = tuple(
    re.compile(rf"^\W*(?:{opening}) {_THING}{closing}\W*$", re.IGNORECASE)
    for opening, closing in (
        (r"(?:explain |tell me )?how (?:does|do|did)", " work"),
        (r"(?:explain |tell me )?what (?:does|do|did)", " do"),
        (rf"what(?:['’]s| is| was) the {_IDEA} (?:behind|of)", ""),
        (r"what does the abstract of", " say"),
        (rf"(?:give me )?(?:an? )?{_SUMMARY}(?: the)?(?: paper)?(?: on| about)?", ""),
    )
)
_BARE = re.compile(r"^\W*(?P<thing>[\w\-.()'’+]+(?: [\w\-.()'’+]+){0,2})\W*$")
_IS_SOMETHING = re.compile(
    r"\b(?:is|are|was|were|means?|refers? to|denotes?|consists?|describes?|defines?|drops?|trains?|learns?|uses?|ranks?"
    r"|finds?|turns?|maps?|makes?|lets?|joins?|adds?|treats?|replaces?|predicts?"
    r"|\w+(?:i[sz]es|ifies))\b",
    re.IGNORECASE,
)
_PRESENTS = re.compile(
    r"\b(?:we|the authors|this (?:paper|work|study)|our)\b.{0,40}"
    r"\b(?:propos|present|introduc|develop|devis|describ|defin|design)\w*",
    re.IGNORECASE,
)
_IS_A = re.compile(
    r"\b(?:is|are)\s(?:an?|the|one)\b|\b(?:means|refers?\sto|denotes?|stands?\sfor|(?:is|are)\sdefined)\b",
    re.IGNORECASE,
)
_SUBJECT_WORDS = 6


def asks_definition(question: str) -> bool:
    """Whether a question asks what something is, in so many words."""
    return bool(_DEFINED.search(question))


def thing_of(question: str) -> str:
    """The thing whose gist a question asks for, or nothing.

    >>> [thing_of(one) for one in ("What is dropout and why does it help?", "How does RRF work?", "BERT", "Why?")]
    ['dropout', 'RRF', 'BERT', '']
    """
    for pattern in (*_GIST, _DEFINED, _BARE):
        match = pattern.search(question)
        if match and (pattern is not _BARE or not text.STOP_WORDS & set(match["thing"].lower().split())):
            return match["thing"]
    return ""


def defines(sentence: str, stems: frozenset[str]) -> bool:
    """Whether a sentence says what the thing with these stems is: it begins with it, names all of it before saying that
    it is something, or is the one that presents it."""
    if not stems:
        return False
    opening = " ".join(text.words(sentence)[:_SUBJECT_WORDS])
    match = _IS_SOMETHING.search(sentence)
    named = frozenset(text.stems(sentence[: match.start()])) if match else frozenset[str]()
    if stems <= named | frozenset(text.stems(opening)):
        return True
    return bool(_PRESENTS.search(sentence)) and stems <= frozenset(text.stems(sentence))


def introduces(sentence: str, thing: str) -> bool:
    """Whether a sentence says what a thing is, with nothing else for its subject, or presents it by its name.

    >>> [introduces(f"{subject} is a model.", "transformer") for subject in ("The Transformer", "A small Transformer")]
    [True, False]
    >>> introduces("We propose a new network, the Transformer, with attention alone.", "Transformer")
    True
    """
    stems = frozenset(text.stems(thing))
    match = _IS_A.search(sentence)
    if match and stems and frozenset(text.stems(sentence[: match.start()])) == stems:
        return True
    named = re.compile(rf"(?:,|\b(?:called|named|dubbed|termed))\s(?:the\s)?{re.escape(thing)}\b", re.IGNORECASE)
    return bool(_PRESENTS.search(sentence) and named.search(sentence))


def definition_in(sentences: Sequence[str], stems: frozenset[str]) -> int | None:
    """The place of the sentence that tells best what the thing is: the first that says "X is a …", else the one that
    presents it, else the first that has it for its subject; None when there is none."""
    telling = [place for place, sentence in enumerate(sentences) if defines(sentence, stems)]
    plain = [place for place in telling if _says_what(sentences[place], stems)]
    presenting = [place for place in telling if _PRESENTS.search(sentences[place])]
    return next(iter(plain or presenting or telling), None)


def _says_what(sentence: str, stems: frozenset[str]) -> bool:
    match = _IS_A.search(sentence)
    subject = text.words(sentence[: match.start()])[:_SUBJECT_WORDS] if match else []
    return bool(subject) and stems <= frozenset(text.stems(" ".join(subject)))
