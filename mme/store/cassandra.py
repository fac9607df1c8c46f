"""The store on Apache Cassandra; imported only when a URL asks for it (`mme.store.opening`).

One table per access path, `key text PRIMARY KEY, version int, writer text, value blob`; timers partitioned by
(shard, second).  `cassandra_queries` has every statement with its consistency and why; `cassandra_schema` makes the
tables.

Nothing that Cassandra may have begun is repeated by the driver: conditional writes are marked as not idempotent, and
their retry policy always rethrows.  Reads and plain writes are idempotent and are tried once more.  What found no
connection to any node was not sent, and is tried again for a moment, conditional writes too.
"""

from __future__ import annotations

import itertools
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cassandra import (
    ConsistencyLevel,
    DriverException,
    InvalidRequest,
    RequestValidationException,
)
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable, Session
from cassandra.concurrent import execute_concurrent_with_args
from cassandra.connection import ConnectionException
from cassandra.policies import DCAwareRoundRobinPolicy, ExponentialReconnectionPolicy, RetryPolicy, TokenAwarePolicy
from cassandra.protocol import ErrorMessage
from cassandra.query import PreparedStatement, dict_factory

from durable.moving import Seeking
from mme.errors import ConfigError, StoreNotMigratedError, StoreUnavailableError
from mme.store import cassandra_queries as queries
from mme.store import cassandra_schema as schema
from mme.store.base import Conflict, Row, Saved, Table, TimerRow, Unknown, WriteResult
from mme.store.bulk import LASTING, StoredRow, StoredTimer
from mme.store.cassandra_policies import (
    CLIENT_TIMEOUT_S,
    COMMAND_CONNECT_TIMEOUT_S,
    COMMAND_STATEMENT_S,
    CONNECT_TIMEOUT_S,
    NO_CONNECTION_PAUSES_S,
    NeverAgain,
    OnceMore,
)
from mme.store.cassandra_queries import Query

REMOVED_TTL_S: Final = 86_400
"""How long a removed row is kept as one of version 0."""
PAGE_ROWS: Final = 500
_BULK_AT_ONCE: Final = (64, 16, 4)
"""Writes under way of a bulk load, and of what is left of it after a failure; at last one, whose failure ends it."""
_RECONNECT_S: Final = (0.5, 10.0)
"""First and longest pause between two tries to reach a node that was lost."""
_CONDITIONAL: Final = "conditional"
_IDEMPOTENT: Final = "idempotent"
_APPLIED: Final = "[applied]"
_FAILURES: Final = (DriverException, ErrorMessage, ConnectionException, NoHostAvailable, OSError)


@dataclass(frozen=True, slots=True)
class Access:
    """How the nodes are spoken to.  user None: no login.  ca_file: PEM, None = no TLS."""

    user: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None

    def password(self) -> str:
        """Read anew for each session: a changed secret is found.  Raises ConfigError, never with the content."""
        if self.password_file is None:
            raise ConfigError("STORE_URL", "has a user but no password_file")
        try:
            return self.password_file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as e:
            raise ConfigError("STORE_URL", f"password_file {self.password_file} cannot be read") from e

    def tls(self) -> ssl.SSLContext | None:
        """Certificates are checked against ca_file, and must name the host.  Raises ConfigError."""
        if self.ca_file is None:
            return None
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as e:
            raise ConfigError("STORE_URL", f"ca_file {self.ca_file} cannot be read as certificates") from e


