"""Signs in a sentence that it holds a thing of the kind asked for: a number, a date, a name, a reason."""

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
