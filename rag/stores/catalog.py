"""What is read from the catalog: papers, passages and selections, from any thread and any process."""
# ruff: noqa: S608 - statements are made of constants; values are bound.

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from rag.answers import Filters
from rag.hashing import title_key
from rag.papers import Paper, Passage, SourceRef
from rag.stores.database import Database, Rows
from rag.stores.filtering import where
from rag.stores.rows import folded, paper_from, passages_from
from rag.stores.sqlite import SqliteDatabase
from rag.text import normalised_title

_ALL = Filters()

Order = Literal["added", "title", "newest", "oldest", "upvotes"]

_ORDERS: dict[Order, str] = {
    "added": "pk",
    "title": "folded_title, pk",
    "newest": "first_day IS NULL, first_day DESC, pk",
    "oldest": "first_day IS NULL, first_day, pk",
    "upvotes": "upvotes IS NULL, upvotes DESC, pk",
}
_AT_ONCE = 500


class Catalog:
    """The library's papers (`CatalogReader`), from a database; a path is an SQLite file, made at the first writing.

    Safe for many threads, and for readers in other processes while one process writes: each call sees the last
    committed state. Raises LibraryError where the database cannot be used.
    """

    def __init__(self, place: Path | Database) -> None:
        self.database = SqliteDatabase(place) if isinstance(place, Path) else place

    def generation(self) -> int:
        """Grows with every commit of indexed or removed papers, also by other processes."""
        return self.database.read("SELECT value FROM meta WHERE name = 'generation'")[0][0]

    def count(self) -> int:
        """Papers in the library."""
        return self.database.read("SELECT count(*) FROM papers")[0][0]

    def empty(self) -> bool:
        """Whether there are no papers; unlike counting them, as fast in a library of any size."""
        return not self.database.read("SELECT 1 FROM papers LIMIT 1")

    def papers(self, ids: Sequence[str]) -> dict[str, Paper]:
        """The papers that exist among `ids`, in the order asked."""
        found = {paper.id: paper for paper, _ in self._load("id", list(ids))}
        return {paper_id: found[paper_id] for paper_id in ids if paper_id in found}

    def all_papers(self) -> Iterator[Paper]:
        """Every paper in the order of arrival; memory does not grow with the library."""
        yield from (paper for paper, _ in self._all())

    def passages(self, ids: Sequence[str]) -> dict[str, Passage]:
        """The passages that exist among `ids`, in the order asked."""
        paper_ids = list(dict.fromkeys(passage_id.rpartition("#")[0] for passage_id in ids))
        found = {item.id: item for _, passages in self._load("id", paper_ids) for item in passages}
        return {passage_id: found[passage_id] for passage_id in ids if passage_id in found}

    def with_passages(self) -> Iterator[tuple[Paper, list[Passage]]]:
        """Every paper with its passages, in the order of arrival."""
        yield from self._all()

    def all_passages(self) -> Iterator[Passage]:
        """Every passage, paper by paper in the order of arrival."""
        for _, passages in self._all():
            yield from passages

    def select(self, filters: Filters) -> list[str]:
        """Ids of the papers that pass the filters, in the order of arrival."""
        condition, values = where(filters)
        return _column(self.database.read(f"SELECT id FROM papers WHERE {condition} ORDER BY pk", values))

    def select_passages(self, filters: Filters) -> list[str]:
        """Passage ids of the papers that pass the filters: `passage_ids(select(filters))` in one step."""
        condition, values = where(filters)
        return _expanded(self.database.read(f"SELECT id, passages FROM papers WHERE {condition}", values))

    def passage_ids(self, paper_ids: Sequence[str]) -> list[str]:
        """All passage ids of the given papers."""
        return _expanded(self.database.read("SELECT id, passages FROM papers WHERE id = ANY(?)", [list(paper_ids)]))

    def all_passage_ids(self) -> list[str]:
        """The ids that both indexes should hold."""
        return _expanded(self.database.read("SELECT id, passages FROM papers"))

    def titled(self, titles: Sequence[str]) -> dict[str, list[str]]:
        """Paper ids by normalised title, for the titles that exist (display titles of untitled papers do not)."""
        wanted = {key: normalised_title(title) for title in titles if (key := title_key(title)) is not None}
        rows = self.database.read(
            "SELECT key, id FROM keys JOIN papers ON pk = paper WHERE key = ANY(?) ORDER BY pk", [list(wanted)]
        )
        found: defaultdict[str, list[str]] = defaultdict(list)
        for key, paper_id in rows:
            found[wanted[key]].append(paper_id)
        return dict(found)

    def search_titles(
        self,
        text: str = "",
        *,
        limit: int = 50,
        offset: int = 0,
        order: Order = "added",
        filters: Filters = _ALL,
    ) -> list[Paper]:
        """A page of the papers whose title holds every word of `text` (any case and accents)."""
        condition, values = _titles(text, filters)
        found = self.database.read(
            f"SELECT id FROM papers WHERE {condition} ORDER BY {_ORDERS[order]} LIMIT ? OFFSET ?",
            [*values, limit, offset],
        )
        return list(self.papers(_column(found)).values())

    def count_titles(self, text: str = "", *, filters: Filters = _ALL) -> int:
        """How many papers `search_titles` finds in all."""
        condition, values = _titles(text, filters)
        return self.database.read(f"SELECT count(*) FROM papers WHERE {condition}", values)[0][0]

    def years(self) -> tuple[int, int] | None:
        """The first and the last year, None where no paper has one."""
        first, last = self.database.read("SELECT min(year), max(year) FROM papers")[0]
        return None if first is None else (first, last)

    def year_counts(self) -> dict[int, int]:
        """Papers by year, oldest first; papers without a year are left out."""
        return dict(
            self.database.read("SELECT year, count(*) FROM papers WHERE year IS NOT NULL GROUP BY year ORDER BY year")
        )

    def venue_counts(self) -> dict[str, int]:
        """Papers by venue, the most frequent first; papers without a venue are left out."""
        return dict(
            self.database.read(
                "SELECT venue, count(*) AS papers FROM papers WHERE venue IS NOT NULL"
                " GROUP BY venue ORDER BY papers DESC, venue"
            )
        )

    def source_counts(self) -> dict[str, int]:
        """Papers by source path, in the order of arrival."""
        return dict(
            self.database.read(
                "SELECT path, count(DISTINCT paper) FROM sources JOIN records ON source = sources.pk"
                " GROUP BY sources.pk ORDER BY sources.pk"
            )
        )

    def counts(self) -> dict[str, int]:
        """Numbers of papers, records, passages, papers with code, papers still to index, passages to forget."""
        papers, passages, with_code, pending = self.database.read(
            "SELECT count(*), coalesce(sum(passages), 0), coalesce(sum(has_code), 0), coalesce(sum(pending), 0)"
            " FROM papers"
        )[0]
        records, doomed = self.database.read("SELECT (SELECT count(*) FROM records), (SELECT count(*) FROM doomed)")[0]
        return {
            "papers": papers,
            "records": records,
            "passages": passages,
            "with_code": with_code,
            "pending": pending,
            "doomed": doomed,
        }

    def damage(self) -> str | None:
        """What is broken in the stored data, None when it is whole."""
        return self.database.damage()

    def close(self) -> None:
        """Close the database for all threads."""
        self.database.close()

    def _all(self) -> Iterator[tuple[Paper, list[Passage]]]:
        last = 0
        while keys := _column(
            self.database.read("SELECT pk FROM papers WHERE pk > ? ORDER BY pk LIMIT ?", [last, _AT_ONCE])
        ):
            yield from self._load("pk", keys)
            last = keys[-1]

    def _load(self, column: Literal["id", "pk"], values: Sequence[str | int]) -> Iterator[tuple[Paper, list[Passage]]]:
        for start in range(0, len(values), _AT_ONCE):
            yield from load(self.database, column, values[start : start + _AT_ONCE])