class CassandraStore(Seeking):
    """`mme.store.base.Store` on a keyspace; the session is opened by the first operation, one per process.

    hosts: contact points.  replication, datacenter: for `migrate`; datacenter also says which nodes are local.
    """

    def __init__(
        self,
        hosts: tuple[str, ...],
        keyspace: str,
        *,
        port: int = 9042,
        replication: int = 1,
        datacenter: str = "datacenter1",
        timeout_s: float = CLIENT_TIMEOUT_S,
        access: Access | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        if not keyspace.isidentifier():
            raise ValueError("a keyspace is letters, digits and underscores")
        super().__init__(hosts)
        self.keyspace = keyspace
        self.replication = replication
        self.datacenter = datacenter
        self._hosts = hosts
        self._port = port
        self._timeout_s = timeout_s
        self._access = access or Access()
        self._pause = pause
        self._is_alone = False
        self._pid = 0
        self._closed = False
        self._prepared: dict[tuple[str, str], PreparedStatement] = {}

    def load(self, table: Table, key: str, *, serial: bool = False) -> Row | None:
        """See Store.load."""
        rows = self._run(queries.LOAD_SERIAL if serial else queries.LOAD, (key,), table)
        return _row(rows[0]) if rows else None

    def save(
        self, table: Table, key: str, value: bytes | None, *, expect: int | None, writer: str, ttl_s: int | None = None
    ) -> WriteResult:
        """See Store.save.  A Conflict costs a read at LOCAL_SERIAL, for its row."""
        if value is None and expect is None:
            raise ValueError("a removal needs the version that it expects")
        version = 0
        if value is None:
            answer = self._conditional(queries.REMOVE, (REMOVED_TTL_S, writer, key, expect), table)
        elif expect is None:
            version = 1
            answer = self._conditional(queries.INSERT, (ttl_s or 0, writer, value, key), table)
        else:
            version = expect + 1
            answer = self._conditional(queries.UPDATE, (ttl_s or 0, version, writer, value, key, expect), table)
        if answer is None:
            return Unknown()
        return Saved(version) if answer[_APPLIED] else Conflict(self.load(table, key, serial=True))

    def insert_timer(self, timer: TimerRow, *, ttl_s: int) -> None:
        """See Store.insert_timer."""
        self._run(queries.INSERT_TIMER, _timer_arguments(timer, ttl_s))

    def due_timers(self, shard: int, second: int) -> list[TimerRow]:
        """See Store.due_timers."""
        rows = self._run(queries.DUE_TIMERS, (shard, second))
        return [TimerRow(shard, row["due_ms"], row["name"], row["timer_token"], row["owner"]) for row in rows]

    def now_ms(self) -> int:
        """See Store.now_ms: the clock of the node that coordinates this query, from a table that every node has."""
        [row] = self._run(queries.NOW, ())
        return int(row["now_ms"])

    def scan(self, table: Table) -> list[tuple[str, Row]]:
        """See Store.scan; pages through every partition."""
        return sorted((stored.key, stored.row) for stored in self.rows(table))

    def rows(self, table: Table) -> Iterator[StoredRow]:
        """See BulkStore.rows."""
        for columns in self._pages(queries.SCAN, table):
            row = _row(columns)
            if row is not None:
                yield StoredRow(columns["key"], row, columns["ttl_s"])

    def timers(self) -> Iterator[StoredTimer]:
        """See BulkStore.timers."""
        for row in self._pages(queries.SCAN_TIMERS):
            timer = TimerRow(row["shard"], row["due_ms"], row["name"], row["timer_token"], row["owner"])
            yield StoredTimer(timer, row["ttl_s"])

    def is_empty(self) -> bool:
        """See BulkStore.is_empty; a removed row that has not expired yet counts."""
        return not any(self._run(queries.ANY, (), name) for name in (*LASTING, "timer"))

    def put_rows(self, table: Table, rows: Iterable[StoredRow]) -> None:
        """See BulkStore.put_rows.

        Written with the server's time of now: a client whose clock is ahead would win against later conditional writes.
        """
        now_us = self.now_ms() * 1000
        arguments = (
            (stored.ttl_s or 0, now_us, stored.row.version, stored.row.writer, stored.row.value, stored.key)
            for stored in rows
        )
        self._put(queries.PUT, arguments, table)

    def put_timers(self, timers: Iterable[StoredTimer]) -> None:
        """See BulkStore.put_timers."""
        self._put(queries.INSERT_TIMER, (_timer_arguments(stored.timer, stored.ttl_s) for stored in timers))

    def close(self) -> None:
        """See Store.close."""
        with self._lock:
            self._closed = True
            cluster, self._cluster, self._session = self._cluster, None, None
            mine = self._pid == os.getpid()
        if cluster is not None and mine:
            cluster.shutdown()

    def _run(self, query: Query, arguments: tuple[object, ...], table: Table | str = "") -> list[dict[str, Any]]:
        """All rows of an idempotent statement."""
        try:
            session = self._opened()
            statement = self._statement(session, query, table)
            return list(self._send(session, statement, arguments, _IDEMPOTENT))
        except _FAILURES as e:
            self._seek()
            raise StoreUnavailableError(f"Cassandra: {type(e).__name__}") from e

    def _pages(self, query: Query, table: Table | str = "") -> Iterator[dict[str, Any]]:
        """Rows of a scan, PAGE_ROWS in memory at a time."""
        try:
            session = self._opened()
            statement = self._statement(session, query, table)
            statement.fetch_size = PAGE_ROWS
            yield from session.execute(statement, (), execution_profile=_IDEMPOTENT)
        except _FAILURES as e:
            self._seek()
            raise StoreUnavailableError(f"Cassandra: {type(e).__name__}") from e

    def _put(self, query: Query, arguments: Iterable[tuple[object, ...]], table: Table | str = "") -> None:
        """Plain writes, several under way; those that fail again, for a node may be too busy for so many."""
        several = iter(arguments)
        try:
            session = self._opened()
            statement = self._statement(session, query, table)
            while chunk := list(itertools.islice(several, PAGE_ROWS)):
                for at_once in (*_BULK_AT_ONCE, 0):
                    results = execute_concurrent_with_args(
                        session,
                        statement,
                        chunk,
                        concurrency=max(1, at_once),
                        raise_on_first_error=at_once == 0,
                        execution_profile=_IDEMPOTENT,
                    )
                    # A busy node answers too late: these may be written again, fewer at a time.
                    chunk = [row for row, (done, _) in zip(chunk, results, strict=True) if not done]
                    if not chunk:
                        break
        except _FAILURES as e:
            raise StoreUnavailableError(f"Cassandra: {type(e).__name__}") from e

    def _conditional(self, query: Query, arguments: tuple[object, ...], table: Table) -> dict[str, Any] | None:
        """The answer row of a conditional write; None: it may or may not have happened.

        Raises StoreUnavailableError where nothing was sent (no connection to any host) or the server refused the
        statement before it ran it.  Unavailable is no such case: the commit at the end may raise it, too.
        """
        try:
            session = self._opened()
            statement = self._statement(session, query, table)
        except _FAILURES as e:
            self._seek()
            raise StoreUnavailableError(f"Cassandra: {type(e).__name__}") from e
        try:
            rows = self._send(session, statement, arguments, _CONDITIONAL)
        except (NoHostAvailable, RequestValidationException) as e:
            self._seek()
            raise StoreUnavailableError(f"Cassandra: {type(e).__name__}") from e
        except (DriverException, ErrorMessage, ConnectionException, OSError):
            self._seek()
            return None
        answer: dict[str, Any] = rows.one()
        return answer

    def _send(self, session: Session, statement: PreparedStatement, arguments: tuple[object, ...], profile: str) -> Any:
        """The driver's answer.  Where no node has a connection another one may, a moment later.

        What was sent to a node is not sent again: the policies do that.  Once the pauses were in vain, none are made
        until something is answered, or a call that asks for fifty rows would wait for each.
        """
        pauses_s = iter(() if self._is_alone else NO_CONNECTION_PAUSES_S)
        while True:
            future = session.execute_async(statement, arguments, execution_profile=profile)
            try:
                found = future.result()
            except NoHostAvailable:
                pause_s = None if future.attempted_hosts else next(pauses_s, None)
                if pause_s is None:
                    self._is_alone = not future.attempted_hosts
                    raise
                self._pause(pause_s)
            else:
                self._is_alone = False
                return found

    def _statement(self, session: Session, query: Query, table: Table | str = "") -> PreparedStatement:
        """The statement, prepared once per process."""
        name = table.value if isinstance(table, Table) else table
        statement = self._prepared.get((query.name, name))
        if statement is None:
            statement = session.prepare(query.cql.format(table=name))
            statement.consistency_level = query.consistency
            statement.serial_consistency_level = ConsistencyLevel.LOCAL_SERIAL
            statement.is_idempotent = query.idempotent
            self._prepared[query.name, name] = statement
        return statement

    def _opened(self) -> Session:
        session = self._session
        if session is not None and self._pid == os.getpid():
            return session
        with self._lock:
            if self._closed:
                raise StoreUnavailableError("the store is closed")
            if self._session is None or self._pid != os.getpid():
                # After a fork the parent's session is of no use here, and not ours to shut down.
                self._cluster, self._prepared = self._new_cluster(), {}
                try:
                    session = self._cluster.connect()
                    self._use_keyspace(session)
                except (*_FAILURES, StoreUnavailableError):
                    self._cluster.shutdown()
                    raise
                self._session = session
                self._pid = os.getpid()
            return self._session

    def _seek(self) -> None:
        if self._pid == os.getpid():
            super()._seek()

    def _new_cluster(self, connect_timeout_s: float = CONNECT_TIMEOUT_S) -> Cluster:
        balancing = TokenAwarePolicy(DCAwareRoundRobinPolicy(local_dc=self.datacenter))
        policies: dict[str, RetryPolicy] = {_CONDITIONAL: NeverAgain(), _IDEMPOTENT: OnceMore()}
        profiles: dict[object, ExecutionProfile] = {
            name: ExecutionProfile(
                load_balancing_policy=balancing,
                retry_policy=policy,
                request_timeout=self._timeout_s,
                row_factory=dict_factory,
            )
            for name, policy in policies.items()
        }
        profiles[EXEC_PROFILE_DEFAULT] = profiles[_IDEMPOTENT]
        access = self._access
        return Cluster(
            list(self._hosts),
            port=self._port,
            execution_profiles=profiles,
            connect_timeout=connect_timeout_s,
            control_connection_timeout=max(connect_timeout_s, CLIENT_TIMEOUT_S),
            reconnection_policy=ExponentialReconnectionPolicy(*_RECONNECT_S),
            auth_provider=PlainTextAuthProvider(access.user, access.password()) if access.user else None,
            ssl_context=access.tls(),
            protocol_version=5,
        )

    def _use_keyspace(self, session: Session) -> None:
        """Refuse a keyspace that is not there or lacks a migration; a newer one only has more."""
        try:
            session.set_keyspace(self.keyspace)
            statement = self._statement(session, queries.MIGRATIONS)
            had = sorted(row["number"] for row in session.execute(statement, (), execution_profile=_IDEMPOTENT))
        except InvalidRequest:
            had = []
        if not had or had[-1] < schema.NEWEST:
            raise StoreNotMigratedError(
                f"keyspace {self.keyspace} has schema {had[-1] if had else 0}, {schema.NEWEST} is needed: "
                "run `edge store migrate`"
            )

    @contextmanager
    def _session_without_keyspace(self) -> Iterator[Session]:
        try:
            cluster = self._new_cluster(COMMAND_CONNECT_TIMEOUT_S)
            try:
                yield cluster.connect()
            finally:
                cluster.shutdown()
        except _FAILURES as e:
            raise StoreUnavailableError(f"Cassandra: {type(e).__name__}: {e}") from e

    def migrate(self, say: Callable[[str], None] = lambda _: None) -> list[int]:
        """Make the keyspace and its tables, or bring them up to date; the migrations that were run.

        Only command lines do so: functions never change the schema.  Raises StoreUnavailableError.
        """
        with self._session_without_keyspace() as session:
            return schema.migrate(session, self.keyspace, self.replication, self.datacenter, say)

    def drop(self) -> None:
        """Remove the keyspace with all that is in it: of measurements and tests.  Raises StoreUnavailableError."""
        with self._session_without_keyspace() as session:
            session.execute(f"DROP KEYSPACE IF EXISTS {self.keyspace}", timeout=COMMAND_STATEMENT_S)

    def sockets(self) -> list[socket.socket]:
        """Those of the session that have been opened so far: for measurements of what goes over them."""
        pools = self._session.get_pools() if self._session is not None else ()
        return [connection._socket for pool in pools for connection in pool.get_connections()]

    def migrations_done(self) -> list[int]:
        """Numbers of the migrations that the keyspace has had; none where it does not exist."""
        with self._session_without_keyspace() as session:
            try:
                session.set_keyspace(self.keyspace)
                return schema.done(session)
            except InvalidRequest:
                return []


def _timer_arguments(timer: TimerRow, ttl_s: int) -> tuple[object, ...]:
    return (timer.shard, timer.due_ms // 1000, timer.owner, timer.name, timer.token, timer.due_ms, ttl_s)


def _row(columns: dict[str, Any]) -> Row | None:
    """None: removed."""
    if columns["version"] in (None, 0):
        return None
    return Row(columns["value"], columns["version"], columns["writer"])
