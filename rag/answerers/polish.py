"""A sentence cut from an abstract, made to stand alone: connectives trimmed, "we" told from outside.

Every rule here leaves numbers, names and negation alone; a sentence that no rule is sure about stays as it was.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag import text

if TYPE_CHECKING:
    from rag.papers import Paper

_THIS = r"(?:this|that|these|those|such|the above|the aforementioned|the said)"
_PROBLEM = (
    r"(?:(?:\w+[ -]){0,3}?(?:issues?|problems?|challenges?|limitations?|gaps?|ends?|goals?|aims?"
    r"|shortcomings?|concerns?"
    r"|questions?|drawbacks?|difficult(?:y|ies)|needs?|bottlenecks?|obstacles?|deficienc(?:y|ies)|weakness(?:es)?"
    r"|observations?|insights?|findings?|regards?|purpose|motivation|ideas?|analys[ie]s|results?|approach|way|light))"
)
_OPENINGS = re.compile(
    r"(?:"
    r"(?:however|moreover|furthermore|additionally|in addition|besides|also|specifically|more specifically"
    r"|in particular|particularly|concretely|more concretely|in detail|precisely|more precisely|namely"
    r"|therefore|thus|hence|consequently|accordingly|as a result|as a consequence|as such|to this end|to that end"
    r"|to do (?:so|this)|in doing so|by doing so|in so doing|for this|with this|from this|towards? this(?: end| goal)?"
    r"|finally|lastly|first|firstly|first of all|second|secondly|third|thirdly|next|then|subsequently"
    r"|notably|importantly|crucially|interestingly|surprisingly|remarkably|significantly|indeed|in fact|meanwhile"
    r"|overall|in summary|to summarize|in short|in conclusion|in essence|essentially|ultimately|to conclude"
    r"|instead|on the other hand|on the one hand|in contrast|by contrast|conversely|nevertheless|nonetheless|yet"
    r"|similarly|likewise|for this reason|for these reasons|in response|in turn|in light of this|in view of this"
    r"|for example|for instance|here|now|in general|more generally|more importantly|most importantly|further|even so"
    r"|that said|that is|in other words|as expected|at the same time|along the way|on top of (?:this|that)"
    r"|in so doing)\s*,"
    r"|(?:to|by|in order to)\s+(?:(?:\w+ly|help|better|further)\s+)?(?:address|tackl|solv|overcom|mitigat"
    r"|alleviat|remed|resolv|bridg|fill|achiev"
    r"|meet|handl|reliev|counter|fix|answer|combat|circumvent|deal\w* with|attain|facilitat|avoid|reach|fulfil)\w*"
    rf"\s+{_THIS}\b(?:\s+{_PROBLEM})?\s*,"
    rf"|(?:motivated|inspired|guided|driven|based|building|built|in light|drawing|informed|armed)(?:\s+(?:by"
    rf"|on|of|upon|with))?"
    rf"\s+{_THIS}\b(?:\s+{_PROBLEM})?\s*,"
    rf"|(?:address|tackl|overcom|solv|resolv|bridg|fill|mitigat)ing\s+{_THIS}\b(?:\s+{_PROBLEM})?\s*,"
    rf"|(?:with|for|from|towards?|given|under|in)\s+(?:this|these)\s+{_PROBLEM}(?:\s+in mind)?\s*,"
    r"|in (?:this|the (?:present|current)|our) (?:\w+ )?(?:paper|work|study|article|report|survey|thesis"
    r"|letter|manuscript|research"
    r"|contribution|note|tutorial|paper and \w+)\s*,?(?=\s)"
    r"|here(?=\s+we\b)"
    r")\s*",
    re.IGNORECASE,
)
# "(2) Empirically, we …": the second of several, of which the others may not be there.
_ENUMERATED = re.compile(r"^\((?:\d|i{1,3}|iv|v|[a-e])\)\s+(?=[A-Z])")
_UNSURE_FIRST_PERSON = re.compile(r"\b(?:ourselves|I|my|me|myself|let us|let's|each of us|most of us)\b")
_METHOD = (
    r"(?:method|model|approach|framework|algorithm|system|architecture|technique|strategy|pipeline|network"
    r"|solution|scheme|paradigm)"
)
_OURS = re.compile(
    rf"^(?:Our|The proposed|This|Our proposed|The resulting|This (?:new|novel|simple)|The (?:new|novel)"
    rf"|The (?:introduced|presented))"
    rf"\s+{_METHOD}(?=\s+(?:\w+ly\s+|also\s+)?(?:is|has|can|does|achiev|outperform|improv|us|leverag|consist"
    rf"|yield|enabl"
    rf"|reduc|provid|obtain|show|demonstrat|learn|requir|allow|combin|exploit|employ|surpass|produc|generat|work|take"
    rf"|reach|deliver|incorporat|introduc|offer|support|rel[iy]))",
)
_IT = re.compile(
    r"^(?:It|This|They|These|Those|Such|That|He|She|Both|The former|The latter|Each|Its|Their|This is"
    r"|Doing so)\b(?!\s*,)"
)
_EXPLETIVE = re.compile(
    r"^It\s+(?:is|was|remains|has been|seems|appears|turns out)\s+(?:\w+ly\s+|also\s+|well\s+|often\s+"
    r"|still\s+|not\s+|therefore\s+)?"
    r"(?:known|possible|impossible|important|difficult|hard|unclear|shown|crucial|essential|necessary"
    r"|critical|desirable"
    r"|challenging|believed|argued|common|natural|easy|clear|that|to be|found|observed|proved|proven|vital"
    r"|unknown|evident)\b"
)
_THIS_PAPER = re.compile(
    r"^(?:This|The present|The current) (?:paper|work|study|article|survey|report|thesis|tutorial|research"
    r"|letter|review)\b"
)
_DANGLING_INSIDE = re.compile(
    r"^(?:By|With|Using|Through|Via|Under|Given|On|In|For|From|After|Unlike|Among|Despite|Because of|Due to"
    r"|Following|To \w+|As)"
    r"\s+(?:\w+ing\s+)?(?:this|these|those|such|it|them|both)\b",
)
# "The authors overcome these challenges by …": what they overcome was said before.
_DANGLING_OBJECT = re.compile(
    r"^The (?:paper|authors|study|work) (?:\w+ ){0,2}?(?:fill|address|tackl|overc[ao]m|bridg|solv|resolv|mitigat"
    r"|alleviat|remed|answer|close)\w* (?:this|that|these|those|such)\b"
)
# "The effect also appears in …": there was a first place.
_ALSO = re.compile(r"^(?:The|This|A|An) (?!authors|paper)\w+ also\b")
_ADVERB = re.compile(
    r"^(The authors|The paper) (?:then|also|further|furthermore|additionally|finally|subsequently|next) "
)
_COINED = re.compile(
    r"\b(?:propos|present|introduc|develop|call|nam|dub|term|releas|describ|design|devis|creat)\w*\s+"
    r"(?:as\s+|it\s+|the\s+|a\s+|an\s+|our\s+)?[\"“'`*]*([A-Z][\w\-+]*[A-Z0-9][\w\-+]*|[A-Z]{2,}\b|[a-z]+[A-Z0-9]\w*)"
)
_SHORT_NAME_WORDS = 4


@dataclass(frozen=True, slots=True)
class Polished:
    """A sentence ready for an answer. `dependent` says that its opening still points at the sentence before it."""

    text: str
    dependent: bool


def paper_name(paper: Paper) -> str | None:
    """What a paper calls its own thing: "Top2Vec" of "Top2Vec: Distributed…", or the name its abstract coins."""
    head, colon, _ = paper.title.partition(":")
    if colon and not paper.untitled and 0 < len(head.split()) <= _SHORT_NAME_WORDS and _is_name(head):
        return head.strip()
    coined = _COINED.search(paper.abstract)
    return coined.group(1) if coined else None


def polish(sentence: str, paper: Paper) -> Polished:
    """Trim the opening, tell "we" from outside, put the paper's name for "our method" where that is certain."""
    trimmed = trim_opening(sentence)
    named = _resolve_subject(trimmed, paper)
    told = third_person(named)
    return Polished(_one_line(told), _depends(told))


