"""The store on Apache Cassandra; imported only when a URL asks for it (`mme.store.opening`).

One table per access path, `key text PRIMARY KEY, version int, writer text, value blob`; timers partitioned by
(shard, second).  Consistency, per query:
- conditional writes: LOCAL_SERIAL for the Paxos round (one datacenter decides, no wide-area round), LOCAL_QUORUM for
  the commit, so that the LOCAL_QUORUM reads below see it;
- `load`: LOCAL_QUORUM, enough because a stale read only costs a Conflict; `load(serial=True)`: LOCAL_SERIAL, which
  first completes what a lost conditional write left open - the only read that may judge an Unknown;
- the clock: ONE, each node answers for itself;
- timers: LOCAL_QUORUM both ways, so that a timer whose write returned is read when its second is.

Nothing that Cassandra may have begun is repeated by the driver: conditional writes are marked as not idempotent, and
their retry policy always rethrows.  Reads and timer writes are idempotent and are tried once more.
"""

from __future__ import annotations

import os
import threading
from typing import Any, Final

from cassandra import (
    ConsistencyLevel,
    DriverException,
    RequestValidationException,
)
from cassandra.cluster import Cluster, ExecutionProfile, NoHostAvailable, Session
from cassandra.connection import ConnectionException
from cassandra.policies import DCAwareRoundRobinPolicy, RetryPolicy, TokenAwarePolicy
from cassandra.protocol import ErrorMessage
from cassandra.query import PreparedStatement, dict_factory

from mme.errors import StoreUnavailableError
from mme.store.base import Conflict, Row, Saved, Table, TimerRow, Unknown, WriteResult

CLIENT_TIMEOUT_S: Final = 4.5
"""Longer than the server's own: cas_contention_timeout (1.8 s) and write_request_timeout (2 s) one after the other."""
_CONNECT_TIMEOUT_S: Final = 2.0
_CONDITIONAL: Final = "conditional"
_IDEMPOTENT: Final = "idempotent"
_APPLIED: Final = "[applied]"
_FAILURES: Final = (DriverException, ErrorMessage, ConnectionException, NoHostAvailable, OSError)

# f-strings below hold names of the Table enumeration and a checked keyspace and nothing else.


class _NeverAgain(RetryPolicy):  # type: ignore[misc]
    """For conditional writes: every failure goes to the caller, also one that another host might not have."""

    def on_read_timeout(self, *_: Any, **__: Any) -> tuple[int, None]:
        return self.RETHROW, None

    def on_write_timeout(self, *_: Any, **__: Any) -> tuple[int, None]:
        return self.RETHROW, None

    def on_unavailable(self, *_: Any, **__: Any) -> tuple[int, None]:
        return self.RETHROW, None

    def on_request_error(self, *_: Any, **__: Any) -> tuple[int, None]:
        return self.RETHROW, None


class _OnceMore(RetryPolicy):  # type: ignore[misc]
    """For reads and timer writes, which are idempotent: one more try, on another host."""

    def _once(self, retry_num: int) -> tuple[int, None]:
        return (self.RETRY_NEXT_HOST if retry_num == 0 else self.RETHROW), None

    def on_read_timeout(self, *_: Any, retry_num: int = 0, **__: Any) -> tuple[int, None]:
        return self._once(retry_num)

    def on_write_timeout(self, *_: Any, retry_num: int = 0, **__: Any) -> tuple[int, None]:
        return self._once(retry_num)

    def on_unavailable(self, *_: Any, retry_num: int = 0, **__: Any) -> tuple[int, None]:
        return self._once(retry_num)

    def on_request_error(self, *_: Any, retry_num: int = 0, **__: Any) -> tuple[int, None]:
        return self._once(retry_num)


