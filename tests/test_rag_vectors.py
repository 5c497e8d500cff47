"""The log of vectors: what is read is what was written last, whatever a killed writer left behind."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.errors import DiskFull, LibraryDamaged
from rag.stores.dense import ChromaIndex
from rag.stores.vectors import VectorLog

ROWS, LINES = "vectors.f32", "vectors.jsonl"
IDS = st.lists(st.sampled_from(["a", "b#0", 'c"\n', "ü"]), max_size=4, unique=True)


def unit(at: int) -> np.ndarray:
    return np.eye(1, 4, at % 4, dtype=np.float32)[0]


def content(log: VectorLog) -> dict[str, list[float]]:
    stored = log.read()
    return {} if stored is None else dict(zip(stored.ids, stored.matrix.tolist(), strict=True))


@given(st.lists(st.tuples(st.sampled_from(["put", "cut", "tidy"]), IDS), max_size=12))
def test_it_holds_what_a_dict_holds(steps):
    with tempfile.TemporaryDirectory() as folder:
        expected: dict[str, list[float]] = {}
        for at, (step, ids) in enumerate(steps):
            log = VectorLog(Path(folder), 4)
            if step == "put":
                log.append(ids, np.array([unit(at)] * len(ids), dtype=np.float32).reshape(-1, 4) * 3)
                expected |= dict.fromkeys(ids, unit(at).tolist())
            elif step == "cut":
                log.remove(ids)
                expected = {name: vector for name, vector in expected.items() if name not in ids}
            else:
                log.tidy()
            assert content(VectorLog(Path(folder), 4)) == expected
            assert log.count() == len(expected)


@pytest.mark.parametrize("left", ["rows", "half a line"])
def test_what_a_killed_writer_left_is_not_read_and_is_cut_off(tmp_path, left):
    log = VectorLog(tmp_path, 4)
    log.append(["a"], unit(0).reshape(1, 4))
    with (tmp_path / ROWS).open("ab") as rows:
        rows.write(unit(1).tobytes() + b"xy")
    if left == "half a line":
        with (tmp_path / LINES).open("ab") as lines:
            lines.write(b'{"put":["b"')
    assert content(log) == {"a": unit(0).tolist()}
    log.append(["c"], unit(2).reshape(1, 4))
    assert content(VectorLog(tmp_path, 4)) == {"a": unit(0).tolist(), "c": unit(2).tolist()}


def test_what_is_mapped_stays_as_it_was_while_the_log_is_written_anew(tmp_path):
    log = VectorLog(tmp_path, 4)
    log.append(["a", "b"], np.stack([unit(0), unit(1)]))
    before = log.read()
    assert before
    log.replace(["b"], unit(3).reshape(1, 4))
    assert before.matrix.tolist() == [unit(0).tolist(), unit(1).tolist()]
    assert content(log) == {"b": unit(3).tolist()}


def test_an_index_whose_log_is_lost_or_behind_still_searches_and_the_next_write_mends_it(tmp_path):
    ids = [f"p{at}" for at in range(2_500)]
    vectors = np.random.default_rng(0).standard_normal((2_500, 8)).astype(np.float32)
    with closing(ChromaIndex(tmp_path, dimension=8)) as index:
        index.upsert(ids, vectors)
    (tmp_path / LINES).unlink()
    with closing(ChromaIndex(tmp_path, dimension=8)) as index:
        assert index.search(vectors[7], 1, only=ids[:1000])[0][0] == "p7"
        assert index.vectors(["p3"])["p3"] == pytest.approx(vectors[3] / np.linalg.norm(vectors[3]))
        index.delete(["p9"])
    stored = VectorLog(tmp_path, 8).read()
    assert stored
    assert sorted(stored.ids) == sorted(set(ids) - {"p9"})
    row = stored.ids.index("p7")
    assert stored.matrix[row] == pytest.approx(vectors[7] / np.linalg.norm(vectors[7]), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "left"), [(LINES, b"\xfa\x00 no JSON\n"), (LINES, b"[1, 2]\n"), (ROWS, b"short"), (ROWS, None)]
)
def test_files_that_were_damaged_are_named_with_what_mends_them(tmp_path, name, left):
    log = VectorLog(tmp_path, 4)
    log.append(["a", "b"], np.stack([unit(0), unit(1)]))
    if left is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(left)
    with pytest.raises(LibraryDamaged, match=rf"{name} is damaged; run: citewise rebuild"):
        VectorLog(tmp_path, 4).read()


class OnAFullDisk(ChromaIndex):
    """An index whose disk has no room for what Chroma writes when it is opened."""

    def _new_session(self):
        raise DiskFull("no space left on the disk")


def test_a_large_index_on_a_full_disk_is_searched_exactly(tmp_path):
    log = VectorLog(tmp_path, 4)
    log.append([f"p{at}" for at in range(2_500)], np.concatenate([np.eye(4, dtype=np.float32)] * 625))
    with closing(OnAFullDisk(tmp_path, dimension=4, lazy=True)) as index:
        assert {found[0] for found in index.search(unit(1), 625)} == {f"p{at}" for at in range(1, 2_500, 4)}
        with pytest.raises(DiskFull):
            index.upsert(["new"], unit(0).reshape(1, 4))
