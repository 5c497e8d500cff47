"""What a question asks for, and signs in a sentence that it holds a thing of that kind: a number, a name, a reason."""

from __future__ import annotations

import re

from rag.questions import Asked
from rag.text import stem_set

# Not the digits of a name: "GPT-3", "ResNet50", "nDCG@10".
_NUMBER = re.compile(
    r"""(?<![\w@])(?<!\w-)\d|\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|fifty|hundreds?
    |thousands?|millions?|billions?|trillions?|half|twice|doubl\w+|tripl\w+|third|quarter|dozens?|single|once)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_DATE = re.compile(
    r"""\b(?:19|20)\d\d\b|\b(?:January|February|March|April|May|June|July|August|September|October|November
    |December)\b""",
    re.VERBOSE,
)
_REASON = re.compile(
    r"""\b(?:because|since|due\sto|owing\sto|as\sa\sresult|caus\w+|reasons?|lead\w*\sto|stem\w*\sfrom|attribut\w+
    |explain\w*|thanks\sto|so\sthat|in\sorder\sto|therefore|hence|arises?|from\sthe\sfact|result\w*\s(?:in|from)
    |suffer\w*|limit\w*|motivat\w+)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_PROPER = re.compile(r"(?<!^)(?<![.!?] )\b(?:[A-Z][\w-]*[A-Z0-9][\w-]*|[A-Z][a-z]+)\b")


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


def holds(asked: Asked, sentence: str) -> bool:
    """Whether a sentence shows a sign of the kind of thing asked for; True for kinds that leave none.

    >>> holds("number", "It needs twelve layers."), holds("date", "It needs twelve layers.")
    (True, False)
    """
    match asked:
        case "number":
            return bool(_NUMBER.search(sentence))
        case "date":
            return bool(_DATE.search(sentence))
        case "person" | "name":
            return bool(_PROPER.search(sentence))
        case "reason":
            return bool(_REASON.search(sentence))
        case _:
            return True


def number_near(stems: frozenset[str], sentence: str) -> float:
    """How near (0..1) a number stands to a word with one of `stems`: 1 for neighbours, 0 when either is missing."""
    if not stems & stem_set(sentence):
        return 0.0
    words = sentence.split()
    numbers = [at for at, word in enumerate(words) if _NUMBER.search(word)]
    heads = [at for at, word in enumerate(words) if stem_set(word) & stems]
    gap = min((abs(one - other) for one in numbers for other in heads), default=None)
    return 0.0 if gap is None else 1 / (1 + max(0, gap - 1) / 3)


_OTHERS_NUMBER = re.compile(
    r"\b(?P<name>[A-Z][\w-]*[A-Z0-9][\w-]*)(?:['’]s?)?\s(?:(?:with|has|had|of|and|its|the|their|at|needs|uses)\s){0,3}(?P<number>\d[\d.,]*)"
)


def tells_of_another(sentence: str, asked: frozenset[str]) -> bool:
    """Whether the numbers of a sentence that belong to a named thing all belong to others than those `asked` (stems).

    >>> tells_of_another("LLaMA is better than GPT-3 with its 175 billion parameters.", frozenset({"llama"}))
    True
    """
    owners = [stem_set(match["name"]) for match in _OTHERS_NUMBER.finditer(sentence)]
    return bool(owners) and not any(owner & asked for owner in owners)


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