class CassandraStore:
    """`mme.store.base.Store` on a keyspace; the session is opened by the first operation, one per process.

    hosts: contact points.  replication, datacenter: for `create_schema`; datacenter also says which nodes are local.
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
    ) -> None:
        if not keyspace.isidentifier():
            raise ValueError("a keyspace is letters, digits and underscores")
        self.keyspace = keyspace
        self.replication = replication
        self.datacenter = datacenter
        self._hosts = hosts
        self._port = port
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._pid = 0
        self._closed = False
        self._cluster: Any = None
        self._session: Any = None
        self._prepared: dict[tuple[str, ConsistencyLevel, bool], PreparedStatement] = {}

    def load(self, table: Table, key: str, *, serial: bool = False) -> Row | None:
        """See Store.load."""
        consistency = ConsistencyLevel.LOCAL_SERIAL if serial else ConsistencyLevel.LOCAL_QUORUM
        query = f"SELECT version, writer, value FROM {table.value} WHERE key = ?"  # noqa: S608
        rows = self._read(query, (key,), consistency)
        return _row(rows[0]) if rows else None

    def save(
        self, table: Table, key: str, value: bytes | None, *, expect: int | None, writer: str, ttl_s: int | None = None
    ) -> WriteResult:
        """See Store.save.  A Conflict of an insert shows the row at once, another one costs a read at LOCAL_SERIAL."""
        if value is None and expect is None:
            raise ValueError("a removal needs the version that it expects")
        if value is None:
            return self._remove(table, key, expect)
        if expect is not None:
            return self._update(table, key, value, expect=expect, writer=writer, ttl_s=ttl_s)
        columns = "(key, version, writer, value) VALUES (?, 1, ?, ?)"
        query = f"INSERT INTO {table.value} {columns} IF NOT EXISTS USING TTL ?"
        answer = self._conditional(query, (key, writer, value, ttl_s or 0))
        if answer is None:
            return Unknown()
        if answer[_APPLIED]:
            return Saved(1)
        row = _row(answer)
        if row is None:
            # All columns have expired, but an earlier insert without TTL left its row marker: no row for our readers.
            return self._update(table, key, value, expect=None, writer=writer, ttl_s=ttl_s)
        return Conflict(row)

    def insert_timer(self, timer: TimerRow, *, ttl_s: int) -> None:
        """See Store.insert_timer."""
        query = (
            "INSERT INTO timer (shard, second, owner, name, timer_token, due_ms) VALUES (?, ?, ?, ?, ?, ?) USING TTL ?"
        )
        second = timer.due_ms // 1000
        arguments = (timer.shard, second, timer.owner, timer.name, timer.token, timer.due_ms, ttl_s)
        self._read(query, arguments, ConsistencyLevel.LOCAL_QUORUM)

    def due_timers(self, shard: int, second: int) -> list[TimerRow]:
        """See Store.due_timers."""
        query = "SELECT due_ms, name, timer_token, owner FROM timer WHERE shard = ? AND second = ?"
        rows = self._read(query, (shard, second), ConsistencyLevel.LOCAL_QUORUM)
        return [TimerRow(shard, row["due_ms"], row["name"], row["timer_token"], row["owner"]) for row in rows]

    def now_ms(self) -> int:
        """See Store.now_ms: the clock of the node that coordinates this query, from a table that every node has."""
        query = "SELECT toUnixTimestamp(now()) AS now_ms FROM system.local WHERE key = 'local'"
        [row] = self._read(query, (), ConsistencyLevel.ONE)
        return int(row["now_ms"])

    def scan(self, table: Table) -> list[tuple[str, Row]]:
        """See Store.scan; pages through every partition."""
        query = f"SELECT key, version, writer, value FROM {table.value}"  # noqa: S608
        found = [(row["key"], _row(row)) for row in self._read(query, (), ConsistencyLevel.LOCAL_QUORUM)]
        return sorted((key, row) for key, row in found if row is not None)

    def close(self) -> None:
        """See Store.close."""
        with self._lock:
            self._closed = True
            cluster, self._cluster, self._session = self._cluster, None, None
            mine = self._pid == os.getpid()
        if cluster is not None and mine:
            cluster.shutdown()

    def _update(
        self, table: Table, key: str, value: bytes, *, expect: int | None, writer: str, ttl_s: int | None
    ) -> WriteResult:
        query = f"UPDATE {table.value} USING TTL ? SET version = ?, writer = ?, value = ? WHERE key = ? IF version = ?"  # noqa: S608
        version = (expect or 0) + 1
        answer = self._conditional(query, (ttl_s or 0, version, writer, value, key, expect))
        if answer is None:
            return Unknown()
        return Saved(version) if answer[_APPLIED] else Conflict(self.load(table, key, serial=True))

    def _remove(self, table: Table, key: str, expect: int | None) -> WriteResult:
        answer = self._conditional(f"DELETE FROM {table.value} WHERE key = ? IF version = ?", (key, expect))  # noqa: S608
        if answer is None:
            return Unknown()
        return Saved(0) if answer[_APPLIED] else Conflict(self.load(table, key, serial=True))

    def _read(self, query: str, arguments: tuple[object, ...], consistency: int) -> list[dict[str, Any]]:
        """All rows of an idempotent statement."""
        try:
            session = self._opened()
            statement = self._statement(session, query, consistency, idempotent=True)
            return list(session.execute(statement, arguments, execution_profile=_IDEMPOTENT))
        except _FAILURES as e:
            raise StoreUnavailableError(f"Cassandra: {type(e).__name__}") from e

    def _conditional(self, query: str, arguments: tuple[object, ...]) -> dict[str, Any] | None:
        """The answer row of a conditional write; None: it may or may not have happened.

        Raises StoreUnavailableError where nothing was sent (no connection to any host) or the server refused the
        statement before it ran it.  Unavailable is no such case: the commit at the end may raise it, too.
        """
        try:
            session = self._opened()
            statement = self._statement(session, query, ConsistencyLevel.LOCAL_QUORUM, idempotent=False)
        except _FAILURES as e:
            raise StoreUnavailableError(f"Cassandra: {type(e).__name__}") from e
        try:
            rows = session.execute(statement, arguments, execution_profile=_CONDITIONAL)
        except (NoHostAvailable, RequestValidationException) as e:
            raise StoreUnavailableError(f"Cassandra: {type(e).__name__}") from e
        except (DriverException, ErrorMessage, ConnectionException, OSError):
            return None
        answer: dict[str, Any] = rows.one()
        return answer

    def _statement(self, session: Session, query: str, consistency: int, *, idempotent: bool) -> PreparedStatement:
        """The statement, prepared once per process."""
        known = (query, consistency, idempotent)
        statement = self._prepared.get(known)
        if statement is None:
            statement = session.prepare(query)
            statement.consistency_level = consistency
            statement.serial_consistency_level = ConsistencyLevel.LOCAL_SERIAL
            statement.is_idempotent = idempotent
            self._prepared[known] = statement
        return statement

    def _opened(self) -> Session:
        if self._session is not None and self._pid == os.getpid():
            return self._session
        with self._lock:
            if self._closed:
                raise StoreUnavailableError("the store is closed")
            if self._session is None or self._pid != os.getpid():
                # After a fork the parent's session is of no use here, and not ours to shut down.
                self._cluster, self._prepared = self._new_cluster(), {}
                try:
                    self._session = self._cluster.connect(self.keyspace)
                except _FAILURES:
                    self._cluster.shutdown()
                    raise
                self._pid = os.getpid()
            return self._session

    def _new_cluster(self) -> Cluster:
        balancing = TokenAwarePolicy(DCAwareRoundRobinPolicy(local_dc=self.datacenter))
        profiles = {
            name: ExecutionProfile(
                load_balancing_policy=balancing,
                retry_policy=policy,
                request_timeout=self._timeout_s,
                row_factory=dict_factory,
            )
            for name, policy in ((_CONDITIONAL, _NeverAgain()), (_IDEMPOTENT, _OnceMore()))
        }
        profiles["default"] = profiles[_IDEMPOTENT]
        return Cluster(
            list(self._hosts),
            port=self._port,
            execution_profiles=profiles,
            connect_timeout=_CONNECT_TIMEOUT_S,
            protocol_version=5,
        )

    def _session_without_keyspace(self) -> tuple[Cluster, Session]:
        cluster = self._new_cluster()
        try:
            return cluster, cluster.connect()
        except _FAILURES:
            cluster.shutdown()
            raise


def create_schema(store: CassandraStore) -> None:
    """Create the keyspace (NetworkTopologyStrategy) and the tables that are not there yet.

    Kept apart from the store: functions never change the schema.  Raises StoreUnavailableError.
    """
    try:
        cluster, session = store._session_without_keyspace()
        try:
            for statement in _schema(store.keyspace, store.replication, store.datacenter):
                session.execute(statement, timeout=30)
        finally:
            cluster.shutdown()
    except _FAILURES as e:
        raise StoreUnavailableError(f"Cassandra, creating the schema: {type(e).__name__}: {e}") from e


def _schema(keyspace: str, replication: int, datacenter: str) -> list[str]:
    if not datacenter.replace("-", "_").isidentifier():
        raise ValueError("a datacenter is letters, digits, hyphens and underscores")
    tables = [
        f"CREATE TABLE IF NOT EXISTS {keyspace}.{table.value} "
        "(key text PRIMARY KEY, version int, writer text, value blob)"
        for table in Table
    ]
    replicas = f"{{'class': 'NetworkTopologyStrategy', '{datacenter}': {replication}}}"
    # Timers live minutes and are never deleted one by one: whole windows of them expire together.
    timer = (
        f"CREATE TABLE IF NOT EXISTS {keyspace}.timer (shard int, second bigint, owner text, name text, "
        "timer_token text, due_ms bigint, PRIMARY KEY ((shard, second), owner, name, timer_token)) WITH compaction = "
        "{'class': 'TimeWindowCompactionStrategy', 'compaction_window_unit': 'MINUTES', 'compaction_window_size': 10}"
    )
    return [f"CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {replicas}", *tables, timer]


def _row(columns: dict[str, Any]) -> Row | None:
    """None: the columns have expired."""
    if columns["version"] is None:
        return None
    return Row(columns["value"], columns["version"], columns["writer"])
