"""What the title splitter looks at: hashed features of every place where an abstract could begin.

A feature is a template, a tuple of columns such as "the next word" or "the shape of the word before"; its hash is a
wrapping sum of the columns times the template's own random constants, so that one integer matrix product hashes all
templates for all candidates of a text at once.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

MAX_TITLE = 300
"""Characters: no candidate lies further from the start of the text."""

CONTEXT = 130
"""Words that are looked at: enough to see a title's words come back in its abstract."""

# Word columns: w = the word in lower case, r = as written with punctuation, x = its last three letters,
# s = its shape; the number is its place, 0 being the abstract's first word and -1 the title's last.
# Other columns are named by _Text below.
PLACE_TEMPLATES: tuple[str, ...] = (
    *("w0", "w0 w1", "w0 w1 w2", "w1", "w2", "w3", "w1 w2", "w2 w3", "w-1", "w-2 w-1", "w-1 w0"),
    *("r-1", "r0", "r0 w1", "w-1 s0 s1", "w0 s-1", "w0 s1 s2", "x0 x1", "x0 x1 x2", "x-1 x0", "x-1 s0 x1"),
    *("s-1 s0", "s-2 s-1 s0 s1", "s-3 s-2 s-1 s0 s1 s2", "s0 s1 s2 s3", "s0 s1 s2 s3 s4 s5"),
    *("style s0 s1", "style s-1 s0 s1 s2", "style s0 s1 s2 s3", "style w0", "style length"),
    *("style after s0", "style after s0 s1", "after w0"),
    *("length", "length colon", "since_colon s-1", "since_colon s0 length"),
    *("stop", "stop s0", "verb s0", "verb stop", "verbs_before verb", "verb s-1 s0 s1"),
    *("seen0 seen1 s0", "pair_seen s0 s1", "seen0 s-1 s0", "returns s-1", "pair_returns s-1 s0"),
    *("echo length", "echo seen0 returns", "as_first s0"),
)
"""Features of a boundary."""

INSIDE_TEMPLATES: tuple[str, ...] = ("w0 first", "w0 w1", "s-1 s0 s1", "s0 s1 s2 first", "r0")
"""Features of a word that lies before the boundary: does it read like part of a title?"""

_NAME_LIKE = re.compile(r"[A-Z0-9-]")  # "iPhone", "k-means", "p53"
_EDGES = re.compile(r"^[\"'“‘(\[{`]+|[\"'”’)\]}.,:;?!`]+$")
_FUNCTION = frozenset(
    "a an the of for in on with to and or via by from at as is are into its it not do does can under"
    " through over between without using be we our how what why when but nor vs per than that this these"
    " your you beyond toward towards across against among within about after before during".split()
)
_VERBS = frozenset(
    "is are was were has have had can may will propose present introduce show study consider investigate"
    " explore remains remain plays play provides provide enables enable requires require aims become"
    " becomes achieved demonstrate demonstrated been often address develop offer offers shown exhibit"
    " suffer describe be should".split()
)
_BINS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 25, 30, 40, 60)
_CAPITAL, _CONTENT, _VERB, _STOP, _COLON = 1, 2, 4, 8, 16
_LEFT, _RIGHT = 3, 8
_PACK = struct.Struct("<5q")
_PAD_LEFT, _PAD_RIGHT = _PACK.pack(11, 12, 13, 0, 0) * _LEFT, _PACK.pack(11, 12, 13, 0, 0) * _RIGHT
_KINDS = "wrxs"


@dataclass(frozen=True, slots=True)
class Boundaries:
    """Candidates of one text. `offsets`: characters before each; `words`: words before each, shape (candidates,);
    `places`: (candidates, templates); `inside`: (words before the last candidate, templates)."""

    offsets: list[int]
    words: Integers
    places: Integers
    inside: Integers


def boundaries(text: str) -> Boundaries | None:
    """The features of every place in `text` where an abstract could begin, None when there is none."""
    import numpy as np

    tokens = text[: MAX_TITLE * 4].split()[:CONTEXT]
    offsets, chosen, start = [], [], 0
    for index, token in enumerate(tokens):
        start = text.index(token, start)
        if start > MAX_TITLE:
            break
        if index and _opens(token, tokens[index - 1]):
            offsets.append(start)
            chosen.append(index)
        start += len(token)
    if not chosen:
        return None
    words = np.array(chosen, dtype=np.int64)
    view = _Text(tokens, words)
    return Boundaries(offsets, words, view.places(), view.inside())


