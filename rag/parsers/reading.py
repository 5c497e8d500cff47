"""Opens any input as a stream of lines or text, in memory that does not grow with the input."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from rag.errors import InputError
from rag.papers import Reject
from rag.parsers.base import MAX_RECORD, Notice

SAMPLE = 64 * 1024
_BLOCK = 256 * 1024
_BOMB_RATIO = 200
_BOMB_FREE = 64 * 1024 * 1024
_MAGIC = {
    b"%PDF": "a PDF: export its metadata or paste its abstract instead",
    b"PK\x03\x04": "a zip archive or office document: unpack it or export it as CSV",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"BZh": "a bzip2 archive: unpack it first",
    b"\xfd7zXZ": "an xz archive: unpack it first",
    b"(\xb5/\xfd": "a zstd archive: unpack it first",
    b"7z\xbc\xaf": "a 7z archive: unpack it first",
    b"SQLite format 3": "a SQLite database: export a table as CSV",
    b"PAR1": "a Parquet file: export it as JSON Lines or CSV",
}
_WRONG_CONTROLS = bytes(code for code in range(32) if code not in (9, 10, 12, 13, 27)) + b"\x7f"


class Line(NamedTuple):
    """One line without its line break, and its number from 1."""

    number: int
    text: str


class LineSource(Protocol):
    """Numbered lines of one input; see `Source`."""

    name: str

    def lines(self) -> Iterator[Line]:
        """Each line, in order."""
        ...

    def reject(self, line: int, reason: str) -> Reject:
        """A Reject of this input."""
        ...

    def drain(self) -> list[Notice | Reject]:
        """What reading had to say since the last call."""
        ...


class Source:
    """One input. `events` collects what reading itself has to say; the caller takes it with `drain`.

    Lines are decoded one by one: a line that is not UTF-8 is read as Windows-1252 (a superset of Latin-1)
    and said so once, so a file of mixed encodings loses nothing.
    """

    def __init__(self, name: str, opener: Callable[[], BinaryIO], total: int | None = None) -> None:
        self.name = name
        self.bytes_total = total
        self._opener = opener
        self._raw: BinaryIO | None = None
        self.events: list[Notice | Reject] = []
        self._said: set[str] = set()
        self._sample = self._peek()
        self._encoding = _encoding(self._sample)
        self._lone_returns = b"\r" in self._sample and b"\n" not in self._sample

    @classmethod
    def from_path(cls, path: Path, name: str) -> Source:
        """Raises InputError for what cannot be opened or is not text."""
        try:
            source = cls(name, lambda: path.open("rb"), path.stat().st_size)
        except OSError as error:
            raise InputError(f"cannot read {name}: {(error.strerror or str(error)).lower()}") from error
        return source

    @classmethod
    def from_text(cls, text: str, name: str) -> Source:
        """Text that is in memory already, under the name that Records will give as their source."""
        content = text.encode("utf-8", "replace")
        return cls(name, lambda: io.BytesIO(content), len(content))

    @property
    def bytes_read(self) -> int:
        """Bytes of the file itself (packed bytes of a .gz) that were read so far."""
        if self._raw is None:
            return 0
        return (self.bytes_total or 0) if self._raw.closed else self._raw.tell()

    def sample(self) -> str:
        """The first 64 KiB as text, for detection; the last line of it may be cut."""
        text = self._sample.decode(self._encoding or "utf-8", "replace")
        return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")

    def content(self, most: int) -> bytes | None:
        """The input as it is, packed where it is packed; None for one of more bytes, or that cannot be read at once."""
        if self.bytes_total is None or self.bytes_total > most:
            return None
        try:
            with self._opener() as self._raw:
                content = self._raw.read(most + 1)
        except OSError:
            return None
        return content if len(content) <= most else None

    def notice(self, line: int, message: str) -> None:
        """Say something once an input."""
        if message not in self._said:
            self._said.add(message)
            self.events.append(Notice(self.name, line, message))

    def reject(self, line: int, reason: str) -> Reject:
        """A Reject of this input."""
        return Reject(self.name, line, reason)

    def drain(self) -> list[Notice | Reject]:
        """The events since the last call, in order; they are handed over."""
        events, self.events = self.events, []
        return events

    def lines(self, limit: int = MAX_RECORD) -> Iterator[Line]:
        """Lines in order; one longer than `limit` bytes is rejected and skipped without being held."""
        number = 0
        for number, raw in enumerate(self._raw_lines(limit), 1):
            if raw is None:
                self.events.append(self.reject(number, f"a line of more than {limit // 2**20} MiB"))
                continue
            yield Line(number, self._text(raw, number))

    def chunks(self) -> Iterator[str]:
        """The text in pieces of about 256 KiB, whatever its lines are."""
        decoder = codecs.getincrementaldecoder("utf-8")("strict")
        latin = False
        for block in self._blocks():
            if not latin:
                held = decoder.getstate()[0]
                try:
                    yield self._without_nulls(decoder.decode(block), 1)
                    continue
                except UnicodeDecodeError:
                    latin, block = True, held + block
                    self.notice(1, "not UTF-8: read as Latin-1 (Windows-1252) from the first wrong byte's block on")
            yield self._without_nulls(_as_windows(block), 1)
        if not latin and (held := decoder.getstate()[0]):
            yield _as_windows(held)

    def _peek(self) -> bytes:
        with self._opener() as raw:
            start = raw.read(SAMPLE)
        if not start:
            raise InputError(f"{self.name} is empty")
        if start[:2] == b"\x1f\x8b":
            start = _unpacked(start, self.name)
        for magic, what in _MAGIC.items():
            if start.startswith(magic):
                raise InputError(f"{self.name} is {what}")
        encoding = _encoding(start)
        plain = start if encoding is None else start.decode(encoding, "replace").encode("utf-8")
        wrong = len(plain) - len(plain.translate(None, _WRONG_CONTROLS))
        if wrong * 20 > len(plain):
            raise InputError(f"{self.name} is not text: Citewise reads text, CSV, JSON, BibTeX, RIS and Atom")
        if not plain.strip(b" \t\r\n\x00\xef\xbb\xbf"):
            raise InputError(f"{self.name} holds only white space")
        return start

    def _blocks(self) -> Iterator[bytes]:
        """The content unpacked, without byte order mark, as UTF-8, with \\n line breaks where it had lone \\r."""
        decoder = codecs.getincrementaldecoder(self._encoding)("replace") if self._encoding else None
        first = True
        for block in self._unpacked_blocks():
            if decoder is not None:
                block = decoder.decode(block).encode("utf-8", "replace")
            if first:
                block = block.removeprefix(codecs.BOM_UTF8)
                first = False
            yield block.replace(b"\r", b"\n") if self._lone_returns else block

    def _unpacked_blocks(self) -> Iterator[bytes]:
        with self._opener() as raw:
            self._raw = raw
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            stream = gzip.GzipFile(fileobj=raw, mode="rb") if packed else raw
            given = 0
            while block := self._next_block(stream):
                given += len(block)
                yield block
                if packed and given > _BOMB_FREE and given > _BOMB_RATIO * max(raw.tell(), 1):
                    self.events.append(self.reject(1, f"unpacks to more than {_BOMB_RATIO} times its size: stopped"))
                    return

    def _next_block(self, stream: BinaryIO | gzip.GzipFile) -> bytes:
        try:
            return stream.read1(_BLOCK) if isinstance(stream, gzip.GzipFile) else stream.read(_BLOCK)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            self.events.append(self.reject(1, f"the gzip file is damaged or cut short ({error}); read up to there"))
        except OSError as error:
            self.events.append(self.reject(1, f"reading stopped: {error.strerror or error}"))
        return b""

    def _raw_lines(self, limit: int) -> Iterator[bytes | None]:
        held: list[bytes] = []
        size = 0
        for block in self._blocks():
            head, newline, rest = block.partition(b"\n")
            size += len(head)
            if size <= limit:
                held.append(head)
            if not newline:
                continue
            yield b"".join(held) if size <= limit else None
            *whole, last = rest.split(b"\n")
            yield from whole
            held, size = [last], len(last)
        if size:
            yield b"".join(held) if size <= limit else None

    def _text(self, raw: bytes, number: int) -> str:
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            self.notice(number, "not UTF-8: such lines are read as Latin-1 (Windows-1252)")
            text = _as_windows(raw)
        return self._without_nulls(text.removesuffix("\r"), number)

    def _without_nulls(self, text: str, number: int) -> str:
        if "\x00" in text:
            self.notice(number, "NUL characters were dropped")
            return text.replace("\x00", "")
        return text


def _as_windows(raw: bytes) -> str:
    """Windows-1252, with its five undefined bytes read as Latin-1 control characters are: dropped later."""
    try:
        return raw.decode("cp1252")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _encoding(start: bytes) -> str | None:
    """A UTF-16 codec by byte order mark or by its pattern of NULs; None means UTF-8 until a line is not."""
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    even, odd = start[0:4096:2], start[1:4096:2]
    if len(odd) > 8 and odd.count(0) * 10 > len(odd) * 7 and not even.count(0):
        return "utf-16-le"
    if len(even) > 8 and even.count(0) * 10 > len(even) * 7 and not odd.count(0):
        return "utf-16-be"
    return None


def _unpacked(start: bytes, name: str) -> bytes:
    try:
        text = zlib.decompressobj(wbits=31).decompress(start, SAMPLE)
    except zlib.error as error:
        raise InputError(f"{name} is a damaged gzip file: {error}") from error
    if not text:
        raise InputError(f"{name} is empty or a cut gzip file")
    return text
