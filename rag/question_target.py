"""What a question asks for, by its words: of which thing the number, which name."""

from __future__ import annotations

import re

from rag.text import stem_set

# The words right after the question word, up to a verb or preposition: what is asked for.
_ASKED_FOR = re.compile(
    r"""\b(?:how\smany|how\smuch|which|what(?:\sis|\sare|'s|’s|\swas|\swere)?(?:\s(?:the|a|an)\b)?)\s
    (?P<phrase>(?:[\w@-]+(?:\s|$|\?)){1,4}?)
    (?=(?:do|does|did|is|are|was|were|has|have|had|can|could|will|would|should|may|of|in|on|for|to|from|by|with
       |at|that|when|reach\w*|get\w*|need\w*|use[sd]?|gives?|shows?|make[sd]?|let|work\w*|perform\w*|best|be)\b
       |$|\?)""",
    re.IGNORECASE | re.VERBOSE,
)

# Words that stand beside the number where a measure is asked for by its adjective.
_MEASURES = {"large": "parameters size billion million", "long": "seconds minutes hours days weeks months"}
_MEASURED = re.compile(r"\bhow\s(?:(?P<large>large|big|small)|(?P<long>long))\b", re.IGNORECASE)


def asked_for(question: str) -> frozenset[str]:
    """The stems of what is asked for, or of what its number is counted in.

    >>> sorted(asked_for("How many attention heads does BERT have?"))
    ['attent', 'head']
    >>> sorted(asked_for("How long did training take?"))
    ['day', 'hour', 'minut', 'month', 'second', 'week']
    """
    match, measured = _ASKED_FOR.search(question), _MEASURED.search(question)
    phrase = match["phrase"] if match else ""
    return stem_set(f"{phrase} {_MEASURES[measured.lastgroup]}" if measured and measured.lastgroup else phrase)
