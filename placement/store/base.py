"""The placement's store: rows changed only by conditional writes, and the list of operations that have a step due.

Three-valued writes as everywhere here: a conditional write that timed out may have happened (`save_resolved`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class Table(Enum):
    """The tables."""

    CLUSTER = "placement_cluster"
    OPERATION = "placement_operation"
    PLACEMENT = "placement_inventory"


DUE = "placement_due"


@dataclass(frozen=True, slots=True)
class Row:
    """version: 1 or more.  writer: id of the write that made it."""

    value: bytes
    version: int
    writer: str


@dataclass(frozen=True, slots=True)
class Saved:
    """version: the row's new one, 0 after a removal."""

    version: int


@dataclass(frozen=True, slots=True)
class Conflict:
    """Another wrote first; nothing was changed.  row: what is there now."""

    row: Row | None


@dataclass(frozen=True, slots=True)
class Unknown:
    """The write may or may not have happened."""


WriteResult = Saved | Conflict | Unknown


class Store(Protocol):
    """Every call may raise placement.errors.StoreError: the store does not answer."""

    def load(self, table: Table, key: str) -> Row | None:
        """Read one row, also one whose write's answer was lost."""

    def save(
        self, table: Table, key: str, value: bytes | None, *, expect: int | None, writer: str, ttl_s: int | None = None
    ) -> WriteResult:
        """Write one row if its version is `expect` (None: if there is no row).  value None: remove it."""

    def scan(self, table: Table) -> list[tuple[str, Row]]:
        """Every row, ordered by key."""

    def set_due(self, operation: str, due_ms: int | None) -> None:
        """When the operation's next step is due (Unix milliseconds); None: it has none.  The last write counts."""

    def due(self, now_ms: int) -> list[str]:
        """Operations with a step due by now, the longest due first."""

    def close(self) -> None:
        """Give back connections and files."""


_TRIES = 3


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
    """`Store.save` with Unknown resolved: the row's writer tells whether it was ours; otherwise the same write again.

    writer must be new for each write.  Unknown remains after three tries.
    """
    result: WriteResult = Unknown()
    for _ in range(_TRIES):
        result = store.save(table, key, value, expect=expect, writer=writer, ttl_s=ttl_s)
        if isinstance(result, Conflict) and result.row is not None and result.row.writer == writer:
            return Saved(result.row.version)
        if isinstance(result, Conflict) and value is None and result.row is None:
            return Saved(0)
        if not isinstance(result, Unknown):
            return result
    return result
