"""Inputs cut into pieces that other processes read."""

from __future__ import annotations

import gzip
import json
import pickle

import pytest

from rag.parsers import parse, parse_text
from rag.parsers.pieces import Read
from tests.ingesting import abstract, record

BIB = "@article{one, title={One thing}, abstract={%s}}\n@article{cut, title={Never closed"
LISTING = "12 On whales They sing in the deep and we count them with care. 3 authors · Nov 27, 2024 2\n"
INPUTS = {
    "lines": "".join(json.dumps(record(at)) + "\n" for at in range(2500)).encode(),
    "broken lines": b'{"title": "cut\n[1]\n\n{"title": "Whole"}\n' + b"a caf\xe9 \xff of many words\n{}\x00\n" * 900,
    "long lines": b"".join(json.dumps({"abstract": abstract(at, 20_000)}).encode() + b"\n" for at in range(6)),
    "a line that is too long": b'{"title": "x"}\n{"abstract": "' + b"x" * 2**23 + b'"}\n{"title": "y"}',
    "windows lines": "\ufeff".encode() + b'{"title": "One"}\r\n{"title": "Two"}\r\n',
    "packed": gzip.compress(json.dumps(record(1)).encode() + b"\n" + json.dumps(record(2)).encode()),
    "cut short while packed": gzip.compress("".join(json.dumps(record(at)) for at in range(99)).encode())[:-20],
    "BibTeX": (BIB % abstract(1)).encode(),
    "a listing": LISTING.encode() * 30 + b"Follow us\n",
    "a table": b"title,abstract\n" + b"".join(f'"A, {at}","{abstract(at)}\n more"\n'.encode() for at in range(40)),
}


@pytest.mark.parametrize("name", INPUTS)
def test_the_pieces_of_an_input_give_what_the_whole_gives_also_in_another_process(name, tmp_path):
    path = tmp_path / "input"
    path.write_bytes(INPUTS[name])
    pieces = pickle.loads(pickle.dumps(list(parse(path).pieces())))
    assert [item for piece in pieces for item in piece] == list(parse(path))


@pytest.mark.parametrize("seed", range(4))
def test_the_pieces_of_the_seed_piles_give_what_the_whole_gives(shared, seed):
    path = sorted((shared / "seeds").iterdir())[seed]
    assert [item for piece in parse(path).pieces() for item in piece] == list(parse(path))


def test_lines_are_cut_by_number_and_by_size():
    text = "".join(json.dumps({"title": f"Number {at}"}) + "\n" for at in range(2500))
    sizes = [len(list(piece)) for piece in parse_text(text, format="jsonl").pieces()]
    assert sizes == [0, 1024, 1024, 452]
    long = "".join(json.dumps({"title": "Long", "abstract": "word " * 30_000}) + "\n" for _ in range(60))
    sizes = [len(list(piece)) for piece in parse_text(long, format="jsonl").pieces()]
    assert sizes == [0, 28, 28, 4]


def test_a_large_input_that_cannot_be_cut_is_read_before_it_is_handed_on(tmp_path):
    path = tmp_path / "large.csv"
    with path.open("w") as target:
        target.write("title,abstract\n")
        for at in range(17_000):
            target.write(f"Number {at},{'word ' * 200}\n")
    first, *rest = parse(path).pieces()
    assert isinstance(first, Read)
    assert [type(piece) for piece in rest] == [Read] * 17
    assert [item for piece in [first, *rest] for item in piece] == list(parse(path))
