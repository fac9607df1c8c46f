"""The store's Protocol: rows under a key, changed only by three-valued conditional writes.

A row is opaque octets with a version (1, 2, …) and the id of the request that wrote it.  One table per access path.
Durable timers have verbs of their own, because they are written blindly and read by (shard, second).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class Table(Enum):
    """The tables; one row is read or written by its whole key only."""

    UE_CONTEXT = "ue_context"
    IMSI = "imsi"
    ENB = "enb"
    SUBSCRIBER = "subscriber"
    SESSION = "session"
    ADDRESS = "address"
    TRACKING_AREA = "tracking_area"
    LEASE = "lease"
    LOAD = "load"


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it was read.  version: 1 or more.  writer: id of the request that wrote it."""

    value: bytes
    version: int
    writer: str


@dataclass(frozen=True, slots=True)
class Saved:
    """The write is in the store.  version: the row's new version (0 after a removal)."""

    version: int


@dataclass(frozen=True, slots=True)
class Conflict:
    """Somebody else wrote first; nothing was changed.  row: what is there now, None = no row."""

    row: Row | None


@dataclass(frozen=True, slots=True)
class Unknown:
    """The write may or may not have happened: read at SERIAL and compare the writer, see `resolve`."""


WriteResult = Saved | Conflict | Unknown


@dataclass(frozen=True, slots=True)
class TimerRow:
    """A durable timer.  due_ms: Unix milliseconds.  token: id of the item that started it.

    owner: the UE context's key (28 bits) as text.  Never deleted: a fired row whose token its context does not hold
    is stale.
    """

    shard: int
    due_ms: int
    name: str
    token: str
    owner: str


class Store(Protocol):
    """What the runtime asks of a database.  All calls block, for at most the configured timeout."""

    def load(self, table: Table, key: str, *, serial: bool = False) -> Row | None:
        """Read one row.  serial: see every conditional write that has returned, also one whose answer was lost.

        Raises StoreUnavailableError: nothing was read.
        """

    def save(
        self, table: Table, key: str, value: bytes | None, *, expect: int | None, writer: str, ttl_s: int | None = None
    ) -> WriteResult:
        """Write one row if its version is `expect` (None: if there is no row).  value None: remove it.

        ttl_s: the row vanishes after that many seconds.  Unavailable before anything was sent: StoreUnavailableError.
        """

    def insert_timer(self, timer: TimerRow, *, ttl_s: int) -> None:
        """Write a timer row, whatever is there (idempotent).  Raises StoreUnavailableError."""

    def due_timers(self, shard: int, second: int) -> list[TimerRow]:
        """All timers of that shard due in that second (Unix seconds), in no order."""

    def now_ms(self) -> int:
        """The store's clock, Unix milliseconds: what leases are measured by.  Raises StoreUnavailableError."""

    def scan(self, table: Table) -> list[tuple[str, Row]]:
        """Every row, for command lines and tests; never on the path of a message."""

    def close(self) -> None:
        """Give back connections and files."""


RESOLVE_TRIES = 3


def save_resolved(
    store: Store,
    table: Table,
    key: str,
    value: bytes | None,
    *,
    expect: int | None,
    writer: str,
    ttl_s: int | None = None,
) -> WriteResult:
    """`Store.save`, with Unknown resolved as far as it can be.

    A conditional write that timed out may still be applied later.  Read at SERIAL (which completes what a Paxos round
    left open): our writer id there means Saved; otherwise issue the same write again with the same expected version and
    id: whichever lands first, the other one is a Conflict that shows our id.  Unknown remains after RESOLVE_TRIES.
    """
    result = store.save(table, key, value, expect=expect, writer=writer, ttl_s=ttl_s)
    for _ in range(RESOLVE_TRIES):
        match result:
            case Saved():
                return result
            case Conflict(row=row):
                return Saved(row.version) if row is not None and row.writer == writer else result
            case Unknown():
                row = store.load(table, key, serial=True)
                if row is not None and row.writer == writer:
                    return Saved(row.version)
                if value is None and row is None:
                    return Saved(0)
                if row is not None and row.version != expect:
                    return Conflict(row)
                result = store.save(table, key, value, expect=expect, writer=writer, ttl_s=ttl_s)
    return result
