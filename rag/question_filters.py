"""Filters heard in a question: years, venues, authors, "with code"; and filters joined and put in words."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from rag import text
from rag.answers import Filters

_T = TypeVar("_T", int, str)
_Make = Callable[[re.Match[str]], Filters]

_YEAR = r"(?:19[5-9]\d|20[0-4]\d)"
# Words that make a year next to them the year of a paper, not a fact about the world.
_WORKS = (
    r"(?:papers?|works?|articles?|studies|study|publications?|abstracts?|preprints?|literature|research|results?"
    r"|methods?|approaches|techniques?|advances|progress|published|posted|released|appeared|presented|submitted"
    r"|written|proposed|introduced|anything|something|surveys?)"
)
_OUT = r"(?:(?:published|posted|released|written|appeared|dated|c[ao]me\s+out)\s+)?"
_SINGLE_NAMED = """
    ICLR ICML ACL EMNLP NAACL EACL AACL COLING TACL CoNLL CVPR ICCV ECCV WACV BMVC 3DV MICCAI AAAI IJCAI KDD
    SIGIR ECIR CIKM WSDM TheWebConf RecSys CoRL COLM TMLR JMLR AISTATS UAI COLT RSS ICRA IROS Interspeech
    ICASSP SIGGRAPH AutoML LoG MLSys
