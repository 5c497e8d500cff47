"""From a question to ranked papers: two searches, score fusion, exact names, rerank, diversity, quotes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from rag import text
from rag.answers import Filters, Hit, Quote
from rag.evidence import (
    ScoredSentence,
    best_by_paper,
    says_all,
    score_sentences,
    stem_set,
    subject,
    wants_whoever_says,
)
from rag.fusion import Fused, fuse
from rag.interfaces import (
    CatalogReader,
    DenseIndex,
    Encoder,
    HybridSearch,
    LexicalIndex,
    Query,
    Rankings,
    WordStatistics,
)
from rag.languages import language_of
from rag.model_search import Expansion, Help, SearchModel
from rag.naming import called, name_bonuses
from rag.papers import Paper
from rag.query_vectors import QueryVectors
from rag.question_filters import described, merged
from rag.questions import Understanding, asks_for_papers, exact_names, understand
from rag.rerank import blend, diversified, sentence_scores
from rag.settings import RerankSettings, RetrievalSettings
from rag.spelling import corrected, corrections, unknown_words

if TYPE_CHECKING:
    from rag.connection import Stop
    from rag.interfaces import Vectors

# Papers whose sentences are scored: those that an answer, the gate and the first page of hits look at.
_READ = 8
# A longer topic is a pasted text; its beginning says what it is about.
_LONGEST = 2000
# Papers of the fused ranking, at least and for each one asked for, that are read to look for names in them.
_FEWEST, _POOL = 40, 3
# Where fewer passages hold any word of a question, the last of them is a find as well: the others get no word score at
# all, not its score. (In longer lists that makes no question better, and a few worse.)
_FEW = 10
_FIRST_YEAR = 1
# Papers that are looked at to see whether records here name authors.
_TRIED = 200
# Candidates that each exact name adds, and how many names are looked up.
_BY_NAME, _NAMES = 10, 4

_NOT_ENGLISH = (
    "the question seems to be in {language}, and the built-in encoder reads English: ask in English, or set models that"
    " know the language (`embedding` and `llm` in a settings file, with `gate: {{enabled: false}}`)"
)

_NO_INSTITUTIONS = "The records do not hold where authors work, so these are papers from anywhere, not only from {who}."
_UNDATED = "Papers without a year on record were left out."
_NO_YEARS = "The records do not hold years, so these are papers of any year."
_UNKNOWN_ORIGIN = (
    "No author and no venue in this library is called “{who}”, and the records do not hold where authors work: these"
    " are papers from anywhere."
)


class Lexicon(LexicalIndex, WordStatistics, Protocol):
    """A lexical index that also knows how common words are."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What was found for a question. `sentences` are those of the first hits, in the order of the hits.

    `filters` are the given and the heard ones together; `notes` are for the user (a filter that no paper
    passes); `timings` are seconds a stage. `usage` and `prompts` are the tokens of a model that helped, and the
    versions of what it was told.
    """

    question: str
    hits: tuple[Hit, ...]
    sentences: tuple[ScoredSentence, ...]
    understanding: Understanding
    filters: Filters
    notes: tuple[str, ...] = ()
    timings: dict[str, float] = field(default_factory=dict[str, float])
    usage: dict[str, int] = field(default_factory=dict[str, int])
    prompts: tuple[str, ...] = ()


class Retriever:
    """Finds papers for questions in one open library. `reader` scores sentences, many a question; by default it is the
    encoder itself; `multilingual` says that the encoder may know other languages than English.

    Its only state is a memo of filter results, dropped when the catalog's generation moves. The indexes are
    reopened by whoever opened them. `hybrid` searches both in one go, where it is given. `model` helps where the
    settings ask for it. Where the encoder's model fails, the words alone are searched, unless `fall_back` is off.
    """

    def __init__(
        self,
        catalog: CatalogReader,
        dense: DenseIndex,
        lexical: Lexicon,
        encoder: Encoder,
        *,
        reader: Encoder | None = None,
        settings: RetrievalSettings | None = None,
        rerank: RerankSettings | None = None,
        model: SearchModel | None = None,
        hybrid: HybridSearch | None = None,
        fall_back: bool = True,
        multilingual: bool = False,
    ) -> None:
        self._catalog = catalog
        self._dense = dense
        self._lexical = lexical
        self._encoder = encoder
        self._reader = reader or encoder
        self._settings = settings or RetrievalSettings.model_validate({})
        self._rerank = rerank or RerankSettings.model_validate({})
        self._model = model
        self._hybrid = hybrid
        self._fall_back = fall_back
        self._multilingual = multilingual
        self._allowed = _AllowedPassages(catalog)

    def retrieve(self, question: str, *, k: int, filters: Filters | None = None, stop: Stop | None = None) -> Retrieval:
        """The best `k` (1 or more) papers, best first; filters heard in the question narrow `filters`.

        Any string is a valid question. An empty library, a question without words and a filter that no paper
        passes give no hits; the last is said in `notes`, as is the failure of a model. `stop` ends a model's call.
        Raises ModelError where the encoder's model fails and nothing falls back.
        """
        clock, help_ = _Clock(), Help(self._model, stop)
        vectors = QueryVectors(self._encoder, fall_back=self._fall_back)
        understanding = understand(question)
        heard, passed_over = self._origin(understanding)
        wanted = merged(filters or Filters(), merged(understanding.filters, heard))
        only = self._allowed.passages(wanted) if wanted else None
        undated = self._undated(understanding)
        if undated == _NO_YEARS:
            wanted = merged(filters or Filters(), merged(_of_any_year(understanding.filters), heard))
            only = self._allowed.passages(wanted) if wanted else None
        elif understanding.order:
            only, left_out = self._dated(wanted, only)
            undated = undated or left_out
        clock.lap("understand")
        hits: tuple[Hit, ...] = ()
        sentences: tuple[ScoredSentence, ...] = ()
        notes: tuple[str, ...] = ()
        if only is not None and not only:
            notes = (f"no paper in this library is {described(wanted)}{self._unnamed(wanted)}",)
        else:
            more = help_.expansion(understanding.topic[:_LONGEST])
            found = self._candidates(understanding, more, k, only, vectors)
            foreign = self._foreign(question)
            understanding = replace(understanding, language=foreign)
            slips = {} if foreign else self._slips(understanding.topic[:_LONGEST], found)
            if foreign:
                notes = (_NOT_ENGLISH.format(language=foreign),)
            if slips:
                topic = corrected(understanding.topic, slips)
                understanding = replace(understanding, topic=topic, names=exact_names(topic))
                found = self._candidates(understanding, more, k, only, vectors)
                notes = tuple(f"“{word}” was read as “{better}”" for word, better in slips.items())
            clock.lap("search")
            hits, sentences = self._ranked(found, understanding, k, help_)
            clock.lap("rank")
            if not hits and not self._lexical.count():
                notes = (
                    "its papers are not indexed yet; run the last `citewise ingest` again, it goes on where it stopped",
                )
        notes = (*notes, *filter(None, [passed_over, undated]), *vectors.notes, *help_.notes)
        prompts = tuple(help_.prompts)
        return Retrieval(question, hits, sentences, understanding, wanted, notes, clock.laps, help_.usage, prompts)

    def _origin(self, understanding: Understanding) -> tuple[Filters, str]:
        """What the wanted papers are from, as a filter where that is an author or a venue; else what to say of it."""
        origin = understanding.origin
        if origin is None:
            return Filters(), ""
        if origin.sure:
            return Filters(), _NO_INSTITUTIONS.format(who=origin.who)
        for filters in (Filters(authors=(origin.who,)), Filters(venues=(origin.who,))):
            if self._allowed.passages(filters):
                return filters, ""
        return Filters(), _UNKNOWN_ORIGIN.format(who=origin.who)

    def _unnamed(self, wanted: Filters) -> str:
        """What to add where an author's papers are wanted and records here hardly name any."""
        if not wanted.authors or any(paper.authors for paper in islice(self._catalog.all_papers(), _TRIED)):
            return ""
        return " (its records do not seem to name authors)"

    def _undated(self, understanding: Understanding) -> str:
        """What to say where a question on a topic says of which years papers are to be, and not all records have one;
        `_NO_YEARS` where none has."""
        if understanding.library or understanding.filters == _of_any_year(understanding.filters):
            return ""
        dated, every = len(self._allowed.passages(Filters(year_from=_FIRST_YEAR))), self._lexical.count()
        return "" if dated >= every else _UNDATED if dated else _NO_YEARS

    def _dated(self, wanted: Filters, only: Sequence[str] | None) -> tuple[Sequence[str] | None, str]:
        """The passages of papers with a year among those allowed, where there are any, and what to say of that."""
        first = _FIRST_YEAR if wanted.year_from is None else wanted.year_from
        dated = self._allowed.passages(replace(wanted, year_from=first))
        if not dated or len(dated) == (self._lexical.count() if only is None else len(only)):
            return only, ""
        return dated, _UNDATED

    def _candidates(
        self,
        understanding: Understanding,
        more: Expansion,
        k: int,
        only: Sequence[str] | None,
        query_vectors: QueryVectors,
    ) -> dict[str, Fused]:
        """The best passage of each candidate paper, by paper id, best first: those worth reading for `k` hits."""
        width = max(self._settings.candidates, k)
        topic = understanding.topic[:_LONGEST]
        vectors = query_vectors.of(topic, more)
        asked = subject(topic) if asks_for_papers(topic) else topic
        queries = [(query, width) for query in (asked, *more.queries)]
        names = [(name, _BY_NAME) for name in understanding.names[:_NAMES]]
        by_vector, found = self._searched(vectors, [*queries, *names], width, only)
        by_words, by_names = found[: len(queries)], found[len(queries) :]
        dense, lexical = _best(by_vector), _best(by_words)
        by_name = {key for ranking in by_names for key, _ in ranking}
        missing = sorted((lexical.keys() | by_name) - dense.keys())
        if vectors and missing:
            stored = self._dense.vectors(missing)
            dense |= {key: max(float(own @ vector) for vector in vectors) for key, own in stored.items()}
        unranked = by_name - lexical.keys() - dense.keys()
        if unranked:
            lexical |= dict.fromkeys(unranked, min(lexical.values(), default=0.0))
        if lexical and all(len(ranking) < _FEW for ranking in by_words):
            lexical |= dict.fromkeys(dense.keys() - lexical.keys(), 0.0)
        best: dict[str, Fused] = {}
        for item in fuse(dense, lexical, dense_weight=self._settings.dense_weight):
            best.setdefault(_paper_of(item.id), item)
        fewest = max(_FEWEST, _POOL * k)
        named = {_paper_of(key) for key in by_name}
        return {key: item for at, (key, item) in enumerate(best.items()) if at < fewest or key in named}

    def _searched(
        self, vectors: Sequence[Vectors], queries: Sequence[Query], width: int, only: Sequence[str] | None
    ) -> tuple[Rankings, Rankings]:
        """What each vector finds, and what each query does with its own k."""
        if self._hybrid:
            return self._hybrid.search_both(vectors, queries, width, only=only)
        dense = [self._dense.search(vector, width, only=only) for vector in vectors]
        return dense, [self._lexical.search(query, k, only=only) for query, k in queries]

    def _foreign(self, question: str) -> str | None:
        """The language of a question that this library's papers are not in and that the built-in search cannot read."""
        if self._multilingual:
            return None
        language = language_of(question)
        return language if language and unknown_words(question[:_LONGEST], self._lexical) else None

    def _slips(self, topic: str, found: Mapping[str, Fused]) -> dict[str, str]:
        """Misspelt words of the topic, and what they were to be."""
        unknown = unknown_words(topic, self._lexical)
        if not unknown:
            return {}
        near = self._catalog.papers(list(found)).values()
        return corrections(unknown, [f"{paper.title} {paper.abstract}" for paper in near])

    def _ranked(
        self, found: Mapping[str, Fused], understanding: Understanding, k: int, help_: Help
    ) -> tuple[tuple[Hit, ...], tuple[ScoredSentence, ...]]:
        topic = understanding.topic[:_LONGEST]
        papers = self._catalog.papers(list(found))
        scores = {key: item.score for key, item in found.items() if key in papers}
        for key, bonus in name_bonuses(called(topic, understanding.names, self._lexical), papers.values()).items():
            scores[key] += bonus
        scores, scored = self._reranked(topic, scores, papers, help_)
        order = _ordered(scores)
        if understanding.several and self._settings.diversity > 0:
            order = self._diverse(order, scores, found, k)
        if wants_whoever_says(understanding):
            order.sort(key=lambda key: not says_all(understanding.names, f"{papers[key].title} {papers[key].abstract}"))
        sentences = self._read(topic, order[: min(k, _READ)], papers, scored)
        quotes = best_by_paper(sentences)
        hits = [
            Hit(
                rank=rank,
                paper=papers[key],
                score=scores[key],
                quote=_quote(quotes[key]) if key in quotes else _plain_quote(topic, papers[key]),
                dense=found[key].dense,
                lexical=found[key].lexical,
            )
            for rank, key in enumerate(order[:k], start=1)
        ]
        return tuple(hits), tuple(sentences)

    def _reranked(
        self, topic: str, scores: dict[str, float], papers: Mapping[str, Paper], help_: Help
    ) -> tuple[dict[str, float], list[ScoredSentence]]:
        if self._rerank.kind == "none":
            return scores, []
        weight, first = self._rerank.weight, [papers[key] for key in _ordered(scores)[: self._rerank.top]]
        if self._rerank.kind == "llm":
            return blend(scores, help_.opinions(topic, first), weight=0.8 if weight is None else weight), []
        scored = self._score(topic, first)
        return blend(scores, sentence_scores(scored), weight=0.2 if weight is None else weight), scored

    def _read(
        self, topic: str, first: Sequence[str], papers: Mapping[str, Paper], scored: Sequence[ScoredSentence]
    ) -> list[ScoredSentence]:
        """The sentences of the first papers, in order; those scored already are taken over."""
        done = {sentence.paper_id for sentence in scored}
        every = [*scored, *self._score(topic, [papers[key] for key in first if key not in done])]
        place = {key: at for at, key in enumerate(first)}
        kept = [sentence for sentence in every if sentence.paper_id in place]
        return sorted(kept, key=lambda sentence: (place[sentence.paper_id], sentence.ordinal))

    def _score(self, topic: str, papers: Sequence[Paper]) -> list[ScoredSentence]:
        return score_sentences(topic, papers, encoder=self._reader, statistics=self._lexical)

    def _diverse(self, order: list[str], scores: Mapping[str, float], found: Mapping[str, Fused], k: int) -> list[str]:
        pool = order[: max(2 * k, 20)] if k <= 50 else order[:100]
        vectors = self._dense.vectors([found[key].id for key in pool])
        known = {key: vectors[found[key].id] for key in pool if found[key].id in vectors}
        return [*diversified(pool, scores, known, share=self._settings.diversity), *order[len(pool) :]]


