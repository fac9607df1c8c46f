"""The store on one SQLite file, which other stores may share: the tables have names of their own."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Final

from durable.errors import StoreError
from durable.rows import Conflict, Row, Saved, WriteResult
from durable.store import Tables

TIMEOUT_S: Final = 2.0

# f-strings below hold table names of the family's Tables and nothing else.
_ALIVE: Final = "(expires_ms IS NULL OR expires_ms > ?)"


class SqliteStore:
    """path: its directory must be there.  clock: Unix seconds, for rows that expire."""

    def __init__(
        self, path: Path, tables: Tables, *, timeout_s: float = TIMEOUT_S, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._tables = tables
        self._timeout_s = timeout_s
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def load(self, table: Enum, key: str, *, serial: bool = False) -> Row | None:  # noqa: ARG002  it always is
        """See Store."""
        with self._open(begin="BEGIN") as connection:
            return self._row(connection, table, key)

    def save(
        self, table: Enum, key: str, value: bytes | None, *, expect: int | None, writer: str, ttl_s: int | None = None
    ) -> WriteResult:
        """See Store.  One transaction; never Unknown."""
        if value is None and expect is None:
            raise ValueError("a removal needs the version that it expects")
        expires_ms = None if ttl_s is None else self._now_ms() + 1000 * ttl_s
        with self._open() as connection:
            current = self._row(connection, table, key)
            if (current.version if current else None) != expect:
                return Conflict(current)
            if value is None:
                connection.execute(f"DELETE FROM {table.value} WHERE key = ?", (key,))  # noqa: S608
                return Saved(0)
            version = (expect or 0) + 1
            connection.execute(
                f"INSERT OR REPLACE INTO {table.value} (key, version, writer, value, expires_ms) "  # noqa: S608
                "VALUES (?, ?, ?, ?, ?)",
                (key, version, writer, value, expires_ms),
            )
            connection.execute(f"DELETE FROM {table.value} WHERE expires_ms <= ?", (self._now_ms(),))  # noqa: S608
            return Saved(version)

    def scan(self, table: Enum) -> list[tuple[str, Row]]:
        """See Store."""
        query = f"SELECT key, value, version, writer FROM {table.value} WHERE {_ALIVE} ORDER BY key"  # noqa: S608
        with self._open(begin="BEGIN") as connection:
            return [(key, Row(*rest)) for key, *rest in connection.execute(query, (self._now_ms(),))]

    def set_due(self, call: str, due_ms: int | None) -> None:
        """See Store."""
        with self._open() as connection:
            if due_ms is None:
                connection.execute(f"DELETE FROM {self._tables.due} WHERE operation = ?", (call,))  # noqa: S608
            else:
                connection.execute(
                    f"INSERT OR REPLACE INTO {self._tables.due} (operation, due_ms) VALUES (?, ?)",  # noqa: S608
                    (call, due_ms),
                )

    def due(self, now_ms: int) -> list[str]:
        """See Store."""
        query = f"SELECT operation FROM {self._tables.due} WHERE due_ms <= ? ORDER BY due_ms, operation"  # noqa: S608
        with self._open(begin="BEGIN") as connection:
            return [operation for (operation,) in connection.execute(query, (now_ms,))]

    def close(self) -> None:
        """See Store."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _row(self, connection: sqlite3.Connection, table: Enum, key: str) -> Row | None:
        query = f"SELECT value, version, writer FROM {table.value} WHERE key = ? AND {_ALIVE}"  # noqa: S608
        found = connection.execute(query, (key, self._now_ms())).fetchone()
        return None if found is None else Row(*found)

    @contextmanager
    def _open(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
        """The process's one connection, in a transaction of its own.  Such calls are few: turns are short enough.

        begin: a reader takes no lock, which it would take from the MME's writers in the same file.
        """
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._connect()
                self._connection.execute(begin)
                try:
                    yield self._connection
                except BaseException:
                    self._connection.execute("ROLLBACK")
                    raise
                self._connection.execute("COMMIT")
            except sqlite3.Error as e:
                raise StoreError(f"SQLite: {e}") from e

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=self._timeout_s, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        for name in self._tables.names():
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {name} (key TEXT NOT NULL PRIMARY KEY, version INTEGER NOT NULL, "
                "writer TEXT NOT NULL, value BLOB NOT NULL, expires_ms INTEGER) WITHOUT ROWID"
            )
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {self._tables.due} "
            "(operation TEXT NOT NULL PRIMARY KEY, due_ms INTEGER NOT NULL) WITHOUT ROWID"
        )
        return connection
