"""The store on Apache Cassandra; imported only when a URL asks for it.

Conditional writes at LOCAL_SERIAL; reads of single rows at LOCAL_SERIAL too, because one of them may have to judge a
write whose answer was lost, and such calls are few.  Due steps are plain rows of one partition, at LOCAL_QUORUM.
"""

from __future__ import annotations

import ssl
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from cassandra import ConsistencyLevel, DriverException, InvalidRequest, RequestValidationException
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
from cassandra.connection import ConnectionException
from cassandra.policies import (
    DCAwareRoundRobinPolicy,
    ExponentialReconnectionPolicy,
    FallthroughRetryPolicy,
    TokenAwarePolicy,
)
from cassandra.protocol import ErrorMessage
from cassandra.query import dict_factory

from durable.errors import StoreError, TablesMissingError
from durable.moving import Seeking
from durable.rows import Conflict, Row, Saved, Unknown, WriteResult
from durable.store import Tables
from trust.errors import ConfigError

TIMEOUT_S: Final = 4.5
"""Longer than the server's own write and contention timeouts together."""
CONNECT_TIMEOUT_S: Final = 2.0
RECONNECT_S: Final = (0.5, 10.0)
"""The first pause before a lost node is tried again, and the longest: the driver's own is ten minutes."""
SCHEMA_STATEMENT_S: Final = 30.0
SCHEMA_PATIENCE_S: Final = 150.0
_POLL_S: Final = 0.5
_FAILURES: Final = (DriverException, ErrorMessage, ConnectionException, NoHostAvailable, OSError)
_NEVER_SENT: Final = (NoHostAvailable, RequestValidationException)
_PART: Final = "due"

# f-strings below hold names of the family's Tables and a checked keyspace and nothing else.


@dataclass(frozen=True, slots=True)
class Access:
    """How the nodes are spoken to.  user None: no login.  ca_file: PEM, None = no TLS."""

    user: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None

    def options(self) -> dict[str, Any]:
        """Of the driver's Cluster; files are read anew for each session.  Raises ConfigError, never with content."""
        found: dict[str, Any] = {}
        try:
            if self.user is not None and self.password_file is not None:
                password = self.password_file.read_text("utf-8").strip()
                found["auth_provider"] = PlainTextAuthProvider(self.user, password)
            if self.ca_file is not None:
                found["ssl_context"] = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, UnicodeDecodeError) as e:
            raise ConfigError("store_url", f"a file that it names cannot be read ({type(e).__name__})") from e
        return found


