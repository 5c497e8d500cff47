"""What an ingest keeps, merges, updates, refuses and repairs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from rag.errors import InputError, LibraryDamaged, LibraryError, LibraryLocked, LibraryMismatch, UsageError
from rag.ingest import CATALOG
from rag.maintenance import doctor, rebuild
from rag.settings import ChunkingSettings, Settings
from rag.stores import manifest as manifests
from rag.stores.catalog import Catalog
from rag.stores.lock import WriterLock, holder
from tests.ingesting import (
    CHUNKING,
    WordEncoder,
    abstract,
    ingest,
    ingester,
    opener,
    papers,
    record,
    snapshot,
    whole,
    write,
)

ROOT = Path(__file__).parents[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "library"


def counts(report) -> tuple[int, int, int, int, int]:
    return report.parsed, report.added, report.updated, report.unchanged, len(report.duplicates)


def test_the_seed_files_are_350_records_of_340_papers(shared, folder):
    report = ingest(folder, shared / "seeds")
    assert counts(report) == (350, 340, 0, 0, 10)
    assert report.rejected == []
    assert len(whole(folder)["papers"]) == 340


def test_seed_files_in_any_order_make_the_same_papers(shared, folder, tmp_path):
    files = sorted((shared / "seeds").iterdir())
    ingest(folder, *files)
    ingest(tmp_path / "other", *reversed(files))

    def content(path):
        return sorted((paper.title, paper.abstract, paper.sources) for paper in papers(path).values())

    assert content(folder) == content(tmp_path / "other")


def test_a_second_ingest_changes_nothing_and_encodes_nothing(folder, tmp_path):
    file = write(tmp_path / "a.jsonl", [record(at) for at in range(30)] + [record(3)])
    first = ingest(folder, file)
    before = whole(folder)
    encoder = WordEncoder()
    second = ingest(folder, file, encoder=encoder)
    assert counts(first) == (31, 30, 0, 0, 1)
    assert counts(second) == (31, 0, 0, 30, 1)
    assert second.duplicates == first.duplicates
    assert encoder.texts == []
    assert whole(folder) == before


def test_an_edited_abstract_is_embedded_again_and_alone(folder, tmp_path):
    records = [record(at) for at in range(10)]
    file = write(tmp_path / "a.jsonl", records)
    ingest(folder, file)
    records[4]["abstract"] = records[4]["abstract"].replace("w", "v", 1) + " One more sentence was added here."
    write(file, records)
    encoder = WordEncoder()
    report = ingest(folder, file, encoder=encoder)
    assert counts(report) == (10, 0, 1, 9, 0)
    assert encoder.texts == [f"{records[4]['title']}\n{records[4]['abstract']}"]
    assert len(whole(folder)["papers"]) == 10


def test_an_abstract_rewritten_under_the_same_title_is_an_edit(folder, tmp_path):
    file = write(tmp_path / "a.jsonl", [record(1), record(2)])
    ingest(folder, file)
    ids = set(papers(folder))
    write(file, [record(1), record(2, abstract=abstract(77))])
    assert counts(ingest(folder, file)) == (2, 0, 1, 1, 0)
    assert set(papers(folder)) == ids
    assert abstract(77) in {paper.abstract for paper in papers(folder).values()}
    whole(folder)


def test_the_same_title_with_another_abstract_is_another_paper_while_the_first_is_still_there(folder, tmp_path):
    file = write(tmp_path / "a.jsonl", [record(1)])
    ingest(folder, file)
    write(file, [record(1, abstract=abstract(77)), record(1)])
    assert counts(ingest(folder, file)) == (2, 1, 0, 1, 0)
    assert len(whole(folder)["papers"]) == 2


def test_a_changed_title_under_the_same_id_is_an_edit(folder, tmp_path):
    file = write(tmp_path / "a.jsonl", [record(1, id="one"), record(2, id="two")])
    ingest(folder, file)
    write(file, [record(1, id="one"), record(9, id="two")])
    assert counts(ingest(folder, file)) == (2, 0, 1, 1, 0)
    assert papers(folder)["two"].title == record(9)["title"]
    whole(folder)


def test_an_edited_untitled_abstract_replaces_its_earlier_self(folder, tmp_path):
    file = tmp_path / "a.jsonl"
    write(file, [{"abstract": abstract(1, 8)}, {"abstract": abstract(2)}])
    ingest(folder, file)
    edited = abstract(1, 8).replace(". ", ", we found. ", 1)
    write(file, [{"abstract": edited}, {"abstract": abstract(2)}])
    assert counts(ingest(folder, file)) == (2, 0, 1, 1, 0)
    assert sorted(paper.abstract for paper in papers(folder).values()) == sorted([edited, abstract(2)])


def test_changed_metadata_is_updated_without_embedding(folder, tmp_path):
    file = write(tmp_path / "a.jsonl", [record(1, upvotes=3)])
    ingest(folder, file)
    write(file, [record(1, upvotes=8)])
    encoder = WordEncoder()
    assert ingest(folder, file, encoder=encoder).updated == 1
    assert [paper.upvotes for paper in papers(folder).values()] == [8]
    assert encoder.texts == []


def test_lines_put_before_the_others_move_them_and_change_nothing_else(folder, tmp_path):
    file = write(tmp_path / "a.jsonl", [record(at) for at in range(5)])
    ingest(folder, file)
    write(file, [record(50), *(record(at) for at in range(5))])
    assert counts(ingest(folder, file)) == (6, 1, 0, 5, 0)
    assert sorted(paper.sources[0].line for paper in papers(folder).values()) == [1, 2, 3, 4, 5, 6]


def test_a_moved_file_brings_duplicates_only(folder, tmp_path):
    file = write(tmp_path / "a.jsonl", [record(at) for at in range(5)])
    ingest(folder, file)
    moved = file.rename(tmp_path / "b.jsonl")
    assert counts(ingest(folder, moved)) == (5, 0, 0, 0, 5)
    assert len(whole(folder)["papers"]) == 5


def test_one_file_under_two_names_is_one_source(folder, tmp_path, monkeypatch):
    write(tmp_path / "a.jsonl", [record(1)])
    monkeypatch.chdir(tmp_path)
    ingest(folder, Path("a.jsonl"))
    assert counts(ingest(folder, tmp_path / "a.jsonl")) == (1, 0, 0, 1, 0)
    assert [source.path for source in next(iter(papers(folder).values())).sources] == ["a.jsonl"]


def test_without_sync_a_record_that_left_its_file_is_kept(folder, tmp_path):
    file = write(tmp_path / "a.jsonl", [record(1), record(2)])
    ingest(folder, file)
    write(file, [record(1)])
    assert ingest(folder, file).removed == 0
    assert len(whole(folder)["papers"]) == 2


def test_with_sync_a_record_that_left_its_file_leaves_no_vector_behind(folder, tmp_path):
    file = write(tmp_path / "a.jsonl", [record(1), record(2)])
    other = write(tmp_path / "b.jsonl", [record(2), record(3)])
    ingest(folder, file, other)
    write(file, [])
    file.write_text(json.dumps(record(9)) + "\n")
    assert ingest(folder, file, sync=True).removed == 1
    titles = {paper.title for paper in papers(folder).values()}
    assert titles == {record(at)["title"] for at in (2, 3, 9)}
    whole(folder)


def test_sync_keeps_everything_when_a_part_could_not_be_read(folder, tmp_path):
    file = write(tmp_path / "a.jsonl", [record(1), record(2)])
    ingest(folder, file)
    file.write_text(json.dumps(record(1)) + "\n{broken\n")
    report = ingest(folder, file, sync=True)
    assert report.removed == 0
    assert any("kept" in notice.message for notice in report.notices)
    assert len(papers(folder)) == 2


def test_removing_by_id_and_by_source(folder, tmp_path):
    file = write(tmp_path / "a.jsonl", [record(1, id="one"), record(2, id="two"), record(3, id="three")])
    other = write(tmp_path / "b.jsonl", [record(3), record(4, id="four")])
    ingest(folder, file, other)
    with ingester(folder) as writer:
        assert writer.remove(["one", "nobody"]) == 1
        assert set(whole(folder)["dense"]) == {"two#0", "three#0", "four#0"}
        assert writer.remove(source=str(file)) == 1
        assert writer.remove(source=str(file)) == 0
    assert set(papers(folder)) == {"three", "four"}
    assert [source.path for source in papers(folder)["three"].sources] == [str(other)]
    whole(folder)


def test_a_removed_paper_comes_back_with_its_file(folder, tmp_path):
    file = write(tmp_path / "a.jsonl", [record(1, id="one"), record(2, id="two")])
    ingest(folder, file)
    before = whole(folder)
    with ingester(folder) as writer:
        writer.remove(["one", "two"])
    assert whole(folder)["papers"] == []
    assert counts(ingest(folder, file)) == (2, 2, 0, 0, 0)
    assert whole(folder) == before


def test_row_numbers_of_two_files_do_not_merge_their_papers(folder, tmp_path):
    one = write(tmp_path / "a.jsonl", [record(at, id=str(at)) for at in (1, 2)])
    two = write(tmp_path / "b.jsonl", [record(at + 10, id=str(at)) for at in (1, 2)])
    three = write(tmp_path / "c.jsonl", [record(at + 20, id=str(at)) for at in (1, 2)])
    ingest(folder, one, two, three)
    assert set(papers(folder)) == {"1", "2", "1-2", "2-2", "1-3", "2-3"}
    ingest(folder, three, two, one)
    assert papers(folder)["1-2"].title == record(11)["title"]


def test_a_title_found_later_names_an_untitled_paper_and_keeps_its_id(folder, tmp_path):
    ingest(folder, write(tmp_path / "a.jsonl", [{"abstract": abstract(1)}]))
    [(paper_id, before)] = papers(folder).items()
    assert before.untitled
    assert before.title.endswith("…")
    assert abstract(1).startswith(before.title[:-1])
    report = ingest(folder, write(tmp_path / "b.jsonl", [record(1, year=2021)]))
    assert report.duplicates == [(record(1)["title"], paper_id, "near-duplicate abstract")] or (
        report.duplicates == [(record(1)["title"], paper_id, "same abstract")]
    )
    after = papers(folder)[paper_id]
    assert (after.title, after.untitled, after.year, len(after.sources)) == (record(1)["title"], False, 2021, 2)
    assert snapshot(folder)["passages"][0].text.startswith(record(1)["title"])
    whole(folder)


def test_the_richest_record_is_kept_and_metadata_is_merged(folder, tmp_path):
    short = write(tmp_path / "a.jsonl", [record(1, abstract=abstract(1)[:200], upvotes=9, url="https://e.org/1")])
    long = write(tmp_path / "b.jsonl", [record(1, authors=["Ann Lee", "Bo Chen"], venue="ICML", year=2020)])
    ingest(folder, short, long)
    [paper] = papers(folder).values()
    assert paper.abstract == abstract(1)
    assert (paper.authors, paper.n_authors, paper.venue, paper.year) == (("Ann Lee", "Bo Chen"), 2, "ICML", 2020)
    assert (paper.upvotes, paper.url) == (9, "https://e.org/1")
    assert [(Path(source.path).name, source.line) for source in paper.sources] == [("a.jsonl", 1), ("b.jsonl", 1)]


def test_pasted_text_is_a_source_of_its_own(folder):
    with ingester(folder) as writer:
        report = writer.ingest(text=f"A title about whales\n{abstract(1)}\n")
    assert report.added == 1
    assert [source.path for paper in papers(folder).values() for source in paper.sources] == ["pasted text"]


def test_a_path_that_cannot_be_read_is_rejected_beside_the_others(folder, tmp_path):
    file = write(tmp_path / "a.jsonl", [record(1)])
    missing = tmp_path / "missing.jsonl"
    report = ingest(folder, missing, file)
    assert report.added == 1
    assert [(item.path, item.line) for item in report.rejected] == [(str(missing), 0)]
    assert report.as_json()["rejected"][0]["path"] == str(missing)


def test_nothing_readable_is_an_error_and_makes_no_library(folder, tmp_path):
    with pytest.raises(InputError, match=r"missing\.jsonl does not exist"):
        ingest(folder, tmp_path / "missing.jsonl")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="nothing to read"):
        ingest(folder, tmp_path / "empty")
    assert not folder.exists()


def test_the_report_has_the_fixed_keys(folder, tmp_path):
    found = ingest(folder, write(tmp_path / "a.jsonl", [record(1), record(1)])).as_json()
    assert {"parsed", "added", "updated", "unchanged", "duplicates", "rejected", "seconds"} <= set(found)
    assert set(found["duplicates"][0]) == {"title", "kept", "reason"}
    assert json.loads(json.dumps(found)) == found


def test_stopping_keeps_what_was_read_and_the_next_run_goes_on(folder, tmp_path):
    file = write(tmp_path / "a.jsonl", [record(at) for at in range(3000)])
    report = ingest(folder, file, should_stop=lambda: True)
    assert report.stopped
    assert 0 < report.added < 3000
    assert len(snapshot(folder)["dense"]) == report.added
    rest = ingest(folder, file)
    assert (rest.added, rest.unchanged) == (3000 - report.added, report.added)


def test_progress_grows_to_the_whole(folder, tmp_path):
    file = write(tmp_path / "a.jsonl", [record(at) for at in range(2000)])
    seen = []
    ingest(folder, file, progress=seen.append)
    assert seen[-1].done == 2000
    assert seen[-1].completed == seen[-1].total == file.stat().st_size
    assert [item.done for item in seen] == sorted(item.done for item in seen)


def test_a_failing_encoder_leaves_work_that_the_next_ingest_finishes(folder, tmp_path):
    file = write(tmp_path / "a.jsonl", [record(at) for at in range(40)])
    with pytest.raises(ConnectionError):
        ingest(folder, file, encoder=WordEncoder(fail_after=10))
    assert snapshot(folder)["left"] == (40, 0)
    report = ingest(folder, file)
    assert counts(report) == (40, 0, 0, 40, 0)
    assert len(whole(folder)["papers"]) == 40


def test_a_failed_removal_leaves_no_vector_behind_after_the_next_run(folder, tmp_path):
    file = write(tmp_path / "a.jsonl", [record(1, id="one"), record(2, id="two")])
    ingest(folder, file)
    with closing(Catalog(folder / CATALOG)) as catalog:  # the catalog's half of a removal, then a crash
        from rag.merging import Merger
        from rag.stores.journal import Journal

        journal = Journal(catalog.database)
        [(removed, _)] = Merger(journal, lambda _: []).forget(journal.records_of(["one"]))
    assert removed == 1
    assert snapshot(folder)["left"] == (0, 1)
    ingest(folder, write(tmp_path / "b.jsonl", [record(3, id="three")]))
    assert set(whole(folder)["dense"]) == {"two#0", "three#0"}


def test_other_settings_are_refused_with_what_changed_and_rebuild_mends_it(folder, tmp_path):
    file = write(tmp_path / "a.jsonl", [record(at) for at in range(5)])
    ingest(folder, file)
    with pytest.raises(LibraryMismatch, match=r"16 dimensions.*now words \(24\).*citewise rebuild"):
        ingest(folder, file, encoder=WordEncoder(24))
    assert rebuild(folder, encoder=WordEncoder(24), chunking=CHUNKING, open_indexes=opener(folder)) == 5
    assert counts(ingest(folder, file, encoder=WordEncoder(24))) == (5, 0, 0, 5, 0)
    found = whole(folder)
    assert {len(vector) for vector in found["vectors"].values()} == {24}
    assert len([item for item in folder.iterdir() if item.is_dir()]) == 2


def test_smaller_passages_are_refused_until_a_rebuild_makes_them(folder, tmp_path):
    ingest(folder, write(tmp_path / "a.jsonl", [record(1, abstract=abstract(1, 40)), record(2)]))
    smaller = ChunkingSettings(max_tokens=128, overlap_sentences=1)
    with (
        pytest.raises(LibraryMismatch, match="max_tokens was 512 and is now 128"),
        ingester(folder, chunking=smaller) as writer,
    ):
        writer.ingest([tmp_path / "a.jsonl"])
    before = len(snapshot(folder)["passages"])
    rebuild(folder, encoder=WordEncoder(), chunking=smaller, open_indexes=opener(folder))
    assert len(whole(folder)["passages"]) > before


def test_an_interrupted_rebuild_leaves_the_old_indexes(folder, tmp_path):
    ingest(folder, write(tmp_path / "a.jsonl", [record(at) for at in range(20)]))
    before = whole(folder)
    with pytest.raises(ConnectionError):
        rebuild(folder, encoder=WordEncoder(fail_after=5), chunking=CHUNKING, open_indexes=opener(folder))
    assert whole(folder) == before
    assert sorted(item.name for item in folder.iterdir() if item.is_dir()) == ["chroma", "lexical"]


def test_a_lost_manifest_is_reported_and_rebuilt(folder, tmp_path):
    file = write(tmp_path / "a.jsonl", [record(1)])
    ingest(folder, file)
    (folder / manifests.NAME).unlink()
    with pytest.raises(LibraryDamaged, match="citewise rebuild"):
        ingest(folder, file)
    rebuild(folder, encoder=WordEncoder(), chunking=CHUNKING, open_indexes=opener(folder))
    whole(folder)


@pytest.mark.parametrize("part", ["chroma/chroma.sqlite3", "lexical/meta.json"])
def test_an_index_damaged_by_a_killed_writer_is_made_anew_by_the_next_ingest(folder, tmp_path, part):
    file = write(tmp_path / "a.jsonl", [record(at) for at in range(20)])
    ingest(folder, file)
    before = whole(folder)
    (folder / part).write_bytes(b"half written " * 200)
    report = ingest(folder, file)
    assert counts(report) == (20, 0, 0, 20, 0)
    assert any("made anew from the catalog" in notice.message for notice in report.notices)
    assert whole(folder) == before
    assert ingest(folder, file).notices == [notice for notice in report.notices if "anew" not in notice.message]


def test_a_newer_manifest_is_refused(folder, tmp_path):
    file = write(tmp_path / "a.jsonl", [record(1)])
    ingest(folder, file)
    manifest = manifests.read(folder)
    manifests.write(folder, replace(manifest, format=99))
    with pytest.raises(LibraryError, match="newer Citewise"):
        ingest(folder, file)


def test_a_rebuild_needs_a_library(folder):
    with pytest.raises(UsageError, match="citewise ingest"):
        rebuild(folder, encoder=WordEncoder(), chunking=CHUNKING, open_indexes=opener(folder))


def test_the_generation_grows_with_each_change_and_not_without(folder, tmp_path):
    file = write(tmp_path / "a.jsonl", [record(1)])
    ingest(folder, file)
    with closing(Catalog(folder / CATALOG)) as catalog:
        first = catalog.generation()
        ingest(folder, file)
        assert catalog.generation() == first
        ingest(folder, write(tmp_path / "b.jsonl", [record(2)]))
        assert catalog.generation() > first
        assert manifests.read(folder).generation == catalog.generation()


def test_a_second_writer_is_told_who_writes(folder, tmp_path):
    file = write(tmp_path / "a.jsonl", [record(1)])
    with WriterLock(folder):
        with pytest.raises(LibraryLocked, match=rf"process {os.getpid()} \(`.+`, since .+\) is writing") as caught:
            ingest(folder, file)
        assert "\n" not in str(caught.value)
        assert holder(folder).pid == os.getpid()
    assert holder(folder) is None
    assert ingest(folder, file).added == 1


def test_the_lock_of_a_killed_writer_is_taken_over(folder, tmp_path):
    code = """
        import os, sys
        from pathlib import Path
        from rag.stores.lock import WriterLock
        WriterLock(Path(sys.argv[1])).__enter__()
        os.kill(os.getpid(), 9)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(folder)], cwd=ROOT, check=False)
    assert (folder / "writer.json").exists()
    assert holder(folder) is None
    assert ingest(folder, write(tmp_path / "a.jsonl", [record(1)])).added == 1


