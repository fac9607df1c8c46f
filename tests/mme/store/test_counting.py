"""Tallies of store operations, apart for what runs at the same time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mme.errors import StoreUnavailableError
from mme.store.base import Table, TimerRow
from mme.store.counting import CountingStore, measure
from mme.store.faulty import FaultUnavailable, FaultyStore, on_load
from mme.store.sqlite import SqliteStore

UE = Table.UE_CONTEXT


def test_each_kind_is_counted(sqlite_store: SqliteStore) -> None:
    store = CountingStore(sqlite_store)
    store.load(UE, "before")
    with measure() as tally:
        store.load(UE, "key")
        store.save(UE, "key", b"", expect=None, writer="w")
        store.save(UE, "key", b"", expect=None, writer="w")
        store.insert_timer(TimerRow(0, 0, "T3450", "token", "1"), ttl_s=60)
        store.due_timers(0, 0)
        store.scan(UE)
        store.now_ms()
    store.load(UE, "after")
    assert (tally.reads, tally.writes, tally.conditional_writes) == (4, 1, 2)
    assert tally.ms > 0


def test_threads_do_not_mix(sqlite_store: SqliteStore) -> None:
    store = CountingStore(sqlite_store)
    together = threading.Barrier(4, timeout=10)

    def run(reads: int) -> int:
        with measure() as tally:
            together.wait()
            for _ in range(reads):
                store.load(UE, "key")
            together.wait()
        return tally.reads

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, (1, 20, 300, 0))) == [1, 20, 300, 0]


def test_an_outer_tally_gets_the_inner_ones(sqlite_store: SqliteStore) -> None:
    store = CountingStore(sqlite_store)
    with measure() as outer:
        store.load(UE, "key")
        with measure() as inner:
            store.load(UE, "key")
            store.load(UE, "key")
        assert inner.reads == 2
    assert outer.reads == 3
    assert outer.ms >= inner.ms


def test_a_failed_operation_counts(sqlite_store: SqliteStore) -> None:
    store = CountingStore(FaultyStore(sqlite_store, on_load(FaultUnavailable())))
    with measure() as tally, pytest.raises(StoreUnavailableError):
        store.load(UE, "key")
    assert tally.reads == 1
