"""Reads CSV and TSV, with recognised or declared columns; one broken row never costs its neighbours."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rag.errors import InputError
from rag.papers import Record, Reject, SourceRef
from rag.parsers.base import MAX_ABSTRACT
from rag.parsers.clean import tidy
from rag.parsers.fields import assign, field_of
from rag.parsers.reading import Line, Source
from rag.parsers.records import build

_MAX_ROW = 2 * MAX_ABSTRACT
_MAX_ROW_LINES = 2_000
DELIMITERS = ",;\t|"
# The Web of Science heads its columns with tags: "DA" is the day of the export, "ID" more keywords.
_WOS_COLUMNS = {"AF": "author full names", "DE": "keywords", "PD": "date", "DA": "", "UT": "id", "ID": ""}
_ENOUGH_WORDS = 8
Columns = Mapping[str, str | int]
Places = tuple[tuple[int, str], ...]


class _TooLong(Exception):
    """A quoted field that does not end within a row's limits."""


def read_csv(source: Source, columns: Columns) -> Iterator[Record | Reject]:
    """Comma-, semicolon- or pipe-separated values; the delimiter is taken from the first lines."""
    return _read(source, columns, sniff(source.sample()))


def read_tsv(source: Source, columns: Columns) -> Iterator[Record | Reject]:
    """Tab-separated values."""
    return _read(source, columns, "\t")


def check_csv(source: Source, columns: Columns) -> None:
    """Raises InputError when the header has no title and no abstract, or not the declared columns."""
    _check_header(source, columns, sniff(source.sample()))


def check_tsv(source: Source, columns: Columns) -> None:
    """As `check_csv`, for tabs."""
    _check_header(source, columns, "\t")


def _check_header(source: Source, columns: Columns, delimiter: str) -> None:
    lines = (line + "\n" for line in source.sample().split("\n") if line.strip() and line[:4].lower() != "sep=")
    try:
        first = next(csv.reader(lines, delimiter=delimiter), [])
    except csv.Error as error:
        raise InputError(f"{source.name}: the header is not readable as CSV: {error}") from error
    _places(source, first, columns)


def sniff(sample: str) -> str:
    """The delimiter: of those that the first line holds, the one that gives the most recognised column names,
    then the most columns."""
    line = sample.partition("\n")[0]
    if line[:4].lower() == "sep=" and len(line) == 5:
        return line[4]
    return max(DELIMITERS, key=lambda mark: (len(_known(header(line, mark))), line.count(mark)))


def header(line: str, delimiter: str) -> tuple[str, ...]:
    """The cells of a header line."""
    try:
        return tuple(cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), []))
    except csv.Error:
        return ()


def _known(names: Sequence[str]) -> set[str]:
    return {found for name in names if len(name) < 60 and (found := field_of(name))}


def looks_like_table(sample: str) -> bool:
    """Whether the first line is a header with a title or an abstract and one more recognised column."""
    line = sample.partition("\n")[0]
    if len(line) > 4_000:
        return False
    names = header(line, sniff(sample))
    return len(names) > 1 and len(known := _known(names)) > 1 and bool(known & {"title", "abstract"})


@dataclass
class _Rows:
    """Rows of cells with the number of their first line; broken rows as Rejects."""

    source: Source
    delimiter: str
    expected: int = 0
    ahead: deque[Line] = field(default_factory=lambda: deque[Line]())

    def __iter__(self) -> Iterator[tuple[int, list[str]] | Reject]:
        lines = self.source.lines()
        while self.ahead or (line := next(lines, None)) is not None:
            first = self.ahead.popleft() if self.ahead else line  # pyright: ignore[reportPossiblyUnboundVariable]
            if first.text.strip():
                yield self._row(first, lines)

    def _row(self, first: Line, lines: Iterator[Line]) -> tuple[int, list[str]] | Reject:
        taken = [first]
        if '"' not in first.text:
            return self._checked(first.text.split(self.delimiter), taken)
        try:  # strict: a quote that swallowed other rows shows where it closes, in the middle of a cell
            cells = next(csv.reader(self._feed(taken, lines), delimiter=self.delimiter, strict=True))
        except (_TooLong, csv.Error):
            self.ahead.extendleft(reversed(taken[1:]))
            return self._alone(first)
        return self._checked(cells, taken)

    def _alone(self, line: Line) -> tuple[int, list[str]] | Reject:
        """A row with a stray quote, read leniently as the one line it is."""
        reader = csv.reader([line.text + "\n", "\n"], delimiter=self.delimiter)
        try:
            cells = next(reader)
        except csv.Error as error:
            return self.source.reject(line.number, f"not a row: {error}")
        if reader.line_num > 1:
            return self.source.reject(line.number, "a quote that is never closed")
        return self._checked(cells, [line])

    def _feed(self, taken: list[Line], lines: Iterator[Line]) -> Iterator[str]:
        size = 0
        yield taken[0].text + "\n"
        while True:
            line = self.ahead.popleft() if self.ahead else next(lines, None)
            if line is None:
                raise _TooLong
            taken.append(line)
            size += len(line.text)
            if size > _MAX_ROW or len(taken) > _MAX_ROW_LINES:
                raise _TooLong
            yield line.text + "\n"

    def _checked(self, cells: list[str], taken: list[Line]) -> tuple[int, list[str]] | Reject:
        if self.expected and len(cells) > self.expected and any(cell.strip() for cell in cells[self.expected :]):
            return self._give_back(taken, f"{len(cells)} columns where the header has {self.expected}")
        if self.expected and len(cells) < self.expected and len(taken) > 1:
            return self._give_back(taken, f"{len(cells)} columns where the header has {self.expected}")
        return taken[0].number, cells

    def _give_back(self, taken: list[Line], reason: str) -> Reject:
        self.ahead.extendleft(reversed(taken[1:]))
        return self.source.reject(taken[0].number, reason)


