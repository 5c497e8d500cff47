"""Filters as SQL over the catalog's narrow table."""
# ruff: noqa: S608 - statements are made of constants; values are bound.

from __future__ import annotations

import calendar
from typing import Any

from rag.answers import Filters
from rag.stores.rows import folded

Clause = tuple[str, list[Any]]


def where(filters: Filters) -> Clause:
    """A condition on `papers` and its parameters; "TRUE" when every paper passes.

    A date known only to the month or year passes when any of its days would.
    """
    clauses = [*_numbers(filters), *_dates(filters), *_names(filters), *_ids(filters)]
    if not clauses:
        return "TRUE", []
    return " AND ".join(text for text, _ in clauses), [value for _, values in clauses for value in values]


def day_range(date: str | None, year: int | None) -> tuple[str | None, str | None]:
    """First and last ISO day that a cut ISO date (else a year) may mean; None where no year is known.

    >>> day_range("2024-02", 2024), day_range("--03-11", None), day_range(None, 1999)
    (('2024-02-01', '2024-02-29'), (None, None), ('1999-01-01', '1999-12-31'))
    """
    if date and date.startswith("--"):
        date = f"{year:04}{date[1:]}" if year else None
    date = date or (f"{year:04}" if year else None)
    if date is None:
        return None, None
    if len(date) == 4:
        return f"{date}-01-01", f"{date}-12-31"
    if len(date) == 7:
        return f"{date}-01", f"{date}-{_last_day(date):02}"
    return date, date


def _last_day(month: str) -> int:
    year, number = int(month[:4]), int(month[5:])
    return calendar.monthrange(year, number)[1] if year and 1 <= number <= 12 else 31


def _numbers(filters: Filters) -> list[Clause]:
    clauses: list[Clause] = []
    if filters.year_from is not None:
        clauses.append(("year >= ?", [filters.year_from]))
    if filters.year_to is not None:
        clauses.append(("year <= ?", [filters.year_to]))
    if filters.has_code is not None:
        clauses.append(("has_code = ?", [int(filters.has_code)]))
    return clauses


def _dates(filters: Filters) -> list[Clause]:
    clauses: list[Clause] = []
    if filters.date_from:
        clauses.append(("last_day >= ?", [day_range(filters.date_from, None)[0] or filters.date_from]))
    if filters.date_to:
        clauses.append(("first_day <= ?", [day_range(filters.date_to, None)[1] or filters.date_to]))
    return clauses


def _names(filters: Filters) -> list[Clause]:
    clauses = [
        _any("instr(folded_venue, ?) > 0", filters.venues),
        _any("instr(folded_authors, ?) > 0", filters.authors),
        _any("instr(lower(path), ?) > 0", filters.sources),
    ]
    if (source := clauses[2]) is not None:
        inner = f"SELECT pk FROM sources WHERE {source[0]}"
        clauses[2] = (f"pk IN (SELECT paper FROM records WHERE source IN ({inner}))", source[1])
    return [clause for clause in clauses if clause is not None]


def _any(condition: str, names: tuple[str, ...]) -> Clause | None:
    if not names:
        return None
    return f"({' OR '.join([condition] * len(names))})", [folded(name) for name in names]


def _ids(filters: Filters) -> list[Clause]:
    clauses: list[Clause] = []
    if filters.only:
        clauses.append(("id = ANY(?)", [list(filters.only)]))
    if filters.exclude:
        clauses.append(("id <> ALL(?)", [list(filters.exclude)]))
    return clauses
