"""The language model, made when it is first asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rag.errors import ModelError

if TYPE_CHECKING:
    from rag.answerers.base import Draft, Request
    from rag.answerers.repair import Mended
    from rag.answers import Delta, Filters, Turn
    from rag.citations import DraftSentence
    from rag.connection import Stop
    from rag.conversation import Condensed
    from rag.llm import ChatModel
    from rag.settings import Settings
    from rag.spending import Tally


class LazyModel:
    """The model as answerer, mender and condenser, made when first asked: a search must not wait for LlamaIndex, nor
    fail for a key."""

    def __init__(self, settings: Settings, session: Tally | None) -> None:
        self._settings = settings
        self._session = session
        self._made: ChatModel | None = None
        self._making = threading.Lock()

    def write(self, request: Request) -> Iterator[Delta | Draft]:
        """See `ModelAnswerer`."""
        from rag.answerers.model import ModelAnswerer

        return ModelAnswerer(self.made(), max_sentences=self._settings.answer.max_sentences).write(request)

    def mend(self, request: Request, sentences: Sequence[DraftSentence], wrong: Sequence[int]) -> Mended:
        """See `ModelMender`."""
        from rag.answerers.repair import ModelMender

        return ModelMender(self.made()).mend(request, sentences, wrong)

    def condense(self, question: str, filters: Filters, history: Sequence[Turn], stop: Stop | None = None) -> Condensed:
        """See `by_model`; without a model to be had, `by_rules`."""
        from rag.conversation import by_rules
        from rag.rewriting import by_model

        if not history:
            return by_rules(question, filters, history)
        try:
            return by_model(self.made())(question, filters, history, stop)
        except ModelError:  # no key: what it means for the answer is said when that is written
            return by_rules(question, filters, history)

    def made(self) -> ChatModel:
        """The model itself."""
        from rag.llm import ChatModel

        with self._making:
            if self._made is None:
                prices, session = self._settings.prices, self._session
                self._made = ChatModel.from_settings(self._settings.llm, prices=prices, session=session)
            return self._made