"""
_VENUES = {name.lower(): (name,) for name in _SINGLE_NAMED.split()} | dict.fromkeys(
    ("neurips", "nips"), ("NeurIPS", "NIPS")
)
_VENUE = "|".join(sorted(_VENUES, key=len, reverse=True))
_JOURNAL = r"(?:Nature|Science|Cell|PNAS|JAMA)"
_NOT_A_VENUE = (
    r"(?!\s*(?:challenge|competition|shared|task|workshop|leaderboard|data|benchmark|anthology|reviews?"
    r"|submissions?))"
)
_MONTH_NUMBERS = {
    name: at for at, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), start=1)
}
_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?"
    r"|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)"
)
_CAPITALISED = r"(?:[A-Z][\w’'\-]*\.?|(?:de|van|von|der|den|la|di|da|le)\b)"


def _since(shift: int) -> _Make:
    return lambda match: Filters(year_from=int(match["year"]) + shift)


def _until(shift: int) -> _Make:
    return lambda match: Filters(year_to=int(match["year"]) + shift)


def _range(match: re.Match[str]) -> Filters:
    first, last = sorted((int(match["first"]), int(match["last"])))
    return Filters(year_from=first, year_to=last)


def _one_year(match: re.Match[str]) -> Filters:
    return Filters(year_from=int(match["year"]), year_to=int(match["year"]))


def _month(match: re.Match[str]) -> Filters:
    month = f"{match['year']}-{_MONTH_NUMBERS[match['month'][:3].lower()]:02d}"
    open_ended = "since" in match["cut"].lower().split() or match["on"]
    return Filters(date_from=month, date_to=None if open_ended else month)


def _venue(match: re.Match[str]) -> Filters:
    said = match["year"]
    year = None if said is None else int(said) if len(said) == 4 else 2000 + int(said)
    return Filters(venues=_VENUES[match["venue"].lower()], year_from=year, year_to=year)


def _journal(match: re.Match[str]) -> Filters:
    return Filters(venues=(match["journal"],))


def _author(match: re.Match[str]) -> Filters:
    return Filters(authors=(match["author"].strip(" ."),))


def _code(_: re.Match[str]) -> Filters:
    return Filters(has_code=True)


# In order: a pattern (white space in it means nothing, \s does), and what it means. The group "cut" leaves
# the topic, the whole match where there is none.
_TABLE: tuple[tuple[str, _Make], ...] = (
    (
        rf"""(?P<cut> (?:,\s*)? (?:(?:published|presented|accepted|appearing|appeared)\s+)?
             \b(?:at|in|from|to|by)\s+ (?:the\s+)? (?P<venue>{_VENUE})\b
             (?:\s*[’']?(?P<year>{_YEAR}|(?<=[’'])\d\d))? (?:\s+conference)? ) {_NOT_A_VENUE}""",
        _venue,
    ),
    (rf"(?P<cut>\b(?P<venue>{_VENUE})\b (?:\s*[’']?(?P<year>{_YEAR}))?) \s+ (?={_WORKS}\b)", _venue),
    (
        rf"""(?P<cut>\b(?:published|appeared|appearing|printed)\s+in\s+ (?:the\s+)? (?:journal\s+)?
             (?P<journal>{_JOURNAL}|(?-i:(?!{_MONTH}\b){_CAPITALISED}(?:\s+(?:(?:of|on|and|for)\s+)?{_CAPITALISED})*)))
             (?=\W*$|\s+(?:on|about|that|which|since|in|from|with)\b)""",
        _journal,
    ),
    (
        rf"""\b{_WORKS}\b (?P<cut>\s+(?:in|from|at)\s+ (?P<journal>(?-i:{_JOURNAL})))
             (?=\W*$|\s+(?:on|about|that|which|since|in|from|with)\b)""",
        _journal,
    ),
    (rf"^\W*(?P<cut>(?P<venue>{_VENUE}) \s*[’']?(?P<year>{_YEAR}))\W*$", _venue),
    (rf"^\W*(?:papers?|articles?|publications?)?\s* (?P<cut>(?P<year>{_YEAR}))\W*$", _one_year),
    (
        rf"""(?P<cut>{_OUT} \b(?:in|from|of|since|during)\s+ (?P<month>{_MONTH})\b \.?,?\s+ (?P<year>{_YEAR}))\b
             (?P<on>\s+on(?:wards?)?\b)?""",
        _month,
    ),
    (
        rf"""{_OUT} \b(?:between|from|in|over|during)\s+ (?:the\s+years\s+)?
             (?P<first>{_YEAR}) \s*(?:and|to|until|through|[-–—])\s* (?P<last>{_YEAR})\b""",
        _range,
    ),
    (
        rf"""{_OUT} \b(?:since|from)\s+ (?P<year>{_YEAR}) \s*
             (?:onwards?\b|(?:and|or)\s+(?:later|newer|after)\b|on\b(?=\W*$|,|\s+(?:about|that|which|in|at|by|with|is|are|do|does)\b))""",
        _since(0),
    ),
    (
        rf"{_OUT} \b(?:from|in)\s+ (?P<year>{_YEAR}) \s+ (?:and|or)\s+(?:earlier|before|older)\b",
        _until(0),
    ),
    (rf"{_OUT} \bin\s+ (?P<year>{_YEAR}) \s+ (?:and|or)\s+(?:later|after)\b", _since(0)),
    (
        rf"{_OUT} \b(?:since|starting\s+(?:in|from)|not\s+(?:older|earlier)\s+than)\s+ (?P<year>{_YEAR})\b",
        _since(0),
    ),
    (rf"{_OUT} \b(?:after|later\s+than|newer\s+than|more\s+recent\s+than)\s+ (?P<year>{_YEAR})\b", _since(1)),
    (rf"{_OUT} \b(?:before|prior\s+to|earlier\s+than|older\s+than)\s+ (?P<year>{_YEAR})\b", _until(-1)),
    (rf"{_OUT} \b(?:until|up\s+to|no\s+later\s+than|not\s+after)\s+ (?P<year>{_YEAR})\b", _until(0)),
    (
        rf"""\b{_WORKS}\b [^?.!]{{0,80}}?
             (?P<cut>\s\b(?:in|from|of|dated|during)\s+ (?:the\s+year\s+)? (?P<year>{_YEAR}))\b (?![-–]\w)""",
        _one_year,
    ),
    (rf"^\W*what(?:\s(?:is|was)|['’]s)\snew (?P<cut>\s(?:in|from|of)\s(?P<year>{_YEAR}))\b", _one_year),
    (rf"(?P<cut>\b(?:in|from)\s+(?P<year>{_YEAR}))\b ,? (?=[^?.!]{{0,60}}\b{_WORKS}\b)", _one_year),
    (
        rf"""\b(?:have|has|got|hold|holds|contains?|there|else|everything|new)\b
             (?:\s(?:here|in\s(?:the|this)\slibrary))?
             (?P<cut>\s(?:from|of|dated)\s+ (?:the\s+year\s+)? (?P<year>{_YEAR}))\b
             (?=\W*$|\s+(?:on|about|in|that)\b)""",
        _one_year,
    ),
    (
        rf"""(?:^|\b(?:the|any|which|what|all|some|recent|list|find|show|me)\s+) (?P<cut>(?P<year>{_YEAR}))
             \s+ (?:papers?|articles?|works?|publications?|preprints?|studies)\b""",
        _one_year,
    ),
    (
        rf"""(?:\b{_WORKS}\b [^?.!]{{0,80}}?|\b(?:of\s(?:them|these|those)|which\sones?)\b)
             (?P<cut>\s(?:with|(?:(?:that|which)\s+)?(?:have|has|release[sd]?|provide[sd]?|share[sd]?|come\s+with)|and)\s+
             (?:the\s+|their\s+|its\s+)? (?:publicly\s+)?
             (?:available\s+|public\s+|open[-\s]?source[d]?\s+|open\s+|released\s+|official\s+)* (?:source\s+)?
             (?:code|implementations?)
             (?:\s+(?:is\s+)?(?:publicly\s+)?(?:available|released|links?|on\s+github|online))?)
             (?=\s*(?:[?.!,;]|$|\b(?:on|for|about|that|which|in|from|since|at|by|and)\b))""",
        _code,
    ),
    (
        rf"""\b(?:papers?|works?|articles?|publications?|anything|something|written|authored|co-authored|published)\s+
             (?P<cut> (?:(?:co-?)?(?:written|authored)\s+)? by\s+ (?!(?:[\w.’'\-]+\s+){{1,6}}or\s+others?\b)
             (?P<author>(?-i:{_CAPITALISED}(?:\s+{_CAPITALISED})*))
             (?:\s+(?:et\s+al\.?|and\s+(?:others|colleagues)\b))?)""",
        _author,
    ),
    (
        rf"""^\W*(?P<cut>(?:did|has|have)\s (?P<author>(?-i:{_CAPITALISED}(?:\s+{_CAPITALISED})+))\s
             (?:ever\s)?(?:co-?author(?:ed)?|wr[io]te|written|publish(?:ed)?)\s (?:anything\s)?)""",
        _author,
    ),
    (
        rf"""\b(?:papers?|works?|articles?|publications?) (?P<cut>\s(?:did|has|have)\s
             (?P<author>(?-i:{_CAPITALISED}))\s
             (?:co-?author(?:ed)?|wr[io]te|written|publish(?:ed)?))\b""",
        _author,
    ),
    (
        rf"""\b(?:papers?|works?|articles?|publications?|what) (?P<cut>\s(?:did|has|have|by)\s
             (?P<author>(?-i:{_CAPITALISED}(?:\s+{_CAPITALISED})+))\s
             (?:co-?author(?:ed)?|wr[io]te|written|publish(?:ed)?))\b""",
        _author,
    ),
)
_RULES = tuple((re.compile(pattern, re.IGNORECASE | re.VERBOSE), make) for pattern, make in _TABLE)


def hear(question: str) -> tuple[Filters, tuple[str, ...], str]:
    """The filters in a question, the words taken for them, and the question without those words.

    A question that is nothing but filters is returned whole: there is no topic to search for otherwise.
    """
    found, heard, rest = _heard(question)
    return found, heard, rest if text.content_words(rest) else question


def only_filters(question: str) -> str | None:
    """What a question says besides its filters, None where it has none.

    >>> only_filters("What do you have from 2021?"), only_filters("What is dropout?")
    ('What do you have?', None)
    """
    _, heard, rest = _heard(question)
    return rest if heard else None


def _heard(question: str) -> tuple[Filters, tuple[str, ...], str]:
    found, heard, rest = Filters(), list[str](), question
    for pattern, make in _RULES:
        match = pattern.search(rest)
        if match is not None:
            start, end = match.span("cut" if "cut" in pattern.groupindex else 0)
            found = merged(found, make(match))
            heard.append(rest[start:end].strip(" ,"))
            rest = _joined(rest[:start], rest[end:])
    return found, tuple(heard), rest


def _joined(before: str, after: str) -> str:
    joined = f"{before.rstrip()} {after.lstrip()}".strip()
    return re.sub(r"\s+([?.!,;])", r"\1", joined).lstrip(",; ")


def merged(given: Filters, heard: Filters) -> Filters:
    """Both filters at once: the narrower range; for the rest, what was given wins over what was heard."""
    return replace(
        given,
        year_from=_narrower(max, given.year_from, heard.year_from),
        year_to=_narrower(min, given.year_to, heard.year_to),
        date_from=_narrower(max, given.date_from, heard.date_from),
        date_to=_narrower(min, given.date_to, heard.date_to),
        venues=given.venues or heard.venues,
        authors=given.authors or heard.authors,
        sources=given.sources or heard.sources,
        has_code=heard.has_code if given.has_code is None else given.has_code,
        only=given.only or heard.only,
        exclude=given.exclude or heard.exclude,
    )


def _narrower(pick: Callable[[_T, _T], _T], one: _T | None, other: _T | None) -> _T | None:
    if one is None or other is None:
        return other if one is None else one
    return pick(one, other)


def described(filters: Filters) -> str:
    """Filters in words, for a message.

    >>> described(Filters(year_from=2020, venues=("ICLR",)))
    'from 2020 on, with venue ICLR'
    """
    first, last = filters.year_from, filters.year_to
    one = first is not None and first == last
    one_day = filters.date_from is not None and filters.date_from == filters.date_to
    parts = [
        (one, f"from the year {first}"),
        (not one and first is not None, f"from {first} on"),
        (not one and last is not None, f"up to {last}"),
        (one_day, f"dated {filters.date_from}"),
        (not one_day and filters.date_from, f"dated {filters.date_from} or later"),
        (not one_day and filters.date_to, f"dated {filters.date_to} or earlier"),
        (filters.venues, f"with venue {' or '.join(filters.venues)}"),
        (filters.authors, f"by {' or '.join(filters.authors)}"),
        (filters.sources, f"from source {' or '.join(filters.sources)}"),
        (filters.has_code is True, "with a code link"),
        (filters.has_code is False, "without a code link"),
        (filters.only, "among the chosen papers"),
        (filters.exclude, "outside the excluded papers"),
    ]
    return ", ".join(words for said, words in parts if said)