def _read(source: Source, columns: Columns, delimiter: str) -> Iterator[Record | Reject]:
    csv.field_size_limit(_MAX_ROW * 4)
    rows = _Rows(source, delimiter)
    stream = iter(rows)
    places: Places = ()
    count = 0
    for row in stream:
        if isinstance(row, Reject):
            yield row
            continue
        _, cells = row
        if not places:
            if cells[0][:4].lower() == "sep=":
                continue
            places, is_header = _places(source, cells, columns)
            rows.expected = len(cells)
            _warn_repeated(source, cells)
            if is_header:
                continue
        count += 1
        yield _record(source, row, places, rows.expected)
    if not count:
        yield source.reject(1, "a header and no rows")


def _is_whole(fields: Mapping[str, str], places: Places) -> bool:
    """Whether a row that is too short lacks only its last columns: its title and its abstract are there."""
    wanted = [name for _, name in places if name in ("title", "abstract")]
    return all(fields.get(name) for name in wanted) and fields.get("abstract", "").count(" ") >= _ENOUGH_WORDS


def _places(source: Source, cells: list[str], columns: Columns) -> tuple[Places, bool]:
    """Which cell means what, and whether this first row is a header."""
    names = _names(cells)
    numbered = {name: int(column) - 1 for name, column in columns.items() if str(column).isdigit()}
    if columns and len(numbered) == len(columns):
        _check(columns, [name for name, index in numbered.items() if not 0 <= index < len(names)], names, source)
        is_header = all(field_of(names[index]) for index in numbered.values())
        return tuple((index, name) for name, index in numbered.items()), is_header
    if columns:
        folded = [name.casefold() for name in names]
        wanted = {name: str(column).casefold().strip() for name, column in columns.items()}
        _check(columns, [name for name, column in wanted.items() if column not in folded], names, source)
        given = {folded.index(column): name for name, column in wanted.items()}
        rest = ((index, name) for index, name in assign(names) if index not in given and name not in wanted)
        return (*given.items(), *rest), True
    found = assign(names)
    if not {name for _, name in found} & {"title", "abstract"}:
        shown = ", ".join(name[:30] for name in names[:8])
        raise InputError(
            f"{source.name}: no column is called title or abstract (found: {shown});"
            " declare them, e.g. --column title=Headline, in Python columns={'title': 'Headline', 'abstract': 4}"
        )
    return found, True


def _names(cells: list[str]) -> tuple[str, ...]:
    names = tuple(tidy(cell).strip('"') for cell in cells)
    if {"PT", "AU", "TI"} <= set(names):
        return tuple(_WOS_COLUMNS.get(name, name) for name in names)
    return names


def _check(columns: Columns, missing: list[str], names: tuple[str, ...], source: Source) -> None:
    if missing:
        shown = ", ".join(name[:30] for name in names[:12])
        raise InputError(f"{source.name} has no column {columns[missing[0]]!r}; its columns: {shown}")


def _warn_repeated(source: Source, names: Sequence[str]) -> None:
    repeated = {name for name in names if name and names.count(name) > 1}
    if repeated:
        source.notice(1, f"column {sorted(repeated)[0]!r} appears more than once: the first is used")


def _record(source: Source, row: tuple[int, list[str]], places: Places, expected: int) -> Record | Reject:
    number, cells = row
    fields = {name: cells[index] for index, name in places if index < len(cells)}
    if len(cells) < expected and not _is_whole(fields, places):
        return source.reject(number, f"{len(cells)} columns where the header has {expected}")
    return build(fields, SourceRef(source.name, number), markup=True)
