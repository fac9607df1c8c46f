"""Every statement that the store sends to Cassandra, with its consistency and why; docs/cassandra.md shows them.

LOCAL_QUORUM and LOCAL_SERIAL everywhere but for the clock: one datacenter decides, no round goes over a wide area.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from cassandra import ConsistencyLevel


class Kind(Enum):
    """What a statement does; it decides profile, retries and idempotence."""

    READ = "read"
    PLAIN_WRITE = "plain write"
    CONDITIONAL_WRITE = "conditional write"


@dataclass(frozen=True, slots=True)
class Query:
    """cql: {table} stands for one of Table.  ttl, why: for people, as docs/cassandra.md shows them."""

    name: str
    kind: Kind
    cql: str
    consistency: int
    ttl: str
    why: str

    @property
    def idempotent(self) -> bool:
        """Whether the driver may send it again: never a conditional write."""
        return self.kind is not Kind.CONDITIONAL_WRITE


_QUORUM: Final = ConsistencyLevel.LOCAL_QUORUM
_COLUMNS: Final = "version, writer, value"

LOAD: Final = Query(
    "load",
    Kind.READ,
    f"SELECT {_COLUMNS} FROM {{table}} WHERE key = ?",  # noqa: S608
    _QUORUM,
    "-",
    "sees every commit that has returned; a stale read would only cost a Conflict",
)
LOAD_SERIAL: Final = Query(
    "load at SERIAL",
    Kind.READ,
    LOAD.cql,
    ConsistencyLevel.LOCAL_SERIAL,
    "-",
    "completes what a lost conditional write left open: the only read that may judge an Unknown",
)
INSERT: Final = Query(
    "insert",
    Kind.CONDITIONAL_WRITE,
    "UPDATE {table} USING TTL ? SET version = 1, writer = ?, value = ? WHERE key = ? IF version IN (0, null)",
    _QUORUM,
    "the row's, 0 = lasting",
    "UPDATE leaves no row marker behind when its columns expire, as INSERT would; version 0 is a removed row",
)
UPDATE: Final = Query(
    "update",
    Kind.CONDITIONAL_WRITE,
    "UPDATE {table} USING TTL ? SET version = ?, writer = ?, value = ? WHERE key = ? IF version = ?",
    _QUORUM,
    "the row's, 0 = lasting",
    "commit at LOCAL_QUORUM, so that `load` sees it",
)
REMOVE: Final = Query(
    "remove",
    Kind.CONDITIONAL_WRITE,
    "UPDATE {table} USING TTL ? SET version = 0, writer = ?, value = 0x WHERE key = ? IF version = ?",
    _QUORUM,
    "1 day",
    "a row of version 0 is no row to any reader, and expires: no DELETE, which would leave a tombstone at once",
)
INSERT_TIMER: Final = Query(
    "insert a timer",
    Kind.PLAIN_WRITE,
    "INSERT INTO timer (shard, second, owner, name, timer_token, due_ms) VALUES (?, ?, ?, ?, ?, ?) USING TTL ?",
    _QUORUM,
    "the timer's",
    "blind and the same every time; a timer whose write has returned is found when its second is read",
)
DUE_TIMERS: Final = Query(
    "due timers",
    Kind.READ,
    "SELECT due_ms, name, timer_token, owner FROM timer WHERE shard = ? AND second = ?",
    _QUORUM,
    "-",
    "one partition: a shard's second; read long before its rows expire, so that it meets no tombstone",
)
NOW: Final = Query(
    "clock",
    Kind.READ,
    "SELECT toUnixTimestamp(now()) AS now_ms FROM system.local WHERE key = 'local'",
    ConsistencyLevel.ONE,
    "-",
    "each node answers for itself",
)
SCAN: Final = Query(
    "scan",
    Kind.READ,
    f"SELECT key, {_COLUMNS}, TTL(version) AS ttl_s FROM {{table}}",  # noqa: S608
    _QUORUM,
    "-",
    "for command lines and tests, in pages; never on the path of a message",
)
SCAN_TIMERS: Final = Query(
    "scan timers",
    Kind.READ,
    "SELECT shard, due_ms, name, timer_token, owner, TTL(due_ms) AS ttl_s FROM timer",
    _QUORUM,
    "-",
    "for backups, in pages",
)
PUT: Final = Query(
    "put",
    Kind.PLAIN_WRITE,
    "UPDATE {table} USING TTL ? AND TIMESTAMP ? SET version = ?, writer = ?, value = ? WHERE key = ?",
    _QUORUM,
    "the row's, 0 = lasting",
    "restores and bulk loads into an empty keyspace only; its time is the server's, before any conditional write's",
)
ANY: Final = Query(
    "any row",
    Kind.READ,
    "SELECT * FROM {table} LIMIT 1",
    _QUORUM,
    "-",
    "whether a keyspace is empty, before a restore",
)
MIGRATIONS: Final = Query(
    "migrations",
    Kind.READ,
    "SELECT number FROM migration",
    _QUORUM,
    "-",
    "once per process: a keyspace that lacks a migration is refused with what to do",
)

QUERIES: Final = (
    LOAD,
    LOAD_SERIAL,
    INSERT,
    UPDATE,
    REMOVE,
    INSERT_TIMER,
    DUE_TIMERS,
    NOW,
    SCAN,
    SCAN_TIMERS,
    PUT,
    ANY,
    MIGRATIONS,
)
