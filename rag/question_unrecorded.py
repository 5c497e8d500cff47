"""Questions about papers that neither records nor abstracts answer: where authors work, who is cited most, what is not
done."""

from __future__ import annotations

import re
from typing import Literal

from rag.question_institutions import ORGANISATION, PEOPLE, WORKS

Unrecorded = Literal["institutions", "cited", "tallied", "negated", "relative"]

_LEAD = r"""(?:(?:which|what|any|all|list|show|me|find|give|get|are|is|there|how|many|do|you|we|i|have|has|the|some|most
    |recent|new|newest|latest|of|only|written|published|come|comes|came|were|was|done|in|this|library|here)\s)*"""

_TABLE: tuple[tuple[Unrecorded, str], ...] = (
    (
        "institutions",
        rf"""^\W*{_LEAD} {WORKS} \s {_LEAD} (?:from|by|at|out\sof|of) \s (?:the\s)?
             (?:{PEOPLE}\s(?:from|at|of|in|working\sat)\s)? (?:the\s)?
             {ORGANISATION} (?:['’]s)? (?:\s{PEOPLE})? \W*$""",
    ),
    ("institutions", rf"^\W*what\s(?:has|have|did)\s {ORGANISATION} \s(?:publish(?:ed)?|written|wr[io]te)\W*$"),
    ("institutions", rf"^\W*{_LEAD} (?:google|deepmind|openai|microsoft|stanford|mit)(?:['’]s)? \s {WORKS} \W*$"),
    (
        "institutions",
        r"""\b(?:which|what|list|all)\s(?:\w+\s)?
            (?:universit(?:y|ies)|institut(?:e|es|ion|ions)|compan(?:y|ies)|labs?|organi[sz]ations?|countr(?:y|ies))
            \b .*
            \b(?:wrote|write|publish\w*|represented|behind|produced?|contribut\w+|most|from|authors?|affiliated|here)\b""",
    ),
    ("institutions", r"\bwhere\s(?:do|does|did|are)\s(?:the\s)?authors?\b.*\b(?:work|from|based|employed|study)\b"),
    ("institutions", r"\baffiliations?\s(?:of|for)\b|\bauthors?['’]?s?\saffiliations?\b"),
    ("cited", r"\b(?:most|least|highest|highly|often|frequently|top)[\s-]cited\b|\bcited\s(?:the\s)?(?:most|least)\b"),
    ("cited", r"\bhow\s(?:many\stimes|often)\b.*\bcited\b"),
    (
        "cited",
        r"^\W*(?:how\smany\scitations?\s(?:does|do|did|has|have)\b.*|.*\b(?:most|fewest)\scitations)\W*$",
    ),
    ("cited", r"\b(?:citation\scounts?|h-?index|impact\sfactor)\s(?:of|for)\b"),
    (
        "tallied",
        rf"""^\W*{_LEAD} {WORKS} \s(?:(?:that|which|with|have|has|is|are|were|was|by|from|written|there)\s)*
             (?:(?:the|a|an|just|exactly)\s)*
             (?:most|fewest|least|single|only|one|two|more\sthan\s\w+|fewer\sthan\s\w+|less\sthan\s\w+|at\sleast\s\w+|\d+)
             \s(?:(?:one|a\ssingle|single)\s)? (?:(?:co-?)?authors?|comments|words|pages)\b \W*$""",
    ),
    ("tallied", rf"^\W*{_LEAD} (?:single|sole|solo|one|two|multi)[\s-]author(?:ed)?\s {WORKS} \W*$"),
    (
        "tallied",
        rf"""^\W*(?:who|which\sauthors?|what\sauthors?)\s(?:has|have|wrote|published|is|are|appears?|co-?authored)\s
             .*\b(?:most|more\sthan\s\w+|several|fewest)\b\s*(?:often|{WORKS}|prolific)?.*$""",
    ),
    (
        "tallied",
        r"\bmost\s(?:prolific|productive|frequent|common)\s(?:authors?|venues?|conferences?|journals?|years?)\b",
    ),
    ("tallied", rf"^\W*{_LEAD} (?:longest|shortest)\s(?:{WORKS}|titles?)\b.*\W*$"),
    (
        "tallied",
        r"^\W*(?:list|show|give\sme|name|who\sare)\s(?:me\s)?(?:all\s)?(?:the\s)?(?:authors|venues|keywords)"
        r"(?:\s(?:in|of)\s(?:this|the)\s(?:library|collection))?\W*$",
    ),
    ("tallied", rf"\bhow\smany\s{WORKS}\s(?:(?:are|were|is)\sthere\s)?(?:per|for\seach|by\seach|in\seach)\b"),
    (
        "negated",
        rf"""^\W*{_LEAD} {WORKS} \s(?:(?:that|which)\s)?
             (?:(?:do|does|did|are|is|have)\s(?:not|never)|(?:do|does|did|are|have)n['’]?t|never)\s
             (?:use[sd]?|using|mention\w*|discuss\w*|contain\w*|includ\w+|cit(?:e|ing)|cover\w*|study|rely\son|about
             |deal\swith|talk\sabout|need|involv\w+|evaluate\son)\b""",
    ),
    (
        "negated",
        rf"""^\W*{_LEAD} {WORKS} \b[^?.!]{{0,60}}?
             \s(?:use[sd]?|mention\w*|need|involv\w+|rel(?:y|ies)\son|cit(?:e|ing)|cover|discuss)\s(?:neither|none\sof)\b""",
    ),
    ("negated", rf"^\W*{_LEAD} {WORKS} \b[^?.!]{{0,80}}? \sbut\s(?:not|no|never)\b"),
    ("tallied", rf"\b(?:most|least)\s(?:up-?voted|liked)\s{WORKS}\s(?:about|on|for|in|that|which|using|with)\b"),
    (
        "relative",
        rf"""^\W*{_LEAD} {WORKS} \s
             (?:(?:that|which|were|was|are|is|came|come|out|published|written|released|posted|appeared|from)\s)*
             (?:before|after|(?:earlier|later|older|newer)\sthan|predat\w+)\s (?!(?:the\s)?(?:year\s)?(?:19|20)\d\d)
             (?:the\s)?(?-i:[A-Z“"])""",
    ),
)
_RULES: tuple[tuple[Unrecorded, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern, re.IGNORECASE | re.VERBOSE)) for name, pattern in _TABLE
)
_LONGEST = 200


def unrecorded(question: str) -> Unrecorded | None:
    """What a question asks of papers that no library can tell, None for any other question.

    >>> unrecorded("Which papers are from Google?"), unrecorded("How does Google rank pages?")
    ('institutions', None)
    """
    plain = " ".join(question.split())
    if len(plain) > _LONGEST:
        return None
    for name, pattern in _RULES:
        if pattern.search(plain):
            return name
    return None
