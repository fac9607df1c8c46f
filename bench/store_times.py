"""How long one operation of each kind takes on the store file that the functions use, with rows as they write them."""

from __future__ import annotations

import itertools
import statistics
import time
from dataclasses import dataclass, field

from mme.store.base import Row, Saved, Store, Table, TimerRow
from mme.work import TIMER_SHARDS

_TTL_S = 60
_DUE_MS = 1000
"""Long past: no ticker reads that second."""


@dataclass(slots=True)
class StoreTimes:
    """Times in ms by kind; row_octets: of the UE context that was written."""

    reads: list[float] = field(default_factory=list)
    writes: list[float] = field(default_factory=list)
    conditional_writes: list[float] = field(default_factory=list)
    row_octets: int = 0

    def p50(self) -> dict[str, float]:
        """By kind."""
        return {kind: statistics.median(getattr(self, kind)) for kind in ("reads", "writes", "conditional_writes")}


def usual_row(store: Store) -> Row:
    """A UE context of middle length among those that attaches left behind."""
    rows = sorted((row for _, row in store.scan(Table.UE_CONTEXT)), key=lambda row: len(row.value))
    return rows[len(rows) // 2]


def measure(store: Store, times: StoreTimes, count: int, keys: itertools.count[int]) -> None:
    """Add `count` samples of each kind, one operation after the other, to `times`."""
    value = usual_row(store).value
    times.row_octets = len(value)
    for _ in range(count):
        key = f"bench-{next(keys)}"
        inserted = _timed(times.conditional_writes, store, key, value, None)
        begin = time.perf_counter()
        store.load(Table.UE_CONTEXT, key)
        times.reads.append((time.perf_counter() - begin) * 1000)
        updated = _timed(times.conditional_writes, store, key, value, inserted)
        timer = TimerRow(next(keys) % TIMER_SHARDS, _DUE_MS, "t3460", key, key)
        begin = time.perf_counter()
        store.insert_timer(timer, ttl_s=_TTL_S)
        times.writes.append((time.perf_counter() - begin) * 1000)
        store.save(Table.UE_CONTEXT, key, None, expect=updated, writer="bench")


def _timed(samples: list[float], store: Store, key: str, value: bytes, expect: int | None) -> int:
    begin = time.perf_counter()
    result = store.save(Table.UE_CONTEXT, key, value, expect=expect, writer="bench", ttl_s=_TTL_S)
    samples.append((time.perf_counter() - begin) * 1000)
    if not isinstance(result, Saved):
        raise RuntimeError("somebody else writes the bench's rows")
    return result.version
