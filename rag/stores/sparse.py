"""The lexical index where the vectors are: BM25 as sparse vectors, ranked by the Search API of a distributed Chroma.

https://docs.trychroma.com/cloud/search-api/overview; a single node (`chroma run`) has no such index.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from math import exp
from typing import TYPE_CHECKING, Any, NamedTuple

from rag.hashing import hashed
from rag.interfaces import Query, Rankings
from rag.papers import Passage
from rag.stores.analysis import Analysis
from rag.stores.chroma_http import SPARSE_KEY

if TYPE_CHECKING:
    from rag.interfaces import Vectors
    from rag.stores.chroma_server import ServerIndex

Scored = tuple[str, float]

_K1, _B = 1.2, 0.75
# Words of a passage in the mean of 9,694 abstracts. It cannot follow the library: weights are written once.
_MEAN_LENGTH = 107.0
_DIMENSIONS = 2**31  # as many as Chroma's own BM25 hashes to
_SENT_AT_ONCE = 2_000  # passages; some 3 MB
_ASKED_AT_ONCE = 5  # searches a request: Chroma Cloud has a quota that it does not publish


class SparseIndex:
    """A `LexicalIndex`, `WordStatistics` and `HybridSearch` in the collection of a `ServerIndex`, beside its vectors.

    A passage's words are a sparse vector in the metadata of its record, which must be there already: the dense index
    is written first, and what it deletes is gone here too. Scores are BM25 with k1 = 1.2 and b = 0.75 (Robertson and
    Zaragoza 2009), divided between the two sides. The stored weight of a word is tf (k1 + 1) / (tf + k1 (1 - b + b
    length / mean length)); a question's is how often it has the word, which the server multiplies by
    ln(1 + (N - n + 0.5) / (n + 0.5)) for a word in n of N passages (`bm25` in the index's schema), so no weight grows
    stale as the library grows. It ranks by 1 - the dot product.

    What is written is seen at once. How common a word is, is asked once and remembered until `reopen`. Raises what
    `ServerIndex` raises.
    """

    def __init__(self, dense: ServerIndex) -> None:
        self._dense = dense
        self._analysis = Analysis()
        self._forget()

    def upsert(self, passages: Sequence[Passage]) -> None:
        """Add or replace the words of passages whose vectors are there; of an id given twice the last one counts."""
        self._write({passage.id: sparse_vector(self._analysis.words(passage.text)) for passage in passages})

    def delete(self, ids: Sequence[str]) -> None:
        """Remove the words of passages; unknown ids are passed over."""
        self._write(dict.fromkeys(ids))

    def commit(self) -> None:
        """What was written is durable already; forget how common words were."""
        self._forget()

    def reopen(self) -> None:
        """Ask anew how common words are."""
        self._forget()

    def search(self, query: str, k: int, *, only: Sequence[str] | None = None) -> list[Scored]:
        """At most k (passage id, BM25), best first; `only` restricts to those ids, unknown ones ignored."""
        return self.search_both([], [(query, k)], k, only=only)[1][0]

    def search_both(
        self, vectors: Sequence[Vectors], queries: Sequence[Query], k: int, *, only: Sequence[str] | None = None
    ) -> tuple[Rankings, Rankings]:
        """See `HybridSearch`: one request, and one more for words that were not asked about before."""
        if only is not None and not only:
            return [[] for _ in vectors], [[] for _ in queries]
        searches = [_search("#embedding", vector.tolist(), k, only) for vector in vectors]
        for words, (_, most) in zip(self._query_words([query for query, _ in queries]), queries, strict=True):
            searches.append(_search(SPARSE_KEY, _transport(Counter(map(_dimension, words))), most, only))
        found = [[(row.id, 1.0 - row.score) for row in rows] for rows in self._found(searches)]
        dense, lexical = found[: len(vectors)], found[len(vectors) :]
        # A server may fill up its answer with passages that hold none of the words.
        return dense, [[(key, score) for key, score in rows if score > 0] for rows in lexical]

    def document_frequency(self, words: Sequence[str]) -> dict[str, int]:
        """Passages that hold each word; of a word analysed into several ("GPT-4"), the rarest part counts, of one with
        several spellings the most frequent."""
        spelt = {word: self._analysis.spellings(word) for word in words}
        known = self._learnt(part for ways in spelt.values() for parts in ways for part in parts)
        return {
            word: max(min((known[part] for part in parts), default=0) for parts in ways) for word, ways in spelt.items()
        }

    def ids(self) -> set[str]:
        """The ids of all passages whose words are there; reads them all."""
        return {
            key
            for page in self._dense.pages("metadatas")
            for key, metadata in zip(page["ids"], page["metadatas"], strict=True)
            if metadata and metadata.get(SPARSE_KEY)
        }

    def count(self) -> int:
        """The number of passages whose vectors are there, as it was when it was first asked for."""
        if self._count is None:
            self._count = self._dense.count()
        return self._count

    def close(self) -> None:
        """Close the dense index's connections, which are this one's too."""
        self._dense.close()

    def _forget(self) -> None:
        self._known: dict[str, int] = {}
        self._count: int | None = None

    def _write(self, vectors: Mapping[str, dict[str, Any] | None]) -> None:
        ids, size = list(vectors), min(self._dense.batch, _SENT_AT_ONCE)
        for start in range(0, len(ids), size):
            part = ids[start : start + size]
            self._dense.ask("update", {"ids": part, "metadatas": [{SPARSE_KEY: vectors[key]} for key in part]})

    def _query_words(self, queries: Sequence[str]) -> list[list[str]]:
        """The words of each question (`Analysis.query_words`), learning about those of all questions together."""
        while True:
            unknown: list[str] = []
            known = self._known

            def frequency(word: str, known: dict[str, int] = known, unknown: list[str] = unknown) -> int:
                if word not in known:
                    unknown.append(word)  # and taken for a common one until it is known
                return known.get(word, 1)

            words = [self._analysis.query_words(query, frequency) for query in queries]
            if not unknown:
                return words
            self._learnt(unknown)

    def _learnt(self, words: Iterable[str]) -> dict[str, int]:
        """How many passages hold each word. A single word's score, divided by its stored weight, is the factor that the
        server gave it; that tells the number of passages, to the rounding of 32 bits."""
        known, wanted = self._known, list(dict.fromkeys(words))
        unknown = [word for word in wanted if word not in known]
        queries = [_transport({_dimension(word): 1}) for word in unknown]
        answers = self._found([_search(SPARSE_KEY, query, 1, None, SPARSE_KEY) for query in queries])
        for word, rows in zip(unknown, answers, strict=True):
            known[word] = _passages(word, rows, self.count())
        return {word: known[word] for word in wanted}

    def _found(self, searches: Sequence[dict[str, Any]]) -> list[list[_Row]]:
        """The rows of each search; none of one that asks for nothing, which a server may refuse."""
        found: list[list[_Row]] = [[] for _ in searches]
        asking = [at for at, search in enumerate(searches) if _asks(search)]
        for start in range(0, len(asking), _ASKED_AT_ONCE):
            part = asking[start : start + _ASKED_AT_ONCE]
            body = {"searches": [searches[at] for at in part], "read_level": "index_and_wal"}
            for at, rows in zip(part, _rows(self._dense.ask("search", body)), strict=True):
                found[at] = rows
        return found


class _Row(NamedTuple):
    id: str
    score: float
    metadata: dict[str, Any] | None


def sparse_vector(words: Sequence[str]) -> dict[str, Any]:
    """A passage's side of BM25 as Chroma takes it, from its words in order."""
    norm = _K1 * (1 - _B + _B * len(words) / _MEAN_LENGTH)
    counts = Counter(map(_dimension, words))
    return _transport({key: count * (_K1 + 1) / (count + norm) for key, count in counts.items()})


def _transport(weights: Mapping[int, float]) -> dict[str, Any]:
    indices = sorted(weights)
    values = [round(float(weights[key]), 6) for key in indices]
    return {"#type": "sparse_vector", "indices": indices, "values": values}


@lru_cache(maxsize=200_000)
def _dimension(word: str) -> int:
    return hashed(word) % _DIMENSIONS


def _search(key: str, query: Any, k: int, only: Sequence[str] | None, *select: str) -> dict[str, Any]:
    """One search as `chromadb.Search.to_dict` has it."""
    return {
        "filter": None if only is None else {"#id": {"$in": list(dict.fromkeys(only))}},
        "rank": {"$knn": {"query": query, "key": key, "limit": k}},
        "group_by": {},
        "limit": {"offset": 0, "limit": k},
        "select": {"keys": ["#score", *select]},
    }


def _asks(search: dict[str, Any]) -> bool:
    query = search["rank"]["$knn"]["query"]
    return search["limit"]["limit"] > 0 and bool(query["indices"] if isinstance(query, dict) else query)


def _rows(answer: dict[str, Any]) -> Iterator[list[_Row]]:
    metadatas = answer.get("metadatas") or [None] * len(answer["ids"])
    for ids, scores, given in zip(answer["ids"], answer["scores"], metadatas, strict=True):
        yield [_Row(*row) for row in zip(ids, scores, given or [None] * len(ids), strict=True)]


def _passages(word: str, rows: Sequence[_Row], count: int) -> int:
    """How many of `count` passages hold a word, from the first row of a search for it alone."""
    vector = (rows[0].metadata or {}).get(SPARSE_KEY) if rows else None
    weight = dict(zip(vector["indices"], vector["values"], strict=True)).get(_dimension(word)) if vector else None
    if not weight:
        return 0
    rarity = (1.0 - rows[0].score) / weight
    return min(count, max(1, round((count + 1) / exp(rarity) - 0.5)))