def load(
    database: Database, column: Literal["id", "pk"], values: Sequence[str | int]
) -> Iterator[tuple[Paper, list[Passage]]]:
    """Papers and their passages by id or primary key, in the order of arrival."""
    rows = database.read(
        "SELECT papers.pk, id, title, abstract, data, bodies.passages FROM papers"
        f" JOIN bodies ON bodies.pk = papers.pk WHERE papers.{column} = ANY(?) ORDER BY papers.pk",
        [list(values)],
    )
    places = _places(database, [row[0] for row in rows])
    for pk, paper_id, title, abstract, data, passages in rows:
        paper = paper_from(paper_id, (title, abstract), data, places[pk])
        yield paper, passages_from(paper, passages)


def _places(database: Database, papers: Iterable[int]) -> dict[int, list[SourceRef]]:
    places: defaultdict[int, list[SourceRef]] = defaultdict(list)
    rows = database.read(
        "SELECT paper, path, line FROM records JOIN sources ON sources.pk = source"
        " WHERE paper = ANY(?) ORDER BY paper, path, line",
        [list(papers)],
    )
    for paper, path, line in rows:
        places[paper].append(SourceRef(path, line))
    return places


def _titles(text: str, filters: Filters) -> tuple[str, list[Any]]:
    condition, values = where(filters)
    words = folded(text).split()
    return " AND ".join([condition, *["instr(folded_title, ?) > 0"] * len(words)]), [*values, *words]


def _column(rows: Rows) -> list[Any]:
    return [row[0] for row in rows]


def _expanded(rows: Rows) -> list[str]:
    return [f"{paper_id}#{ordinal}" for paper_id, passages in rows for ordinal in range(passages)]
