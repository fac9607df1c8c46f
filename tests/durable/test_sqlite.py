"""The store on a file: what is over goes, what failed leaves no transaction behind, and processes await each other."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from durable.errors import StoreError
from durable.rows import Row, Saved
from durable.sqlite import SqliteStore
from tests.durable.test_journal import TABLES, Lossy, Table


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Lossy]:
    made = Lossy(tmp_path / "edge.db")
    yield made
    made.close()


def test_the_longest_due_comes_first(store: Lossy) -> None:
    for key, due_ms in (("a", 30), ("b", 10), ("c", 20), ("d", 10), ("later", 31)):
        store.set_due(key, due_ms)
    assert store.due(30) == ["b", "d", "c", "a"]
    store.set_due("b", 40)
    store.set_due("d", None)
    assert store.due(30) == ["c", "a"]


def test_a_row_that_is_over_is_seen_by_nobody_and_then_removed(store: Lossy, tmp_path: Path) -> None:
    store.save(Table.ERRAND, "a", b"1", expect=None, writer="x", ttl_s=10)
    store.save(Table.ERRAND, "b", b"1", expect=None, writer="x")
    store.now_s += 10
    assert store.load(Table.ERRAND, "a") is None
    assert [key for key, _ in store.scan(Table.ERRAND)] == ["b"]
    assert store.save(Table.ERRAND, "b", b"2", expect=1, writer="x") == Saved(2)
    with sqlite3.connect(tmp_path / "edge.db") as file:
        assert file.execute("SELECT key FROM errand").fetchall() == [("b",)]
    file.close()
    # as if it had never been
    assert store.save(Table.ERRAND, "a", b"3", expect=None, writer="y") == Saved(1)


def test_a_call_that_fails_in_its_middle_writes_nothing_and_keeps_nobody_away(store: Lossy) -> None:
    store.save(Table.ERRAND, "a", b"1", expect=None, writer="x")
    with pytest.raises(UnicodeEncodeError):
        store.save(Table.ERRAND, "a", b"2", expect=1, writer="\ud800")
    assert store.load(Table.ERRAND, "a") == Row(b"1", 1, "x")
    assert store.save(Table.ERRAND, "a", b"2", expect=1, writer="y") == Saved(2)
    with pytest.raises(ValueError, match="needs the version"):
        store.save(Table.ERRAND, "a", None, expect=None, writer="y")


def test_a_store_without_a_directory_is_one_that_does_not_answer(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="SQLite"):
        SqliteStore(tmp_path / "no" / "edge.db", TABLES).due(0)


def test_processes_that_write_at_once_wait_for_each_other(tmp_path: Path) -> None:
    """A transaction that begins as a reader's could not go on where another has written since: SQLite's documentation,
    "Isolation" and SQLITE_BUSY_SNAPSHOT."""
    stores = [SqliteStore(tmp_path / "edge.db", TABLES, timeout_s=60) for _ in range(3)]
    stores[0].due(0)
    results: list[object] = []

    def write(store: SqliteStore, name: str) -> None:
        try:
            results.extend(store.save(Table.ERRAND, f"{name}{n}", b"1", expect=None, writer="x") for n in range(200))
        except StoreError as e:
            results.append(e)
        store.close()

    threads = [threading.Thread(target=write, args=(store, name)) for store, name in zip(stores, "abc", strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [Saved(1)] * 600
