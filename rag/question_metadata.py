"""Questions about a paper's record rather than its abstract: dates, authors, venue, links, upvotes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Field = Literal["date", "year", "authors", "n_authors", "upvotes", "comments", "venue", "url", "code"]


@dataclass(frozen=True, slots=True)
class MetadataIntent:
    """Which field is asked for, and the paper as the question names it.

    `paper` is empty when the question names none ("when was it posted?"); `also` are further fields asked for in the
    same question ("who wrote it, and when?").
    """

    field: Field
    paper: str
    also: tuple[Field, ...] = ()


_OUT = (
    r"(?:first\s)?(?:posted|published|released|submitted|uploaded|dated|put\s(?:on\b|up\b|online).*?|made\spublic|appear(?:ed)?"
    r"|come\sout|announced)"
)
_WHAT = r"(?:what(?:\sis|’s|'s)\s|give\sme\s|show\sme\s|tell\sme\s|find\s)?"
_HAVE = r"(?:\s(?:does|do|did|has|have|is|are|were|there|on|for|of|in|behind))*"
_GOT = r"(?:\s(?:have|has|get|gets|got|gotten|received?|collect(?:ed)?|list(?:ed)?))*"
_CODE = r"(?:code(?:\sbase)?|github(?:\srepo(?:sitory)?|\slink)?|repo(?:sitory)?|implementation)"
_PAPER = r"(?P<paper>.*?)"

# In order; a pattern matches a whole question (white space in it means nothing, \s does).
_TABLE: tuple[tuple[Field, str], ...] = (
    (
        "n_authors",
        rf"""how\smany\s(?:(?:co-?)?authors\b{_HAVE} (?:\s(?:wrote|co-?wrote|listed))?
             |(?:people|researchers|persons)\s(?:wrote|co-?wrote|authored|co-?authored|are\sbehind))
             \s*{_PAPER} {_GOT}""",
    ),
    ("n_authors", rf"{_WHAT} the\s(?:number\sof\sauthors|author\scount)\s(?:of|on|for|behind)\s {_PAPER}"),
    ("upvotes", rf"how\smany\s(?:up-?votes|votes|likes)\b {_HAVE} \s*{_PAPER} {_GOT}"),
    ("upvotes", rf"{_WHAT} the\s(?:number\sof\sup-?votes|up-?vote\scount)\s(?:of|on|for)\s {_PAPER}"),
    ("comments", rf"how\smany\scomments\b {_HAVE} \s*{_PAPER} {_GOT}"),
    (
        "date",
        rf"""when\s(?:was|were|is|did)\s {_PAPER} \s{_OUT}
             (?:\s(?:on|to|at)\s(?:arxiv|the\sweb|openreview|hugging\s?face))?""",
    ),
    (
        "date",
        rf"(?:(?:on|at|in)\s)?(?:what|which)\s(?:date|day|month)\s(?:was|were|did)\s {_PAPER} \s{_OUT} (?:\son)?",
    ),
    (
        "date",
        rf"{_WHAT} (?:the\s)?(?:publication\s|posting\s|release\s|submission\s)?date\s(?:of|for)\s {_PAPER}",
    ),
    ("date", rf"(?:is|was|were)\s {_PAPER} \s(?:older|newer|earlier|later|more\srecent)\sthan\s(?:19|20)\d\d"),
    ("date", rf"(?:was|were)\s {_PAPER} \s{_OUT}\s(?:before|after|in|since)\s(?:19|20)\d\d"),
    ("year", rf"(?:in\s)?(?:what|which)\syear\s(?:was|were|did|is)\s {_PAPER} \s(?:from|{_OUT}) (?:\sin)?"),
    ("year", rf"{_WHAT} (?:the\s)?(?:publication\s)?year\s(?:of|for)(?:\spublication\sof)?\s {_PAPER}"),
    (
        "authors",
        rf"""who\s(?:wrote|authored|co-?authored|published|is\sbehind|are\sthe\s(?:co-?)?authors?\s(?:of|on|behind)
             |is\sthe\s(?:(?:first|lead|last|senior)\s)?author\s(?:of|on)) (?:\s{_PAPER})?""",
    ),
    (
        "authors",
        rf"""(?:list|name|give\sme|what\sare|show)?\s*(?:all\s)?(?:the\s)?(?:names?\sof\s(?:the\s)?)?
             (?:authors?|author\snames)\s(?:of|for|on|behind)\s {_PAPER}""",
    ),
    ("authors", rf"by\swhom\s(?:was|were|is)\s {_PAPER} \s(?:written|authored|published)"),
    (
        "venue",
        rf"where\s(?:was|were|did)\s {_PAPER} \s(?:get\s)?(?:presented|accepted|{_OUT}) (?:\s(?:at|in))?",
    ),
    (
        "venue",
        rf"""(?:(?:at|in|to|on)\s)? (?:what|which)\s(?:venue|conference|journal|workshop|proceedings)\s
             (?:was|were|did|is|does|accepted|published)\s {_PAPER}
             (?:\s(?:get\s)?(?:presented|accepted|appear|from|in|at|{_OUT})(?:\s(?:at|in))?)?""",
    ),
    ("venue", rf"{_WHAT} the\s(?:venue|conference|journal)\s(?:of|for)\s {_PAPER}"),
    (
        "code",
        rf"""(?:where\s(?:is|are|can\si\s(?:find|get|download))\s|what\sis\s|give\sme\s|show\sme\s|is\sthere\s)?
             (?:(?:the|a|any)\s)*(?:(?:link|url)\s(?:of|for|to)\s)?(?:the\s)?(?:(?:source|official|public)\s)*
             {_CODE}(?:\s(?:link|url))?(?:\s(?:available|released|public))?\s(?:of|for|to|behind)\s
             {_PAPER} (?:\s(?:available|released|hosted|located|online))*""",
    ),
    (
        "code",
        rf"""(?:does|did|do|has|have)\s {_PAPER} \s
             (?:have|has|released?|provided?|shared?|publish(?:ed)?|come\swith)\s(?:(?:any|a|the|its|their)\s)?
             (?:(?:public|open[-\s]source|official|source)\s)*{_CODE}(?:\s(?:link|available|online))?""",
    ),
    ("code", rf"where\sis\s(?:the\s)? {_PAPER} (?:['’]s)?\s{_CODE}(?:\s(?:available|hosted))?"),
    (
        "url",
        rf"""{_WHAT} (?:the\s|a\s)?(?:link|url|web\s?page|arxiv\s(?:link|id|page|number)|doi|web\saddress)
             (?:\s(?:to|of|for))\s {_PAPER}""",
    ),
    ("url", rf"where\scan\si\s(?:find|read|download|get|see)\s {_PAPER}"),
)
_POLITE = r"(?:(?:and|so|please|can\syou\stell\sme|could\syou\stell\sme|tell\sme|do\syou\sknow)\W+)?"
_RULES: tuple[tuple[Field, re.Pattern[str]], ...] = tuple(
    (name, re.compile(rf"^\W*{_POLITE}{pattern}\W*$", re.IGNORECASE | re.VERBOSE)) for name, pattern in _TABLE
)
_LEADING = re.compile(
    r"""^(?:(?:the|a|this|that|their|its)\s)?
        (?:(?:original|paper|article|work|study|abstract|preprint|publication)s?\b\s*)*
        (?:(?:on|about|called|titled|entitled|named|introducing|proposing|by|of
           |(?:that|which)\s(?:introduce[sd]?|propose[sd]?))\s)?""",
    re.IGNORECASE | re.VERBOSE,
)
_TRAILING = re.compile(r"\s(?:paper|article|study|abstract|preprint|publication)$", re.IGNORECASE)
# "Who wrote the most papers?" names no paper.
_NO_PAPER = re.compile(
    r"(?:the\s)?(?:most|fewest|more|several|many)\s(?:\w+\s){0,2}(?:papers|articles|works)\b.*", re.IGNORECASE
)
_PRONOUN = re.compile(r"(?:it|this|that|they|them|one|he|she|these|those)", re.IGNORECASE)
# Longer questions are not about a field: a title has rarely more than 200 characters.
_LONGEST = 400


def metadata_intent(question: str) -> MetadataIntent | None:
    """What a question asks of a paper's record, None when it asks of its contents.

    >>> metadata_intent("How many authors does Top2Vec have?")
    MetadataIntent(field='n_authors', paper='Top2Vec', also=())
    """
    plain = " ".join(question.split())
    if len(plain) > _LONGEST:
        return None
    return _two_fields(plain) or _one_field(plain)


_JOINT = re.compile(r"(?:\s?[,;?.]\s?(?:and\s)?|\sand\s)", re.IGNORECASE)
# Of a second question that leaves out its paper: "when", "in which year", "how many authors".
_SHORT = re.compile(
    r"""^(?:(?:in|at|to|by|on)\s)?(?:
        (?P<date>when|(?:what|which)\s(?:date|day|month)|its\sdate)
        | (?P<year>(?:what|which)\syear|its\syear)
        | (?P<n_authors>how\smany\s(?:authors|people|researchers)|(?:its|the)\snumber\sof\sauthors)
        | (?P<authors>who|whom|(?:its|the)\sauthors)
        | (?P<upvotes>how\smany\s(?:up-?votes|votes|likes)|its\supvotes)
        | (?P<comments>how\smany\scomments)
        | (?P<venue>where|(?:what|which)\s(?:venue|conference|journal|workshop)|its\svenue)
        | (?P<url>(?:its|the|a)\s(?:link|url|doi|arxiv\s(?:link|id|number)))
        | (?P<code>(?:where\sis\s)?(?:its|the)\s(?:code|github(?:\s(?:link|repo(?:sitory)?))?|repo(?:sitory)?))
    )(?:\s(?:was|were|is|are|did|does)(?:\s(?:it|they|this|that|the\s(?:paper|authors?)))?)?
    (?:\s(?:first\s)?(?:posted|published|released|submitted|appear(?:ed)?|from|out|come\sout|wr[io]te(?:\sit)?|written|have|get))?\W*$""",
    re.IGNORECASE | re.VERBOSE,
)
# What a shared verb needs: "When and where was X published?" is "When was X published?" and "where was X published?".
_SHARED = re.compile(
    r"^(?P<one>[\w\s-]{2,30}?)(?:\s?,\s?|\s)and\s(?P<two>[\w\s-]{2,30}?)\s"
    r"(?P<rest>(?:was|were|is|are|did|does|do|has|have|wrote|published)\s.+)$",
    re.IGNORECASE,
)


def _two_fields(question: str) -> MetadataIntent | None:
    """A question for two fields of one paper: the second in a clause of its own, or sharing the verb of the first."""
    shared = _SHARED.match(question)
    if shared:
        first = _one_field(f"{shared['one']} {shared['rest']}")
        counted = "how many " if shared["one"].lower().startswith("how many") else ""
        second = _one_field(f"{counted}{shared['two'].removeprefix('how many ')} {shared['rest']}")
        if first and second and first.field != second.field and first.paper == second.paper:
            return MetadataIntent(first.field, first.paper, (second.field,))
    for joint in _JOINT.finditer(question):
        first, rest = _one_field(question[: joint.start()]), question[joint.end() :]
        second = _short_field(rest)
        if first and second and second != first.field:
            return MetadataIntent(first.field, first.paper, (second,))
    return None


def _short_field(clause: str) -> Field | None:
    """The field that a clause asks for which leaves out the paper or has a pronoun for it."""
    match = _SHORT.match(clause)
    if match and match.lastgroup:
        return next(name for name, _ in _TABLE if name == match.lastgroup)
    whole = _one_field(clause)
    return whole.field if whole and not whole.paper else None


def _one_field(plain: str) -> MetadataIntent | None:
    for name, pattern in _RULES:
        match = pattern.match(plain)
        if match is not None and not _NO_PAPER.fullmatch(match["paper"] or ""):
            return MetadataIntent(name, _named(match["paper"] or ""))
    return None


def _named(phrase: str) -> str:
    bare = phrase.strip(" .?!:,")
    bare = _TRAILING.sub("", _LEADING.sub("", bare, count=1)).strip(" .?!:,\"“”«»„‘’'")
    return "" if _PRONOUN.fullmatch(bare) else bare
