"""What a library is read from: opened once, seen anew after an ingest, and closed for good."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from rag import open_library
from rag.errors import LibraryError


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