class CassandraStore(Seeking):
    """hosts: contact points.  keyspace: an identifier; its tables are made by `create_schema`."""

    def __init__(
        self,
        hosts: tuple[str, ...],
        keyspace: str,
        tables: Tables,
        *,
        port: int = 9042,
        datacenter: str = "datacenter1",
        access: Access | None = None,
    ) -> None:
        if not keyspace.isidentifier():
            raise ValueError("a keyspace is letters, digits and underscores")
        super().__init__(hosts)
        self._keyspace = keyspace
        self._tables = tables
        self._hosts = hosts
        self._port = port
        self._datacenter = datacenter
        self._access = access or Access()
        self._prepared: dict[str, Any] = {}

    def create_schema(
        self,
        replication: int = 1,
        *,
        pause: Callable[[float], None] = time.sleep,
        stop_watch: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make keyspace and tables where they are not there.

        A node that is too busy to answer is asked again, for SCHEMA_PATIENCE_S in all: each statement may be repeated.
        """
        deadline = stop_watch() + SCHEMA_PATIENCE_S
        for statement in self._schema(replication):
            while True:
                try:
                    self._change(statement)
                    break
                except StoreError as e:
                    if isinstance(e.__cause__, RequestValidationException) or stop_watch() > deadline:
                        raise
                    pause(_POLL_S)

    def has_schema(self) -> bool:
        """Whether the tables are there, by the one that `create_schema` makes last.  Raises StoreError."""
        try:
            self.due(0)
        except StoreError as e:
            if isinstance(e.__cause__, InvalidRequest):
                return False
            raise
        return True

    def _schema(self, replication: int) -> tuple[str, ...]:
        """With ids of our own: a statement that is repeated on another node would make a second table else."""

        def identity(name: str) -> uuid.UUID:
            return uuid.uuid5(uuid.NAMESPACE_OID, f"{self._keyspace}.{name}")

        topology = f"{{'class': 'NetworkTopologyStrategy', '{self._datacenter}': {int(replication)}}}"
        due = self._tables.due
        return (
            f"CREATE KEYSPACE IF NOT EXISTS {self._keyspace} WITH replication = {topology}",
            *(
                f"CREATE TABLE IF NOT EXISTS {self._keyspace}.{name} "
                f"(key text PRIMARY KEY, version int, writer text, value blob) WITH id = {identity(name)}"
                for name in self._tables.names()
            ),
            (
                f"CREATE TABLE IF NOT EXISTS {self._keyspace}.{due} (part text, operation text, due_ms bigint, "
                f"PRIMARY KEY (part, operation)) WITH gc_grace_seconds = 3600 AND id = {identity(due)}"
            ),
        )

    def load(self, table: Enum, key: str, *, serial: bool = False) -> Row | None:  # noqa: ARG002  it always is
        """See Store."""
        query = f"SELECT version, writer, value FROM {self._keyspace}.{table.value} WHERE key = ?"  # noqa: S608
        rows = self._run(query, (key,), ConsistencyLevel.LOCAL_SERIAL)
        return _row(rows[0]) if rows else None

    def save(
        self, table: Enum, key: str, value: bytes | None, *, expect: int | None, writer: str, ttl_s: int | None = None
    ) -> WriteResult:
        """See Store."""
        name = f"{self._keyspace}.{table.value}"
        if value is None:
            if expect is None:
                raise ValueError("a removal needs the version that it expects")
            query, arguments = f"DELETE FROM {name} WHERE key = ? IF version = ?", (key, expect)  # noqa: S608
        elif expect is None:
            # INSERT would leave a row marker, which outlasts its columns: no row to a reader, one to the next insert.
            # Those that an earlier version left are no hindrance to this.
            query = f"UPDATE {name} USING TTL ? SET version = 1, writer = ?, value = ? WHERE key = ? IF version = null"  # noqa: S608
            arguments = (ttl_s or 0, writer, value, key)  # type: ignore[assignment]
        else:
            query = f"UPDATE {name} USING TTL ? SET version = ?, writer = ?, value = ? WHERE key = ? IF version = ?"  # noqa: S608
            arguments = (ttl_s or 0, expect + 1, writer, value, key, expect)  # type: ignore[assignment]
        try:
            rows = self._run(query, arguments)
        except StoreError as e:
            if isinstance(e.__cause__, _NEVER_SENT):
                raise
            return Unknown()
        if rows and rows[0].get("[applied]"):
            return Saved(0 if value is None else (expect or 0) + 1)
        return Conflict(self.load(table, key))

    def scan(self, table: Enum) -> list[tuple[str, Row]]:
        """See Store."""
        rows = self._run(f"SELECT key, version, writer, value FROM {self._keyspace}.{table.value}", ())  # noqa: S608
        found = [(row["key"], _row(row)) for row in rows]
        return sorted(((key, row) for key, row in found if row is not None), key=lambda pair: pair[0])

    def set_due(self, call: str, due_ms: int | None) -> None:
        """See Store."""
        due = f"{self._keyspace}.{self._tables.due}"
        if due_ms is None:
            self._run(f"DELETE FROM {due} WHERE part = ? AND operation = ?", (_PART, call))  # noqa: S608
        else:
            self._run(
                f"INSERT INTO {due} (part, operation, due_ms) VALUES (?, ?, ?)",  # noqa: S608
                (_PART, call, due_ms),
            )

    def due(self, now_ms: int) -> list[str]:
        """See Store."""
        rows = self._run(f"SELECT operation, due_ms FROM {self._keyspace}.{self._tables.due} WHERE part = ?", (_PART,))  # noqa: S608
        return [
            r["operation"] for r in sorted(rows, key=lambda r: (r["due_ms"], r["operation"])) if r["due_ms"] <= now_ms
        ]

    def close(self) -> None:
        """See Store."""
        with self._lock:
            if self._cluster is not None:
                self._cluster.shutdown()
            self._cluster = self._session = None
            self._prepared.clear()

    def _connect(self, keyspace: str | None, timeout_s: float = CONNECT_TIMEOUT_S) -> Any:
        with self._lock:
            if self._session is None:
                profile = ExecutionProfile(
                    load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy(local_dc=self._datacenter)),
                    retry_policy=FallthroughRetryPolicy(),
                    consistency_level=ConsistencyLevel.LOCAL_QUORUM,
                    serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,
                    request_timeout=TIMEOUT_S,
                    row_factory=dict_factory,
                )
                self._prepared = {}
                try:
                    self._cluster = Cluster(
                        self._hosts,
                        port=self._port,
                        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
                        connect_timeout=timeout_s,
                        reconnection_policy=ExponentialReconnectionPolicy(*RECONNECT_S),
                        protocol_version=5,
                        **self._access.options(),
                    )
                    self._session = self._cluster.connect(keyspace)
                except _FAILURES as e:
                    raise StoreError(f"Cassandra: {type(e).__name__}") from e
            return self._session

    def _run(
        self, query: str, arguments: tuple[Any, ...], consistency: int = ConsistencyLevel.LOCAL_QUORUM
    ) -> list[dict[str, Any]]:
        """The rows of a statement, which is prepared once per process."""
        session = self._session or self._connect(None)
        try:
            statement = self._prepared.get(query)
            if statement is None:
                statement = session.prepare(query)
                statement.consistency_level = consistency
                statement.serial_consistency_level = ConsistencyLevel.LOCAL_SERIAL
                # A conditional write is no more the same the second time.
                statement.is_idempotent = " IF " not in query
                self._prepared[query] = statement
            return list(session.execute(statement, arguments))
        except _FAILURES as e:
            self._seek()
            if isinstance(e, InvalidRequest):
                hint = "`edge store status` tells whether a table is missing"
                raise TablesMissingError(f"Cassandra: {type(e).__name__}; {hint}") from e
            raise StoreError(f"Cassandra: {type(e).__name__}") from e

    def _change(self, statement: str) -> None:
        """Change the schema."""
        session = self._session or self._connect(None, SCHEMA_STATEMENT_S)
        try:
            session.execute(statement, timeout=SCHEMA_STATEMENT_S)
        except _FAILURES as e:
            raise StoreError(f"Cassandra: {type(e).__name__}") from e


def _row(found: dict[str, Any]) -> Row | None:
    """None for what an expired row or a failed condition leaves."""
    if found.get("version") is None or found.get("value") is None:
        return None
    return Row(bytes(found["value"]), found["version"], found["writer"])
