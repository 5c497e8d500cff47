"""Which paper of the library each record read belongs to: new, unchanged, edited, or another's duplicate."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from rag.dedupe import Identity, contradicts, same_paper
from rag.folding import fold, numbered_id, proposed_id
from rag.hashing import hashed, title_key
from rag.papers import Paper, Passage, Record
from rag.sketches import CROWDED, Keymaker
from rag.stores.drafts import Draft, IndexJob, Known, StoredRecord
from rag.stores.journal import Journal
from rag.stores.rows import record_hash, record_json

_AT_ONCE = 1024
_COMPARED = 32
"""Records of one paper that a new one is compared with; a paper in more files than this is known well enough."""

Kind = Literal["added", "updated", "unchanged", "duplicate"]

_STRONGEST_FIRST = (
    "same DOI",
    "same arXiv id",
    "same title and similar abstract",
    "same title and id",
    "same abstract",
    "similar title and abstract",
    "near-duplicate abstract",
    "same title",
)


class Outcome(NamedTuple):
    """What became of one record; `reason` says why it was taken for a paper that was there already."""

    kind: Kind
    record: Record
    paper_id: str | None = None
    reason: str | None = None


class Reading(NamedTuple):
    """A record as read, in the form that is stored, with its hash, and its keys where they are known already."""

    record: Record
    data: str
    hash: int
    keys: tuple[int, ...] | None = None

    @classmethod
    def of(cls, record: Record) -> Reading:
        """The record with its stored form."""
        data = record_json(record)
        return cls(record, data, record_hash(data, record.abstract))


class SourceState:
    """What a source held when it was last read, and which of it has been seen again in this reading."""

    def __init__(self, key: int, known: Iterable[Known]) -> None:
        self.key = key
        self.deferred: list[StoredRecord] = []
        self._by_pk = {item.pk: item for item in known}
        self._by_hash: defaultdict[int, deque[Known]] = defaultdict(deque)
        self._by_key: defaultdict[int, list[Known]] = defaultdict(list)
        for item in self._by_pk.values():
            self._by_hash[item.hash].append(item)
            for name in (item.external_key, item.title_key):
                if name is not None:
                    self._by_key[name].append(item)

    def take(self, record_hash: int) -> Known | None:
        """The stored record with this hash, if it was not yet seen again."""
        waiting = self._by_hash.get(record_hash)
        while waiting:
            if (item := waiting.popleft()).pk in self._by_pk:
                return self._by_pk.pop(item.pk)
        return None

    def spend(self, pk: int) -> None:
        """Note that a stored record was replaced."""
        self._by_pk.pop(pk, None)

    def unseen(self) -> list[Known]:
        """Stored records that have not been seen again."""
        return list(self._by_pk.values())

    def is_unseen(self, pk: int | None) -> bool:
        """Whether a stored record of this source has not been seen again."""
        return pk in self._by_pk

    def earlier_self(self, record: Record) -> Known | None:
        """An unseen record with the same identifier, else the same title: what this one may be an edit of."""
        if not self._by_pk:
            return None
        names = (_external_key(record), title_key(record.title))
        found = (item for name in names if name is not None for item in self._by_key.get(name, ()))
        return next((item for item in found if item.pk in self._by_pk), None)


@dataclass(slots=True, eq=False)
class _Paper:
    """A paper that records may join, with the comparable form of its records."""

    draft: Draft
    identities: list[Identity]
    changed: bool = False

    @classmethod
    def of(cls, draft: Draft) -> _Paper:
        return cls(draft, [Identity(item.record) for item in draft.records])

    def reason(self, identity: Identity) -> str | None:
        """Why a record is this paper; None when it is not like it, or when any of its records speaks against it."""
        compared = self.identities[:_COMPARED]
        reasons = [reason for other in compared if (reason := same_paper(identity, other))]
        if not reasons:
            return None
        reason = min(reasons, key=_STRONGEST_FIRST.index)
        sure = reason in _STRONGEST_FIRST[:2]
        return reason if sure or not any(contradicts(identity, other) for other in compared) else None

    def takes(self, identity: Identity) -> bool:
        """Whether an edited record may stay with the others."""
        same = any(identity.title and identity.title == other.title for other in self.identities)
        return not self.identities or same or self.reason(identity) is not None

    def unseen_of(self, state: SourceState) -> int | None:
        """A record of this paper that its source held before and has not shown again."""
        return next((item.pk for item in self.draft.records if state.is_unseen(item.pk)), None)

    def join(self, item: StoredRecord, identity: Identity) -> None:
        self.draft.records.append(item)
        self.identities.append(identity)
        self.changed = True

    def holds(self, pk: int) -> bool:
        """Whether a record is still the paper's: another writer may have removed it."""
        return any(item.pk == pk for item in self.draft.records)

    def drop(self, pk: int) -> StoredRecord:
        at = next(at for at, item in enumerate(self.draft.records) if item.pk == pk)
        self.identities.pop(at)
        item = self.draft.records.pop(at)
        self.draft.dropped.append(item)
        self.changed = True
        return item


