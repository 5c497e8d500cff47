"""A language model behind an OpenAI-compatible server, through LlamaIndex: streamed, bounded in time, errors mapped."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

from rag.connection import Connection, Connections, Stop, Watchdog
from rag.errors import ModelError, ModelRejected, ModelUnavailable
from rag.servers import asked_seconds, pause, redacted
from rag.settings import LLMSettings, PriceSettings
from rag.spending import Call, Tally, Till
from rag.steps import Step, streamed

if TYPE_CHECKING:
    from llama_index.core.llms import LLM

Role = Literal["system", "user", "assistant"]

_ENDED = re.compile(r"[.!?\])】。！？؟।]\W*$")
_MOST_CHARACTERS = 20  # a token, far more than a text's tokens have on the average
_MOST_TOKENS = 10**8  # of one call: more is no count
_LONGEST_WAIT = 20.0  # seconds that a Retry-After is obeyed; a longer one is an error at once


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat."""

    role: Role
    content: str


class Restart:
    """In a stream of text: the connection failed and the answer begins anew; forget what came before."""


@dataclass(slots=True)
class Reply:
    """What is known once a stream has ended: why it ended, and the tokens used ("prompt", "completion")."""

    finish: str | None = None
    usage: dict[str, int] = field(default_factory=dict[str, int])


class ChatModel:
    """A chat model. `llm` is any LlamaIndex LLM; `from_settings` makes the two kinds that settings know.

    Safe to use from many threads. Its calls pay at `till`.
    """

    def __init__(
        self, llm: LLM, settings: LLMSettings, connections: Connections | None = None, till: Till | None = None
    ) -> None:
        self.settings = settings
        self._llm = llm
        self._till = till or Till(settings, None)
        self._connections = connections or Connections()

    @property
    def name(self) -> str:
        """The model's name, as the settings give it."""
        return self.settings.model

    @classmethod
    def from_settings(
        cls,
        settings: LLMSettings,
        *,
        prices: Mapping[str, PriceSettings] | None = None,
        session: Tally | None = None,
    ) -> ChatModel:
        """The model that the settings name; the key and a default address come from the environment. `session` counts
        what all calls cost; models may share it.

        Raises ModelRejected when OpenAI is chosen and OPENAI_API_KEY is not set.
        """
        connections = Connections()
        till = Till(settings, (prices or {}).get(settings.model), session)
        return cls(_build(settings, connections), settings, connections, till)

    def tried_once(self, *, timeout: float) -> ChatModel:
        """The same model for a call that only helps: no second try, and a silence of at most `timeout` seconds."""
        patience = {"retries": 0, "timeout": min(timeout, self.settings.timeout)}
        return ChatModel(self._llm, self.settings.model_copy(update=patience), self._connections, self._till)

    def stream(self, messages: Sequence[Message], reply: Reply, stop: Stop | None = None) -> Iterator[str | Restart]:
        """Text as it comes; `reply` is filled in when the stream has ended.

        What is worth another try is tried `settings.retries` times more, with a growing pause or the server's own
        Retry-After; a Restart says that text already given is void. Raises ModelUnavailable, ModelRejected, or
        CostLimit before a call that could pass a limit; what the calls cost is counted in `stop.tally`.
        """
        stop = stop or Stop()
        given = False
        for attempt in range(self.settings.retries + 1):
            try:
                for piece in self._told(messages, reply, stop, attempt):
                    given = True
                    yield piece
            except ModelUnavailable as error:
                wait = pause(error, attempt)
                if stop.is_set or attempt == self.settings.retries or wait > _LONGEST_WAIT or stop.wait(wait):
                    raise
                if given:
                    yield Restart()
            else:
                return

    def complete(self, messages: Sequence[Message], reply: Reply | None = None, stop: Stop | None = None) -> str:
        """The whole text at once; see `stream`."""
        parts: list[str] = []
        for piece in self.stream(messages, reply or Reply(), stop):
            if isinstance(piece, Restart):
                parts.clear()
            else:
                parts.append(piece)
        return "".join(parts)

    def _told(self, messages: Sequence[Message], reply: Reply, stop: Stop, attempt: int) -> Generator[str]:
        """An attempt, as a step that whoever listens is told of."""
        work = Step("model", **{"gen_ai.operation.name": "chat", "gen_ai.request.model": self.name, "attempt": attempt})
        work.content["messages"] = "\n\n".join(message.content for message in messages)
        said: list[str] = []

        def pieces() -> Generator[str]:
            try:
                for piece in self._attempt(messages, reply, stop):
                    said.append(piece)
                    yield piece
            finally:
                work.facts |= {"stopped": stop.is_set} | _counts(reply)
                work.content["reply"] = "".join(said)

        return streamed(work, pieces())

    def _attempt(self, messages: Sequence[Message], reply: Reply, stop: Stop) -> Iterator[str]:
        reply.finish, reply.usage = None, {}
        connection, left = Connection(), self.settings.max_tokens * _MOST_CHARACTERS
        with (
            self._till.call([message.content for message in messages], stop.tally) as call,
            stop.calling(connection.abort),
            Watchdog(connection, self.settings.timeout) as watchdog,
        ):
            call.usage = reply.usage
            try:
                with contextlib.closing(self._pieces(messages, reply, connection, watchdog)) as pieces:
                    for piece in pieces:
                        watchdog.fed()
                        call.said.append(piece)
                        yield piece
                        if (left := left - len(piece)) < 0:  # it keeps to no max_tokens, and may never end
                            reply.finish = "length"
                            break
            except Exception as error:  # noqa: BLE001 - whatever a server's answer breaks in three libraries
                if stop.is_set or not _is_whole(call, reply):
                    mapped = _mapped(error, self.settings, watchdog, stop)
                    call.lost = isinstance(mapped, _TimedOut)
                    raise mapped from None
            finally:
                connection.close()
            call.lost = watchdog.expired and not _is_whole(call, reply)
            _judge(call, reply, self.settings, stop)

    def _pieces(
        self, messages: Sequence[Message], reply: Reply, connection: Connection, watchdog: Watchdog
    ) -> Generator[str]:
        from llama_index.core.base.llms.types import ChatMessage

        chat = [ChatMessage(role=message.role, content=message.content) for message in messages]
        with self._connections.noting(connection):
            chunks = iter(self._llm.stream_chat(chat))
            first = next(chunks, None)
        while first is not None:
            _note(first.raw, reply)
            if first.delta:
                yield first.delta
            if reply.finish:
                watchdog.ending()
            first = next(chunks, None)


