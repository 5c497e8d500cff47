"""A library exported to one file and imported elsewhere is the same library; a damaged file changes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag import open_library
from rag.errors import InputError, LibraryError, LibraryLocked, LibraryMismatch, UsageError
from rag.exporting import Export
from rag.importing import Import
from rag.ingest import CATALOG
from rag.stores import archive, archive_writer, manifest
from rag.stores.archive import ArchivedPaper, ArchivedPassage, ArchivedRecord
from rag.stores.archive_reader import Archive
from rag.stores.catalog import Catalog
from rag.stores.lock import WriterLock
from rag.stores.sealing import UNSEALED, replacing, seal
from tests.ingesting import CHUNKING, WordEncoder, abstract, ingest, ingester, opener, papers, record, whole, write

QUESTIONS = [
    "How does LoRA adapt a large model?",
    "What is dropout?",
    "Who won the chess world championship in 1972?",
    "How many papers are from 2017?",
    "Which papers from 2019..2021 are about retrieval?",
]


def export(folder: Path, path: Path) -> Path:
    made = manifest.read(folder)
    assert made is not None
    with closing(Catalog(folder / CATALOG)) as catalog, closing(opener(folder)(made)) as indexes:
        Export(folder, catalog, indexes.dense, made).write(path)
    return path


def take_in(folder: Path, path: Path, encoder: WordEncoder | None = None):
    encoder = encoder or WordEncoder()
    with Archive(path) as opened, ingester(folder, encoder) as writer:
        return Import(writer, encoder, CHUNKING).read(opened)


@pytest.fixture(scope="module")
def pile(tmp_path_factory) -> Path:
    """A library with merged records, an untitled paper, edits, a removal and papers that share a proposed id."""
    folder = tmp_path_factory.mktemp("pile")
    first = write(folder / "first.jsonl", [record(at, id=f"p{at}", venue="NeurIPS") for at in range(40)])
    again = [record(at, doi=f"10.1/{at}") for at in range(30, 45)]
    same_ids = [record(at, id="shared") for at in (80, 81, 82)]
    second = write(folder / "second.jsonl", [*again, *same_ids, {"abstract": abstract(99, 60)}])
    ingest(folder / "library", first, second)
    write(first, [record(at, id=f"p{at}", abstract=abstract(at + 500 if at < 5 else at)) for at in range(38)])
    ingest(folder / "library", first, sync=True)
    return folder


@pytest.fixture(scope="module")
def exported(pile) -> Path:
    return export(pile / "library", pile / "pile.citewise")


def test_the_starter_library_comes_back_paper_for_paper_and_answer_for_answer(starter, tmp_path):
    written = starter.export_to(tmp_path / "starter.citewise")
    assert (written.papers, written.bytes) == (64, (tmp_path / "starter.citewise").stat().st_size)
    with open_library(tmp_path / "copy") as copy:
        report = copy.import_from(tmp_path / "starter.citewise")
        assert (report.parsed, report.added, report.notices) == (64, 64, [])
        _check_the_same(starter, copy)
        assert copy.generation() > 0
        vectors = copy.vectors(copy.ids())
        for paper_id, vector in starter.vectors(starter.ids()).items():
            assert vector.tobytes() == vectors[paper_id].tobytes()
        assert [check for check in copy.doctor() if not check.ok] == []


@pytest.mark.loopback
def test_from_a_folder_to_a_cluster_and_back_nothing_changes(starter, postgres, chroma_url, tmp_path):
    cluster = {"catalog": {"url": postgres.database()}, "dense": {"kind": "chroma-server", "url": chroma_url}}
    first, second = tmp_path / "first.citewise", tmp_path / "second.citewise"
    starter.export_to(first)
    with open_library(tmp_path / "replica", config="cluster", **cluster) as library:
        assert library.import_from(first).notices == []
        _check_the_same(starter, library)
        library.export_to(second)
    with open_library(tmp_path / "folder") as library:
        assert library.import_from(second).notices == []
        _check_the_same(starter, library)
        assert [check for check in library.doctor() if not check.ok] == []
    with zipfile.ZipFile(first) as one, zipfile.ZipFile(second) as other:
        assert one.read("papers.jsonl") == other.read("papers.jsonl")


def _check_the_same(one, other) -> None:
    """Papers with where they were read, vectors, answers with their citations.

    A server makes vectors of length 1 once more, which may change the last bit of a number.
    """
    assert list(one.papers()) == list(other.papers())
    ours, theirs = one.vectors(one.ids()), other.vectors(other.ids())
    assert ours.keys() == theirs.keys()
    for name, vector in ours.items():
        np.testing.assert_allclose(vector, theirs[name], atol=2e-7)
    for question in QUESTIONS:
        mine, yours = one.ask(question), other.ask(question)
        assert (mine.text, mine.citations, mine.abstained) == (yours.text, yours.citations, yours.abstained)
        assert [source.paper for source in mine.sources] == [source.paper for source in yours.sources]


def test_records_merges_and_ids_come_back_and_nothing_is_encoded_again(pile, exported, tmp_path):
    encoder = WordEncoder()
    report = take_in(tmp_path / "copy", exported, encoder)
    assert whole(tmp_path / "copy") == whole(pile / "library")
    assert {"shared", "shared-2", "shared-3"} <= papers(tmp_path / "copy").keys()
    assert encoder.texts == []
    assert (report.added, len(report.duplicates)) == (len(papers(pile / "library")), 8)
    again = ingest(tmp_path / "copy", pile / "first.jsonl", pile / "second.jsonl", sync=True)
    assert (again.added, again.updated, again.removed) == (0, 0, 0)
    assert whole(tmp_path / "copy") == whole(pile / "library")


def test_an_export_of_an_import_has_the_same_papers_and_vectors(exported, tmp_path):
    take_in(tmp_path / "copy", exported)
    second = export(tmp_path / "copy", tmp_path / "second.citewise")
    with zipfile.ZipFile(exported) as one, zipfile.ZipFile(second) as other:
        for part in ("papers.jsonl", "vectors.npy"):
            assert one.read(part) == other.read(part)


def test_the_vectors_are_a_plain_numpy_file_and_the_papers_are_plain_json(exported, pile):
    with zipfile.ZipFile(exported) as parts:
        assert parts.testzip() is None
        lines = [json.loads(line) for line in parts.read("papers.jsonl").splitlines()]
        vectors = np.load(parts.open("vectors.npy"), allow_pickle=False)
    texts = [passage["text"] for line in lines for passage in line["passages"]]
    np.testing.assert_allclose(vectors, WordEncoder().encode(texts), atol=1e-6)
    assert [line["id"] for line in lines] == list(papers(pile / "library"))


def test_another_encoder_encodes_again_and_the_report_says_so(exported, pile, tmp_path):
    encoder = WordEncoder(24)
    report = take_in(tmp_path / "copy", exported, encoder)
    [notice] = report.notices
    assert f"{len(encoder.texts)} passages were encoded with words: the file's vectors were made with" in notice.message
    assert papers(tmp_path / "copy") == papers(pile / "library")
    assert whole(tmp_path / "copy")["dense"] == whole(pile / "library")["dense"]


def test_a_library_that_has_papers_is_merged_into_as_by_an_ingest(exported, pile, tmp_path):
    library = tmp_path / "library"
    own = write(tmp_path / "own.jsonl", [record(at, id=f"own{at}", year=2001) for at in range(35, 60)])
    ingest(library, own)
    encoder = WordEncoder()
    report = take_in(library, exported, encoder)
    expected = tmp_path / "expected"
    ingest(expected, own)
    both = ingest(expected, pile / "first.jsonl", pile / "second.jsonl")
    assert papers(library) == papers(expected)
    assert (report.parsed, report.added, len(report.duplicates)) == (both.parsed, both.added, len(both.duplicates))
    assert encoder.texts == []
    once = whole(library)
    repeated = take_in(library, exported)
    assert (repeated.added, repeated.updated) == (0, 0)
    assert repeated.unchanged + len(repeated.duplicates) == repeated.parsed == report.parsed
    assert whole(library) == once


def test_an_import_that_failed_half_way_is_finished_by_running_it_again(exported, pile, tmp_path):
    with pytest.raises(ConnectionError):
        take_in(tmp_path / "copy", exported, WordEncoder(24, fail_after=10))
    take_in(tmp_path / "copy", exported, WordEncoder(24))
    assert papers(tmp_path / "copy") == papers(pile / "library")
    assert whole(tmp_path / "copy")["left"] == (0, 0)


def test_what_was_not_indexed_yet_is_exported_without_a_vector_and_encoded_by_the_import(tmp_path):
    source = write(tmp_path / "papers.jsonl", [record(at, id=f"p{at}") for at in range(20)])
    ingest(tmp_path / "library", source)
    write(source, [record(at, id=f"p{at}", abstract=abstract(at + (700 if at < 3 else 0))) for at in range(22)])
    with pytest.raises(ConnectionError):
        ingest(tmp_path / "library", source, encoder=WordEncoder(fail_after=0))
    encoder = WordEncoder()
    report = take_in(tmp_path / "copy", export(tmp_path / "library", tmp_path / "x.citewise"), encoder)
    assert len(encoder.texts) == 5
    assert "5 passages were encoded with words: they had no vector that fits" in report.notices[0].message
    whole(tmp_path / "copy")  # which compares each vector with its text
    assert papers(tmp_path / "copy") == papers(tmp_path / "library")


def test_other_chunking_than_the_librarys_is_refused_before_anything_is_changed(exported, tmp_path):
    library = tmp_path / "library"
    ingest(library, write(tmp_path / "own.jsonl", [record(1)]))
    before = whole(library)
    with pytest.raises(LibraryMismatch):
        take_in(library, exported, WordEncoder(24))
    assert whole(library) == before


@given(data=st.data())
def test_a_file_damaged_anywhere_is_one_clear_line_and_changes_nothing(exported, tmp_path_factory, data):
    content = bytearray(exported.read_bytes())
    match data.draw(st.sampled_from(["flip", "cut", "more", "gap"])):
        case "flip":
            at = data.draw(st.integers(0, len(content) - 1))
            content[at] ^= data.draw(st.integers(1, 255))
        case "cut":
            del content[data.draw(st.integers(0, len(content) - 1)) :]
        case "more":
            content += data.draw(st.binary(min_size=1, max_size=300))
        case _:
            start = data.draw(st.integers(0, len(content) - 2))
            del content[start : data.draw(st.integers(start + 1, len(content) - 1))]
    folder = tmp_path_factory.mktemp("damaged")
    damaged = folder / "damaged.citewise"
    damaged.write_bytes(content)
    with pytest.raises(InputError, match="is no whole Citewise export") as raised:
        take_in(folder / "library", damaged)
    assert "\n" not in str(raised.value)
    assert not (folder / "library" / CATALOG).exists()


def test_a_library_is_not_touched_by_a_damaged_file(exported, tmp_path):
    library = tmp_path / "library"
    ingest(library, write(tmp_path / "own.jsonl", [record(at) for at in range(5)]))
    before = whole(library)
    content = bytearray(exported.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "damaged").write_bytes(content)
    with pytest.raises(InputError):
        take_in(library, tmp_path / "damaged")
    assert whole(library) == before


def sealed(path: Path, parts: dict[str, bytes], *, pack: tuple[str, ...] = ("papers.jsonl",)) -> Path:
    """An archive as an attacker makes it: any parts, with a hash that fits."""
    with replacing(path) as file:
        with zipfile.ZipFile(file, "w") as made:
            for name, content in parts.items():
                made.writestr(name, content, zipfile.ZIP_DEFLATED if name in pack else zipfile.ZIP_STORED)
            made.comment = UNSEALED
        seal(file)
    return path


def parts_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as found:
        return {name: found.read(name) for name in found.namelist()}


def described(parts: dict[str, bytes], **changes) -> dict[str, bytes]:
    """The parts with a manifest whose sizes and hashes fit."""
    import hashlib

    content = json.loads(parts["manifest.json"]) | changes
    for name in content["parts"]:
        content["parts"][name] = {"bytes": len(parts[name]), "sha256": hashlib.sha256(parts[name]).hexdigest()}
    return parts | {"manifest.json": json.dumps(content).encode()}


def with_line(parts: dict[str, bytes], line: bytes) -> dict[str, bytes]:
    lines = parts["papers.jsonl"].split(b"\n")
    return described(parts | {"papers.jsonl": b"\n".join([line, *lines[1:]])})


PAPER = (
    b'{"id":"x","records":[{"record":{"title":"t","abstract":"","source":{"path":"p","line":1}},"resolved":"p"}],'
    b'"passages":[{"start":0,"end":0,"text":"t"}]}'
)


def changed(line: bytes, old: bytes, new: bytes) -> bytes:
    assert old in line
    return line.replace(old, new)


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        pytest.param(lambda parts: parts | {"../../evil": b"x"}, "other parts", id="a path that climbs out"),
        pytest.param(lambda parts: {"papers.jsonl": b"", "a": b"", "b": b""}, "other parts", id="other names"),
        pytest.param(lambda parts: parts | {"papers.jsonl": b""}, "another size", id="size not as described"),
        pytest.param(
            lambda parts: parts | {"papers.jsonl": b"\n" + parts["papers.jsonl"][1:]}, "JSON", id="no object in a line"
        ),
        pytest.param(lambda parts: described(parts, dimension=17), "another shape", id="another dimension"),
        pytest.param(lambda parts: described(parts, dimension=2**40), "less than or equal", id="a huge dimension"),
        pytest.param(lambda parts: described(parts, papers=3), "number of papers", id="other number of papers"),
        pytest.param(lambda parts: described(parts, format=0.5), "integer", id="format no integer"),
        pytest.param(
            lambda parts: described(parts | {"vectors.npy": parts["vectors.npy"][:-4]}),
            "vectors are missing",
            id="too few vectors",
        ),
        pytest.param(
            lambda parts: described(parts | {"vectors.npy": parts["vectors.npy"] + b"0000"}),
            "too long",
            id="too many vectors",
        ),
        pytest.param(
            lambda parts: described(parts | {"vectors.npy": parts["vectors.npy"][:-4] + b"\0\0\x80\x7f"}),
            "not made of numbers",
            id="infinity in a vector",
        ),
        pytest.param(
            lambda parts: described(parts | {"vectors.npy": parts["vectors.npy"].replace(b"'<f4'", b"'|O' ")}),
            "another shape",
            id="pickled objects for vectors",
        ),
        pytest.param(lambda parts: with_line(parts, b"[" * 100_000), "JSON", id="nested too deep"),
        pytest.param(lambda parts: with_line(parts, b"{}"), "Field required", id="nothing in a paper"),
        pytest.param(
            lambda parts: with_line(parts, changed(PAPER, b'"id":"x"', b'"id":"../x y"')), "pattern", id="odd id"
        ),
        pytest.param(
            lambda parts: with_line(parts, changed(PAPER, b'"line":1', b'"line":9223372036854775808')),
            "too large",
            id="number beyond 64 bits",
        ),
        pytest.param(
            lambda parts: with_line(parts, changed(PAPER, b'"title":"t"', b'"title":["t"]')), "string", id="other type"
        ),
        pytest.param(
            lambda parts: with_line(parts, changed(PAPER, b'"title":"t"', b'"title":""')), "needs a title", id="empty"
        ),
        pytest.param(
            lambda parts: with_line(parts, changed(PAPER, b'"text":"t"', b'"text":"\\ud800"')), "JSON", id="surrogate"
        ),
        pytest.param(
            lambda parts: described(parts | {"papers.jsonl": b" " * (archive.MAX_LINE + 2)}),
            "too tightly|too long",
            id="a line without end",
        ),
        pytest.param(
            lambda parts: described(parts | {"papers.jsonl": b"\n" * 2**27}), "packed too tightly", id="a bomb"
        ),
    ],
)
def test_a_forged_file_is_one_clear_line_and_changes_nothing(exported, tmp_path, forge, reason):
    forged = sealed(tmp_path / "forged", forge(parts_of(exported)))
    with pytest.raises(InputError, match=reason) as raised:
        take_in(tmp_path / "library", forged)
    assert len(str(raised.value)) < 500
    assert not (tmp_path / "library" / CATALOG).exists()


def test_vectors_that_unpack_to_more_than_the_file_are_refused(exported, tmp_path):
    parts = parts_of(exported)
    packed = sealed(tmp_path / "forged", described(parts | {"vectors.npy": bytes(10**6)}), pack=("vectors.npy",))
    with pytest.raises(InputError, match="packed too tightly"):
        take_in(tmp_path / "library", packed)


def test_an_id_given_twice_in_a_forged_file_is_refused(exported, tmp_path):
    parts = parts_of(exported)
    first, _, *rest = parts["papers.jsonl"].splitlines(keepends=True)
    doubled = described(parts | {"papers.jsonl": b"".join([first, first, *rest])})
    with pytest.raises(InputError, match="twice"):
        take_in(tmp_path / "library", sealed(tmp_path / "forged", doubled))


def test_a_file_of_a_newer_citewise_is_said_to_be_one(exported, tmp_path):
    newer = sealed(tmp_path / "newer", described(parts_of(exported), format=archive.FORMAT + 1, extra={}))
    with pytest.raises(InputError, match="newer Citewise"):
        take_in(tmp_path / "library", newer)


def test_an_older_export_is_replaced_and_any_other_file_is_not(pile, exported, tmp_path):
    path = tmp_path / "copy.citewise"
    path.write_bytes(exported.read_bytes())
    before = path.stat().st_ino
    export(pile / "library", path)
    assert path.stat().st_ino != before
    path.write_text("the only copy of a thesis")
    with pytest.raises(LibraryError, match="no Citewise export: choose another name"):
        export(pile / "library", path)
    assert path.read_text() == "the only copy of a thesis"
    assert list(tmp_path.iterdir()) == [path]


def test_an_export_that_fails_leaves_the_one_before(exported, tmp_path):
    path = tmp_path / "copy.citewise"
    path.write_bytes(exported.read_bytes())
    with Archive(exported) as whole_one:
        description = replace(whole_one.description)

    def failing():
        yield ArchivedPaper("x", [], [ArchivedPassage(0, 1, "t")])
        raise RuntimeError("the catalog went away")

    with pytest.raises(RuntimeError):
        archive_writer.write(path, description, failing(), [])
    assert path.read_bytes() == exported.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


def test_nobody_writes_while_a_library_is_exported(starter_copy, tmp_path):
    with (
        WriterLock(starter_copy),
        open_library(starter_copy) as library,
        pytest.raises(LibraryLocked, match="is writing"),
    ):
        library.export_to(tmp_path / "x.citewise")
    assert not (tmp_path / "x.citewise").exists()


def test_a_library_without_papers_is_not_exported(tmp_path):
    with open_library(tmp_path / "none") as library, pytest.raises(UsageError, match="no library"):
        library.export_to(tmp_path / "x.citewise")


def test_a_record_keeps_every_field(tmp_path):
    full = record(
        7,
        id="full",
        authors=["Ünal Ö", "B"],
        doi="10.1000/x",
        arxiv_id="2101.00001",
        date="2021-01-03",
        venue="ICML",
        url="https://example.org/x",
        keywords=["one", "two"],
        tldr="short",
        upvotes=3,
        comments=4,
        code_urls=["https://example.org/code"],
    )
    ingest(tmp_path / "library", write(tmp_path / "one.jsonl", [full]))
    take_in(tmp_path / "copy", export(tmp_path / "library", tmp_path / "x.citewise"))
    assert papers(tmp_path / "copy") == papers(tmp_path / "library")
    [paper] = papers(tmp_path / "copy").values()
    assert None not in {paper.venue, paper.doi, paper.date, paper.upvotes}


def test_large_numbers_are_not_taken(tmp_path):
    [paper] = papers_of(tmp_path)
    with pytest.raises(ValueError, match="too large"):
        ArchivedRecord(replace(paper, upvotes=2**63), "p")


def papers_of(folder: Path):
    from rag.parsers import parse

    return [item for item in parse(str(write(folder / "one.jsonl", [record(1)]))) if hasattr(item, "title")]


def citewise(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rag.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_commands_move_a_library(starter_folder, tmp_path):
    done = citewise("export", tmp_path / "x.citewise", "--library", starter_folder)
    assert (done.returncode, done.stdout.split(" to ")[0]) == (0, "exported 64 papers")
    done = citewise("import", tmp_path / "x.citewise", "--json", "--library", tmp_path / "copy")
    assert json.loads(done.stdout)["added"] == 64
    (tmp_path / "x.citewise").write_bytes(b"cut short")
    done = citewise("import", tmp_path / "x.citewise", "--library", tmp_path / "other")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert not (tmp_path / "other").exists()
