"""Tells what a line of a copied web listing is: page furniture, a title, an abstract, or a line about the paper."""

from __future__ import annotations

import re
from enum import Enum, auto

_LINES = re.compile(
    r"""(?:
      (?:get|receive)\s.{0,60}\b(?:inbox|e-?mail|newsletter|digest)\b.{0,30}
    | (?:subscribe|unsubscribe|sign\s?(?:up|in|out)|log\s?(?:in|out))(?:\s.{0,60})?
    | (?:register|join|follow)(?:\s(?:us|now|here|free|today|the\s(?:discussion|conversation|community))\b.{0,30})?
    | by\s?.{1,60}\band\ the\ (?:research\ )?community
    | (?:submitted|posted|published|updated|added)(?:\s(?:by|on|at|in)\b.{0,60})?
    | (?:new|hot|top|trending|popular|latest|recent|newest|oldest|best|daily|weekly|monthly|all)
      (?:\s(?:papers?|research|today|this\s(?:week|month|year)|by\s\w+))?
    | (?:daily|trending|latest|recent|related|similar|recommended)\s(?:papers?|articles?|works?|research)
    | (?:hugging\s?face|papers?|models?|datasets?|spaces?|docs|documentation|posts|enterprise|pricing|community|tasks
        |home|about(?:\sus)?|blog|jobs|careers|website|company|tos|terms|privacy|contact(?:\sus)?|help|faq|support
        |search|browse|menu|login|settings|profile|notifications|share|save|cite|cited|alert|export|bibtex|pdf|html
        |code|abstract|full\stext|upvote|downvote|like|reply|comments?|previous|next|back|first|last|more|less
        |results?|tl;?dr|authors?|references|citations|load\smore|show\s(?:more|less|all)|read\smore|see\s(?:all|more)
        |view\s(?:all|more|pdf|paper|on\s\w+)(?:\s\w+){0,2}|sort(?:ed)?(?:\sby\b.{0,30})?|filters?(?:\sby\b.{0,30})?
        |skip\sto\s.{0,40})
    | (?:view|read|open|see|download|visit|watch|join|start)\s(?:the\s|this\s|on\s|in\s|full\s)*
      (?:paper|pdf|arxiv|page|abstract|discussion|project|code|github|video|text|publisher)
      (?:\s(?:page|here|now|online|version|on\s\w+))?
    | (?:cited\sby|citations?:?|page|results?|showing|displaying)\s\d[\d,.]*.{0,60}
    | \d[\d,.]*\s?[kKmM]?\s(?:citations?|comments?|upvotes?|likes?|results?|papers?|views?|downloads?|stars?|points?
        |replies)
    | (?:this\s(?:site|website|page)\suses|we\suse)\scookies.{0,400}
    | (?:accept|reject|manage)\s(?:all\s)?cookies.{0,40}
    | (?:©|\(c\)|copyright)\W*\d{4}\b.{0,120} | .{0,80}all\srights\sreserved\.?
    | (?:privacy|cookie)\s(?:policy|settings|notice) | terms\s(?:of|and)\s(?:service|use|conditions)
    | powered\sby\s.{0,60} | (?:.{1,60}\s)?(?:\d+|an?|one)\s(?:second|minute|hour|day|week|month|year)s?\sago
    | (?:previous|prev)\b[\W\d]*(?:\bnext)?[\W\d]* | [\W\d_]* | https?://\S+ | (?:www|github|arxiv)\.\S+
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)[a-z]*"
_WEEKDAY = r"(?:(?:mon|tues?|wednes|wed|thurs?|thu|fri|satur|sat|sun)(?:day)?,?\s+)?"
_DATE = re.compile(
    rf"\W*{_WEEKDAY}(?:{_MONTH}\.?\s+\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s+\d{{4}})?"
    rf"|\d{{1,2}}\s+{_MONTH}\.?(?:,?\s+\d{{4}})?|{_MONTH}\.?,?\s+\d{{4}})\W*",
    re.IGNORECASE,
)
_GLUED = re.compile(r"^(?:Subscribe|Unsubscribe|Sign ?[Uu]p|Sign ?[Ii]n|Log ?[Ii]n|Upvote)(?=[A-Z0-9\[(\"“$])")
_SENTENCE_BREAK = re.compile(r"[a-z0-9)\]}$\"”][.!?][\"”’)\]]*\s+[\"“‘(\[$]?[A-Z]")
_ENDED = re.compile(r"[.!?:][\"”’)\]]*$")
_INVITING = re.compile(
    r"\b(?:subscribe|newsletter|inbox|e-?mail|sign (?:up|in)|log in|cookies?|privacy policy|click here|follow us"
    r"|download app|your account|all rights reserved|javascript|browser|unsubscribe|password)\b",
    re.IGNORECASE,
)
_NAME = r"(?:[^\W\d_a-z][\w'’.-]*|(?:van|von|de|der|den|di|da|del|la|le|bin|al|el|ter)\b)"
_AUTHORS = re.compile(
    rf"(?:by\s+|authors?:\s*)?{_NAME}(?:\s{_NAME}){{1,4}}(?:(?:\s*[,;·]\s*(?:and\s+|&\s*)?|\s+(?:and|&)\s+){_NAME}(?:\s{_NAME}){{1,4}})+"
    r"(?:,?\s+et\s+al\.?|,?\s*(?:…|\.\.\.|\+\s?\d+.*))?",
)


_LONG = 230  # characters: no title of the 87,246 that this was checked on is an abstract by this rule


class Kind(Enum):
    """What a line is. AUTHORS is only a guess that needs a title before it and an abstract after it."""

    FURNITURE = auto()
    TITLE = auto()
    ABSTRACT = auto()


def kind(line: str) -> Kind:
    """What one stripped, non-empty line of a listing is, judged on its own."""
    if len(line) < 450 and is_furniture(line):
        return Kind.FURNITURE
    if len(line) >= _LONG or reads_like_sentences(line):
        return Kind.ABSTRACT
    return Kind.TITLE


def is_furniture(line: str) -> bool:
    """Whether a line belongs to the web page and not to a paper."""
    return _LINES.fullmatch(line) is not None or _DATE.fullmatch(line) is not None


def unglued(line: str) -> str:
    """A line without the page's button that was copied onto its front ("SubscribeTop2Vec: …")."""
    return _GLUED.sub("", line, count=1)


def reads_like_sentences(line: str) -> bool:
    """Whether a line ends like prose and is long enough for it, or holds several sentences."""
    if not _ENDED.search(line):
        return len(line) >= 200 and len(_SENTENCE_BREAK.findall(line)) >= 2
    words = line.count(" ") + 1
    return (words >= 18 and not line.endswith("?")) or (words >= 10 and _SENTENCE_BREAK.search(line) is not None)


def is_sentence(line: str) -> bool:
    """Whether a line can be a (very short) abstract under its title."""
    return line.endswith((".", "!")) and line.count(" ") >= 4


def is_title_alone(line: str) -> bool:
    """Whether a line with no abstract can be believed to be a paper's title."""
    words = line.split()
    if not 4 <= len(words) <= 40 or line.endswith(("!", "…", ",", ";")) or _INVITING.search(line):
        return False
    return (line[0].isupper() or not line[0].isalpha()) and sum(len(word) > 3 for word in words) >= 2


def is_author_line(line: str) -> bool:
    """Whether a line is a list of at least two personal names."""
    return len(line) < 2_000 and ":" not in line.partition(":")[2] and _AUTHORS.fullmatch(line) is not None
