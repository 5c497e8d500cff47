"""Metrics for Prometheus: what the steps of the work and the requests for the page tell, in numbers only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from rag import CitewiseError
from rag.errors import MissingExtra, UsageError
from rag.steps import Step, listening
from ui.health import HEALTH, READY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rag.library import Library
    from rag.settings import MetricsSettings

# Seconds: search takes some milliseconds, an extractive answer some tens, a model some seconds.
_QUICK = (0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.2, 0.35, 0.5, 1, 2, 5, 10)
_SLOW = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120)
_FAILURES = {"ModelUnavailable": "unavailable", "_TimedOut": "timed out", "ModelRejected": "rejected",
             "CostLimit": "cost limit"}  # fmt: skip
_OWN = {HEALTH, READY, "/mcp"}  # paths that are answered before Gradio's routes
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Metrics:
    """All metrics of this process, and a listener that keeps them. Raises MissingExtra without prometheus-client."""

    def __init__(self, library: Library) -> None:
        try:
            import prometheus_client as prometheus
        except ImportError as error:
            raise MissingExtra("prometheus-client", "observability") from error
        self.registry = registry = prometheus.CollectorRegistry()
        for collector in (prometheus.ProcessCollector, prometheus.PlatformCollector, prometheus.GCCollector):
            collector(registry=registry)

        def counter(name: str, told: str, *labels: str) -> Any:
            return prometheus.Counter(f"citewise_{name}", told, labels, registry=registry)

        def seconds(name: str, told: str, buckets: tuple[float, ...]) -> Any:
            return prometheus.Histogram(f"citewise_{name}_seconds", told, registry=registry, buckets=buckets)

        self._answers = counter("answers", "Questions, by who answered and what came of it", "mode", "outcome")
        self._searches = seconds("search", "Seconds of a search", _QUICK)
        self._first_words = seconds("first_words", "Seconds from a question to the first words of its answer", _SLOW)
        self._whole = seconds("answer", "Seconds from a question to its checked answer", _SLOW)
        self._tokens = counter("tokens", "Tokens that models read (prompt) and wrote (completion)", "kind")
        self._cost = counter("cost_dollars", "Dollars that answers cost, as far as prices are known")
        self._failures = counter("model_failures", "Calls of models that failed, each try counted", "kind")
        self._requests = counter("http_requests", "Requests for the page", "method", "route", "status")
        told = "Ingests under way in this process"
        self._ingests = prometheus.Gauge("citewise_ingests_under_way", told, registry=registry)
        registry.register(_Holdings(library))
        self._aside: set[str] = set()

    def begun(self, work: Step) -> None:
        """Count what is under way; nobody asked the page's example questions, so they do not count."""
        if work.name == "examples" or work.parent in self._aside:
            self._aside.add(work.id)
        if work.name == "ingest":
            self._ingests.inc()

    def ended(self, work: Step, error: BaseException | None) -> None:
        """Take in what a step tells."""
        if work.id in self._aside:
            self._aside.remove(work.id)
            return
        match work.name:
            case "ask":
                self._asked(work, "failed" if error else str(work.facts["outcome"]))
            case "retrieve" if error is None:
                self._searches.observe(work.seconds)
            case "model" if error and not work.facts.get("stopped"):
                self._failures.labels(_FAILURES.get(type(error).__name__, "other")).inc()
            case "ingest":
                self._ingests.dec()
            case _:
                pass

    def requested(self, scope: Any, status: int) -> None:
        """Count a request, by the template of its route; a path is never told as it came."""
        own = scope["path"] if scope["path"] in _OWN else "other"
        route = getattr(scope.get("route"), "path", own)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()

    def _asked(self, work: Step, outcome: str) -> None:
        facts = work.facts
        self._answers.labels(facts.get("mode", "none"), outcome).inc()
        if "first_words_seconds" in facts:
            self._first_words.observe(facts["first_words_seconds"])
        if outcome in {"answered", "abstained", "failed over"}:
            self._whole.observe(work.seconds)
        for kind in ("prompt", "completion"):
            self._tokens.labels(kind).inc(facts.get(f"{kind}_tokens", 0))
        self._cost.inc(facts.get("cost", 0))


class _Holdings:
    """What the library holds, looked up when somebody asks; a catalog that is away is left out."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        try:
            papers, generation = self._library.count(), self._library.generation()
        except CitewiseError:
            return
        yield GaugeMetricFamily("citewise_papers", "Papers in the library", papers)
        yield GaugeMetricFamily("citewise_generation", "Grows with every change of the papers", generation)


class CountedRequests:
    """ASGI middleware that counts requests."""

    def __init__(self, app: Callable[..., Awaitable[None]], *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, and count how it was answered; by then its route is known."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def tell(message: Any) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                self._metrics.requested(scope, message["status"])
            await send(message)

        try:
            await self._app(scope, receive, tell)
        except BaseException:
            if not begun:
                self._metrics.requested(scope, 500)
            raise


class MetricsServer:
    """Serves metrics at `url` until it is closed. Raises UsageError where nothing can listen there."""

    def __init__(self, metrics: Metrics, settings: MetricsSettings) -> None:
        from prometheus_client import start_http_server

        host, port = settings.host, settings.port or 0
        try:
            self._server, self._thread = start_http_server(port, host, metrics.registry)
        except OSError as error:
            told = f"metrics cannot be served on {host}:{port} ({error.strerror}); choose another metrics.port"
            raise UsageError(told) from error
        self.url = f"http://{host}:{self._server.server_port}/metrics"
        self._stack = ExitStack()
        self._stack.enter_context(listening(metrics))

    def close(self) -> None:
        """Serve and listen no more."""
        self._stack.close()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
