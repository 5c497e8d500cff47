"""The shipped settings for models, as the README shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rag.cli import run as citewise
from rag.settings import config_folder, load_settings
from rag.spending import cost_of, dollars
from tests import scripted_server as script
from tests.scripted_server import serving

pytestmark = [pytest.mark.loopback, pytest.mark.usefixtures("socket_enabled")]

QUESTION = "How long did it take to train the big Transformer?"
GOOD = "The big Transformer was trained for 3.5 days on 8 P100 GPUs [1]."


def test_openai_in_three_lines(starter_folder: Path, monkeypatch, capsys):
    library = ["--library", str(starter_folder)]
    price = load_settings(["openai"]).prices["gpt-4o-mini"]
    with serving(script.says(GOOD), listing=script.lists("gpt-4o-mini")) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-123456")
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        assert citewise(["doctor", "--config", "openai", *library]) == 0
        assert f"gpt-4o-mini: {dollars(price.input)} in, {dollars(price.output)} out" in capsys.readouterr().out
        assert citewise(["ask", QUESTION, "--config", "openai", "--max-cost", "0.05", *library]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "3.5 days" in said
    assert "written by gpt-4o-mini" in said
    assert f"333 tokens · {dollars(cost_of({'prompt': 321, 'completion': 12}, price))}" in said


def test_a_local_server_in_three_lines(starter_folder: Path, tmp_path: Path, capsys):
    library = ["--library", str(starter_folder)]
    with serving(script.says(GOOD), listing=script.lists("llama3.1:latest")) as server:
        mine = tmp_path / "mine.yaml"
        shipped = (config_folder() / "local-llm.yaml").read_text(encoding="utf-8")
        assert "http://127.0.0.1:11434/v1" in shipped
        mine.write_text(shipped.replace("http://127.0.0.1:11434/v1", server.base_url), encoding="utf-8")
        assert citewise(["doctor", "--config", str(mine), *library]) == 0
        capsys.readouterr()
        assert citewise(["ask", QUESTION, "--config", str(mine), *library]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "written by llama3.1" in said
    assert "333 tokens · $0.00" in said
