"""The store on one SQLite file, shared by all processes and threads of a machine.

WAL with synchronous=NORMAL: a write is one append to the log, no fsync; a power cut may lose the last ones, a killed
process loses none.  A conditional write is one statement, which SQLite runs alone.  An operation borrows a connection
of its process's pool (as many as were ever busy at once), so that reads of several threads do not wait for each other;
a connection is never used on the other side of a fork.

Writes of one process take turns at a lock, so that few processes rather than many threads meet at the file, and who
finds the file locked tries again after a fraction of a millisecond: SQLite's own handler waits up to 100 ms, and under
32 busy threads some were still waiting after 2 s.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, cast

from mme.errors import StoreUnavailableError
from mme.store.base import Conflict, Row, Saved, Table, TimerRow, Unknown, WriteResult
from mme.store.bulk import LASTING, StoredRow, StoredTimer

SCHEMA: Final = 1
"""PRAGMA user_version of the file."""
DEFAULT_TIMEOUT_S: Final = 2.0
"""How long an operation waits for other processes' writes."""
_LONGEST_PAUSE_S: Final = 0.001
"""Between two tries at a locked file; half of it on average."""
_SWEEP_EVERY: Final = 256
"""Writes of a process between two sweeps of expired rows."""
_SWEEP_ROWS: Final = 64
"""Rows that one sweep removes per table, so that no write waits long for it."""
_PAGE_ROWS: Final = 500
"""Rows of a stream that are in memory at once."""

# f-strings below hold table names of the Table enumeration and nothing else.
_ALIVE: Final = "(expires_ms IS NULL OR expires_ms > ?)"


def _schema() -> Iterator[str]:
    for table in Table:
        yield (
            f"CREATE TABLE IF NOT EXISTS {table.value} (key TEXT NOT NULL PRIMARY KEY, version INTEGER NOT NULL, "
            "writer TEXT NOT NULL, value BLOB NOT NULL, expires_ms INTEGER) WITHOUT ROWID"
        )
        yield (
            f"CREATE INDEX IF NOT EXISTS {table.value}_expires ON {table.value} (expires_ms) "
            "WHERE expires_ms IS NOT NULL"
        )
    yield (
        "CREATE TABLE IF NOT EXISTS timer (shard INTEGER NOT NULL, second INTEGER NOT NULL, owner TEXT NOT NULL, "
        "name TEXT NOT NULL, token TEXT NOT NULL, due_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, "
        "PRIMARY KEY (shard, second, owner, name, token)) WITHOUT ROWID"
    )
    yield "CREATE INDEX IF NOT EXISTS timer_expires ON timer (expires_ms)"
    yield f"PRAGMA user_version = {SCHEMA}"


class _Sql:
    """The statements of one table."""

    __slots__ = ("insert", "load", "page", "put", "remove", "scan", "sweep", "update")

    def __init__(self, table: Table) -> None:
        name = table.value
        self.load = f"SELECT value, version, writer FROM {name} WHERE key = ? AND {_ALIVE}"  # noqa: S608
        self.scan = f"SELECT key, value, version, writer FROM {name} WHERE {_ALIVE} ORDER BY key"  # noqa: S608
        self.page = (
            f"SELECT key, value, version, writer, expires_ms FROM {name} WHERE key > ? AND {_ALIVE} "  # noqa: S608
            f"ORDER BY key LIMIT {_PAGE_ROWS}"
        )
        self.put = f"INSERT OR REPLACE INTO {name} (key, version, writer, value, expires_ms) VALUES (?, ?, ?, ?, ?)"  # noqa: S608
        self.insert = (
            f"INSERT INTO {name} (value, writer, expires_ms, key, version) VALUES (?, ?, ?, ?, 1) "  # noqa: S608
            "ON CONFLICT (key) DO UPDATE SET value = excluded.value, writer = excluded.writer, "
            f"expires_ms = excluded.expires_ms, version = 1 WHERE NOT (({name}.expires_ms IS NULL) "
            f"OR {name}.expires_ms > ?)"
        )
        self.update = (
            f"UPDATE {name} SET value = ?, writer = ?, expires_ms = ?, version = version + 1 "  # noqa: S608
            f"WHERE key = ? AND version = ? AND {_ALIVE}"
        )
        self.remove = f"DELETE FROM {name} WHERE key = ? AND version = ? AND {_ALIVE}"  # noqa: S608
        self.sweep = (
            f"DELETE FROM {name} WHERE key IN "  # noqa: S608
            f"(SELECT key FROM {name} WHERE expires_ms <= ? LIMIT {_SWEEP_ROWS})"
        )


