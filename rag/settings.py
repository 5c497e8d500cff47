"""Typed settings, read from YAML overlays; this module knows nothing of what is built from them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from rag.errors import SettingsError


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values cannot be changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CatalogSettings(Section):
    """Where the papers are kept. `sqlite` keeps them in the library's folder; `postgres` in a database that any number
    of replicas and writers share, each with a folder of its own for the rest. What `url` leaves out comes from the
    standard environment variables (PGHOST, PGPORT, PGUSER, PGDATABASE), the password best from PGPASSWORD."""

    kind: Literal["sqlite", "postgres"] = "sqlite"
    url: SecretStr = SecretStr("postgresql://")
    patience: float = Field(default=10.0, gt=0, description="seconds that a server which went away is waited for")


class EmbeddingSettings(Section):
    """Which encoder makes the vectors. Citewise ships two: `builtin-fast` reads a passage's words, `builtin-deep` also
    its beginning in context, which takes longer and finds more in other fields than machine learning; `builtin` is the
    one that the library was made with: the deep one where the first files read were small (`SMALL_PILE` in
    rag/chosen_encoder.py), the fast one otherwise and where the catalog is in a database. `path` is a folder trained by
    `python -m rag.encoder.train`; `openai` and `openai-like` call a server; `llamaindex` is the dotted path
    of any LlamaIndex embedding class, with `options` as its arguments. `dimensions` shortens the vectors, where the
    encoder can: less memory, a little worse (configs/deploy/SCALING.md has what it costs). What one ingest or rebuild
    may cost is `max_cost` (dollars, at `prices`)."""

    kind: Literal["builtin", "builtin-fast", "builtin-deep", "path", "openai", "openai-like", "llamaindex"] = "builtin"
    path: Path | None = None
    model: str = "text-embedding-3-small"
    base_url: str | None = None
    target: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    dimensions: int | None = Field(default=None, ge=16)
    batch_size: int = Field(default=512, ge=1)
    retries: int = Field(default=4, ge=0, le=10)
    fall_back: bool = Field(default=True, description="search by words alone when a question's vector cannot be made")
    max_cost: float | None = Field(default=None, ge=0.0)


class DenseSettings(Section):
    """Where the vectors are kept. `chroma` keeps them in the library's folder, `chroma-server` on a Chroma server
    (`chroma run`), a Chroma cluster or Chroma Cloud. A token comes from CHROMA_API_KEY in the environment only; it is
    sent in the header `x-chroma-token`, or as `Authorization: Bearer`. Words are searched by each replica itself
    (`local`), or where the vectors are by the Search API of a distributed Chroma (`server`); with `auto` the server is
    asked whether it has one when a library is made or rebuilt. `local` is the default, because no distributed Chroma
    was at hand to try the others with."""

    kind: Literal["chroma", "chroma-server"] = "chroma"
    words: Literal["local", "auto", "server"] = "local"
    url: str = Field(default="http://127.0.0.1:8000", pattern=r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$")
    tenant: str = Field(default="default_tenant", min_length=1)
    database: str = Field(default="default_database", min_length=3)
    auth_header: Literal["x-chroma-token", "authorization"] = "x-chroma-token"
    timeout: float = Field(default=30.0, gt=0, description="seconds a request may take")
    retries: int = Field(default=3, ge=0, le=10, description="after a failed connection, a timeout, or 429 and 5xx")
    batch_size: int = Field(default=2000, ge=1, le=50_000, description="records a request; Chroma Cloud allows 300")


class IngestSettings(Section):
    """Where papers are parsed, sketched and embedded. `process` does all in the process that writes; `ray` gives it to
    `workers` processes of a Ray cluster (None: one for each of its processors): of that whose head is at `address`
    (host:port) and which this machine belongs to, or of this machine's own, which lasts as long as the ingest."""

    engine: Literal["process", "ray"] = "process"
    address: str | None = Field(default=None, pattern=r"^[^\s/:]+:\d{1,5}$")
    workers: int | None = Field(default=None, ge=1, le=10_000)


class ChunkingSettings(Section):
    """Passage size in cl100k tokens, and how many sentences two neighbouring passages share."""

    max_tokens: int = Field(default=512, ge=64, le=8192)
    overlap_sentences: int = Field(default=1, ge=0, le=5)


class RetrievalSettings(Section):
    """Candidates a side, the weight of the dense score in the fusion (0..1), and papers kept for an answer."""

    candidates: int = Field(default=100, ge=10, le=1000)
    dense_weight: float = Field(default=0.6, ge=0.0, le=1.0)
    papers: int = Field(default=8, ge=1, le=50)
    diversity: float = Field(default=0.2, ge=0.0, le=1.0)
    search_breadth: int = Field(default=350, ge=10, le=5000, description="HNSW ef_search")
    rewrite: Literal["none", "multi-query", "hyde"] = Field(
        default="none", description="one call of the model a question: other phrasings, or an imagined abstract (HyDE)"
    )


class RerankSettings(Section):
    """An optional second look at the first `top` candidates: at their sentences, or by one call of the model. `weight`
    is its share in the score; None is 0.2 for sentences and 0.8 for the model."""

    kind: Literal["none", "sentences", "llm"] = "none"
    top: int = Field(default=8, ge=2, le=200)
    weight: float | None = Field(default=None, ge=0.0, le=1.0)


class GateSettings(Section):
    """Whether to abstain, and below which calibrated probability of being answerable (None: as calibrated)."""

    enabled: bool = True
    threshold: float | None = Field(default=None, ge=0.0, le=1.0)