def test_readers_in_other_threads_see_whole_papers_during_an_ingest(folder, tmp_path):
    ingest(folder, write(tmp_path / "a.jsonl", [record(0)]))
    file = write(tmp_path / "b.jsonl", [record(at) for at in range(1, 2500)])
    expected = {record(at)["title"]: abstract(at) for at in range(2500)}
    wrong: list[object] = []
    done = threading.Event()

    def read() -> None:
        with closing(Catalog(folder / CATALOG)) as catalog:
            count = 0
            while not done.is_set():
                found = list(catalog.all_papers())
                if len(found) < count or any(expected[paper.title] != paper.abstract for paper in found):
                    wrong.append(found)
                count = len(found)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    report = ingest(folder, file)
    done.set()
    for reader in readers:
        reader.join()
    assert report.added == 2499
    assert wrong == []


def run_limited(folder: Path, file: Path, megabytes: float) -> subprocess.CompletedProcess[str]:
    """An ingest in a process whose files may not grow over a size: what a full disk looks like to it."""
    code = """
        import resource, signal, sys
        from pathlib import Path
        from tests.ingesting import ingest
        from rag.errors import CitewiseError
        limit = int(float(sys.argv[3]) * 1_000_000)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            print(ingest(Path(sys.argv[1]), Path(sys.argv[2])).added)
        except CitewiseError as error:
            print(f"{type(error).__name__}: {error}")
            sys.exit(error.exit_code)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(folder), str(file), str(megabytes)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
@pytest.mark.parametrize("megabytes", [0.02, 0.3, 1.0])
def test_a_full_disk_is_one_clear_line_and_the_library_still_opens(folder, tmp_path, megabytes):
    file = write(tmp_path / "a.jsonl", [record(at) for at in range(10)])
    ingest(folder, file)
    more = write(tmp_path / "b.jsonl", [record(at) for at in range(10, 4000)])
    done = run_limited(folder, more, megabytes)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.startswith("LibraryError: ")
    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert {record(at)["title"] for at in range(10)} <= {paper.title for paper in papers(folder).values()}
    ingest(folder, more)
    assert len(whole(folder)["papers"]) == 4000


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path):
    # As root no permission stops a write, so the folder lies below a regular file.
    (tmp_path / "file").write_text("in the way")
    file = write(tmp_path / "a.jsonl", [record(1)])
    with pytest.raises(LibraryError, match="cannot write in") as caught:
        ingest(tmp_path / "file" / "library", file)
    assert "\n" not in str(caught.value)


def test_a_read_only_library_is_read_and_a_write_is_refused_in_one_line(folder, tmp_path):
    # Root may write anywhere, so the child gives up its rights when all is imported.
    code = """
        import os, sys
        from contextlib import closing
        from pathlib import Path
        from rag.errors import LibraryError
        from rag.ingest import CATALOG
        from rag.stores.catalog import Catalog
        from tests.ingesting import ingest
        folder, file = map(Path, sys.argv[1:])
        ingest(folder, file)
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        if os.geteuid() == 0:
            for parent in folder.parents:
                if parent.stat().st_mode & 0o5 != 0o5:
                    os.chmod(parent, 0o755)
            os.seteuid(65534)
        with closing(Catalog(folder / CATALOG)) as catalog:
            print(catalog.count())
        try:
            ingest(folder, file)
        except LibraryError as error:
            print(error)
    """
    file = write(tmp_path / "a.jsonl", [record(1), record(2)])
    command = [sys.executable, "-c", textwrap.dedent(code), str(folder), str(file)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=120
    )
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert done.stdout.splitlines() == ["2", f"cannot write in {folder}: Permission denied"], done.stderr
    assert len(whole(folder)["papers"]) == 2


def test_doctor_finds_nothing_wrong_with_a_whole_library(folder, tmp_path):
    ingest(folder, write(tmp_path / "a.jsonl", [record(at) for at in range(5)]))
    checks = examine(folder)
    assert [check for check in checks.values() if not check.ok] == []
    assert checks["dense index"].message == "5 passages, as in the catalog"
    assert checks["OPENAI_API_KEY"].message.startswith("not set")


def test_doctor_says_what_the_indexes_lack_and_the_command_that_mends_it(folder, tmp_path):
    ingest(folder, write(tmp_path / "a.jsonl", [record(at, id=f"p{at}") for at in range(5)]))
    with closing(opener(folder)(manifests.read(folder))) as indexes:
        indexes.dense.delete(["p1#0"])
        indexes.lexical.delete(["p2#0", "p3#0"])
        indexes.lexical.commit()
    checks = examine(folder)
    assert (checks["dense index"].ok, checks["dense index"].remedy) == (False, "citewise rebuild")
    assert "1 passages of the catalog are missing" in checks["dense index"].message
    assert "2 passages of the catalog are missing" in checks["lexical index"].message
    rebuild(folder, encoder=WordEncoder(), chunking=CHUNKING, open_indexes=opener(folder))
    assert all(check.ok for check in examine(folder).values())


def test_doctor_tells_other_settings_a_missing_key_and_pending_work(folder, tmp_path):
    with pytest.raises(ConnectionError):
        ingest(folder, write(tmp_path / "a.jsonl", [record(1)]), encoder=WordEncoder(fail_after=0))
    settings = Settings.model_validate({"embedding": {"kind": "openai"}})
    checks = examine(folder, encoder=WordEncoder(24), settings=settings)
    assert not checks["fingerprint"].ok
    assert not checks["pending work"].ok
    assert (checks["OPENAI_API_KEY"].ok, "not set" in checks["OPENAI_API_KEY"].message) == (False, True)


def test_doctor_never_shows_the_key(folder, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-value")
    assert not any("secret" in str(check) for check in examine(folder).values())


def test_doctor_survives_a_damaged_catalog(folder, tmp_path):
    ingest(folder, write(tmp_path / "a.jsonl", [record(1)]))
    (folder / CATALOG).write_bytes(b"this is no database" * 500)
    for name in ("-wal", "-shm"):
        (folder / f"{CATALOG}{name}").unlink(missing_ok=True)
    checks = examine(folder)
    assert not checks["catalog"].ok
    assert "damaged" in checks["catalog"].message


def examine(folder: Path, *, encoder=None, settings: Settings | None = None):
    found = doctor(
        folder,
        settings or Settings(),
        open_catalog=lambda: Catalog(folder / CATALOG),
        load_encoder=lambda _: encoder or WordEncoder(),
        open_indexes=opener(folder),
    )
    return {check.name: check for check in found}


def test_a_library_can_be_copied_and_used_elsewhere(folder, tmp_path):
    ingest(folder, write(tmp_path / "a.jsonl", [record(1)]))
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    assert whole(copy) == whole(folder)


def test_a_file_whose_name_is_no_utf_8_is_read_like_others_and_found_again(folder, tmp_path):
    source = tmp_path / os.fsdecode(b"bad\xff\xfename.jsonl")
    try:
        source.write_text(json.dumps(record(1)) + "\n", encoding="utf-8")
    except OSError:
        pytest.skip("this file system takes no such name")
    (tmp_path / os.fsdecode(b"bad\xff.unknown")).touch()
    report = ingest(folder, tmp_path)
    assert counts(report)[:2] == (1, 1)
    told = json.dumps(report.as_json(), ensure_ascii=False)
    assert told.encode("utf-8")
    assert "bad\\\\udcff" in told
    assert counts(ingest(folder, source))[3] == 1
    with closing(ingester(folder)) as again:
        assert again.remove(source=str(source)) == 1


def test_a_library_at_a_link_to_nothing_or_at_a_file_is_one_clear_line(tmp_path):
    source = write(tmp_path / "one.jsonl", [record(1)])
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(LibraryError, match="is a link to nothing: choose another place"):
        ingest(tmp_path / "link", source)
    (tmp_path / "there").mkdir()
    (tmp_path / "good").symlink_to(tmp_path / "there")
    assert ingest(tmp_path / "good", source).added == 1
