"""The catalog and the readers of one library, kept up with what this and other processes write."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rag.assemble import Readers, open_readers
from rag.errors import CitewiseError, LibraryError, UsageError
from rag.library_parts import open_catalog
from rag.settings import Settings
from rag.spending import Tally

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

    from rag.stores.catalog import Catalog

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 2.0
"""How long a question waits for what others wrote, where there is something older to answer it from."""


class Latest:
    """What is to be read of the library in a folder, opened when first asked for. Safe for many threads.

    `session` gives the tally of the model's calls. Once closed, everything raises LibraryError.
    """

    def __init__(self, folder: Path, settings: Settings, session: Callable[[], Tally]) -> None:
        self._folder = folder
        self._settings = settings
        self._session = session
        self._opening = threading.Lock()
        self._closed = threading.Event()
        self._opened: Catalog | None = None
        self._readers: Readers | None = None
        self._background: ThreadPoolExecutor | None = None
        self._catching_up: Future[Readers] | None = None
        self._follower: threading.Thread | None = None

    def catalog(self) -> Catalog:
        """The catalog; raises UsageError where there is no library yet."""
        with self._opening:
            self._check_open()
            if self._opened is None:
                self._opened = open_catalog(self._folder, self._settings.catalog)
            return self._opened

    def readers(self) -> Readers:
        """Readers of the library as it is now: opened anew when its generation has moved. Raises as `open_readers`."""
        catalog = self.catalog()
        readers, generation = self._readers, catalog.generation()
        if readers and readers.generation == generation:
            return readers
        if self._settings.catalog.kind == "postgres":
            return self._caught_up(catalog, readers)
        with self._opening:
            self._check_open()
            if self._readers is None or self._readers.generation < generation:
                return self._reopened(catalog)
            return self._readers

    def follow(self, seconds: float) -> None:
        """From now on look every so many seconds for what others wrote, and catch up with it before anybody asks.

        Where the catalog is in the folder, or with 0, there is nothing to do beforehand. While the database or a server
        is away it goes on looking.
        """
        if self._settings.catalog.kind == "postgres" and seconds and self._follower is None:
            # A daemon: what it has done is done by the executor, which no exit cuts off.
            self._follower = threading.Thread(target=self._follow, args=(seconds,), name="citewise-follow", daemon=True)
            self._follower.start()

    def close(self) -> None:
        """Release the indexes and the catalog, after what is being caught up with."""
        self._closed.set()
        if self._follower:
            self._follower.join()
        with self._opening:
            background, self._background = self._background, None
        if background:
            background.shutdown()
        with self._opening:
            readers, self._readers = self._readers, None
            catalog, self._opened = self._opened, None
        if readers:
            readers.close()
        if catalog:
            catalog.close()

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise LibraryError(f"the library in {self._folder} was closed")

    def _follow(self, seconds: float) -> None:
        failed = ""
        while not self._closed.wait(seconds):
            try:
                self.readers()
                failed = ""
            except UsageError:
                failed = ""  # no papers yet
            except CitewiseError as error:
                if str(error) != failed and not self._closed.is_set():  # once, not every second
                    logger.warning("not caught up: %s", error)
                failed = str(error)

    def _caught_up(self, catalog: Catalog, readers: Readers | None) -> Readers:
        """Others may have written much: a question waits a little for it, and is then answered from what there is."""
        from concurrent.futures import ThreadPoolExecutor

        with self._opening:
            self._check_open()
            if self._background is None:
                self._background = ThreadPoolExecutor(1, "citewise-catch-up")
            if self._catching_up is None or self._catching_up.done():
                self._catching_up = self._background.submit(self._reopened, catalog)
            catching_up = self._catching_up
        try:
            return catching_up.result(_PATIENCE_SECONDS if readers else None)
        except TimeoutError:
            return readers or catching_up.result()

    def _reopened(self, catalog: Catalog) -> Readers:
        self._readers = open_readers(
            self._folder, self._settings, catalog, previous=self._readers, session=self._session()
        )
        return self._readers