_SQL: Final = {table: _Sql(table) for table in Table}
_TIMER_INSERT: Final = (
    "INSERT INTO timer (shard, second, owner, name, token, due_ms, expires_ms) VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (shard, second, owner, name, token) DO UPDATE SET due_ms = excluded.due_ms, "
    "expires_ms = excluded.expires_ms"
)
_TIMER_DUE: Final = (
    "SELECT shard, due_ms, name, token, owner FROM timer WHERE shard = ? AND second = ? AND expires_ms > ?"
)
_TIMER_PAGE: Final = (
    "SELECT shard, second, owner, name, token, due_ms, expires_ms FROM timer "  # noqa: S608
    "WHERE (shard, second, owner, name, token) > (?, ?, ?, ?, ?) AND expires_ms > ? "
    f"ORDER BY shard, second, owner, name, token LIMIT {_PAGE_ROWS}"
)
_TIMER_SWEEP: Final = (
    "DELETE FROM timer WHERE (shard, second, owner, name, token) IN "  # noqa: S608
    f"(SELECT shard, second, owner, name, token FROM timer WHERE expires_ms <= ? LIMIT {_SWEEP_ROWS})"
)
_MAYBE_APPLIED: Final = frozenset({"SQLITE_IOERR"})
"""Errors after which the log may hold the write all the same; all others undo the statement."""


