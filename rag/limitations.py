"""Weaknesses: whether a question asks for them, and whether a sentence tells one."""

from __future__ import annotations

import re

_LIMITS_ASKED = re.compile(
    r"\b(?:limitations?|weakness(?:es)?|drawbacks?|shortcomings?|disadvantages?|downsides?|weak\spoints?)\b",
    re.IGNORECASE,
)
_LIMITS_TOLD = re.compile(
    r"\b(?:limitations?|weak(?:ness(?:es)?)?|drawbacks?|shortcomings?|lags|lagged|struggl\w+|fails?|failed|suffers?|suffered"
    r"|cannot|worse|(?:cost|price)\sof\s[\w-]+\sis|less\s(?:well|accurate)|not\scompetitive|costly|expensive|at\sthe\scost|remains?\s(?:hard|weak)"
    r"|hardly\s(?:chang|improv|help)\w*|difficult\w*|sensitive\sto)\b",
    re.IGNORECASE,
)


def asks_limits(question: str) -> bool:
    """Whether a question asks for the weaknesses of something."""
    return bool(_LIMITS_ASKED.search(question))


def tells_limits(sentence: str) -> bool:
    """Whether a sentence tells a weakness, in whatever words.

    >>> [tells_limits(f"It {one}.") for one in ("lags on MMLU", "hardly improves", "had little trouble", "hardly errs")]
    [True, True, False, False]
    """
    return bool(_LIMITS_TOLD.search(sentence))


LIMIT_WORDS = frozenset(
    "limitation limitations weakness weaknesses drawback drawbacks shortcoming shortcomings disadvantage disadvantages"
    " downside downsides weak point points".split()
)
"""The words of such a question that a paper with a weakness need not say."""
