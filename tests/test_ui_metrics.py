"""Metrics for Prometheus: on a port of their own, off by default, numbers only."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from rag import open_library
from rag.errors import UsageError
from tests.scripted_server import ScriptedServer, fails, says
from tests.test_ui_load import Page
from ui.closing import Served
from ui.page import serve

pytestmark = [pytest.mark.loopback, pytest.mark.enable_socket]

ASK, ADD = ("question", "submit"), ("add", "click")
QUESTION = "How does dropout prevent overfitting?"
ANSWER = "Dropout switches off randomly chosen units [1]."


@contextmanager
def served(folder: Path, **settings: dict) -> Iterator[Served]:
    with open_library(folder, **{"metrics": {"port": 0}, **settings}) as library:
        page = serve(library, port=0)
        try:
            yield page
        finally:
            page.close()


def scraped(page: Served) -> str:
    assert page.metrics
    return httpx.get(page.metrics.url, timeout=60).raise_for_status().text


def value(page: Served, name: str, **labels: str) -> float | None:
    """A sample's value; None where there is no such sample."""
    found = [
        sample.value
        for family in text_string_to_metric_families(scraped(page))
        for sample in family.samples
        if sample.name == f"citewise_{name}" and sample.labels == labels
    ]
    assert len(found) <= 1
    return found[0] if found else None


def modelled(server: ScriptedServer, **llm: object) -> dict[str, dict]:
    model = {"kind": "openai-like", "model": "scripted", "base_url": server.base_url, "retries": 0, **llm}
    prices = {"scripted": {"input": 1000.0, "output": 1000.0}}
    return {"llm": model, "prices": prices, "gate": {"enabled": False}, "answer": {"repair": False}}


def test_answers_are_counted_by_mode_and_outcome_with_their_times(starter_copy):
    with served(starter_copy) as page:
        send = Page(page.local_url).send
        send(ASK, [QUESTION, None, None], "one")
        send(ASK, ["What is the boiling point of lead?", None, None], "two")
        asked = [value(page, "answers_total", mode="extractive", outcome=it) for it in ("answered", "abstained")]
        assert asked == [1, 1]
        for name in ("first_words", "answer"):
            assert value(page, f"{name}_seconds_count") == 2
            assert 0 < value(page, f"{name}_seconds_sum") < 240
        assert value(page, "search_seconds_count") >= 2
        assert value(page, "model_failures_total", kind="unavailable") is None


def test_tokens_cost_and_failures_of_a_model_are_counted(starter_copy):
    with (
        ScriptedServer(says(ANSWER), fails(500), fails(401)) as server,
        served(starter_copy, **modelled(server)) as page,
    ):
        send = Page(page.local_url).send
        for session in ("one", "two", "three"):
            send(ASK, [QUESTION, None, None], session)
        assert value(page, "answers_total", mode="llm", outcome="answered") == 1
        assert value(page, "answers_total", mode="extractive", outcome="failed over") == 2
        assert value(page, "tokens_total", kind="prompt") == 321
        assert value(page, "tokens_total", kind="completion") == 12
        assert value(page, "cost_dollars_total") == pytest.approx(0.333)
        failed = [value(page, "model_failures_total", kind=kind) for kind in ("unavailable", "rejected")]
        assert failed == [1, 1]


def test_what_the_library_holds_and_what_is_added_is_told(starter_copy, tmp_path):
    with served(starter_copy) as page:
        assert value(page, "papers") == 64
        before = value(page, "generation")
        source = tmp_path / "more.jsonl"
        source.write_text(json.dumps({"title": "Lamps of the north", "abstract": "Lamps burn."}), encoding="utf-8")
        Page(page.local_url).send(ADD, [None, "", str(source), False], "one")
        assert value(page, "papers") == 65
        assert value(page, "generation") > before
        assert value(page, "ingests_under_way") == 0


def test_requests_are_counted_by_route_and_nothing_that_was_asked_is_told(starter_copy):
    with served(starter_copy) as page:
        url = page.local_url.rstrip("/")
        for path in ("/secret/path?q=private", "/static/img/secret.png", "/?c=secret"):
            httpx.get(url + path, timeout=60)
        httpx.request("SECRET", url, timeout=60)
        httpx.get(f"{url}/health", timeout=60)
        Page(url).send(ASK, [QUESTION, None, None], "secret-session")
        assert value(page, "http_requests_total", method="GET", route="/static/{path:path}", status="404") == 1
        assert value(page, "http_requests_total", method="GET", route="/", status="200") == 1
        assert value(page, "http_requests_total", method="GET", route="other", status="404") == 1
        assert value(page, "http_requests_total", method="GET", route="/health", status="200") == 1
        assert value(page, "http_requests_total", method="POST", route="/gradio_api/queue/join", status="200") == 1
        told = scraped(page).lower()
    for word in ("secret", "private", "dropout", "starter"):
        assert word not in told


def test_by_default_there_are_none_and_the_page_never_serves_them(starter_copy):
    with served(starter_copy, metrics={}) as page:
        assert page.metrics is None
        assert httpx.get(f"{page.local_url}metrics", timeout=60).status_code == 404
    with served(starter_copy) as page:
        assert httpx.get(f"{page.local_url}metrics", timeout=60).status_code == 404
        address = page.metrics.url
    with pytest.raises(httpx.ConnectError):
        httpx.get(address, timeout=60)


def test_a_port_that_is_taken_is_one_line_that_says_what_to_do(starter_copy):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        metrics = {"port": taken.getsockname()[1]}
        with open_library(starter_copy, metrics=metrics) as library, pytest.raises(UsageError, match=r"metrics\.port"):
            serve(library, port=0)
