"""What the catalog answers: papers, passages, selections, titles, also to other threads and processes."""

from __future__ import annotations

import gc
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from rag.answers import Filters
from rag.chunking import chunk
from rag.errors import LibraryDamaged, LibraryError
from rag.merging import Merger, Reading, SourceState
from rag.papers import Paper, Record, SourceRef
from rag.stores.catalog import Catalog
from rag.stores.drafts import IndexJob
from rag.stores.filtering import day_range
from rag.stores.journal import Journal
from rag.stores.postgres import PostgresDatabase
from tests.ingesting import CHUNKING, abstract

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def place(request, tmp_path_factory) -> Callable[[], Path | PostgresDatabase]:
    """Where a new catalog may be made, in each kind of database."""
    if request.param == "sqlite":
        return lambda: tmp_path_factory.mktemp("catalog") / "catalog.sqlite"
    server = request.getfixturevalue("postgres")
    return lambda: PostgresDatabase(server.database())


def filled(place: Path | PostgresDatabase, records: list[Record]) -> Catalog:
    """A catalog of these records, each source read in turn; the indexes are left out."""
    catalog = Catalog(place)
    journal = Journal(catalog.database)
    merger = Merger(journal, lambda paper: chunk(paper, CHUNKING))
    for name in dict.fromkeys(record.source.path for record in records):
        state = SourceState(journal.source(name, name)[0], [])
        _, job = merger.merge([Reading.of(item) for item in records if item.source.path == name], state)
        journal.mark_indexed([job])
    return catalog


def paper(number: int, title: str, path: str = "lists/2024.jsonl", **fields) -> Record:
    return Record(
        title=title, abstract=abstract(number), source=SourceRef(path, number), external_id=f"p{number}", **fields
    )


RECORDS = [
    paper(1, "Éclairs as Lattices", date="2024-11-27", year=2024, venue="NeurIPS", authors=("Zoë Müller", "Bo Chen")),
    paper(2, "Whales", date="2024-11", year=2024, venue="ICML 2024", code_urls=("https://github.com/a/b",), upvotes=3),
    paper(3, "Whales, again", date="2023", year=2023, authors=("Ann Lee",), upvotes=40),
    paper(4, "Glaciers", date="--03-11", path="pages/March_Page.txt", upvotes=7),
    paper(5, "Violins 100% tuned_up", year=2020, path="pages/March_Page.txt", venue="Proceedings of ICML"),
]


@pytest.fixture(scope="module")
def catalog(place):
    with closing(filled(place(), RECORDS)) as found:
        yield found


FILTERS = {
    "all": (Filters(), "12345"),
    "year from": (Filters(year_from=2023), "123"),
    "year range": (Filters(year_from=2020, year_to=2023), "35"),
    "on a day": (Filters(date_from="2024-11-27", date_to="2024-11-27"), "12"),
    "before that day": (Filters(date_to="2024-11-26"), "235"),
    "in a month": (Filters(date_from="2024-11", date_to="2024-11"), "12"),
    "since a month": (Filters(date_from="2024-12"), ""),
    "year known only": (Filters(date_from="2023-06", date_to="2023-07"), "3"),
    "venue": (Filters(venues=("icml",)), "25"),
    "venues": (Filters(venues=("neurips", "Proceedings")), "15"),
    "author without accents": (Filters(authors=("muller",)), "1"),
    "author with accents": (Filters(authors=("ZOË",)), "1"),
    "authors": (Filters(authors=("Chen", "lee")), "13"),
    "not across two names": (Filters(authors=("müllerbo",)), ""),
    "source": (Filters(sources=("march_page",)), "45"),
    "code": (Filters(has_code=True), "2"),
    "no code": (Filters(has_code=False), "1345"),
    "only": (Filters(only=("p5", "p1", "nobody")), "15"),
    "exclude": (Filters(exclude=("p5", "p1")), "234"),
    "several": (Filters(year_from=2024, venues=("icml",), has_code=True, sources=("2024",)), "2"),
    "quotes are text": (Filters(venues=("' OR 1=1 --",)), ""),
    "wildcards are text": (Filters(venues=("%",), authors=("_",)), ""),
    "control characters are text": (Filters(venues=("\0",)), ""),
}


@pytest.mark.parametrize(("filters", "expected"), FILTERS.values(), ids=FILTERS)
def test_filters_select_the_papers_that_pass(catalog, filters, expected):
    ids = [f"p{digit}" for digit in expected]
    assert catalog.select(filters) == ids
    assert sorted(catalog.select_passages(filters)) == [f"{paper_id}#0" for paper_id in ids]


