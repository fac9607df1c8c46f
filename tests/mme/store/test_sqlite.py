"""What only the SQLite store has: the file, its locks, the sweep, forks."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from mme.errors import StoreUnavailableError
from mme.store.base import Row, Saved, Table, TimerRow, Unknown
from mme.store.sqlite import SqliteStore

UE = Table.UE_CONTEXT


def test_a_missing_directory(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "missing" / "store.db")
    with pytest.raises(StoreUnavailableError, match=r"store\.db"):
        store.load(UE, "key")
    assert not (tmp_path / "missing").exists()


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    with pytest.raises(StoreUnavailableError):
        store.save(UE, "key", b"", expect=None, writer="w")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreUnavailableError):
        SqliteStore(path).load(UE, "key")


def test_a_file_of_a_newer_program(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(StoreUnavailableError, match="schema 99"):
        SqliteStore(path).load(UE, "key")


def test_a_file_from_before_a_table_was_added(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    store.save(UE, "key", b"one", expect=None, writer="w")
    store.close()
    older = sqlite3.connect(path)
    older.execute("DROP TABLE session")
    older.close()
    store = SqliteStore(path)
    assert store.save(Table.SESSION, "key", b"two", expect=None, writer="w") == Saved(1)
    assert store.load(UE, "key") == Row(b"one", 1, "w")
    store.close()


def test_a_lock_that_lasts(tmp_path: Path) -> None:
    """Another process sits in a write: reads go on, a write gives up after its timeout, and works again afterwards."""
    path = tmp_path / "store.db"
    store = SqliteStore(path, timeout_s=0.05)
    store.save(UE, "key", b"one", expect=None, writer="w1")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError, match="locked"):
        store.save(UE, "key", b"two", expect=1, writer="w2")
    with pytest.raises(StoreUnavailableError, match="locked"):
        store.insert_timer(TimerRow(0, 0, "T3450", "token", "1"), ttl_s=60)
    assert store.load(UE, "key") == Row(b"one", 1, "w1")
    other.rollback()
    other.close()
    assert store.save(UE, "key", b"two", expect=1, writer="w2") == Saved(2)
    store.close()


def test_a_lock_that_ends_is_waited_for_in_small_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    store.save(UE, "key", b"one", expect=None, writer="w1")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            other.rollback()

    monkeypatch.setattr("mme.store.sqlite.time.sleep", sleep)
    assert store.save(UE, "key", b"two", expect=1, writer="w2") == Saved(2)
    assert len(pauses) == 3
    assert max(pauses) <= 0.001
    monkeypatch.undo()
    other.close()
    store.close()


def test_a_disk_error_leaves_the_outcome_unknown(sqlite_store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def execute(self, *_: object) -> None:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorname = "SQLITE_IOERR_WRITE"
            raise error

        def close(self) -> None:
            pass

    monkeypatch.setattr(sqlite_store, "_borrow", Broken)
    assert sqlite_store.save(UE, "key", b"", expect=None, writer="w") == Unknown()
    with pytest.raises(StoreUnavailableError):
        sqlite_store.load(UE, "key")
    monkeypatch.undo()


def test_nobody_else_may_read_the_file(sqlite_store: SqliteStore, tmp_path: Path) -> None:
    sqlite_store.save(UE, "key", b"", expect=None, writer="w")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("store.db", "store.db-wal", "store.db-shm"), 0o600)


def test_a_closed_store(sqlite_store: SqliteStore) -> None:
    sqlite_store.save(UE, "key", b"", expect=None, writer="w")
    sqlite_store.close()
    sqlite_store.close()
    with pytest.raises(StoreUnavailableError, match="closed"):
        sqlite_store.load(UE, "key")


def test_expired_rows_are_swept_a_slice_at_a_time(tmp_path: Path) -> None:
    now_s = 1_800_000_000.0
    store = SqliteStore(tmp_path / "store.db", clock=lambda: now_s)
    for number in range(100):
        store.save(UE, f"short {number}", b"", expect=None, writer="w", ttl_s=10)
        store.insert_timer(TimerRow(0, number * 1000, "T3450", "token", "1"), ttl_s=10)
    store.save(UE, "lasting", b"", expect=None, writer="w")
    assert store.sweep() == 0
    now_s += 10
    assert [key for key, _ in store.scan(UE)] == ["lasting"]
    assert store.sweep() == 128
    assert store.sweep() == 72
    assert store.sweep() == 0
    store.close()


def test_writes_sweep_by_themselves(tmp_path: Path) -> None:
    now_s = 1_800_000_000.0
    path = tmp_path / "store.db"
    store = SqliteStore(path, clock=lambda: now_s)
    for number in range(50):
        store.save(UE, f"short {number}", b"", expect=None, writer="w", ttl_s=10)
    now_s += 11
    for number in range(256):
        store.save(Table.IMSI, str(number), b"", expect=None, writer="w")
    store.close()
    other = sqlite3.connect(path)
    assert other.execute("SELECT count(*) FROM ue_context").fetchone() == (0,)
    other.close()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_opens_its_own_connection(sqlite_store: SqliteStore) -> None:
    sqlite_store.save(UE, "key", b"parent", expect=None, writer="w1")
    child = os.fork()
    if child == 0:
        saved = sqlite_store.save(UE, "key", b"child", expect=1, writer="w2") == Saved(2)
        os._exit(0 if saved and sqlite_store._abandoned else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert sqlite_store.load(UE, "key") == Row(b"child", 2, "w2")
