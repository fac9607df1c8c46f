"""Where calls that are under way place their releases: every plan counts it, long before the inventory can tell.

One row holds all of them and is written under its version: of two plans at once one is made anew, and knows the other.
An entry counts while its call's own row says that the call is not over; then the inventory has it, or nothing came of
it.  So none has to be taken back, and none outlasts its call, whoever dies.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import msgspec

from durable.journal import Journal
from durable.rows import Saved, save_resolved
from durable.store import Store
from placement.cluster import Placed
from placement.operation import Operation
from placement.tables import Table

_KEY = "under way"
"""Beside the calls, whose keys all have a line feed; no backup holds either."""


class Entry(msgspec.Struct, frozen=True):
    """What a call will have placed.  call: its operation's key."""

    call: str
    placed: Placed


@dataclass(frozen=True, slots=True)
class Seen:
    """Entries that count, and the version of the row that they were in, None = there was none."""

    entries: tuple[Entry, ...]
    version: int | None

    @property
    def placed(self) -> tuple[Placed, ...]:
        """What they stand for."""
        return tuple(entry.placed for entry in self.entries)


class Underway:
    """The row in the store."""

    def __init__(self, store: Store, journal: Journal[Operation]) -> None:
        self._store = store
        self._journal = journal

    def see(self, but: str = "") -> Seen:
        """Those of every call but one, by its key.  To be read before the inventory, or an end between is missed."""
        row = self._store.load(Table.OPERATION, _KEY)
        if row is None:
            return Seen((), None)
        entries = msgspec.json.decode(row.value, type=tuple[Entry, ...])
        return Seen(tuple(e for e in map(self._now, entries) if e is not None and e.call != but), row.version)

    def add(self, seen: Seen, entry: Entry) -> bool:
        """Write it beside those that were seen; False = another plan came first, and nothing was written."""
        octets = msgspec.json.encode((*seen.entries, entry))
        writer = uuid.uuid4().hex
        result = save_resolved(self._store, Table.OPERATION, _KEY, octets, expect=seen.version, writer=writer)
        return isinstance(result, Saved)

    def _now(self, entry: Entry) -> Entry | None:
        """With the cluster that the call's row tells: of two runners of one call, the slower may have written this."""
        held = self._journal.load(entry.call)
        if held is None or held.call.is_done:
            return None
        cluster = held.call.cluster or entry.placed.cluster
        return Entry(entry.call, msgspec.structs.replace(entry.placed, cluster=cluster))
