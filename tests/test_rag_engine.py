"""Citewise as a part of LlamaIndex: alone, in a router, as a tool, streamed, asynchronous."""

import asyncio
import re

import pytest
from llama_index.core import Settings
from llama_index.core.base.response.schema import StreamingResponse
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import CustomQueryEngine, RouterQueryEngine
from llama_index.core.selectors import LLMSingleSelector
from llama_index.core.tools import QueryEngineTool

from rag import Filters, open_library
from rag.engine import CitewiseQueryEngine, CitewiseRetriever

QUESTION = "How long did it take to train the big Transformer?"


class Elsewhere(CustomQueryEngine):
    """Another engine for the router to choose from."""

    def custom_query(self, query_str: str) -> str:
        return "elsewhere"


class ScriptedSelector(MockLLM):
    """An LLM that always chooses the option it was told to."""

    choice: int = 1

    def __init__(self, choice):
        super().__init__()
        self.choice = choice

    def complete(self, prompt, formatted=False, **kwargs):
        from llama_index.core.llms import CompletionResponse

        return CompletionResponse(text=f'[{{"choice": {self.choice}, "reason": "scripted"}}]')


@pytest.fixture(scope="module")
def starter(starter_folder):
    """Without the gate: what it lets through is its own tests' business."""
    with open_library(starter_folder, gate={"enabled": False}) as library:
        yield library


@pytest.fixture
def engine(starter):
    return starter.query_engine()


def test_response_carries_markers_and_source_nodes(engine):
    response = engine.query(QUESTION)
    assert "3.5 days" in response.response
    assert re.search(r"\[1\]", response.response)
    node = response.source_nodes[0]
    assert node.metadata["title"] == "Attention Is All You Need"
    assert node.metadata["marker"] == 1
    assert node.metadata["year"] == 2017
    assert node.metadata["url"]
    assert node.node.node_id == node.metadata["paper_id"]
    citation = response.metadata["citations"][0]
    assert node.node.text[citation["start"] : citation["end"]] == citation["quote"]
    assert response.metadata["abstained"] is None


def test_abstention_is_in_the_metadata(starter):
    response = CitewiseQueryEngine(starter, filters=Filters(year_to=1800)).query(QUESTION)
    assert response.metadata["abstained"]
    assert response.metadata["citations"] == []
    assert response.metadata["abstained"] in response.response


def test_query_can_be_awaited(engine):
    assert "3.5 days" in asyncio.run(engine.aquery(QUESTION)).response


def test_filters_reach_the_search(starter):
    response = CitewiseQueryEngine(starter, filters=Filters(year_to=2005)).query(QUESTION)
    assert response.source_nodes
    assert all(node.metadata["year"] <= 2005 for node in response.source_nodes)


def test_stream_gives_the_answer_in_pieces(starter):
    response = CitewiseQueryEngine(starter, streaming=True).query(QUESTION)
    assert isinstance(response, StreamingResponse)
    assert response.source_nodes
    assert "3.5 days" in "".join(response.response_gen)
    assert response.metadata["citations"]


def test_router_can_choose_the_engine(engine):
    tools = [
        QueryEngineTool.from_defaults(engine, description="questions about research papers"),
        QueryEngineTool.from_defaults(Elsewhere(), description="anything else"),
    ]
    for choice, said in ((1, "3.5 days"), (2, "elsewhere")):
        llm = ScriptedSelector(choice=choice)
        router = RouterQueryEngine.from_defaults(
            query_engine_tools=tools, llm=llm, selector=LLMSingleSelector.from_defaults(llm=llm)
        )
        assert said in str(router.query(QUESTION))


def test_engine_is_a_tool(engine):
    tool = QueryEngineTool.from_defaults(engine, name="papers", description="research papers")
    assert "3.5 days" in tool.call(QUESTION).content


def test_retriever_gives_a_node_a_paper(starter):
    nodes = CitewiseRetriever(starter, k=3).retrieve(QUESTION)
    assert len(nodes) == 3
    assert nodes[0].metadata["title"] == "Attention Is All You Need"
    assert [node.metadata["rank"] for node in nodes] == [1, 2, 3]
    assert nodes[0].score >= nodes[1].score


def test_global_settings_are_left_alone(engine):
    engine.query(QUESTION)
    assert Settings._llm is None
    assert Settings._embed_model is None
