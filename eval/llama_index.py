"""Any LlamaIndex query engine as a system to evaluate, beside our own."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from eval.case import PastTurn
from eval.reply import Reply
from rag.papers import Paper

if TYPE_CHECKING:
    from llama_index.core.base.base_query_engine import BaseQueryEngine


class QueryEngineSystem:
    """Scores what an engine retrieves and writes over `papers`.

    A source node stands for the paper in its metadata under `id_key`, else for its document's id; [n] in a response
    cites the n-th source node, as LlamaIndex's CitationQueryEngine writes it. A query engine has no history (earlier
    turns are left out), no confidence and no way to abstain of its own: `abstention` is the phrase that its prompt
    asks for when nothing is found, or a metadata key "abstained" as our engine sets it.

    >>> QueryEngineSystem(index.as_query_engine(llm=llm), papers)  # doctest: +SKIP
    """

    def __init__(
        self,
        engine: BaseQueryEngine,
        papers: Iterable[Paper],
        *,
        name: str = "query engine",
        id_key: str = "paper_id",
        abstention: str | None = None,
        fingerprint: str | None = None,
    ) -> None:
        self.name = name
        self.fingerprint = fingerprint
        self._engine = engine
        self._papers = {paper.id: paper for paper in papers}
        self._id_key = id_key
        self._abstention = abstention

    def reply(self, question: str, history: Sequence[PastTurn]) -> Reply:
        """Query the engine, and time it."""
        started = time.perf_counter()
        response = self._engine.query(question)
        text = str(response)
        seconds = time.perf_counter() - started
        sources = [self._paper_of(item.node) for item in response.source_nodes]
        reason = self._abstained(text, response.metadata or {})
        distinct = tuple(dict.fromkeys(sources))
        if reason is not None:
            return Reply(text=text, abstained=reason, retrieved=distinct, context=distinct, seconds=seconds)
        return replace(Reply.from_text(text, sources), retrieved=distinct, context=distinct, seconds=seconds)

    def papers(self) -> Iterator[Paper]:
        """The papers given."""
        return iter(self._papers.values())

    def paper(self, identifier: str) -> Paper | None:
        """One of them."""
        return self._papers.get(identifier)

    def _paper_of(self, node: Any) -> str:
        return str(node.metadata.get(self._id_key) or node.ref_doc_id or node.node_id)

    def _abstained(self, text: str, metadata: dict[str, Any]) -> str | None:
        if metadata.get("abstained"):
            return str(metadata["abstained"])
        if self._abstention and self._abstention.casefold() in text.casefold():
            return self._abstention
        return None
