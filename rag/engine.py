"""Citewise inside LlamaIndex: a query engine and a retriever, for routers, agents and tools."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.response.schema import RESPONSE_TYPE, Response, StreamingResponse
from llama_index.core.prompts.mixin import PromptMixinType
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from rag.answers import Answer, Delta, Filters, Finished, Hit, Retrieved

if TYPE_CHECKING:
    from rag.papers import Paper
    from rag.pipeline import AnswerStream


class Answers(Protocol):
    """What the engine needs of `library.Library`."""

    def stream(self, question: str, *, filters: Filters | None = None) -> AnswerStream:
        """Start answering a question."""
        ...

    def search(self, question: str, k: int = 10, *, filters: Filters | None = None) -> Sequence[Hit]:
        """The papers nearest to a question."""
        ...


class CitewiseQueryEngine(BaseQueryEngine):
    """Answers with checked citations, as a LlamaIndex query engine. LlamaIndex's global Settings are never used.

    The response's text carries [n]; source node n - 1 is the cited paper, its text the abstract. The metadata holds
    `citations`, `abstained` (None or the reason), `mode`, `confidence` and `notes`. With `streaming` a
    StreamingResponse is returned: its pieces are the answer as it is written, its source nodes the papers found;
    when they have been read, its metadata also holds the checked `text`.
    """

    def __init__(self, library: Answers, *, filters: Filters | None = None, streaming: bool = False) -> None:
        super().__init__(callback_manager=None)
        self._library = library
        self._filters = filters
        self._streaming = streaming

    def retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        """The papers nearest to a question, as nodes."""
        return CitewiseRetriever(self._library, filters=self._filters).retrieve(query_bundle)

    def _query(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        stream = self._library.stream(query_bundle.query_str, filters=self._filters)
        if self._streaming:
            return _streaming(stream)
        return response_of(stream.result())

    async def _aquery(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        return await asyncio.to_thread(self._query, query_bundle)

    def _get_prompt_modules(self) -> PromptMixinType:
        return {}


class CitewiseRetriever(BaseRetriever):
    """The `k` papers nearest to a question, one node a paper, as a LlamaIndex retriever."""

    def __init__(self, library: Answers, *, k: int = 10, filters: Filters | None = None) -> None:
        super().__init__(callback_manager=None)
        self._library = library
        self._k = k
        self._filters = filters

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        hits = self._library.search(query_bundle.query_str, self._k, filters=self._filters)
        return [node_of(hit.paper, hit.score, {"rank": hit.rank, "quote": hit.quote.text}) for hit in hits]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)


def response_of(answer: Answer) -> Response:
    """An answer as LlamaIndex's Response."""
    plain = answer.as_json()
    kept = ("citations", "abstained", "mode", "model", "confidence", "notes", "searched", "timings")
    nodes = [node_of(source.paper, source.score, {"marker": source.marker}) for source in answer.sources]
    return Response(response=answer.text, source_nodes=nodes, metadata={name: plain[name] for name in kept})


def node_of(paper: Paper, score: float, extra: dict[str, Any]) -> NodeWithScore:
    """A paper as a node: the abstract is its text (the title, where there is none), what is known its metadata."""
    known = {
        "title": paper.title,
        "year": paper.year,
        "date": paper.date,
        "authors": ", ".join(paper.authors) or None,
        "venue": paper.venue,
        "url": paper.url,
    }
    metadata = {"paper_id": paper.id} | {name: value for name, value in known.items() if value is not None} | extra
    node = TextNode(
        id_=paper.id,
        text=paper.abstract or paper.title,
        metadata=metadata,
        excluded_llm_metadata_keys=["paper_id", "marker", "rank", "quote"],
    )
    return NodeWithScore(node=node, score=score)


def _streaming(stream: AnswerStream) -> StreamingResponse:
    events = iter(stream)
    found = next(events)
    hits = found.hits if isinstance(found, Retrieved) else ()
    metadata: dict[str, Any] = {}

    def pieces() -> Iterator[str]:
        for event in events:
            if isinstance(event, Delta):
                yield event.text
            elif isinstance(event, Finished):
                metadata.update(response_of(event.answer).metadata or {}, text=event.answer.text)

    return StreamingResponse(
        response_gen=pieces(),  # pyright: ignore[reportArgumentType] # the field is a generator of strings
        source_nodes=[node_of(hit.paper, hit.score, {"rank": hit.rank}) for hit in hits],
        metadata=metadata,
    )