class AnswerSettings(Section):
    """How answers are made. `auto` uses the model when one is set up, else answers extractively."""

    mode: Literal["auto", "extractive", "llm"] = "auto"
    max_sentences: int = Field(default=6, ge=1, le=12)
    fall_back: bool = Field(default=True, description="answer extractively when the model fails")
    min_support: float = Field(default=0.5, ge=0.0, le=1.0)
    repair: bool = Field(default=True, description="ask the model once more about sentences without support")


class PriceSettings(Section):
    """What a model's tokens cost, in dollars a million, on a day; embedding models have no output."""

    input: float = Field(ge=0.0)
    output: float | None = Field(default=None, ge=0.0)
    as_of: date | None = None


class LLMSettings(Section):
    """The language model. Keys come from the environment only, never from a file. `context_window` is in tokens,
    counted with cl100k for every model, a tenth of it held back because other models' tokens are shorter."""

    kind: Literal["none", "openai", "openai-like"] = "none"
    model: str = "gpt-4o-mini"
    base_url: str | None = None
    context_window: int = Field(default=16_000, ge=1024)
    max_tokens: int = Field(default=700, ge=32)
    temperature: float = Field(default=0.0, ge=0.0, le=2.0)
    timeout: float = Field(default=60.0, gt=0)
    retries: int = Field(default=2, ge=0, le=10)
    condense: bool = Field(default=True, description="the model rewrites follow-up questions, else rules do")
    max_cost: float | None = Field(default=None, ge=0.0, description="dollars an answer, all its calls together")
    max_session_cost: float | None = Field(default=None, ge=0.0, description="dollars an open library; --max-cost")


class ChatSettings(Section):
    """Where the chat page listens, whether it logs each request as a JSON object on standard error, and how many
    seconds answers under way may still take when it is stopped (SIGTERM, Ctrl-C). A replica (`catalog.kind: postgres`)
    looks every `catch_up_seconds` for what others wrote; with 0, when it is next asked."""

    host: str = "127.0.0.1"
    port: int = Field(default=7860, ge=0, le=65535)
    max_upload_mb: int = Field(default=200, ge=1)
    json_logs: bool = False
    shutdown_seconds: float = Field(default=20.0, ge=0)
    catch_up_seconds: float = Field(default=1.0, ge=0)


class MetricsSettings(Section):
    """Where the chat page's metrics for Prometheus are served: on a port of their own, because what collects them
    cannot sign in. None serves none. They hold numbers only, no question and no title; still, whoever reaches the port
    reads them, so let it be this machine or an inner network."""

    host: str = "127.0.0.1"
    port: int | None = Field(default=None, ge=0, le=65535)


class TracingSettings(Section):
    """Where traces are sent: an OpenTelemetry collector of your own that takes OTLP over gRPC, such as
    http://127.0.0.1:4317. None sends nothing. `content` puts questions and answers into them. Headers come from
    OTEL_EXPORTER_OTLP_HEADERS."""

    endpoint: str | None = Field(default=None, pattern=r"^https?://[^\s/?#@]+/?$")
    content: bool = False


class Settings(Section):
    """All settings. The default value works with no key, no download and no network."""

    library: Path | None = None
    catalog: CatalogSettings = CatalogSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    dense: DenseSettings = DenseSettings()
    ingest: IngestSettings = IngestSettings()
    chunking: ChunkingSettings = ChunkingSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    rerank: RerankSettings = RerankSettings()
    gate: GateSettings = GateSettings()
    answer: AnswerSettings = AnswerSettings()
    llm: LLMSettings = LLMSettings()
    chat: ChatSettings = ChatSettings()
    metrics: MetricsSettings = MetricsSettings()
    tracing: TracingSettings = TracingSettings()
    prices: dict[str, PriceSettings] = Field(default_factory=dict[str, PriceSettings], description="by model")

    def library_folder(self, given: str | Path | None = None) -> Path:
        """The library's folder: `given`, else the setting, else CITEWISE_LIBRARY, else the user's data folder."""
        chosen = given or self.library or os.environ.get("CITEWISE_LIBRARY")
        if chosen:
            return Path(chosen).expanduser()
        data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
        return Path(data).expanduser() / "citewise" / "library"


def config_folder() -> Path:
    """The folder of the shipped YAML files: inside the installed package, or configs/ of a checkout."""
    installed = Path(__file__).parent / "_configs"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "configs"


def load_settings(configs: Iterable[str | Path] = (), **overrides: Any) -> Settings:
    """Settings from the default and the price table, each named or given YAML file in turn, then `overrides` (whole
    sections).

    Raises SettingsError with one line that names the file and the key that is wrong.
    """
    merged = _merge(_read(config_folder() / "default.yaml"), _read(config_folder() / "prices.yaml"))
    origin = "default"
    for config in configs:
        merged = _merge(merged, _read(_locate(config)))
        origin = str(config)
    try:
        return Settings.model_validate(_merge(merged, overrides))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"settings ({origin}): {key}: {first['msg']}") from error


def _locate(config: str | Path) -> Path:
    path = Path(config).expanduser()
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        if not path.is_file():
            raise SettingsError(f"no settings file at {path}")
        return path
    shipped = config_folder() / f"{config}.yaml"
    if not shipped.is_file():
        names = ", ".join(sorted(item.stem for item in config_folder().glob("*.yaml")))
        raise SettingsError(f"no settings named {str(config)!r}; known names: {names}; or give a path to a .yaml")
    return shipped


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        detail = " ".join(str(error).split())
        raise SettingsError(f"cannot read settings {path}: {detail}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(f"settings {path}: expected keys and values, found {type(content).__name__}")
    return content


def _merge(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in overlay.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged
