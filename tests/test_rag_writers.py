"""What a writer lets go of when it cannot be made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rag import writers
from rag.errors import SettingsError
from rag.settings import load_settings


class Held:
    """A catalog of which only its closing matters."""

    database = None

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("engine", ["process", "ray"])
def test_the_catalog_on_a_server_is_let_go_of_where_the_encoder_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
):
    held = Held()

    def opened(*_: Any) -> Held:
        return held

    monkeypatch.setattr(writers, "open_catalog", opened)
    monkeypatch.setattr("rag.stores.shared.read", lambda _: None)
    embedding = {"kind": "path", "path": str(tmp_path / "missing")}
    settings = load_settings(catalog={"kind": "postgres"}, embedding=embedding, ingest={"engine": engine})
    with pytest.raises(SettingsError, match="missing"):
        writers.open_ingester(tmp_path, settings)
    assert held.closed == 1