@pytest.mark.parametrize(
    ("date", "year", "expected"),
    [
        ("2024-02", None, ("2024-02-01", "2024-02-29")),
        ("2023-02", None, ("2023-02-01", "2023-02-28")),
        ("--03-11", 2021, ("2021-03-11", "2021-03-11")),
        ("--03-11", None, (None, None)),
        (None, None, (None, None)),
        ("2024-13", None, ("2024-13-01", "2024-13-31")),
    ],
)
def test_a_cut_date_is_a_range_of_days(date, year, expected):
    assert day_range(date, year) == expected


def test_papers_come_in_the_order_asked_and_unknown_ids_are_left_out(catalog):
    found = catalog.papers(["p3", "nobody", "p1"])
    assert list(found) == ["p3", "p1"]
    assert found["p1"] == Paper(
        id="p1",
        title="Éclairs as Lattices",
        abstract=abstract(1),
        authors=("Zoë Müller", "Bo Chen"),
        n_authors=2,
        date="2024-11-27",
        year=2024,
        venue="NeurIPS",
        sources=(SourceRef("lists/2024.jsonl", 1),),
    )
    assert [item.id for item in catalog.all_papers()] == ["p1", "p2", "p3", "p4", "p5"]
    assert catalog.count() == 5
    assert catalog.papers([]) == {}


def test_passages_are_the_chunks_of_their_paper(place):
    source = SourceRef("a", 1)
    records = [
        Record(title="Long one", abstract=abstract(1, 60), source=source, external_id="long"),
        Record(title=" ".join(["endless title"] * 600), abstract=abstract(2), source=source, external_id="title"),
        Record(title="", abstract=abstract(3), source=source, external_id="untitled"),
        Record(title="No  abstract\tat all", abstract="", source=source, external_id="empty"),
    ]
    with closing(filled(place(), records)) as catalog:
        for found in catalog.all_papers():
            expected = chunk(found, CHUNKING)
            assert catalog.passage_ids([found.id]) == [item.id for item in expected]
            assert list(catalog.passages([item.id for item in expected]).values()) == expected
        assert len(catalog.passage_ids(["long"])) > 1
        assert len(list(catalog.all_passages())) == len(catalog.all_passage_ids())
        assert catalog.passages(["long#99", "nobody#0", "no hash"]) == {}


def test_papers_are_found_by_normalised_title(catalog):
    found = catalog.titled(["WHALES!", "eclairs as lattices", "Sharks"])
    assert found == {"whales": ["p2"], "eclairs as lattices": ["p1"]}


def test_titles_are_searched_by_words_and_paged_in_every_order(catalog):
    def ids(**options):
        return [item.id for item in catalog.search_titles(**options)]

    assert ids(text="whale") == ["p2", "p3"]
    assert ids(text="AGAIN whales") == ["p3"]
    assert ids(text="eclairs") == ["p1"]
    assert ids(text="100%") == ["p5"]
    assert ids(order="upvotes") == ["p3", "p4", "p2", "p1", "p5"]
    assert ids(order="newest")[:3] == ["p1", "p2", "p3"]
    assert ids(order="title") == ["p1", "p4", "p5", "p2", "p3"]
    assert ids(limit=2, offset=1) == ["p2", "p3"]
    assert ids(text="whale", filters=Filters(has_code=True)) == ["p2"]
    assert catalog.count_titles("whale") == 2


def test_the_library_is_counted(catalog):
    assert catalog.year_counts() == {2020: 1, 2023: 1, 2024: 2}
    assert catalog.years() == (2020, 2024)
    assert catalog.venue_counts() == {"ICML 2024": 1, "NeurIPS": 1, "Proceedings of ICML": 1}
    assert catalog.source_counts() == {"lists/2024.jsonl": 3, "pages/March_Page.txt": 2}
    counts = catalog.counts()
    assert (counts["papers"], counts["records"], counts["passages"], counts["pending"]) == (5, 5, 5, 0)
    assert catalog.damage() is None


def test_a_library_that_does_not_exist_is_empty_and_stays_unmade(tmp_path):
    with closing(Catalog(tmp_path / "none" / "catalog.sqlite")) as catalog:
        assert (catalog.count(), catalog.generation(), catalog.select(Filters()), catalog.years()) == (0, 0, [], None)
    assert list(tmp_path.iterdir()) == []


