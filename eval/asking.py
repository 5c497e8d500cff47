"""Asking a system every case: in order, resumable, failures kept as replies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from eval.case import Case
from eval.replies import ReplyLog, key_of
from eval.reply import Reply
from eval.systems import System
from rag.errors import CostLimit

Progress = Callable[[int, int], None]  # cases done, cases in all
Given, Made = TypeVar("Given"), TypeVar("Made")


def ask_all(
    system: System,
    cases: Sequence[Case],
    log: ReplyLog,
    *,
    jobs: int = 1,
    times: int = 1,
    progress: Progress | None = None,
) -> list[tuple[Reply, ...]]:
    """The replies to each case, `times` of them a case, asked round by round.

    Raises CostLimit when the next question could pass the session's limit; what was answered is in the log.
    """
    asked = [(case, repeat) for repeat in range(times) for case in cases]
    replies: list[Reply] = []
    with log:
        for reply in in_order(lambda item: _ask(system, *item, log), asked, jobs):
            replies.append(reply)
            if progress:
                progress(len(replies), len(asked))
    return [tuple(replies[place :: len(cases)]) for place in range(len(cases))]


def in_order(work: Callable[[Given], Made], items: Iterable[Given], jobs: int) -> Iterator[Made]:
    """What `work` makes of each item, `jobs` at a time. One job needs no thread: an interrupt then stops at once."""
    if jobs == 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        yield from pool.map(work, items)


def aliased(reply: Reply, aliases: Mapping[str, str]) -> Reply:
    """The reply with papers that share a title counted as one, as in the cases."""
    if not aliases:
        return reply

    def one(ids: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(aliases.get(paper, paper) for paper in ids))

    return replace(reply, retrieved=one(reply.retrieved), context=one(reply.context))


def _ask(system: System, case: Case, repeat: int, log: ReplyLog) -> Reply:
    key = key_of(system.fingerprint, case, repeat)
    known = log.get(key)
    if known:
        return known
    try:
        narrowed = {"filters": case.filters} if case.filters else {}
        reply = system.reply(case.question, case.history, **narrowed)
    except CostLimit:  # the other cases would fare no better, and a score without them would mislead
        raise
    except Exception as error:  # noqa: BLE001 - whatever a system under test raises is a result: a failed case
        return Reply(error=f"{type(error).__name__}: {' '.join(str(error).split())}")
    log.add(key, reply)
    return reply
