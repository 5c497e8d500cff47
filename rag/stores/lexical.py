"""The lexical index: BM25 over passage texts in an embedded tantivy index."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from rag.errors import LibraryDamaged, LibraryError, LibraryLocked
from rag.papers import Passage
from rag.stores.analysis import Analysis

if TYPE_CHECKING:
    import tantivy

Scored = tuple[str, float]

ANALYZER = "passages"
_HEAP = 128_000_000  # bytes that the writer fills before it writes a segment
_NAMED = 4_000  # more allowed ids than this are sifted out of the hits instead of named in the query


class TantivyIndex:
    """A `LexicalIndex` and `WordStatistics` in a folder of its own; title and abstract are one field.

    Words are lower-cased, freed of accents and of stop words, and stemmed (Snowball, English). Scores are
    BM25 with k1 = 1.2 and b = 0.75 (Robertson and Zaragoza 2009); a word counts as often as the question has
    it.

    Several threads may search while one writes. What was written is seen after `commit`; what another process
    has committed, after `reopen`. The writer's lock is taken at the first change and released by `close`.
    Tantivy locks a folder to read it; of a folder that may only be read, a temporary copy is searched.

    Raises LibraryDamaged when the folder cannot be read, LibraryLocked when another process writes,
    LibraryError when it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writing = threading.Lock()
        self._writer: Any = None
        self._copy: TemporaryDirectory[str] | None = None
        with _explained(folder):
            self._analysis = Analysis()
            self._schema = _schema()
            self._index = self._open()
            self._view: _View | None = _View(self._schema, self._index.searcher())

    def upsert(self, passages: Sequence[Passage]) -> None:
        """Add or replace passages; of an id given twice the last one counts. Seen after `commit`."""
        import tantivy

        with self._write() as writer:
            for passage in {passage.id: passage for passage in passages}.values():
                writer.delete_documents_by_term("id", passage.id)
                writer.add_document(tantivy.Document(id=passage.id, body=passage.text))

    def delete(self, ids: Sequence[str]) -> None:
        """Remove passages; unknown ids are passed over. Seen after `commit`."""
        with self._write() as writer:
            for passage_id in ids:
                writer.delete_documents_by_term("id", passage_id)

    def commit(self) -> None:
        """Write what was changed to the disk and let all searches see it."""
        with self._writing, _explained(self._folder):
            if self._writer is not None:
                self._writer.commit()
        self.reopen()

    def reopen(self) -> None:
        """See what other processes have committed; searches under way finish on the old view."""
        with _explained(self._folder):
            self._opened()
            if self._copy:
                self._index = self._open()
            self._index.reload()
            self._view = _View(self._schema, self._index.searcher())

    def search(self, query: str, k: int, *, only: Sequence[str] | None = None) -> list[Scored]:
        """At most k (passage id, BM25), best first; `only` restricts to those ids, unknown ones ignored."""
        view = self._opened()
        with _explained(self._folder):
            words = self._analysis.query_words(query, view.frequency)
            if k < 1 or not words or (only is not None and not only):
                return []
            if only is not None and len(only) > _NAMED:
                return view.search_sifted(words, k, set(only))
            return view.search(words, k, only=only)

    def document_frequency(self, words: Sequence[str]) -> dict[str, int]:
        """Passages that hold each word; of a word analysed into several ("GPT-4"), the rarest part counts, of one with
        several spellings the most frequent.

        Stop words, and words that are only punctuation, are in none. Deleted passages count until they are
        merged away, as they do in BM25.
        """
        view = self._opened()
        with _explained(self._folder):
            return {word: max(map(view.rarest, self._analysis.spellings(word))) for word in words}

    def ids(self) -> set[str]:
        """All passage ids."""
        with _explained(self._folder):
            return set(self._opened().by_address().values())

    def count(self) -> int:
        """The number of passages."""
        return self._opened().count

    def close(self) -> None:
        """Let go of the folder and the writer's lock; what was not committed is dropped."""
        with self._writing:
            if self._writer is not None:
                self._writer.rollback()
                self._writer = None
            self._view = None
            if self._copy:
                self._copy.cleanup()

    def _open(self) -> tantivy.Index:
        from tantivy import Index

        if not self._folder.is_dir() or os.access(self._folder, os.W_OK):
            self._folder.mkdir(parents=True, exist_ok=True)
            place = self._folder
        else:
            self._copy = TemporaryDirectory(prefix="citewise-")
            place = Path(self._copy.name, "lexical")
            shutil.copytree(self._folder, place, ignore=shutil.ignore_patterns("*.lock"), copy_function=shutil.copyfile)
            place.chmod(0o700)  # copytree copies the folder's mode too
        index = Index(self._schema, path=str(place))
        index.register_tokenizer(ANALYZER, self._analysis.analyzer)
        index.config_reader("manual")
        return index

    def _opened(self) -> _View:
        view = self._view
        if view is None:
            raise LibraryError(f"{self._folder} is closed")
        return view

    @contextmanager
    def _write(self) -> Generator[Any]:
        self._opened()
        if self._copy:
            raise LibraryError(f"{self._folder} cannot be written; check its permissions")
        with self._writing, _explained(self._folder):
            if self._writer is None:
                self._writer = self._index.writer(heap_size=_HEAP, num_threads=1)
            yield self._writer


