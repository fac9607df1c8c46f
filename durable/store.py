"""The journal's store: a family's rows, and the list of its calls that have a step due."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from durable.rows import Row, WriteResult


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of a function family.  rows: its enumeration of them, whose values are their names.  due: of its due
    steps."""

    rows: type[Enum]
    due: str

    def names(self) -> Iterator[str]:
        """Of the tables with rows."""
        return (str(table.value) for table in self.rows)


class Store(Protocol):
    """Every call may raise StoreError: the store does not answer.  table: one of the family's."""

    def load(self, table: Enum, key: str, *, serial: bool = False) -> Row | None:
        """Read one row, also one whose write's answer was lost."""

    def save(
        self, table: Enum, key: str, value: bytes | None, *, expect: int | None, writer: str, ttl_s: int | None = None
    ) -> WriteResult:
        """Write one row if its version is `expect` (None: if there is no row).  value None: remove it."""

    def scan(self, table: Enum) -> list[tuple[str, Row]]:
        """Every row, ordered by key."""

    def set_due(self, call: str, due_ms: int | None) -> None:
        """When the call's next step is due (Unix milliseconds); None: it has none.  The last write counts."""

    def due(self, now_ms: int) -> list[str]:
        """Calls with a step due by now, the longest due first."""

    def close(self) -> None:
        """Give back connections and files."""