def _opens(token: str, before: str) -> bool:
    """Whether an abstract could begin with `token` after `before`."""
    if len(before) == 2 and before[1] == "." and before[0].isupper():
        return False  # the initial of a name ("P. Kabamba developed ..."), which no title ends with
    core = token.lstrip("\"'“‘([{`$") or token
    if not core[0].islower():
        return core[0].isalnum() or token[0] in "$\\"
    return before[-1] in "?!." or _NAME_LIKE.search(core, 1, 4) is not None


@lru_cache(maxsize=65_536)
def _word(token: str) -> bytes:
    """A word's five numbers (w, r, x, s, flags), packed."""
    core = _EDGES.sub("", token) or token
    lower = core.lower()
    function = lower in _FUNCTION
    flags = (
        _CAPITAL * (core[0].isupper() or core[0].isdigit())
        | _CONTENT * (not function and core[0].isalpha())
        | _VERB * (lower in _VERBS)
        | _STOP * (token.rstrip("\"'”’)]}")[-1:] in (".", "?", "!"))
        | _COLON * (token[-1] in ":?")
    )
    shape = _case(core, function=function) * 8 + _punctuation(token)
    return _PACK.pack(_hash(lower), _hash(token), _hash(lower[-3:]), shape, flags)


def _hash(text: str) -> int:
    return crc32(text.encode("utf-8", "replace"))


def _case(core: str, *, function: bool) -> int:
    first, rest = core[0], core[1:]
    if not first.isalpha():
        return 2 if first.isdigit() else 3
    if function:
        return 4 if first.islower() else 5
    if first.islower():
        return 6 if rest.islower() or not rest else 7
    if not rest or rest.islower():
        return 9 if rest else 8
    if "-" in rest:
        return 10 if any(part[:1].isupper() for part in rest.split("-")[1:]) else 11
    return 12


def _punctuation(token: str) -> int:
    if token[0] in "([{\"'“‘":
        return 7 if token[-1] in ")]}\"'”’,." else 6
    place = ",:.?)".find(token[-1])
    return place + 1 if place >= 0 else 3 if token[-1] in "!;" else 0