def test_another_process_sees_what_was_committed(tmp_path):
    path = tmp_path / "catalog.sqlite"
    with closing(filled(path, RECORDS)):
        code = """if True:
            import sys
            from pathlib import Path
            from rag.stores.catalog import Catalog
            print(Catalog(Path(sys.argv[1])).count())
        """
        command = [sys.executable, "-c", code, str(path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "5\n"


class Writer:
    """One of several writers to a catalog, whose work for the indexes waits."""

    def __init__(self, catalog: Catalog, name: str) -> None:
        self.journal = Journal(catalog.database)
        self._merger = Merger(self.journal, lambda paper: chunk(paper, CHUNKING))
        self._key = self.journal.source(name, name)[0]

    def merge(self, *records: Record) -> IndexJob:
        return self._merger.merge([Reading.of(item) for item in records], SourceState(self._key, []))[1]

    def remove(self, paper_id: str) -> IndexJob:
        return next(self._merger.forget(self.journal.records_of([paper_id])))[1]

    def carry_out(self, job: IndexJob, index: dict[str, str]) -> None:
        """As the indexer does with a job when its turn has come."""
        with self.journal.turn(job) as due:
            for item in due.doomed:
                index.pop(item.passage, None)
            index.update((passage.id, passage.text) for passage in due.passages)
            self.journal.mark_indexed([due])


def test_late_work_for_shared_indexes_undoes_nothing_newer(place):
    with closing(Catalog(place())) as catalog:
        one, two, index = Writer(catalog, "a"), Writer(catalog, "b"), {}
        first = one.merge(paper(1, "Whales", path="a"), paper(2, "Éclairs", path="a"))
        longer = Record(title="Whales", abstract=f"{abstract(1)} {abstract(9)}", source=SourceRef("b", 1))
        two.carry_out(two.merge(longer), index)
        one.carry_out(first, index)  # of which half is out of date
        assert index == {item.id: item.text for item in catalog.all_passages()}
        gone = one.remove("p2")
        two.carry_out(two.merge(paper(2, "Éclairs", path="b")), index)
        one.carry_out(gone, index)  # of a paper that is back
        assert index == {item.id: item.text for item in catalog.all_passages()}
        assert sorted(index) == ["p1#0", "p2#0"]
        assert (catalog.counts()["pending"], catalog.counts()["doomed"]) == (0, 0)


def test_work_that_another_writer_has_done_is_not_done_again(place):
    with closing(Catalog(place())) as catalog:
        one, two, index = Writer(catalog, "a"), Writer(catalog, "b"), {}
        job = one.merge(paper(1, "Whales", path="a"))
        for found in two.journal.pending():
            two.carry_out(found, index)
        with one.journal.turn(job) as due:
            assert not due


def test_many_threads_read_at_once(catalog):
    found: list[int] = []

    def read() -> None:
        found.extend(len(catalog.papers(["p1", "p2"])) for _ in range(50))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [2] * 400


def test_a_newer_format_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "catalog.sqlite"
    filled(path, RECORDS).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with closing(Catalog(path)) as catalog, pytest.raises(LibraryError, match=r"newer Citewise.*update"):
        catalog.count()


def test_a_file_that_is_no_catalog_is_damaged_in_one_line(tmp_path):
    path = tmp_path / "catalog.sqlite"
    path.write_bytes(b"no database at all, only words. " * 300)
    with closing(Catalog(path)) as catalog, pytest.raises(LibraryDamaged, match="damaged") as caught:
        catalog.count()
    assert "\n" not in str(caught.value)


def test_a_closed_catalog_says_so(place):
    catalog = filled(place(), RECORDS)
    catalog.close()
    with pytest.raises(LibraryError, match="closed"):
        catalog.count()


def test_nothing_is_written_into_a_catalog_that_was_deleted_meanwhile(tmp_path):
    path = tmp_path / "catalog.sqlite"
    with closing(filled(path, RECORDS)) as catalog:
        for file in tmp_path.glob("catalog.sqlite*"):
            file.unlink()
        with pytest.raises(LibraryError, match="was deleted while it was open"), catalog.database.transaction():
            pass


def test_threads_that_have_ended_leave_no_connection_behind(tmp_path):
    def connections() -> int:
        gc.collect()
        return sum(isinstance(item, sqlite3.Connection) for item in gc.get_objects())

    with closing(filled(tmp_path / "catalog.sqlite", RECORDS)) as catalog:
        before = connections()
        for _ in range(20):
            reader = threading.Thread(target=catalog.count)
            reader.start()
            reader.join()
        assert connections() == before


def test_what_others_read_is_read_to_its_end_before_the_catalog_is_closed(place):
    slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT count(*) FROM n"
    found: list[object] = []
    begun = threading.Event()

    def read() -> None:
        try:
            for _ in range(200):
                found.append(catalog.database.read(slow))
                begun.set()
        except LibraryError as error:
            found.append(error)

    catalog = filled(place(), RECORDS)
    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    assert begun.wait(60)
    catalog.close()
    for reader in readers:
        reader.join()
    assert all(isinstance(one, LibraryError) or one[0][0] == 300_000 for one in found)
