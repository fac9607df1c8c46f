"""Count store operations of each item, apart from those of the items that run beside it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from mme import metrics
from mme.store.base import Row, Store, Table, TimerRow, WriteResult


@dataclass(slots=True)
class Tally:
    """Store operations within one `measure()`.  ms: time spent in them."""

    reads: int = 0
    writes: int = 0
    conditional_writes: int = 0
    ms: float = 0.0


_tally: ContextVar[Tally | None] = ContextVar("store_tally", default=None)


@contextmanager
def measure() -> Iterator[Tally]:
    """Tally the operations that this thread or task makes inside; an outer `measure()` gets them too, at the end."""
    outer = _tally.get()
    tally = Tally()
    token = _tally.set(tally)
    try:
        yield tally
    finally:
        _tally.reset(token)
        if outer is not None:
            outer.reads += tally.reads
            outer.writes += tally.writes
            outer.conditional_writes += tally.conditional_writes
            outer.ms += tally.ms


class _Timed:
    """Times one operation.  A class, for the generator of a `contextmanager` takes as long as a read does."""

    __slots__ = ("_begin", "_operation", "_tally")

    def __init__(self, operation: str) -> None:
        self._operation = operation

    def __enter__(self) -> Tally:
        self._tally = _tally.get() or Tally()
        self._begin = time.perf_counter()
        return self._tally

    def __exit__(self, *_: object) -> None:
        seconds = time.perf_counter() - self._begin
        self._tally.ms += seconds * 1000
        metrics.STORE_SECONDS.labels(self._operation).observe(seconds)


class CountingStore:
    """A store whose operations `measure()` sees; an operation counts also when it fails."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def load(self, table: Table, key: str, *, serial: bool = False) -> Row | None:
        """See Store.load: a read."""
        with _Timed("load") as tally:
            tally.reads += 1
            return self._store.load(table, key, serial=serial)

    def save(
        self, table: Table, key: str, value: bytes | None, *, expect: int | None, writer: str, ttl_s: int | None = None
    ) -> WriteResult:
        """See Store.save: a conditional write."""
        with _Timed("save") as tally:
            tally.conditional_writes += 1
            return self._store.save(table, key, value, expect=expect, writer=writer, ttl_s=ttl_s)

    def insert_timer(self, timer: TimerRow, *, ttl_s: int) -> None:
        """See Store.insert_timer: a plain write."""
        with _Timed("insert timer") as tally:
            tally.writes += 1
            self._store.insert_timer(timer, ttl_s=ttl_s)

    def due_timers(self, shard: int, second: int) -> list[TimerRow]:
        """See Store.due_timers: a read."""
        with _Timed("due timers") as tally:
            tally.reads += 1
            return self._store.due_timers(shard, second)

    def now_ms(self) -> int:
        """See Store.now_ms: a read."""
        with _Timed("now ms") as tally:
            tally.reads += 1
            return self._store.now_ms()

    def scan(self, table: Table) -> list[tuple[str, Row]]:
        """See Store.scan: a read."""
        with _Timed("scan") as tally:
            tally.reads += 1
            return self._store.scan(table)

    def close(self) -> None:
        """See Store.close."""
        self._store.close()