class _TimedOut(ModelUnavailable):
    """Nothing more came in time; the server may go on working, and ask to be paid for it."""


def _build(settings: LLMSettings, connections: Connections) -> LLM:
    import httpx
    from llama_index.llms.openai import OpenAI
    from llama_index.llms.openai_like import OpenAILike

    importlib.import_module("openai.resources.chat")  # else the first call would import it, in the server's time
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if settings.kind == "openai" and not key:
        raise ModelRejected(
            "OPENAI_API_KEY is not set; set it, or use --config local-llm or the default without a model"
        )
    timeout = httpx.Timeout(settings.timeout, connect=min(10.0, settings.timeout))
    given: dict[str, Any] = {
        "model": settings.model,
        "temperature": settings.temperature,
        "max_tokens": settings.max_tokens,
        "max_retries": 0,
        "timeout": settings.timeout,
        "api_key": key or "none",
        "api_base": settings.base_url or os.environ.get("OPENAI_BASE_URL") or None,
        "http_client": connections.client(timeout),
        "additional_kwargs": {"stream_options": {"include_usage": True}},
    }
    if settings.kind == "openai" and _known(settings.model):
        return OpenAI(**given)
    return OpenAILike(**given, is_chat_model=True, context_window=settings.context_window)


def _known(model: str) -> bool:
    """Whether LlamaIndex's OpenAI class knows the model; it refuses names that are not OpenAI's."""
    from llama_index.llms.openai.utils import openai_modelname_to_contextsize

    try:
        return openai_modelname_to_contextsize(model) > 0
    except ValueError:
        return False


