"""New papers in the likeness of real ones, for libraries larger than any collection at hand.

Every sentence begins in one real abstract and, from a word that both have, goes on in another on the same theme: a
Markov chain over words whose steps are the sentences of a few real papers. So lengths, words and neighbourhoods are
those of real abstracts, while no two are near enough to be taken for one paper. Each paper also coins a name, as real
ones do, so that the vocabulary grows with the library. Paper N is the same in every run.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

_THEME = (6, 300)  # papers that share a title word and so a theme: fewer repeat each other, more have none
_DONORS = 4
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_WORD = re.compile(r"[a-z]{4,}")
_SYLLABLES = "ba ce di fo gu ha ki lo mu na pe qui ro su ta ve wi xo za net former gan mix lor tro plex ion".split()


class Likeness:
    """Makes papers out of real ones (`title`, `abstract`, `authors`, `year`, `venue`), which it keeps in memory."""

    def __init__(self, papers: Sequence[dict[str, Any]], *, seed: int = 0) -> None:
        self._papers = papers
        self._seed = seed
        self._sentences = [_SENTENCE_END.split(paper["abstract"]) for paper in papers]
        themes: defaultdict[str, list[int]] = defaultdict(list)
        for at, paper in enumerate(papers):
            for word in set(_WORD.findall(paper["title"].lower())):
                themes[word].append(at)
        low, high = _THEME
        self._themes = {word: members for word, members in themes.items() if low <= len(members) <= high}

    def papers(self, start: int, count: int) -> Iterator[dict[str, Any]]:
        """Papers `start` to `start + count`, one after the other."""
        return map(self.paper, range(start, start + count))

    def paper(self, number: int) -> dict[str, Any]:
        """Paper `number`."""
        chance = random.Random(f"{self._seed}/{number}")
        base, *others = donors = self._donors(chance)
        model, name = self._papers[base], _coined(chance, number)
        title = _crossed(chance, model["title"], self._papers[others[0]]["title"])
        return {
            "id": f"synthetic-{number}",
            "title": f"{name}: {title}",
            "abstract": self._abstract(chance, donors, name),
            "authors": [self._author(chance, donors) for _ in model["authors"][:12]],
            "year": model["year"],
            "venue": model["venue"],
        }

    def _donors(self, chance: random.Random) -> list[int]:
        """A paper, and some that share a word of its title, else any."""
        base = chance.randrange(len(self._papers))
        words = [word for word in _WORD.findall(self._papers[base]["title"].lower()) if word in self._themes]
        theme = self._themes[chance.choice(words)] if words else range(len(self._papers))
        return [base, *(chance.choice(theme) for _ in range(_DONORS - 1))]

    def _abstract(self, chance: random.Random, donors: list[int], name: str) -> str:
        """As many sentences as the first donor has, each at the place where its parts stood in their abstracts."""
        made: list[str] = []
        length = len(self._sentences[donors[0]])
        for at in range(length):
            parts = [self._sentences[donor] for donor in chance.sample(donors, 2)]
            first, second = (part[at * len(part) // length] for part in parts)
            made.append(_crossed(chance, first, second))
        made[-1] = f"{made[-1]} We call it {name}." if chance.random() < 0.5 else made[-1]
        return " ".join(made)

    def _author(self, chance: random.Random, donors: list[int]) -> str:
        given, family = (chance.choice(self._papers[chance.choice(donors)]["authors"] or ["A. Nonymous"]) for _ in "ab")
        return f"{given.partition(' ')[0]} {family.rpartition(' ')[2]}"


def _crossed(chance: random.Random, first: str, second: str) -> str:
    """The beginning of `first` and, from a word that both have, the end of `second`; without one, both in halves."""
    one, other = first.split(" "), second.split(" ")
    places: dict[str, int] = {word: at for at, word in enumerate(one[1:-1], 1)}
    meetings = [(places[word], at) for at, word in enumerate(other[:-1]) if word in places]
    here, there = chance.choice(meetings) if meetings else (len(one) // 2, len(other) // 2)
    return " ".join(one[: here + 1] + other[there + 1 :])


def _coined(chance: random.Random, number: int) -> str:
    """A name that no other paper has."""
    return "".join(chance.choice(_SYLLABLES) for _ in range(3)).capitalize() + f"{number:x}"


def real(corpus: Path) -> list[dict[str, Any]]:
    """The papers of a JSON Lines file in a fixed random order, so that any first thousand is a sample of all."""
    with gzip.open(corpus, "rt", encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines]
    random.Random(0).shuffle(found)
    return found


def write(corpus: Path, targets: Sequence[tuple[Path, int]]) -> None:
    """Papers into files that follow each other: real ones while there are any, synthetic ones after them."""
    papers = real(corpus)
    wanted = sum(count for _, count in targets)
    likeness = Likeness(papers) if wanted > len(papers) else None
    rest = likeness.papers(0, wanted - len(papers)) if likeness else iter(())
    stream = (paper for part in (papers, rest) for paper in part)
    for path, count in targets:
        with path.open("w", encoding="utf-8") as out:
            out.writelines(json.dumps(paper) + "\n" for paper in islice(stream, count))