def trim_opening(sentence: str) -> str:
    """The sentence without connectives that point at what was before it.

    >>> trim_opening("To address this issue, in this paper, we show that it holds.")
    'We show that it holds.'
    """
    body = _ENUMERATED.sub("", sentence.strip())
    for _ in range(3):
        match = _OPENINGS.match(body)
        rest = body[match.end() :] if match else ""
        if not match or len(rest.split()) < 3:
            break
        body = rest
    return body[:1].upper() + body[1:] if body and body != sentence.strip() and _safe_to_raise(body) else body


def opening(sentence: str) -> str:
    """A polished sentence as the first one of its paper: without the adverb that counts on one before it.

    >>> opening("The authors then apply it to maps.")
    'The authors apply it to maps.'
    """
    return _ADVERB.sub(r"\1 ", sentence)


def third_person(sentence: str) -> str:
    """First person plural told from outside; as it was where a word is left that no rule covers.

    >>> third_person("We propose X, and our results show that we win.")
    'The authors propose X, and their results show that they win.'
    """
    if _UNSURE_FIRST_PERSON.search(sentence):
        return sentence
    told = _FIRST_PERSON.sub(_Teller(), sentence)
    return told[:1].upper() + told[1:] if told != sentence and sentence[:1].isupper() else told


_FIRST_PERSON = re.compile(r"\b(?:[Ww]e[’']ve|[Ww]e[’']re|[Ww]e[’']ll|[Ww]e|[Oo]urs|[Oo]ur|us)\b(?!-)")


