"""Rows: opaque octets with a version (1, 2, …) and the id of the write that made them, only written conditionally.

A conditional write has three results: a database that did not answer in time may have done it all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar


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
    """The write may or may not have happened: read at SERIAL and compare the writer, see `save_resolved`."""


WriteResult = Saved | Conflict | Unknown

AnyTable = TypeVar("AnyTable")
_Table_contra = TypeVar("_Table_contra", contravariant=True)


class Rows(Protocol[_Table_contra]):
    """Rows by table and key."""

    def load(self, table: _Table_contra, key: str, *, serial: bool = False) -> Row | None:
        """Read one row.  serial: see every conditional write that has returned, also one whose answer was lost."""

    def save(
        self,
        table: _Table_contra,
        key: str,
        value: bytes | None,
        *,
        expect: int | None,
        writer: str,
        ttl_s: int | None = None,
    ) -> WriteResult:
        """Write one row if its version is `expect` (None: if there is no row).  value None: remove it.

        ttl_s: the row vanishes after that many seconds.
        """


RESOLVE_TRIES = 3


def save_resolved(
    store: Rows[AnyTable],
    table: AnyTable,
    key: str,
    value: bytes | None,
    *,
    expect: int | None,
    writer: str,
    ttl_s: int | None = None,
) -> WriteResult:
    """`Rows.save`, with Unknown resolved as far as it can be.  writer: new for each write.

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
