"""Traces: the steps of the work as OpenTelemetry spans, sent over OTLP to the user's own collector if asked to."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from rag.errors import MissingExtra
from rag.steps import Step, listening

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

    from rag.settings import TracingSettings

_TIMEOUT, _LAST_SECONDS = 5, 5.0
_opening = threading.Lock()
_open: dict[TracingSettings, tuple[int, Traces]] = {}


class Traces:
    """A listener that makes each step a span: its name, times, facts and the kind of its error; what users and papers
    say only with `content`. Spans are sent in batches by a thread of their own; a collector that is away costs nothing
    but them."""

    def __init__(self, exporter: SpanExporter, *, content: bool = False) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        self._content = content
        name = os.environ.get("OTEL_SERVICE_NAME") or "citewise"
        self._provider = TracerProvider(resource=Resource.create({"service.name": name}))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("citewise")
        self._spans: dict[str, Span] = {}
        self._stack = ExitStack()
        self._stack.enter_context(listening(self))

    def begun(self, work: Step) -> None:
        """Begin a span."""
        from opentelemetry.context import Context
        from opentelemetry.trace import set_span_in_context

        around = self._spans.get(work.parent or "")
        context = set_span_in_context(around, Context()) if around else Context()
        self._spans[work.id] = self._tracer.start_span(f"citewise.{work.name}", context)

    def ended(self, work: Step, error: BaseException | None) -> None:
        """End it."""
        from opentelemetry.trace import StatusCode

        span = self._spans.pop(work.id)
        told: dict[str, Any] = {**work.facts, **(work.content if self._content else {})}
        span.set_attributes({name if "." in name else f"citewise.{name}": value for name, value in told.items()})
        if error:
            span.set_attribute("error.type", type(error).__name__.strip("_"))
            span.set_status(StatusCode.ERROR, str(error) if self._content else None)
        span.end()

    def close(self) -> None:
        """Send what is left, for a few seconds at most."""
        self._stack.close()
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(_LAST_SECONDS)


def open_traces(settings: TracingSettings) -> None:
    """Send traces as the settings say, if they do; once, however many libraries of this process ask for it.

    Raises MissingExtra where OpenTelemetry is not installed.
    """
    if settings.endpoint is None:
        return
    with _opening:
        users, traces = _open.get(settings, (0, None))
        _open[settings] = (users + 1, traces or Traces(_exporter(settings.endpoint), content=settings.content))


def close_traces(settings: TracingSettings) -> None:
    """The end of what `open_traces` began, for one who asked."""
    with _opening:
        users, traces = _open.pop(settings, (0, None))
        if traces and users > 1:
            _open[settings] = (users - 1, traces)
    if traces and users == 1:
        traces.close()


def _exporter(endpoint: str) -> SpanExporter:
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise MissingExtra("opentelemetry-exporter-otlp-proto-grpc", "observability") from error
    return OTLPSpanExporter(endpoint=endpoint, insecure=endpoint.startswith("http://"), timeout=_TIMEOUT)
