"""The keyspace and its migrations: numbered, repeatable, one migrator at a time.

A migration only adds, so that functions of the version before go on meanwhile.  One that was cut short is run again
as a whole: each statement may be repeated.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cassandra import ConsistencyLevel
from cassandra.query import SimpleStatement

from mme.errors import StoreUnavailableError
from mme.store.base import Table

if TYPE_CHECKING:
    from cassandra.cluster import Session

LOCK_S: Final = 60
"""How long a migrator's lock outlives it; longer than one migration takes."""
LONGEST_WAIT_S: Final = 150
_STATEMENT_S: Final = 30
_POLL_S: Final = 0.5
_ROW: Final = "(key text PRIMARY KEY, version int, writer text, value blob)"
_WINDOWS: Final = (
    "{'class': 'TimeWindowCompactionStrategy', 'compaction_window_unit': 'MINUTES', 'compaction_window_size': 10}"
)


@dataclass(frozen=True, slots=True)
class Migration:
    """statements: CQL that may be run again."""

    number: int
    title: str
    statements: tuple[str, ...]


def _table(table: Table) -> str:
    return f"CREATE TABLE IF NOT EXISTS {table.value} {_ROW}"


MIGRATIONS: Final = (
    Migration(
        1,
        "one table per access path, and timers by shard and second",
        (
            *(
                _table(table)
                for table in (
                    Table.UE_CONTEXT,
                    Table.IMSI,
                    Table.ENB,
                    Table.SUBSCRIBER,
                    Table.SESSION,
                    Table.ADDRESS,
                    Table.TRACKING_AREA,
                )
            ),
            # Timers live minutes and are never deleted one by one: whole windows of them expire together.
            (
                "CREATE TABLE IF NOT EXISTS timer (shard int, second bigint, owner text, name text, timer_token text, "
                f"due_ms bigint, PRIMARY KEY ((shard, second), owner, name, timer_token)) WITH compaction = {_WINDOWS}"
            ),
        ),
    ),
    Migration(2, "leases, and figures of load", (_table(Table.LEASE), _table(Table.LOAD))),
    # Three hours, as long as hints are kept: expired timers go with their window.
    Migration(
        3, "expired timers leave the disk after three hours", ("ALTER TABLE timer WITH gc_grace_seconds = 10800",)
    ),
)
NEWEST: Final = MIGRATIONS[-1].number


def keyspace_statement(keyspace: str, replication: int, datacenter: str) -> str:
    """CREATE KEYSPACE by network topology.  Raises ValueError for a name that is none."""
    if not datacenter.replace("-", "_").isidentifier():
        raise ValueError("a datacenter is letters, digits, hyphens and underscores")
    replicas = f"{{'class': 'NetworkTopologyStrategy', '{datacenter}': {replication}}}"
    return f"CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {replicas}"


def _bookkeeping(keyspace: str) -> tuple[str, str]:
    """Tables of the migrations themselves.

    With ids of our own: two nodes that are asked to create the same table at once would give it two, and never agree.
    """

    def identity(name: str) -> uuid.UUID:
        return uuid.uuid5(uuid.NAMESPACE_OID, f"{keyspace}.{name}")

    return (
        (
            f"CREATE TABLE IF NOT EXISTS {keyspace}.migration (number int PRIMARY KEY, title text, finished timestamp) "
            f"WITH id = {identity('migration')}"
        ),
        (
            f"CREATE TABLE IF NOT EXISTS {keyspace}.migration_lock (name text PRIMARY KEY, holder text) "
            f"WITH id = {identity('migration_lock')}"
        ),
    )


def done(session: Session) -> list[int]:
    """Numbers of the migrations that the session's keyspace has had.  Errors of the driver pass."""
    rows = _execute(session, "SELECT number FROM migration", ConsistencyLevel.LOCAL_QUORUM)
    return sorted(row["number"] for row in rows)


def migrate(
    session: Session, keyspace: str, replication: int, datacenter: str, say: Callable[[str], None]
) -> list[int]:
    """Bring the keyspace up to NEWEST; the numbers that were run here.

    session: without a keyspace.  Concurrent migrators wait for each other.  Raises StoreUnavailableError for a keyspace
    that a newer program has migrated, or when another one holds the lock for longer than LONGEST_WAIT_S.
    """
    _execute(session, keyspace_statement(keyspace, replication, datacenter))
    for statement in _bookkeeping(keyspace):
        _execute(session, statement)
    session.set_keyspace(keyspace)
    holder = uuid.uuid4().hex
    ran: list[int] = []
    _lock(session, holder, say)
    try:
        had = done(session)
        refuse_newer(keyspace, had)
        for migration in MIGRATIONS:
            if migration.number in had:
                continue
            say(f"migration {migration.number}: {migration.title}")
            _renew(session, holder)
            for statement in migration.statements:
                _execute(session, statement)
            _execute(
                session,
                "INSERT INTO migration (number, title, finished) VALUES (%s, %s, toTimestamp(now()))",
                ConsistencyLevel.LOCAL_QUORUM,
                (migration.number, migration.title),
            )
            ran.append(migration.number)
    finally:
        _execute(
            session,
            "UPDATE migration_lock USING TTL 1 SET holder = '' WHERE name = 'migrate' IF holder = %s",
            arguments=(holder,),
        )
    return ran


def refuse_newer(keyspace: str, had: list[int]) -> None:
    """Raises StoreUnavailableError for migrations that this program does not know."""
    if had and had[-1] > NEWEST:
        raise StoreUnavailableError(
            f"keyspace {keyspace} has schema {had[-1]}, this program knows {NEWEST}: use a newer program"
        )


def _lock(session: Session, holder: str, say: Callable[[str], None]) -> None:
    deadline = time.monotonic() + LONGEST_WAIT_S
    told = False
    query = f"UPDATE migration_lock USING TTL {LOCK_S} SET holder = %s WHERE name = 'migrate' IF holder IN ('', null)"  # noqa: S608
    while not _execute(session, query, arguments=(holder,))[0]["[applied]"]:
        if time.monotonic() > deadline:
            raise StoreUnavailableError("another migration holds the lock: look for a second `edge store migrate`")
        if not told:
            say("another migration is under way: waiting for it")
            told = True
        time.sleep(_POLL_S)


def _renew(session: Session, holder: str) -> None:
    query = f"UPDATE migration_lock USING TTL {LOCK_S} SET holder = %s WHERE name = 'migrate' IF holder = %s"  # noqa: S608
    if not _execute(session, query, arguments=(holder, holder))[0]["[applied]"]:
        raise StoreUnavailableError("the migration's lock was lost: run it again")


def _execute(
    session: Session,
    cql: str,
    consistency: int = ConsistencyLevel.LOCAL_QUORUM,
    arguments: tuple[object, ...] | None = None,
) -> list[dict[str, Any]]:
    """One statement; the driver waits until all nodes agree on a changed schema."""
    statement = SimpleStatement(
        cql, consistency_level=consistency, serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL
    )
    result = session.execute(statement, arguments, timeout=_STATEMENT_S)
    if result.response_future.is_schema_agreed is False:
        raise StoreUnavailableError("the nodes do not agree on the schema: see that all are up, and run it again")
    return list(result)
