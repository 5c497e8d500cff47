"""Every error that Citewise raises on purpose, and the exit code that each one means.

CitewiseError                     exit 1: something failed
├── UsageError                    exit 2: the request is wrong; the message says what to do
│   ├── InputError                a path, file or record that cannot be read
│   │   └── NothingRead           exit 1: an ingest of which no input could be read
│   ├── SettingsError             a settings file or value that is wrong
│   └── MissingExtra              an optional dependency is not installed
├── WorkersUnavailable            the Ray cluster of an ingest is away, or its workers died: worth another try
├── LibraryError                  a library on disk cannot be used
│   ├── LibraryLocked             another process is writing
│   ├── LibraryMismatch           the indexes were made with other settings: rebuild
│   ├── LibraryUnavailable        a server that holds a part does not answer: worth another try
│   ├── LibraryDamaged            a part is missing or unreadable: rebuild
│   └── DiskFull                  no room to write
└── ModelError                    a language or embedding model failed
    ├── ModelUnavailable          refused, timed out, overloaded: worth another try
    ├── ModelRejected             bad key, unknown model, bad request: needs the user
    └── CostLimit                 the call was not made: it could pass a limit in dollars
"""


class CitewiseError(Exception):
    """Base of all errors with a message fit for a user: one line, what is wrong and what to do."""

    exit_code = 1


class UsageError(CitewiseError):
    """The request cannot be carried out as given."""

    exit_code = 2


class InputError(UsageError):
    """A path, file or pasted text that cannot be read at all."""


class NothingRead(InputError):
    """An ingest found nothing that it could read: a failure of the inputs, not of how it was asked."""

    exit_code = 1


class SettingsError(UsageError):
    """A settings file or value that is wrong."""


class MissingExtra(UsageError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; in Citewise's folder run: .venv/bin/pip install -e '.[{extra}]'")


class WorkersUnavailable(CitewiseError):
    """The worker processes of an ingest cannot be reached, or died; what was read is kept, and another try goes on."""


class LibraryError(CitewiseError):
    """A library on disk cannot be used as it is."""


class LibraryLocked(LibraryError):
    """Another process holds the writer lock."""


class LibraryMismatch(LibraryError):
    """The indexes were made with other settings than the present ones."""


class LibraryDamaged(LibraryError):
    """A part of the library is missing or unreadable and can be rebuilt."""


class DiskFull(LibraryError):
    """There is no room to write what even opening a part of the library writes."""


class LibraryUnavailable(LibraryError):
    """A server that holds a part of the library does not answer; another try may work."""


class ModelError(CitewiseError):
    """A language or embedding model failed."""


class ModelUnavailable(ModelError):
    """The model's server refused, timed out or is overloaded; another try may work, after `retry_after` seconds where
    it said so."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ModelRejected(ModelError):
    """The model's server rejected the request (key, model name, size); the user must act."""


class CostLimit(ModelError):
    """A call was not made because it could pass a limit in dollars, or because its price is not known.

    `session`: no later call of the session will do better.
    """

    def __init__(self, message: str, *, session: bool = False) -> None:
        super().__init__(message)
        self.session = session