def _note(raw: Any, reply: Reply) -> None:
    """Keep the finish reason and the token counts of a chunk, where it has them."""
    choices = getattr(raw, "choices", None)
    if choices and choices[0].finish_reason:
        reply.finish = str(choices[0].finish_reason)
    usage = getattr(raw, "usage", None)
    prompt, completion = getattr(usage, "prompt_tokens", None), getattr(usage, "completion_tokens", None)
    if _is_count(prompt) and _is_count(completion):  # servers leave one out, or send null
        reply.usage.update(prompt=int(prompt), completion=int(completion))


def _is_count(told: Any) -> TypeGuard[int]:
    return isinstance(told, int) and not isinstance(told, bool) and 0 <= told < _MOST_TOKENS


def _counts(reply: Reply) -> dict[str, str | int]:
    """What is known of a call, by the names that OpenTelemetry gives it."""
    tokens = {"gen_ai.usage.input_tokens": "prompt", "gen_ai.usage.output_tokens": "completion"}
    counts: dict[str, str | int] = {name: reply.usage[key] for name, key in tokens.items() if key in reply.usage}
    return counts | ({"finish_reason": reply.finish} if reply.finish else {})


def _is_whole(call: Call, reply: Reply) -> bool:
    """Whether all of an answer is there, and only its counts may be missing."""
    return bool(reply.finish and call.said)


def _judge(call: Call, reply: Reply, settings: LLMSettings, stop: Stop) -> None:
    """Raise where a stream that ended without an error is no answer all the same."""
    where, said = _where(settings), "".join(call.said)
    if stop.is_set:
        raise ModelUnavailable("stopped")
    if call.lost:
        raise _TimedOut(f"{where} sent nothing more for too long (llm.timeout is {settings.timeout:g} s)")
    if reply.finish == "content_filter":
        raise ModelRejected(f"{where} refused to answer (content filter)")
    if not said.strip():
        raise ModelUnavailable(f"{where} sent an empty answer")
    if reply.finish is None and not _ENDED.search(said):
        raise ModelUnavailable(f"{where} cut the answer off")


def _mapped(error: Exception, settings: LLMSettings, watchdog: Watchdog, stop: Stop) -> ModelError:
    """Any library's exception as one of ours: one line, without the key."""
    import httpx
    import openai

    where = _where(settings)
    if stop.is_set:
        return ModelUnavailable("stopped")
    if watchdog.expired or isinstance(error, openai.APITimeoutError | httpx.TimeoutException):
        return _TimedOut(f"{where} did not answer in time (llm.timeout is {settings.timeout:g} s)")
    if isinstance(error, openai.APIStatusError):
        return _status(error, settings, where)
    if isinstance(error, openai.APIConnectionError | httpx.ConnectError):
        return ModelUnavailable(f"{where} cannot be reached; is the server running?")
    if isinstance(error, httpx.HTTPError):
        return ModelUnavailable(f"{where} broke the connection")
    return ModelUnavailable(
        f"{where} sent something that is no answer ({redacted(str(error)) or type(error).__name__})"
    )


def _status(error: Any, settings: LLMSettings, where: str) -> ModelError:
    code = int(error.status_code)
    detail = redacted(str(error.message))
    if code in {401, 403}:
        return ModelRejected(f"{where} refused the key (HTTP {code}); check OPENAI_API_KEY")
    if code == 404:
        return ModelRejected(f"{where} knows no model {settings.model!r} or has no such address (HTTP 404)")
    if code in {408, 409, 425, 429} or code >= 500:
        asked = asked_seconds(error.response.headers.get("retry-after"))
        return ModelUnavailable(f"{where} is overloaded or failing (HTTP {code})", asked)
    return ModelRejected(f"{where} rejected the request (HTTP {code}): {detail}")


def _where(settings: LLMSettings) -> str:
    address = settings.base_url or os.environ.get("OPENAI_BASE_URL")
    host = re.sub(r"^\w+://(?:[^@/]*@)?|/.*$", "", address) if address else "api.openai.com"
    return f"the model's server {host}"
