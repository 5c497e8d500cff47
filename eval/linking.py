"""From the names that cases give papers (id, DOI, arXiv id, title) to the ids of a library."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from eval.case import Case
from rag.errors import InputError
from rag.papers import Paper
from rag.text import normalised_title, shorten


@dataclass(frozen=True, slots=True)
class Names:
    """Paper ids by every name. Papers that share a title count as one: `aliases` maps each id to the first of
    them.
    """

    ids: dict[str, str]
    titles: dict[str, str]
    aliases: dict[str, str]

    @classmethod
    def of(cls, papers: Iterable[Paper]) -> Names:
        """Read the names of all papers of a library, once."""
        ids: dict[str, str] = {}
        titles: dict[str, str] = {}
        aliases: dict[str, str] = {}
        for paper in papers:
            first = titles.setdefault(normalised_title(paper.title), paper.id)
            if first != paper.id:
                aliases[paper.id] = first
            for name in (paper.id, paper.doi, paper.arxiv_id, paper.url):
                if name:
                    ids.setdefault(name.casefold(), first)
        return cls(ids, titles, aliases)

    def find(self, name: str) -> str | None:
        """The id of the paper that a case means, None when there is no such paper."""
        return self.ids.get(name.casefold()) or self.titles.get(normalised_title(name))

    def suggestion(self, name: str) -> str:
        """The nearest title in words, for an error message; empty when none is near."""
        near = get_close_matches(normalised_title(name), list(self.titles), n=1, cutoff=0.7)
        return f"; the nearest title is {near[0]!r}" if near else ""


def link(cases: Sequence[Case], names: Names, *, allow_missing: bool = False) -> list[Case]:
    """The cases with paper ids in `relevant`.

    Raises InputError that names the line for a paper that the library does not hold; with `allow_missing`
    such a paper stays under its given name, which no system can retrieve, so that it counts against all of
    them.
    """
    return [_linked(case, names, allow_missing=allow_missing) for case in cases]


def _linked(case: Case, names: Names, *, allow_missing: bool) -> Case:
    grades: dict[str, int] = {}
    for name, grade in case.graded.items():
        found = names.find(name)
        if found is None and not allow_missing:
            raise InputError(
                f"{case.where or case.id}: the library holds no paper {shorten(name, 100)!r}{names.suggestion(name)}"
                " (ingest it, or let it count as a miss with --allow-missing)"
            )
        grades[found or name] = grade
    return case.model_copy(update={"relevant": tuple(grades), "grades": tuple(grades.values())})
