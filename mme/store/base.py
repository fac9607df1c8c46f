"""The store's Protocol: rows under a key, changed only by three-valued conditional writes.

A row is opaque octets with a version (1, 2, …) and the id of the request that wrote it.  One table per access path.
Durable timers have verbs of their own, because they are written blindly and read by (shard, second).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from durable.rows import RESOLVE_TRIES, Conflict, Row, Saved, Unknown, WriteResult, save_resolved

__all__ = [
    "RESOLVE_TRIES",
    "Conflict",
    "Row",
    "Saved",
    "Store",
    "Table",
    "TimerRow",
    "Unknown",
    "WriteResult",
    "save_resolved",
]


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
