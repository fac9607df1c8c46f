"""Compare-and-set under real concurrency: threads of one store, and processes."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

from mme.store.base import Conflict, Row, Saved, Store, Table, save_resolved
from mme.store.opening import open_store

WORKERS = 4
INCREMENTS = 50


def increment(store: Store, key: str, worker: int, times: int) -> list[int]:
    """Add 1 to the number in the row, `times` times; the numbers that this worker wrote."""
    written = []
    row = store.load(Table.UE_CONTEXT, key)
    for number in range(times):
        for _ in range(10_000):
            old = int(row.value) if row else 0
            result = save_resolved(
                store,
                Table.UE_CONTEXT,
                key,
                str(old + 1).encode(),
                expect=row.version if row else None,
                writer=f"{worker}/{number}/{old}",
            )
            if isinstance(result, Saved):
                written.append(old + 1)
                row = Row(str(old + 1).encode(), result.version, "")
                break
            assert isinstance(result, Conflict)
            row = result.row
        else:
            raise AssertionError("10,000 conflicts")
    return written


def increment_in_process(url: str, key: str, worker: int, times: int) -> list[int]:
    store = open_store(url)
    try:
        return increment(store, key, worker, times)
    finally:
        store.close()


def assert_nothing_lost(store: Store, key: str, written: list[list[int]]) -> None:
    total = WORKERS * INCREMENTS
    assert sorted(number for part in written for number in part) == list(range(1, total + 1))
    row = store.load(Table.UE_CONTEXT, key, serial=True)
    assert row is not None
    assert (int(row.value), row.version) == (total, total)


def test_threads_lose_no_increment(store: Store, key: str) -> None:
    with ThreadPoolExecutor(WORKERS) as pool:
        written = list(pool.map(lambda worker: increment(store, key, worker, INCREMENTS), range(WORKERS)))
    assert_nothing_lost(store, key, written)


def test_processes_lose_no_increment(store: Store, store_url: str, key: str) -> None:
    """The file does not exist yet: creating it is part of the race."""
    url = store_url.removeprefix("faulty+")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, mp_context=context) as pool:
        jobs = [pool.submit(increment_in_process, url, key, worker, INCREMENTS) for worker in range(WORKERS)]
        written = [job.result(timeout=100) for job in jobs]
    assert_nothing_lost(store, key, written)


def test_one_of_many_inserts_wins(store: Store, key: str) -> None:
    def insert(worker: int) -> bool:
        result = store.save(Table.ADDRESS, key, str(worker).encode(), expect=None, writer=str(worker))
        assert isinstance(result, Saved | Conflict)
        return isinstance(result, Saved)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(insert, range(16))) == 1
