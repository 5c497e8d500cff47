"""What `citewise doctor` says of the models."""

from __future__ import annotations

import pytest

from rag.cli import run as citewise
from rag.model_checkup import model_checks
from rag.settings import load_settings
from tests import scripted_server as script
from tests.scripted_server import serving

pytestmark = [pytest.mark.loopback, pytest.mark.usefixtures("socket_enabled")]

KEY = "sk-secret-1234567890"


def checks(**sections):
    return {check.name: check for check in model_checks(load_settings(**sections))}


def llm(server, **more):
    return {"kind": "openai-like", "model": "scripted", "base_url": server.base_url} | more


def test_without_a_model_all_is_well():
    found = checks()
    assert all(check.ok for check in found.values())
    assert list(found) == ["OPENAI_API_KEY", "model server"]


def test_a_model_that_is_there_is_said_to_be_there(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving(script.says("x")) as server:
        found = checks(llm=llm(server), prices={"scripted": {"input": 0.15, "output": 0.6, "as_of": "2026-01-31"}})
    assert all(check.ok for check in found.values())
    assert "has scripted" in found["model server"].message
    assert "$0.15 in, $0.60 out a million tokens, as of 2026-01-31" in found["llm price"].message
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in str(found)


@pytest.mark.parametrize(
    ("listing", "said", "remedy"),
    [
        (script.fails(401, f"Incorrect API key: {KEY}"), "refuses the key", "OPENAI_API_KEY"),
        (script.fails(404), "status 404", "llm.base_url"),
        (script.fails(500), "status 500", "llm.base_url"),
        (script.page(), "not as a server of models", "/v1"),
        (script.lists("other", "another"), "no model 'scripted'; it has another, other", "llm.model"),
        (script.moves("http://127.0.0.1:9/v1/models"), "status 307", "llm.base_url"),
    ],
    ids=["key", "path", "failing", "page", "name", "redirect"],
)
def test_each_fault_of_a_server_is_one_line_with_what_mends_it(monkeypatch, listing, said, remedy):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving(script.says("x"), listing=listing) as server:
        check = checks(llm=llm(server))["model server"]
    assert not check.ok
    assert said in check.message
    assert remedy in check.remedy
    assert KEY not in str(check)
    assert "\n" not in check.message


def test_a_server_that_wants_a_key_says_so():
    with serving(script.says("x"), listing=script.fails(401)) as server:
        assert "wants a key" in checks(llm=llm(server))["model server"].message


def test_a_tag_of_ollama_is_the_model():
    with serving(script.says("x"), listing=script.lists("scripted:latest")) as server:
        assert checks(llm=llm(server))["model server"].ok


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://127.0.0.1:1/v1", "does not answer"),
        ("localhost:11434/v1", "not an http address"),
        (f"http://me:{KEY}@127.0.0.1:1/v1", "http://127.0.0.1:1/v1 does not answer"),
    ],
)
def test_a_wrong_address_is_named(address, said):
    check = checks(llm={"kind": "openai-like", "base_url": address})["model server"]
    assert not check.ok
    assert said in check.message
    assert "base_url" in check.remedy
    assert KEY not in str(check)


def test_openai_without_a_key_is_not_asked():
    found = checks(llm={"kind": "openai"}, embedding={"kind": "openai"})
    assert [name for name, check in found.items() if not check.ok] == [
        "OPENAI_API_KEY",
        "model server",
        "embedding server",
    ]
    assert "text-embedding-3-small: $" in found["embedding price"].message


@pytest.mark.parametrize("limit", ["max_cost", "max_session_cost"])
def test_a_limit_without_a_price_is_a_fault_and_a_missing_price_alone_is_none(limit):
    with serving(script.says("x")) as server:
        assert checks(llm=llm(server))["llm price"].ok
        check = checks(llm=llm(server, **{limit: 1.0}))["llm price"]
        half = checks(llm=llm(server, **{limit: 1.0}), prices={"scripted": {"input": 1}})["llm price"]
    assert not check.ok
    assert not half.ok
    assert "prices: {scripted: {input: …, output: …}}" in check.remedy


def test_the_embedding_server_is_looked_at_too():
    with serving(script.says("x"), listing=script.lists("letters")) as server:
        embedding = {"kind": "openai-like", "model": "numbers", "base_url": server.base_url, "max_cost": 1.0}
        found = checks(embedding=embedding)
    assert "no model 'numbers'; it has letters" in found["embedding server"].message
    assert not found["embedding price"].ok
    missing = checks(embedding={"kind": "openai-like"})
    assert "base_url" in missing["embedding"].message
    assert "embedding server" not in missing
    assert "package.module.Class" in checks(embedding={"kind": "llamaindex", "target": "nodots"})["embedding"].message


@pytest.mark.parametrize(
    ("target", "ok"),
    [
        ("llama_index.core.embeddings.MockEmbedding", True),
        ("llama_index.core.embeddings.NoSuch", False),
        ("no.such.Class", False),
    ],
)
def test_an_embedding_class_is_looked_for(target, ok):
    check = checks(embedding={"kind": "llamaindex", "target": target})["embedding class"]
    assert check.ok == ok
    assert ok or target in check.message


def test_the_command_ends_with_1_and_says_what_mends_it(tmp_path, capsys):
    mine = tmp_path / "mine.yaml"
    with serving(script.says("x"), listing=script.lists("other")) as server:
        mine.write_text(f"llm: {{kind: openai-like, model: m, base_url: '{server.base_url}'}}\n", encoding="utf-8")
        assert citewise(["doctor", "--library", str(tmp_path / "library"), "--config", str(mine)]) == 1
    assert "→ set llm.model" in capsys.readouterr().out
