"""A part of a shared store that is one test's own: a keyspace for each test would take seconds each."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace

from mme.store.base import Row, Table, TimerRow, WriteResult
from mme.store.bulk import BulkStore
from mme.work import TIMER_SHARDS

_SHARDS_BITS = 20


def part_name() -> str:
    """A name that no other part has."""
    return secrets.token_hex(6)


class Apart:
    """Keys get the part's name in front, timers shards of its own.  part: two with the same name share what is there.

    clock: what leases are measured by, Unix seconds; the server's own is tested by tests/mme/store and
    tests/e2e/test_tickers.py.
    """

    def __init__(self, store: BulkStore, clock: Callable[[], float], part: str) -> None:
        self.part = part
        self._store = store
        self._clock = clock
        self._prefix = f"{part}."
        self._shards = (1 + (int(part, 16) & ((1 << _SHARDS_BITS) - 1))) * TIMER_SHARDS
        self._inserted: set[tuple[int, int]] = set()

    def load(self, table: Table, key: str, *, serial: bool = False) -> Row | None:
        return self._store.load(table, self._prefix + key, serial=serial)

    def save(
        self, table: Table, key: str, value: bytes | None, *, expect: int | None, writer: str, ttl_s: int | None = None
    ) -> WriteResult:
        return self._store.save(table, self._prefix + key, value, expect=expect, writer=writer, ttl_s=ttl_s)

    def insert_timer(self, timer: TimerRow, *, ttl_s: int) -> None:
        self._inserted.add((timer.shard, timer.due_ms // 1000))
        self._store.insert_timer(replace(timer, shard=self._shards + timer.shard), ttl_s=ttl_s)

    def due_timers(self, shard: int, second: int) -> list[TimerRow]:
        found = self._store.due_timers(self._shards + shard, second)
        return [replace(row, shard=shard) for row in found]

    def timers(self) -> list[TimerRow]:
        """All that this process has inserted."""
        return [row for shard, second in sorted(self._inserted) for row in self.due_timers(shard, second)]

    def now_ms(self) -> int:
        return int(self._clock() * 1000)

    def scan(self, table: Table) -> list[tuple[str, Row]]:
        found = self._store.scan(table)
        return [(key.removeprefix(self._prefix), row) for key, row in found if key.startswith(self._prefix)]

    def expire(self, seconds: float) -> None:
        """Remove what the server would let expire within that time: its clock cannot be moved."""
        for table in Table:
            for stored in self._store.rows(table):
                if stored.key.startswith(self._prefix) and stored.ttl_s is not None and stored.ttl_s <= seconds:
                    self._store.save(table, stored.key, None, expect=stored.row.version, writer="expired")

    def close(self) -> None:
        self._store.close()