class _AllowedPassages:
    """Passage ids that pass a filter, remembered for one generation of the catalog."""

    def __init__(self, catalog: CatalogReader) -> None:
        self._catalog = catalog
        self._generation: int | None = None
        self._memo: dict[Filters, list[str]] = {}

    def passages(self, filters: Filters) -> list[str]:
        generation = self._catalog.generation()
        if generation != self._generation or len(self._memo) >= 32:
            self._memo, self._generation = {}, generation
        if filters not in self._memo:
            self._memo[filters] = self._catalog.passage_ids(self._catalog.select(filters))
        return self._memo[filters]


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.laps[stage], self._last = now - self._last, now


def _of_any_year(filters: Filters) -> Filters:
    return replace(filters, year_from=None, year_to=None, date_from=None, date_to=None)


def _best(rankings: Iterable[Sequence[tuple[str, float]]]) -> dict[str, float]:
    """The best score of each id in several rankings."""
    best: dict[str, float] = {}
    for ranking in rankings:
        for key, score in ranking:
            best[key] = max(score, best.get(key, score))
    return best


def _paper_of(passage_id: str) -> str:
    return passage_id.rpartition("#")[0]


def _ordered(scores: Mapping[str, float]) -> list[str]:
    return sorted(scores, key=lambda key: (-round(scores[key], 9), key))


def _quote(sentence: ScoredSentence) -> Quote:
    return Quote(sentence.text, sentence.start, sentence.end)


def _plain_quote(topic: str, paper: Paper) -> Quote:
    """The sentence that shares most stems with the question: for hits far down, whose sentences are not
    scored.
    """
    spans = text.sentences(paper.abstract) or [text.Span(paper.title, 0, 0)]
    asked = stem_set(topic)
    best = max(spans, key=lambda span: len(asked & stem_set(span.text)))
    return Quote(best.text, best.start, best.end)
