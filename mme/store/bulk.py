"""Whole stores in a stream, for backup, restore and bulk loads: never more than a page in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from mme.store.base import Row, Store, Table, TimerRow

LASTING: Final = tuple(table for table in Table if table not in (Table.LEASE, Table.LOAD))
"""What a backup holds, and what makes a store one that is in use.  Not who ran what at that time, how far tickers had
got and what there was to do: programs write that into a store that holds nothing yet, too."""


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row with its key.  ttl_s: seconds that it still has, None = lasting."""

    key: str
    row: Row
    ttl_s: int | None = None


@dataclass(frozen=True, slots=True)
class StoredTimer:
    """A timer row.  ttl_s: seconds that it still has."""

    timer: TimerRow
    ttl_s: int


class BulkStore(Store, Protocol):
    """A store that can be read and filled as a whole, while nobody else writes."""

    def rows(self, table: Table) -> Iterator[StoredRow]:
        """Every row of a table, in no order."""

    def timers(self) -> Iterator[StoredTimer]:
        """Every timer row, in no order."""

    def is_empty(self) -> bool:
        """Whether none of LASTING has a row and there is no timer."""

    def put_rows(self, table: Table, rows: Iterable[StoredRow]) -> None:
        """Write rows with their versions, whatever is there."""

    def put_timers(self, timers: Iterable[StoredTimer]) -> None:
        """Write timers."""
