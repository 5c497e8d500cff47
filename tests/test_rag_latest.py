"""What a library is read from: opened once, seen anew after an ingest, and closed for good."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor

import pytest

from rag import open_library
from rag.errors import LibraryError
from tests.ingesting import abstract, record, write


def test_a_closed_library_says_so_and_closes_twice(starter_copy):
    library = open_library(starter_copy)
    assert library.search("low-rank adaptation", 1)
    library.close()
    library.close()
    for ask in (library.count, lambda: library.search("low-rank adaptation", 1), lambda: library.paper("lora")):
        with pytest.raises(LibraryError, match="was closed"):
            ask()


def test_many_first_questions_open_one_set_of_readers(starter_copy):
    with open_library(starter_copy) as library, ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(library.search, "low-rank adaptation", 1) for _ in range(16)]
        found = {one.result()[0].paper.id for one in asked}
        assert len(found) == 1
        assert library._latest.readers() is library._latest.readers()


def test_a_question_under_way_while_the_library_is_rebuilt_ends_as_it_began(starter_copy, tmp_path):
    with open_library(starter_copy) as library:
        expected = library.ask("What is dropout?")
        before, stream = library._latest.readers(), library.stream("What is dropout?")
        library.rebuild()
        library.ingest([write(tmp_path / "a.jsonl", [record(1)])])  # the old folders are deleted
        assert library.search(abstract(1), 1)[0].paper.title == record(1)["title"]
        assert library._latest.readers().dense is not before.dense
        found = stream.result()
        assert (found.text, found.citations, found.sources) == (expected.text, expected.citations, expected.sources)


def test_what_a_rebuild_replaced_is_closed_by_the_last_question_that_reads_it(starter_copy):
    with open_library(starter_copy) as library:
        stream, dense = library.stream("What is dropout?"), library._latest.readers().dense
        assert dense.count() == 64
        chroma = dense._session._system
        del dense
        library.rebuild()
        library.search("dropout", 1)
        gc.collect()
        assert chroma._running
        assert stream.result().citations
        del stream
        gc.collect()
        assert not chroma._running
