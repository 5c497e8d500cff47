"""British and American spellings of one word: what is compared is the American one, what is searched is both."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

_ISE = re.compile(r"(?<=[^aou])is(?=(?:e[drs]?|ers|ing|ations?|able)$)")
_NOT_ISE = re.compile(  # what such an ending comes after in words that have one spelling only
    r"(?:prom|exerc|compr|enterpr|surpr|prec|conc|adv|dev|rev|superv|improv|telev|desp|prem|dem|chem|expert|advert"
    r"|franch|merch|merchand|parad|treat|pract|otherw|likew|clockw|pairw|stepw|sunr|moonr)$"
)
_YSE = re.compile(r"(?<=[^aeiou]y)s(?=(?:e[dr]?|ers|ing)$)")
_OUR = re.compile(r"(behavi|neighb|endeav|col|fav|flav|lab|harb|hum|tum|rum|vap|hon|arm|rig|vig|sav)our")
_RE = re.compile(r"^(cent|fib|met|theat|lit|calib)r(e|es|ed|ing)$")
_OGUE = re.compile(r"(?<=alog)ue(?=s?$)")
_SINGLE = {
    "defence": "defense",
    "defences": "defenses",
    "offence": "offense",
    "offences": "offenses",
    "licence": "license",
    "licences": "licenses",
    "practise": "practice",
    "practised": "practiced",
    "practising": "practicing",
    "artefact": "artifact",
    "artefacts": "artifacts",
    "judgement": "judgment",
    "judgements": "judgments",
    "programme": "program",
    "programmes": "programs",
    "grey": "gray",
    "ageing": "aging",
    "sceptical": "skeptical",
}
_BACK = {american: british for british, american in _SINGLE.items()}
_SHORTEST = 4


@lru_cache(maxsize=65_536)
def american(word: str) -> str:
    """The American spelling of a lower-case word, which is the word itself where there is but one.

    >>> [american(word) for word in ("regularisation", "behavioural", "supervised")]
    ['regularization', 'behavioral', 'supervised']
    """
    if len(word) < _SHORTEST:
        return word
    if word in _SINGLE:
        return _SINGLE[word]
    if (found := _ISE.search(word)) and found.start() > 2 and not _NOT_ISE.search(word[: found.start()]):
        word = f"{word[: found.start()]}iz{word[found.end() :]}"
    for pattern, instead in ((_YSE, "z"), (_OUR, r"\1or"), (_OGUE, "")):
        word = pattern.sub(instead, word)
    return _RE.sub(_centre, word)


def _centre(match: re.Match[str]) -> str:
    end = match[2]
    return f"{match[1]}er{'' if end == 'e' else 's' if end == 'es' else end}"


_CANDIDATES = (
    (re.compile(r"iz(?=(?:e[drs]?|ers|ing|ations?|able)$)"), "is"),
    (re.compile(r"(?<=y)z(?=(?:e[dr]?|ers|ing)$)"), "s"),
    (re.compile(r"or"), "our"),
    (re.compile(r"(?<=alog)(?=s?$)"), "ue"),
    (re.compile(r"er(?=e|i)"), "r"),
    (re.compile(r"er$"), "re"),
    (re.compile(r"ers$"), "res"),
)


def other_spellings(word: str) -> Iterator[str]:
    """How else a lower-case word is spelt on the other side of the Atlantic."""
    if (plain := american(word)) != word:
        yield plain
        return
    if word in _BACK:
        yield _BACK[word]
    forms = [word]
    for pattern, instead in _CANDIDATES:  # "colorization" has two places that differ
        forms += [made for form in forms if (made := pattern.sub(instead, form, count=1)) not in forms]
    yield from (form for form in forms[1:] if american(form) == word)