class _Teller:
    """Replaces first-person words in order: "the authors" once, "they" and "their" from then on."""

    def __init__(self) -> None:
        self._introduced = False

    def __call__(self, match: re.Match[str]) -> str:
        word = match.group().lower().replace("’", "'")
        first, self._introduced = not self._introduced, True
        who = "the authors" if first else ("them" if word == "us" else "they")
        if word == "our":
            return "the authors’" if first else "their"
        if word == "ours":
            return "the authors’" if first else "theirs"
        contraction = {"we've": " have", "we're": " are", "we'll": " will"}.get(word, "")
        return who + contraction


def _resolve_subject(sentence: str, paper: Paper) -> str:
    if _THIS_PAPER.match(sentence):
        return _THIS_PAPER.sub("The paper", sentence, count=1)
    name = paper_name(paper)
    if name and _OURS.match(sentence):
        return _OURS.sub(lambda _: name, sentence, count=1)
    return sentence


def _depends(sentence: str) -> bool:
    if _EXPLETIVE.match(sentence):
        return False
    return any(pattern.match(sentence) for pattern in (_IT, _DANGLING_INSIDE, _DANGLING_OBJECT, _ALSO))


def _is_name(head: str) -> bool:
    """A coined name ("GPT-3", "Agent Attention"), not the first half of an ordinary title ("Learning to rank: …")."""
    parts = head.split()
    coined = any(any(char.isupper() or char.isdigit() for char in part[1:]) for part in parts)
    return coined or len(parts) == 1 or (len(parts) <= 3 and not any(part.lower() in text.STOP_WORDS for part in parts))


def _safe_to_raise(body: str) -> bool:
    first = body.split()[0]
    return not any(char.isupper() for char in first[1:])


def _one_line(sentence: str) -> str:
    return " ".join(sentence.split())