class _Match(NamedTuple):
    paper: _Paper
    reason: str


@dataclass(slots=True)
class _Batch:
    """The papers that a batch of records may concern: those of the library, and those the batch makes."""

    taken: set[str]
    papers: list[_Paper] = field(default_factory=list[_Paper])
    by_pk: dict[int, _Paper] = field(default_factory=dict[int, _Paper])
    by_key: dict[int, list[_Paper]] = field(default_factory=dict[int, list[_Paper]])

    def enter(self, paper: _Paper, keys: Iterable[int]) -> None:
        """Let later records of the batch find the paper by these keys."""
        for key in keys:
            if paper not in (entered := self.by_key.setdefault(key, [])):
                entered.append(paper)

    def match(self, identity: Identity, keys: Iterable[int]) -> _Match | None:
        """The paper that a record belongs to for the strongest reason; of equals the first."""
        near = dict.fromkeys(
            paper for key in keys for paper in self.by_key.get(key, ())[:CROWDED] if paper.draft.records
        )
        found = [_Match(paper, reason) for paper in near if (reason := paper.reason(identity))]
        return min(found, key=lambda match: _STRONGEST_FIRST.index(match.reason), default=None)


class Merger:
    """Decides and writes batch by batch, so that memory does not grow with a source."""

    def __init__(self, journal: Journal, chunk: Callable[[Paper], list[Passage]]) -> None:
        self._journal = journal
        self._chunk = chunk
        self._keymaker = Keymaker()

    def merge(self, readings: Sequence[Reading], state: SourceState) -> tuple[list[Outcome], IndexJob]:
        """Take in records that their source did not hold before. Possible edits wait for `finish`."""
        items = [
            StoredRecord(reading.record, state.key, keys, None, reading.data, reading.hash)
            for reading, keys in zip(readings, self._keys(readings), strict=True)
        ]
        with self._journal.deciding():
            batch = self._batch(items)
            outcomes = [outcome for item in items if (outcome := self._place(item, batch, state))]
            return outcomes, self._write(batch)

    def finish(self, state: SourceState) -> Iterator[tuple[list[Outcome], IndexJob]]:
        """At the end of a source: records whose earlier self is gone replace it, the others join as usual."""
        while state.deferred:
            items, state.deferred = state.deferred[:_AT_ONCE], state.deferred[_AT_ONCE:]
            earlier = [state.earlier_self(item.record) for item in items]
            with self._journal.deciding():
                batch = self._batch(items, also={found.paper for found in earlier if found})
                outcomes = [self._edit(item, batch, state) for item in items]
                job = self._write(batch)
            yield outcomes, job

    def forget(self, records: Iterable[tuple[int, int]]) -> Iterator[tuple[int, IndexJob]]:
        """Remove records, given as (record, paper), and the papers left without any: how many those are, by batch."""
        gone: defaultdict[int, list[int]] = defaultdict(list)
        for record, paper in records:
            gone[paper].append(record)
        papers = sorted(gone)
        for start in range(0, len(papers), _AT_ONCE):
            with self._journal.deciding():
                batch = self._batch([], also=papers[start : start + _AT_ONCE])
                for paper in batch.papers:
                    for pk in filter(paper.holds, gone[paper.draft.pk or 0]):
                        paper.drop(pk)
                job = self._write(batch)
            yield sum(not paper.draft.records for paper in batch.papers), job

    def _keys(self, readings: Sequence[Reading]) -> Iterator[tuple[int, ...]]:
        made = iter(self._keymaker.keys([reading.record for reading in readings if reading.keys is None]))
        for reading in readings:
            yield next(made).all() if reading.keys is None else reading.keys

    def _batch(self, items: Sequence[StoredRecord], also: Iterable[int] = ()) -> _Batch:
        keys = {key for item in items for key in item.keys}
        found = {key: pks for key, pks in self._journal.candidates(keys).items() if len(pks) <= CROWDED}
        wanted = sorted({pk for pks in found.values() for pk in pks}.union(also))
        batch = _Batch(taken=self._journal.taken_ids(proposed_id(item.record) for item in items))
        for pk, draft in self._journal.drafts(wanted).items():
            batch.by_pk[pk] = paper = _Paper.of(draft)
            batch.papers.append(paper)
        for key, pks in found.items():
            batch.by_key[key] = [batch.by_pk[pk] for pk in pks]
        return batch

    def _place(self, item: StoredRecord, batch: _Batch, state: SourceState) -> Outcome | None:
        """Where a record goes, or None when it may be an edit, which only the end of its source can tell."""
        identity = Identity(item.record)
        match = batch.match(identity, item.keys)
        if state.earlier_self(item.record) or (match and match.paper.unseen_of(state)):
            state.deferred.append(item)
            return None
        return self._admit(item, identity, batch, match)

    def _edit(self, item: StoredRecord, batch: _Batch, state: SourceState) -> Outcome:
        identity = Identity(item.record)
        match = batch.match(identity, item.keys)
        earlier = state.earlier_self(item.record)
        pk = earlier.pk if earlier else match and match.paper.unseen_of(state)
        paper = batch.by_pk.get(earlier.paper) if earlier else match and match.paper
        if pk is None or paper is None or not paper.holds(pk):
            return self._admit(item, identity, batch, match)
        state.spend(pk)
        old = paper.drop(pk)
        if not paper.takes(identity):  # what is left there is another paper: the edit made this one its own
            return self._admit(item, identity, batch, batch.match(identity, item.keys))
        paper.join(replace(item, reason=old.reason), identity)
        batch.enter(paper, item.keys)
        return Outcome("updated", item.record, paper.draft.id)

    def _admit(self, item: StoredRecord, identity: Identity, batch: _Batch, match: _Match | None) -> Outcome:
        if match:
            match.paper.join(replace(item, reason=match.reason), identity)
            batch.enter(match.paper, item.keys)
            return Outcome("duplicate", item.record, match.paper.draft.id, match.reason)
        paper = _Paper(Draft(self._free_id(item.record, batch), []), [])
        paper.join(item, identity)
        batch.papers.append(paper)
        batch.enter(paper, item.keys)
        return Outcome("added", item.record, paper.draft.id)

    def _free_id(self, record: Record, batch: _Batch) -> str:
        proposed, number = proposed_id(record), 1
        while (candidate := numbered_id(proposed, number)) in batch.taken or (
            number > 1 and self._journal.taken_ids([candidate])
        ):
            number += 1
        batch.taken.add(candidate)
        return candidate

    def _write(self, batch: _Batch) -> IndexJob:
        drafts = [paper.draft for paper in batch.papers if paper.changed]
        for draft in drafts:
            if draft.records:
                draft.paper = fold(draft.id, [item.record for item in draft.records])
                draft.passages = self._chunk(draft.paper)
        return self._journal.write(drafts)


def _external_key(record: Record) -> int | None:
    return hashed(f"id:{record.external_id}") if record.external_id else None
