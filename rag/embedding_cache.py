"""Vectors that were paid for, kept by content beside the library, and what is still to be paid for."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import CostLimit, LibraryError
from rag.llama_encoder import LlamaEncoder, batches
from rag.spending import dollars

if TYPE_CHECKING:
    from rag.interfaces import Side, Vectors
    from rag.settings import PriceSettings

FILE = "embeddings.sqlite"
_TABLE = "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL)"


class VectorCache:
    """Float32 vectors by key, in one SQLite file that is made at the first write. For one writer at a time.

    Raises LibraryError where the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, keys: Iterable[bytes], dimension: int) -> dict[bytes, Vectors]:
        """The vectors, float32 (dimension,), of those keys that are there."""
        import numpy as np

        if not self._path.is_file():
            return {}
        with self._open() as database:
            rows = [
                row for key in keys for row in database.execute("SELECT key, vector FROM vectors WHERE key = ?", [key])
            ]
        return {key: np.frombuffer(vector, dtype=np.float32) for key, vector in rows if len(vector) == 4 * dimension}

    def write(self, keys: Sequence[bytes], vectors: Vectors) -> None:
        """Keep vectors (len(keys), dimension), durably when this returns."""
        rows = [(key, vector.astype("float32").tobytes()) for key, vector in zip(keys, vectors, strict=True)]
        with self._open() as database:
            database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)

    @contextmanager
    def _open(self) -> Generator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path, timeout=30)) as database, database:
                database.execute("PRAGMA page_size = 65536")  # for a new file: vectors of some kB fill its pages better
                database.execute(_TABLE)
                yield database
        except sqlite3.Error as error:
            raise LibraryError(
                f"{self._path} cannot be used ({error}); free some space, or delete it: its vectors are then paid again"
            ) from error


@dataclass(frozen=True, slots=True)
class Estimate:
    """What embedding takes: texts to send and their tokens, dollars (None: price not known), texts known already."""

    model: str
    texts: int
    tokens: int
    cost: float | None
    kept: int

    @property
    def passages(self) -> int:
        """All that a vector is wanted for."""
        return self.texts + self.kept

    def __str__(self) -> str:
        cost = "cost unknown" if self.cost is None else f"about {dollars(self.cost)}"
        kept = f"; {self.kept:,} more are known already" if self.kept else ""
        return f"embedding {self.texts:,} passages with {self.model}: {self.tokens:,} tokens, {cost}{kept}"


class RememberingEncoder:
    """An encoder on a server that asks for each passage once: vectors are kept by model, dimension and text.

    What one command's passages cost stays within `max_cost` dollars. `tell` is given each estimate.
    """

    def __init__(
        self,
        inner: LlamaEncoder,
        cache: VectorCache,
        *,
        price: PriceSettings | None = None,
        max_cost: float | None = None,
        tell: Callable[[Estimate], object] | None = None,
    ) -> None:
        self._inner = inner
        self._cache = cache
        self._price = price
        self._max_cost = max_cost
        self._tell = tell
        self._spent = 0.0
        self.name = inner.name

    @property
    def dimension(self) -> int:
        """Numbers a vector."""
        return self._inner.dimension

    @property
    def fingerprint(self) -> str:
        """As of the encoder itself: where vectors come from does not change them."""
        return self._inner.fingerprint

    def encode(self, texts: Sequence[str], *, side: Side = "passage") -> Vectors:
        """Unit vectors, float32 (len(texts), dimension). What a request brought is kept before the next is made.

        Raises CostLimit before a request that could pass the limit, and what the encoder raises.
        """
        import numpy as np

        if side == "query":
            return self._inner.encode(texts, side=side)
        rows = self._rows(texts)
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        known = self._cache.read(rows, self.dimension)
        for key, vector in known.items():
            vectors[rows[key]] = vector
        missing = [key for key in rows if key not in known]
        wanted = [texts[rows[key][0]] for key in missing]
        for batch in batches(wanted, range(len(wanted)), self._inner.batch_size):
            found = self._bought([wanted[at] for at in batch])
            keys = [missing[at] for at in batch]
            self._cache.write(keys, found)
            for key, vector in zip(keys, found, strict=True):
                vectors[rows[key]] = vector
        return vectors

    def keep(self, vectors: Mapping[str, Vectors]) -> None:
        """Take over vectors by text that this encoder made elsewhere: they are not paid for again."""
        import numpy as np

        texts = list(vectors)
        rows = self._rows(texts)
        if rows:
            self._cache.write(list(rows), np.array([vectors[texts[places[0]]] for places in rows.values()]))

    def afford(self, parts: Iterable[Sequence[str]]) -> Estimate:
        """What embedding these texts takes; told, and CostLimit where that is more than the limit. Sends nothing."""
        texts = tokens = kept = 0
        for part in parts:
            rows = self._rows(part)
            known = self._cache.read(rows, self.dimension)
            wanted = [part[places[0]] for key, places in rows.items() if key not in known]
            texts, kept = texts + len(wanted), kept + len(known)
            tokens += sum(map(self._inner.tokens, wanted))
        estimate = Estimate(self.name, texts, tokens, self._cost(tokens), kept)
        if self._tell and (texts or kept):
            self._tell(estimate)
        if texts:
            self._check(estimate.cost, str(estimate))
        return estimate

    def _check(self, cost: float | None, told: str) -> None:
        """Raise CostLimit where so many dollars more could pass the limit."""
        if self._max_cost is None:
            return
        if cost is None:
            entry = f"prices: {{{self._inner.model}: {{input: …}}}}"
            raise CostLimit(
                f"embedding.max_cost (--max-cost) is set but the price of {self._inner.model} is not known:"
                f" add {entry} to a settings file (dollars a million tokens)"
            )
        if self._spent + cost > self._max_cost + 1e-9:  # a sum of many parts is not exact
            raise CostLimit(
                f"{told}, more than --max-cost (embedding.max_cost) of {dollars(self._max_cost)}: it was not sent;"
                " run the command again with a higher limit, what was read is kept"
            )

    def _bought(self, texts: list[str]) -> Vectors:
        cost = self._cost(sum(map(self._inner.tokens, texts)))
        self._check(cost, f"embedding {len(texts):,} passages more with {self.name}")
        found = self._inner.encode(texts)
        self._spent += cost or 0.0
        return found

    def _cost(self, tokens: int) -> float | None:
        return None if self._price is None else tokens * self._price.input / 1e6

    def _rows(self, texts: Sequence[str]) -> dict[bytes, list[int]]:
        """The places of each text that is not blank, by its key."""
        start = hashlib.sha256(self.fingerprint.encode())
        rows: dict[bytes, list[int]] = {}
        for place, text in enumerate(texts):
            if text.strip():
                key = start.copy()
                key.update(text.encode("utf-8", "surrogatepass"))
                rows.setdefault(key.digest(), []).append(place)
        return rows