def _left_s(expires_ms: int | None, now_ms: int) -> int | None:
    return None if expires_ms is None else -((now_ms - expires_ms) // 1000)


def _expires_ms(ttl_s: int | None, now_ms: int) -> int | None:
    return None if ttl_s is None else now_ms + 1000 * ttl_s


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def _may_be_applied(error: sqlite3.Error) -> bool:
    name = getattr(error, "sqlite_errorname", "") or ""
    return any(name == known or name.startswith(known + "_") for known in _MAYBE_APPLIED)


class SqliteStore:
    """`mme.store.base.Store` on one file, opened by the first operation.

    path: its directory must be there.  timeout_s: how long to wait for other writers before StoreUnavailableError.
    clock: Unix seconds, for the rows' time to live.
    """

    def __init__(
        self, path: Path, *, timeout_s: float = DEFAULT_TIMEOUT_S, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._clock = clock
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._pid = os.getpid()
        self._idle: list[sqlite3.Connection] = []
        self._abandoned: list[sqlite3.Connection] = []
        self._ready = False
        self._closed = False
        self._writes = 0

    def load(self, table: Table, key: str, *, serial: bool = False) -> Row | None:  # noqa: ARG002
        """See Store.load.  Every read here sees all that was written before it."""
        with self._connection() as connection:
            return self._row(connection, table, key)

    def save(
        self, table: Table, key: str, value: bytes | None, *, expect: int | None, writer: str, ttl_s: int | None = None
    ) -> WriteResult:
        """See Store.save.  Unknown only after an input/output error of the disk."""
        if value is None and expect is None:
            raise ValueError("a removal needs the version that it expects")
        now_ms = self._now_ms()
        expires_ms = None if ttl_s is None else now_ms + 1000 * ttl_s
        sql = _SQL[table]
        arguments: tuple[object, ...]
        if value is None:
            statement, arguments, version = sql.remove, (key, expect, now_ms), 0
        elif expect is None:
            statement, arguments, version = sql.insert, (value, writer, expires_ms, key, now_ms), 1
        else:
            statement, arguments = sql.update, (value, writer, expires_ms, key, expect, now_ms)
            version = expect + 1
        with self._connection() as connection:
            try:
                written = self._write(connection, statement, arguments)
            except sqlite3.Error as e:
                if _may_be_applied(e):
                    return Unknown()
                raise
            if not written:
                return Conflict(self._row(connection, table, key))
            self._sweep_sometimes(connection)
            return Saved(version)

    def insert_timer(self, timer: TimerRow, *, ttl_s: int) -> None:
        """See Store.insert_timer."""
        expires_ms = self._now_ms() + 1000 * ttl_s
        second = timer.due_ms // 1000
        with self._connection() as connection:
            row = (timer.shard, second, timer.owner, timer.name, timer.token, timer.due_ms, expires_ms)
            self._write(connection, _TIMER_INSERT, row)
            self._sweep_sometimes(connection)

    def due_timers(self, shard: int, second: int) -> list[TimerRow]:
        """See Store.due_timers."""
        with self._connection() as connection:
            rows = self._execute(connection, _TIMER_DUE, (shard, second, self._now_ms())).fetchall()
        return [TimerRow(*row) for row in rows]

    def now_ms(self) -> int:
        """See Store.now_ms: the clock of the machine that holds the file."""
        return self._now_ms()

    def scan(self, table: Table) -> list[tuple[str, Row]]:
        """See Store.scan; in the order of the keys."""
        with self._connection() as connection:
            rows = self._execute(connection, _SQL[table].scan, (self._now_ms(),)).fetchall()
        return [(key, Row(value, version, writer)) for key, value, version, writer in rows]

    def rows(self, table: Table) -> Iterator[StoredRow]:
        """See BulkStore.rows; by key, a page at a time."""
        after = ""
        while True:
            now_ms = self._now_ms()
            with self._connection() as connection:
                page = self._execute(connection, _SQL[table].page, (after, now_ms)).fetchall()
            for key, value, version, writer, expires_ms in page:
                yield StoredRow(key, Row(value, version, writer), _left_s(expires_ms, now_ms))
            if not page:
                return
            after = page[-1][0]

    def timers(self) -> Iterator[StoredTimer]:
        """See BulkStore.timers."""
        after: tuple[object, ...] = (-1, 0, "", "", "")
        while True:
            now_ms = self._now_ms()
            with self._connection() as connection:
                page = self._execute(connection, _TIMER_PAGE, (*after, now_ms)).fetchall()
            for shard, _, owner, name, token, due_ms, expires_ms in page:
                yield StoredTimer(TimerRow(shard, due_ms, name, token, owner), _left_s(expires_ms, now_ms) or 1)
            if not page:
                return
            after = page[-1][:5]

    def is_empty(self) -> bool:
        """See BulkStore.is_empty."""
        return all(next(self.rows(table), None) is None for table in LASTING) and next(self.timers(), None) is None

    def put_rows(self, table: Table, rows: Iterable[StoredRow]) -> None:
        """See BulkStore.put_rows."""
        now_ms = self._now_ms()
        self._put(
            _SQL[table].put,
            (
                (stored.key, stored.row.version, stored.row.writer, stored.row.value, _expires_ms(stored.ttl_s, now_ms))
                for stored in rows
            ),
        )

    def put_timers(self, timers: Iterable[StoredTimer]) -> None:
        """See BulkStore.put_timers."""
        now_ms = self._now_ms()
        self._put(
            _TIMER_INSERT,
            (
                (t.shard, t.due_ms // 1000, t.owner, t.name, t.token, t.due_ms, now_ms + 1000 * stored.ttl_s)
                for stored in timers
                for t in (stored.timer,)
            ),
        )

    def _put(self, statement: str, arguments: Iterable[tuple[object, ...]]) -> None:
        several = iter(arguments)
        while page := list(itertools.islice(several, _PAGE_ROWS)):
            with self._connection() as connection, self._turn:
                self._execute(connection, "BEGIN IMMEDIATE", ())
                try:
                    connection.executemany(statement, page)
                except BaseException:
                    connection.rollback()
                    raise
                connection.commit()

    def migrate(self) -> None:
        """Make the file and its tables; there is one schema so far, and a file of a newer one is refused."""
        with self._connection():
            return

    def schema(self) -> int:
        """Schema number of the file; 0: there is none yet."""
        if not self._path.exists():
            return 0
        with contextlib.closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)) as connection:
            return int(connection.execute("PRAGMA user_version").fetchone()[0])

    def sweep(self) -> int:
        """Remove expired rows, at most 64 of each table; the number removed."""
        with self._connection() as connection:
            return self._sweep(connection)

    def close(self) -> None:
        """See Store.close.  Operations that still run close their own connection when they end."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            if self._pid != os.getpid():
                self._abandoned, idle = idle, []
        for connection in idle:
            connection.close()

    def _unavailable(self, error: Exception) -> StoreUnavailableError:
        """An error of SQLite or of the file as the store's own."""
        return StoreUnavailableError(f"store file {self._path.name}: {error}")

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _row(self, connection: sqlite3.Connection, table: Table, key: str) -> Row | None:
        found = self._execute(connection, _SQL[table].load, (key, self._now_ms())).fetchone()
        return None if found is None else Row(*found)

    def _sweep_sometimes(self, connection: sqlite3.Connection) -> None:
        # A count that threads race on only moves the sweep a little.
        self._writes += 1
        if self._writes % _SWEEP_EVERY == 0:
            try:
                self._sweep(connection)
            except sqlite3.Error:
                # The write itself is done; expired rows wait for the next sweep.
                return

    def _sweep(self, connection: sqlite3.Connection) -> int:
        now_ms = self._now_ms()
        statements = [*[sql.sweep for sql in _SQL.values()], _TIMER_SWEEP]
        return sum(self._write(connection, statement, (now_ms,)) for statement in statements)

    def _write(self, connection: sqlite3.Connection, statement: str, arguments: tuple[object, ...]) -> int:
        """Run a statement that writes, in this process's turn; the number of rows."""
        if not self._turn.acquire(timeout=self._timeout_s):
            raise StoreUnavailableError(f"store file {self._path.name}: locked by other threads")
        try:
            return self._execute(connection, statement, arguments).rowcount
        finally:
            self._turn.release()

    def _execute(self, connection: sqlite3.Connection, statement: str, arguments: tuple[object, ...]) -> sqlite3.Cursor:
        """Run a statement, again and again while the file is locked: a statement that finds it so did nothing."""
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                return connection.execute(statement, arguments)
            except sqlite3.OperationalError as e:
                if not _is_busy(e) or time.monotonic() > deadline:
                    raise
            time.sleep(random.uniform(0, _LONGEST_PAUSE_S))

    def _connection(self) -> _Borrowed:
        """A connection nobody else uses meanwhile; errors of SQLite become StoreUnavailableError."""
        return _Borrowed(self)

    def _borrow(self) -> sqlite3.Connection:
        """An idle connection, or a new one; give it back."""
        if self._closed:
            raise StoreUnavailableError("the store is closed")
        if self._pid != os.getpid():
            with self._lock:
                if self._pid != os.getpid():
                    # Closing them here would drop the parent's locks on the file.
                    self._abandoned, self._idle = self._idle, []
                    self._turn = threading.Lock()
                    self._pid = os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            return self._open()

    def _give_back(self, connection: sqlite3.Connection) -> None:
        """Let others have it; after `close` it is closed."""
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def _open(self) -> sqlite3.Connection:
        if not self._path.exists():
            # UE contexts hold keys: nobody else may read the file (SQLite gives log and index the same mode).
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(self._path, timeout=self._timeout_s, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA synchronous = NORMAL")
            if not self._ready:
                self._prepare(connection)
                self._ready = True
            connection.execute("PRAGMA busy_timeout = 0")
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Switch the file to WAL and create its tables, also when several processes do so at once."""
        deadline = time.monotonic() + self._timeout_s
        while cast(tuple[str], connection.execute("PRAGMA journal_mode").fetchone())[0] != "wal":
            try:
                connection.execute("PRAGMA journal_mode = WAL").fetchone()
            except sqlite3.OperationalError:
                # SQLite does not call its busy handler here.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.005)
        (schema,) = cast(tuple[int], connection.execute("PRAGMA user_version").fetchone())
        if schema > SCHEMA:
            raise StoreUnavailableError(
                f"store file {self._path.name} has schema {schema}, this program knows {SCHEMA}: use a newer program"
            )
        there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if schema == SCHEMA and there >= {table.value for table in Table}:
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in _schema():
                connection.execute(statement)
        except BaseException:
            connection.rollback()
            raise
        connection.commit()


class _Borrowed:
    """One connection of a store's pool for the time of a `with`; one that had an error is closed, for it may be bad."""

    __slots__ = ("_connection", "_store")

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    def __enter__(self) -> sqlite3.Connection:
        try:
            self._connection = self._store._borrow()
        except (sqlite3.Error, OSError) as e:
            raise self._store._unavailable(e) from e
        return self._connection

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if isinstance(error, sqlite3.Error):
            self._connection.close()
        else:
            self._store._give_back(self._connection)
        if isinstance(error, sqlite3.Error | OSError):
            raise self._store._unavailable(error) from error