class _View:
    """The index as one commit left it."""

    def __init__(self, schema: tantivy.Schema, searcher: tantivy.Searcher) -> None:
        self._schema = schema
        self._searcher = searcher
        self._by_address: dict[tuple[int, int], str] | None = None
        self.count = searcher.num_docs

    def frequency(self, word: str) -> int:
        return min(self._searcher.doc_freq("body", word), self.count)

    def rarest(self, words: Sequence[str]) -> int:
        """The passages that hold the rarest of these, 0 for none."""
        return min(map(self.frequency, words), default=0)

    def search(self, words: Sequence[str], k: int, *, only: Sequence[str] | None) -> list[Scored]:
        from tantivy import Occur, Query

        query = self._any_of(words)
        if only is not None:
            allowed = Query.const_score_query(Query.term_set_query(self._schema, "id", list(only)), 0.0)
            query = Query.boolean_query([(Occur.Must, query), (Occur.Must, allowed)])
        found = self._searcher.search(query, k, count=False)
        return [(self._searcher.doc(address)["id"][0], score) for score, address in found.hits]

    def search_sifted(self, words: Sequence[str], k: int, only: set[str]) -> list[Scored]:
        """As `search`, for many ids: sifts more than k hits, twice as many as chance asks for, then all."""
        query = self._any_of(words)
        ids = self.by_address()
        for limit in (2 * k * self.count // len(only) + 100, self.count):
            hits = self._searcher.search(query, max(limit, 1), count=False).hits
            kept = (
                (passage_id, score)
                for score, address in hits
                if (passage_id := ids[address.segment_ord, address.doc]) in only
            )
            best = list(islice(kept, k))
            if len(best) == k or len(hits) < limit:
                break
        return best

    def by_address(self) -> dict[tuple[int, int], str]:
        """Passage ids by segment and number in it; read once, for stored documents are slow to read."""
        if self._by_address is None:
            from tantivy import Query

            read = self._searcher.doc
            hits = self._searcher.search(Query.all_query(), max(self.count, 1), count=False).hits
            self._by_address = {(found.segment_ord, found.doc): read(found)["id"][0] for _, found in hits}
        return self._by_address

    def _any_of(self, words: Sequence[str]) -> tantivy.Query:
        from tantivy import Occur, Query

        terms = [(Occur.Should, Query.term_query(self._schema, "body", word, "freq")) for word in words]
        return Query.boolean_query(terms)


def _schema() -> tantivy.Schema:
    from tantivy import SchemaBuilder

    builder = SchemaBuilder()
    builder.add_text_field("id", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("body", stored=False, tokenizer_name=ANALYZER, index_option="freq")
    return builder.build()


@contextmanager
def _explained(folder: Path) -> Generator[None]:
    """Tantivy's errors as ours: nearly all are ValueErrors, or panics of the native code."""
    try:
        yield
    except LibraryError:
        raise
    except BaseException as error:
        said = f"{type(error).__module__}.{type(error).__name__}: {error}"
        if not (isinstance(error, ValueError | OSError) or said.startswith("pyo3_runtime")):
            raise
        raise _mapped(folder, said) from error


def _mapped(folder: Path, said: str) -> LibraryError:
    lowered = said.lower()
    if "lockbusy" in lowered:
        return LibraryLocked(f"another process is writing to {folder}; try again when it is done")
    if "no space left" in lowered or "os error 28" in lowered:
        return LibraryError(f"no space left on the disk of {folder}; make room and repeat the command")
    if "permission denied" in lowered or "read-only" in lowered:
        return LibraryError(f"{folder} cannot be written; check its permissions")
    return LibraryDamaged(f"{folder} cannot be read ({' '.join(said.split())[:200]}); run: citewise rebuild")
