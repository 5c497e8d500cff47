"""The steps of the work as spans of LlamaIndex's instrumentation, for whoever listens there: our traces and metrics, or
the handlers of an application that uses Citewise."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from inspect import BoundArguments, Signature
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from uuid import uuid4

if TYPE_CHECKING:
    from llama_index_instrumentation.dispatcher import Dispatcher

DISPATCHER = "citewise"
_PACKAGE = "llama_index_instrumentation"
_NO_ARGUMENTS = BoundArguments(Signature(), {})  # pyright: ignore[reportArgumentType]
_changing = threading.Lock()

Fact = str | int | float | bool
Piece = TypeVar("Piece")
Returned = TypeVar("Returned")


class Step:
    """One piece of work. `facts` are numbers and words of ours; what users and papers say goes into `content`, which a
    listener passes on only where it is allowed to. Both may be filled until the step ends.

    `parent` is the id of the step around it, None for the outermost.
    """

    def __init__(self, name: str, **facts: Fact) -> None:
        self.name = name
        self.facts: dict[str, Fact] = facts
        self.content: dict[str, str] = {}
        self.id = ""
        self.parent: str | None = None
        self.seconds = 0.0
        self._began = time.perf_counter()
        self._dispatcher = _dispatcher()

    def begin(self) -> None:
        """Tell whoever listens that it begins, within the step that is current."""
        self._began = time.perf_counter()
        if self._dispatcher:
            from llama_index_instrumentation.span import active_span_id

            self.id, self.parent = f"{DISPATCHER}.{self.name}-{uuid4()}", active_span_id.get()
            self._dispatcher.span_enter(self.id, _NO_ARGUMENTS, instance=self, parent_id=self.parent)

    def end(self, error: BaseException | None = None) -> None:
        """Tell that it has ended; an error that is no more than the reader's leave is none."""
        self.seconds = time.perf_counter() - self._began
        if self._dispatcher and error and not isinstance(error, GeneratorExit):
            self._dispatcher.span_drop(self.id, _NO_ARGUMENTS, instance=self, err=error)
        elif self._dispatcher:
            self._dispatcher.span_exit(self.id, _NO_ARGUMENTS, instance=self)

    @contextmanager
    def current(self) -> Generator[None]:
        """Within the block, steps that begin are parts of this one."""
        if not self._dispatcher:
            yield
            return
        from llama_index_instrumentation.span import active_span_id

        token = active_span_id.set(self.id)
        try:
            yield
        finally:
            active_span_id.reset(token)


@contextmanager
def step(name: str, **facts: Fact) -> Generator[Step]:
    """A step that takes as long as the block, which must not be left and entered again as by `yield`."""
    work = Step(name, **facts)
    work.begin()
    try:
        with work.current():
            yield work
    except BaseException as error:
        work.end(error)
        raise
    work.end()


def streamed(work: Step, pieces: Generator[Piece, None, Returned]) -> Generator[Piece, None, Returned]:
    """A stream whose pieces are made within a step. The reader's own steps between two pieces are none of its parts,
    and each piece may be asked for in another thread."""
    work.begin()
    try:
        while True:
            with work.current():
                try:
                    piece = next(pieces)
                except StopIteration as end:
                    returned: Returned = end.value
                    break
            yield piece
    except BaseException as error:
        pieces.close()
        work.end(error)
        raise
    work.end()
    return returned


class Listener(Protocol):
    """Is told of every step of this process. What it raises is ignored."""

    def begun(self, work: Step) -> None:
        """A step has begun; the one around it, if any, has not ended."""
        ...

    def ended(self, work: Step, error: BaseException | None) -> None:
        """A step has ended, with all its facts, or because of an error."""
        ...


@contextmanager
def listening(listener: Listener) -> Generator[None]:
    """Within the block, the listener is told of every step that begins there."""
    from llama_index_instrumentation import get_dispatcher

    dispatcher, handler = get_dispatcher(DISPATCHER), _handler(listener)
    with _changing:
        dispatcher.add_span_handler(handler)
    try:
        yield
    finally:
        with _changing:
            dispatcher.span_handlers = [other for other in dispatcher.span_handlers if other is not handler]


def _dispatcher() -> Dispatcher | None:
    """Where steps are told; nowhere when nobody in this process has loaded what one listens with."""
    get_dispatcher = getattr(sys.modules.get(_PACKAGE), "get_dispatcher", None)  # another thread may be loading it
    return get_dispatcher(DISPATCHER) if get_dispatcher else None


def _handler(listener: Listener) -> Any:
    from llama_index_instrumentation.span import BaseSpan
    from llama_index_instrumentation.span_handlers import BaseSpanHandler

    class Handler(BaseSpanHandler[BaseSpan]):
        """Hands our steps to a listener; it keeps no spans of its own."""

        def new_span(
            self,
            id_: str,
            bound_args: BoundArguments,
            instance: Any = None,
            parent_span_id: str | None = None,
            tags: dict[str, Any] | None = None,
            **kwargs: Any,
        ) -> None:
            if isinstance(instance, Step):
                listener.begun(instance)

        def prepare_to_exit_span(
            self, id_: str, bound_args: BoundArguments, instance: Any = None, result: Any = None, **kwargs: Any
        ) -> None:
            if isinstance(instance, Step):
                listener.ended(instance, None)

        def prepare_to_drop_span(
            self, id_: str, bound_args: BoundArguments, instance: Any = None, err: Any = None, **kwargs: Any
        ) -> None:
            if isinstance(instance, Step):
                listener.ended(instance, err)

    return Handler()
