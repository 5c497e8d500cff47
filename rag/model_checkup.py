"""What `citewise doctor` says of the models: key, address, name and price, each in a line with what mends it."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from rag.check import Check
from rag.connection import Connections, bounded
from rag.embeddings import OPENAI_URL, load_encoder
from rag.errors import CitewiseError
from rag.llama_encoder import LlamaEncoder
from rag.servers import redacted
from rag.spending import dollars

if TYPE_CHECKING:
    from rag.settings import PriceSettings, Settings

_PATIENCE_SECONDS = 3.0
_NAMES_SHOWN = 5


def model_checks(settings: Settings) -> Iterator[Check]:
    """The checks of the language model and of the embedding model. The servers are asked for their lists of models,
    with the key that they are sent anyway; nothing else is sent to them."""
    yield _key(settings)
    if settings.llm.kind == "none":
        yield Check("model server", ok=True, message="no language model is set up: answers are extractive")
    else:
        yield from _server(_Asked("model server", "llm", settings.llm.kind, settings.llm.model, settings.llm.base_url))
        limited = settings.llm.max_cost is not None or settings.llm.max_session_cost is not None
        price = settings.prices.get(settings.llm.model)
        yield _price(
            "llm", settings.llm.model, price, limited=limited, whole=price is not None and price.output is not None
        )
    yield from _embedding(settings)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A model on a server, as a section of the settings names it."""

    check: str
    section: str
    kind: str
    model: str
    base_url: str | None

    @property
    def address(self) -> str:
        return (self.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL).rstrip("/")


def _key(settings: Settings) -> Check:
    needed = "openai" in (settings.llm.kind, settings.embedding.kind)
    check = partial(Check, "OPENAI_API_KEY")
    if os.environ.get("OPENAI_API_KEY", "").strip():
        return check(ok=True, message="set" if needed else "set, not used by these settings")
    if not needed:
        return check(ok=True, message="not set, not needed by these settings")
    return check(ok=False, message="not set, and these settings need it", remedy="export OPENAI_API_KEY=…")


def _embedding(settings: Settings) -> Iterator[Check]:
    embedding = settings.embedding
    if embedding.kind == "path" or embedding.kind.startswith("builtin"):
        return
    try:
        encoder = load_encoder(embedding)
    except CitewiseError as error:
        yield Check("embedding", ok=False, message=str(error), remedy="set it in a settings file")
        return
    if embedding.kind == "llamaindex":
        yield _importable(embedding.target or "")
    else:
        yield from _server(_Asked("embedding server", "embedding", embedding.kind, embedding.model, embedding.base_url))
    if isinstance(encoder, LlamaEncoder):
        price = settings.prices.get(encoder.model)
        limited = embedding.max_cost is not None
        yield _price("embedding", encoder.model, price, limited=limited, whole=price is not None)


def _importable(target: str) -> Check:
    """Whether there is a class with this dotted path; it is not made, which could download a model."""
    module, _, name = target.rpartition(".")
    try:
        found = bool(module) and hasattr(importlib.import_module(module), name)
        message = f"{target} is there" if found else f"embedding.target {target!r} names no class"
    except ImportError as error:
        found, message = False, f"embedding.target {target} cannot be imported: {redacted(str(error))}"
    return Check(
        "embedding class",
        ok=found,
        message=message,
        remedy=None if found else "install its package, or set embedding.target",
    )


def _server(asked: _Asked) -> Iterator[Check]:
    """Whether the server answers, takes the key and knows the model."""
    if not asked.address.startswith(("http://", "https://")):
        told = f"{redacted(asked.address)} is not an http address"
        yield Check(asked.check, ok=False, message=told, remedy=f"set {asked.section}.base_url")
    elif asked.kind == "openai" and not os.environ.get("OPENAI_API_KEY", "").strip():
        yield Check(asked.check, ok=False, message="not asked: it needs the key", remedy="export OPENAI_API_KEY=…")
    else:
        yield _asked(asked)


def _asked(asked: _Asked) -> Check:
    import httpx

    check, place, connections = partial(Check, asked.check), _shown(asked.address), Connections()
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    address = f"set {asked.section}.base_url or OPENAI_BASE_URL (most end in /v1)"
    try:  # redirects are not followed: the key is for this address only
        with connections.client(_PATIENCE_SECONDS) as client, bounded(connections, 2 * _PATIENCE_SECONDS):
            response = client.get(f"{asked.address}/models", headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        told = redacted(str(error)) or type(error).__name__
        return check(ok=False, message=f"{place} does not answer: {told}", remedy=f"start the server, or {address}")
    if response.status_code in (401, 403):
        told = f"{place} refuses the key" if key else f"{place} wants a key"
        return check(ok=False, message=told, remedy="export OPENAI_API_KEY=… with a key for this server")
    names = _names(response)
    if names is None:
        told = f"{place} answers, but not as a server of models (status {response.status_code})"
        return check(ok=False, message=told, remedy=address)
    if names and not names & {asked.model, f"{asked.model}:latest"}:  # Ollama lists its models with a tag
        few = ", ".join(sorted(names)[:_NAMES_SHOWN]) + (", …" if len(names) > _NAMES_SHOWN else "")
        told = f"{place} has no model {asked.model!r}; it has {few}"
        return check(ok=False, message=told, remedy=f"set {asked.section}.model")
    return check(ok=True, message=f"{place} answers{f' and has {asked.model}' if names else ''}")


def _names(response: Any) -> set[str] | None:
    """The models in a list as OpenAI gives it; None where it is something else."""
    try:
        return {str(item["id"]) for item in response.json()["data"] or ()} if response.status_code == 200 else None
    except (ValueError, LookupError, TypeError):
        return None


def _price(section: str, model: str, price: PriceSettings | None, *, limited: bool, whole: bool) -> Check:
    check = partial(Check, f"{section} price")
    if price is None or not whole:
        entry = "{input: …}" if section == "embedding" else "{input: …, output: …}"
        told = f"the price of {model} is not known"
        if limited:
            remedy = f"add prices: {{{model}: {entry}}} to a settings file (dollars a million tokens)"
            return check(ok=False, message=f"{told}, so its limit lets no call through", remedy=remedy)
        return check(ok=True, message=f"{told}: costs are shown as unknown")
    sides = [f"{dollars(price.input)} in", *([f"{dollars(price.output)} out"] if price.output is not None else [])]
    day = f", as of {price.as_of}: check it" if price.as_of else ""
    return check(ok=True, message=f"{model}: {', '.join(sides)} a million tokens{day}")


def _shown(address: str) -> str:
    """An address without what may stand before the host to sign in."""
    scheme, _, rest = address.partition("://")
    return redacted(f"{scheme}://{rest.rpartition('@')[2]}")
