"""A run as JUnit XML: one test a case, one a gate condition."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

if TYPE_CHECKING:
    from eval.gates import GateResult
    from eval.outcome import Run

_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML 1.0 cannot hold


def junit(run: Run, gate: Sequence[GateResult] = ()) -> str:
    """Cases that were not handled rightly are failures when no gate is given; with one, only its conditions
    are: a gate says how many wrong cases are tolerable."""
    cases = [_case(run, row, strict=not gate) for row in run.rows]
    conditions = [
        _test("gate", item.condition.text, 0.0, None if item.passed else ("gate", str(item))) for item in gate
    ]
    tests = [*cases, *conditions]
    failures = sum("<failure" in test for test in tests)
    errors = sum("<error" in test for test in tests)
    head = f'<testsuite name={_attribute(run.name)} tests="{len(tests)}" failures="{failures}" errors="{errors}">'
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *tests, "</testsuite>", ""])


def _case(run: Run, row: dict[str, Any], *, strict: bool) -> str:
    name = f"{row['id']}: {row['question']}"
    seconds = run.seconds.get(row["id"], 0.0)
    if row["error"]:
        return _test("cases", name, seconds, ("error", row["error"]), tag="error")
    if row["measures"]["correct"] or not strict:
        return _test("cases", name, seconds, None)
    fault = row["diagnosis"] or {"stage": "answer", "why": "not right"}
    return _test("cases", name, seconds, (fault["stage"], f"{fault['why']}\n\n{row['text']}"))


def _test(group: str, name: str, seconds: float, fault: tuple[str, str] | None, *, tag: str = "failure") -> str:
    head = f'  <testcase classname={_attribute(group)} name={_attribute(name)} time="{seconds:.3f}"'
    if fault is None:
        return f"{head}/>"
    kind, why = fault
    message = why.splitlines()[0] if why else kind
    return (
        f"{head}>\n    <{tag} type={_attribute(kind)} message={_attribute(message)}>{escape(_clean(why))}</{tag}>\n"
        "  </testcase>"
    )


def _attribute(text: str) -> str:
    return quoteattr(" ".join(_clean(text).split()))


def _clean(text: str) -> str:
    return _FORBIDDEN.sub(" ", text)