class _Text:
    """The words of a text as columns, and what each candidate sees before and after it."""

    def __init__(self, tokens: list[str], at: Integers) -> None:
        import numpy as np

        packed = b"".join([_PAD_LEFT, *map(_word, tokens), _PAD_RIGHT])
        self._table = np.frombuffer(packed, dtype="<i8").reshape(-1, 5).T
        self._flags = self._table[4, _LEFT : _LEFT + len(tokens)]
        self._count = len(tokens)
        self._at = at

    def places(self) -> Integers:
        derived = {**self._extent(), **self._ahead(), **self._echoes()}
        return self._hashed(PLACE_TEMPLATES, self._at, derived)

    def inside(self) -> Integers:
        import numpy as np

        here = np.arange(int(self._at[-1]))
        return self._hashed(INSIDE_TEMPLATES, here, {"first": (here == 0).astype(np.int64)})

    def _hashed(self, templates: tuple[str, ...], at: Integers, derived: dict[str, Integers]) -> Integers:
        import numpy as np

        rows, steps, names, constants = _plan(templates)
        words = self._table[rows[:, None], at[None, :] + steps[:, None]]
        columns = np.concatenate((words, np.stack([derived[name] for name in names]))).astype(np.uint64)
        mixed = constants[:, :-1] @ columns + constants[:, -1:]
        mixed ^= mixed >> np.uint64(32)
        mixed *= np.uint64(0x9E3779B97F4A7C15)
        return (mixed >> np.uint64(33)).astype(np.int64).T

    def _extent(self) -> dict[str, Integers]:
        """How long the title would be, since when, and how much of it is capitalised."""
        import numpy as np

        at, flags, position = self._at, self._flags, np.arange(self._count)
        last_colon = np.maximum.accumulate(np.where(flags & _COLON, position, -1))[at - 1]
        content = np.concatenate(([0], np.cumsum((flags[1:] & _CONTENT) > 0)))[at - 1]
        named = np.concatenate(([0], np.cumsum((flags[1:] & 3) == (_CONTENT | _CAPITAL))))[at - 1]
        return {
            "length": _binned(at),
            "colon": (last_colon >= 0).astype(np.int64),
            "since_colon": _binned(at - last_colon),
            "style": np.where(content == 0, 6, named * 5 // np.maximum(content, 1)),
            "verbs_before": np.minimum(np.cumsum((flags & _VERB) > 0)[at - 1], 3),
        }

    def _ahead(self) -> dict[str, Integers]:
        """Words to the next verb and to the end of the sentence, and how many of the next five are lower case."""
        import numpy as np

        lower = np.concatenate(([0], np.cumsum((self._table[4] & _CAPITAL) == 0)))
        start = self._at + _LEFT + 1
        return {
            "stop": self._distance(_STOP),
            "verb": self._distance(_VERB),
            "after": lower[start + 5] - lower[start],
        }

    def _echoes(self) -> dict[str, Integers]:
        """Words of the title that come back in the abstract, and its opening words that were in the title."""
        import numpy as np

        at, position = self._at, np.arange(self._count)
        words = self._table[0, _LEFT : _LEFT + self._count]
        same = words[:, None] == words[None, :]
        pairs = same.copy()
        pairs[:-1, :-1] &= same[1:, 1:]
        seen = (same.argmax(axis=1) < position).astype(np.int64)
        final = self._count - 1 - same[:, ::-1].argmax(axis=1)
        pair_final = self._count - 1 - pairs[:, ::-1].argmax(axis=1)
        content = (self._flags & _CONTENT) > 0
        lasting = (final[None, :] >= at[:, None]) & (position[None, :] < at[:, None]) & content
        return {
            "seen0": seen[at],
            "seen1": seen[np.minimum(at + 1, self._count - 1)],
            "pair_seen": (pairs.argmax(axis=1) < position).astype(np.int64)[at],
            "returns": (final[at - 1] >= at).astype(np.int64),
            "pair_returns": (pair_final[np.maximum(at - 2, 0)] >= at).astype(np.int64),
            "echo": lasting.sum(axis=1) * 5 // np.maximum(np.cumsum(content)[at - 1], 1),
            "as_first": same[0, at].astype(np.int64),
        }

    def _distance(self, flag: int) -> Integers:
        """Words from each candidate to the next word with `flag`, binned."""
        import numpy as np

        marked = np.where(self._flags & flag, np.arange(self._count), 10_000)
        return _binned(np.minimum.accumulate(marked[::-1])[::-1][self._at] - self._at)


@lru_cache(maxsize=4)
def _plan(templates: tuple[str, ...]) -> tuple[Integers, Integers, list[str], NDArray[np.uint64]]:
    """For a set of templates: row and step of each word column, the names of the other columns, and the constants
    (templates, columns + 1), zero where a template does not use a column, the last one being its own number."""
    import numpy as np

    parts = [template.split() for template in templates]
    names = list(dict.fromkeys(name for template in parts for name in template))
    of_words = [name for name in names if name[0] in _KINDS and name[1:].lstrip("-").isdigit()]
    others = [name for name in names if name not in of_words]
    columns = {name: index for index, name in enumerate(of_words + others)}
    constants = np.zeros((len(parts), len(columns) + 1), dtype=np.uint64)
    for row, template in enumerate(parts):
        for name in template:
            constants[row, columns[name]] = _constant(f"{templates[row]}/{name}")
        constants[row, -1] = _constant(templates[row])
    rows = np.array([_KINDS.index(name[0]) for name in of_words])
    steps = np.array([int(name[1:]) + _LEFT for name in of_words])
    return rows, steps, others, constants


def _constant(text: str) -> int:
    """An odd 64-bit number that depends on the text only."""
    return (crc32(text.encode()) << 32 | crc32(text[::-1].encode(), 7)) | 1


@lru_cache(maxsize=1)
def _bin_table() -> Integers:
    import numpy as np

    return np.searchsorted(np.array(_BINS), np.arange(256), side="right").astype(np.int64)


def _binned(values: Integers) -> Integers:
    import numpy as np

    return _bin_table()[np.minimum(values, 255)]
