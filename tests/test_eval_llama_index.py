"""A LlamaIndex query engine is scored beside ours."""

from typing import Any

import pytest

from eval import Case, QueryEngineSystem, run
from rag import Library
from tests import eval_fakes as fakes

pytest.importorskip("ir_measures")


def scripted_engine() -> Any:
    from llama_index.core.base.response.schema import Response
    from llama_index.core.query_engine import CustomQueryEngine
    from llama_index.core.schema import NodeWithScore, TextNode

    class Scripted(CustomQueryEngine):
        """Answers as the perfect fake does, in LlamaIndex's own types."""

        def custom_query(self, query_str: str) -> Response:
            reply = fakes.perfect(query_str)
            nodes = [TextNode(text=fakes.BY_ID[name].abstract, metadata={"paper_id": name}) for name in reply.retrieved]
            text = f"{reply.text[:-1]} [1]." if reply.answered else "Sorry, no answer found."
            return Response(text, source_nodes=[NodeWithScore(node=node, score=1.0) for node in nodes])

    return Scripted()


def test_any_query_engine_is_scored_for_retrieval_answer_citation_and_abstention():
    system = QueryEngineSystem(scripted_engine(), fakes.PAPERS, abstention="no answer found")
    finished = run(system, fakes.CASES)
    for name in ("ndcg@10", "facts", "citation_recall", "citation_precision", "abstain_f1", "correct"):
        assert finished.value(name) == 1.0, name


def test_our_own_query_engine_is_scored_with_its_abstentions(starter: Library):
    asked = [
        Case(
            id="bleu",
            question="What BLEU score did the Transformer reach on WMT 2014 English-to-German?",
            relevant=("Attention Is All You Need",),
            facts=(("28.4",),),
        ),
        Case(id="cup", question="Who won the football World Cup in 1998?", answerable=False),
    ]
    finished = run(QueryEngineSystem(starter.query_engine(), starter.papers()), asked)
    assert finished.value("correct") == 1.0
    assert finished.value("citation_recall") == 1.0
