"""The keyspace and its migrations: numbered, repeatable, one migrator at a time.

A migration only adds, so that functions of the version before go on meanwhile.  One that was cut short is run again
as a whole: each statement may be repeated.
"""

from __future__ import annotations

import contextlib
import itertools
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from cassandra import ConsistencyLevel, OperationTimedOut, RequestExecutionException, protocol
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionException
from cassandra.query import SimpleStatement

from mme.errors import StoreUnavailableError
from mme.store.base import Table
from mme.store.cassandra_policies import NeverAgain

if TYPE_CHECKING:
    from cassandra.cluster import Session

Result = TypeVar("Result")

LOCK_S: Final = 60
"""How long a migrator's lock outlives it; longer than one statement takes, before each of which it is prolonged."""
LONGEST_WAIT_S: Final = 150
_STATEMENT_S: Final = 30
_POLL_S: Final = 0.5
_ROW: Final = "(key text PRIMARY KEY, version int, writer text, value blob)"
_WINDOWS: Final = (
    "{'class': 'TimeWindowCompactionStrategy', 'compaction_window_unit': 'MINUTES', 'compaction_window_size': 10}"
)
_DONE: Final = "SELECT number FROM migration"
_NOTE: Final = "INSERT INTO migration (number, title, finished) VALUES (%s, %s, toTimestamp(now()))"
_LOCK: Final = (
    f"UPDATE migration_lock USING TTL {LOCK_S} SET holder = %s WHERE name = 'migrate' IF holder IN ('', null)"  # noqa: S608
)
_RENEW: Final = f"UPDATE migration_lock USING TTL {LOCK_S} SET holder = %s WHERE name = 'migrate' IF holder = %s"  # noqa: S608
_UNLOCK: Final = "UPDATE migration_lock USING TTL 1 SET holder = '' WHERE name = 'migrate' IF holder = %s"
_NO_ANSWER: Final = (
    OperationTimedOut,
    RequestExecutionException,
    protocol.RequestExecutionException,
    protocol.ServerError,
    ConnectionException,
    NoHostAvailable,
)
"""The statement may or may not have happened: every one here may be sent again, and shows what became of the first."""


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
    """Numbers of the migrations that the session's keyspace has had, for command lines, which may wait.

    Errors of the driver pass.
    """
    return _numbers(_execute(session, _DONE))


def migrate(
    session: Session,
    keyspace: str,
    replication: int,
    datacenter: str,
    say: Callable[[str], None],
    *,
    pause: Callable[[float], None] = time.sleep,
    stop_watch: Callable[[], float] = time.monotonic,
) -> list[int]:
    """Bring the keyspace up to NEWEST; the numbers that were run here.

    session: without a keyspace.  Concurrent migrators wait for each other, and a node that is too busy to answer is
    asked again.  Raises StoreUnavailableError for a keyspace that a newer program has migrated, or when another one
    holds the lock, or the node does not answer, for longer than LONGEST_WAIT_S.
    """
    return _Migrator(session, keyspace, say, pause, stop_watch).run(replication, datacenter)


def refuse_newer(keyspace: str, had: list[int]) -> None:
    """Raises StoreUnavailableError for migrations that this program does not know."""
    if had and had[-1] > NEWEST:
        raise StoreUnavailableError(
            f"keyspace {keyspace} has schema {had[-1]}, this program knows {NEWEST}: use a newer program"
        )


@dataclass(slots=True)
class _Migrator:
    """One run.  pause: waits so many seconds.  stop_watch: seconds that only grow."""

    session: Session
    keyspace: str
    say: Callable[[str], None]
    pause: Callable[[float], None]
    stop_watch: Callable[[], float]
    holder: str = field(default_factory=lambda: uuid.uuid4().hex)
    host: Any = None

    def run(self, replication: int, datacenter: str) -> list[int]:
        # One node for all of it: it does one change of the schema after the other, so that a statement whose answer was
        # late has been carried out, or refused, before its repeat is looked at.
        self.host = self.session.cluster.get_control_connection_host()
        for statement in (keyspace_statement(self.keyspace, replication, datacenter), *_bookkeeping(self.keyspace)):
            self._change(statement)
        self._again(lambda: self.session.set_keyspace(self.keyspace))
        self._lock()
        try:
            return self._run_missing()
        finally:
            # Not to be had: the lock ends by itself.
            with contextlib.suppress(StoreUnavailableError):
                self._send(_UNLOCK, (self.holder,), patience_s=LOCK_S / 2)

    def _run_missing(self) -> list[int]:
        had = _numbers(self._send(_DONE))
        refuse_newer(self.keyspace, had)
        ran = []
        for migration in MIGRATIONS:
            if migration.number in had:
                continue
            self.say(f"migration {migration.number}: {migration.title}")
            for statement in migration.statements:
                self._change(statement, under_lock=True)
            self._renew()
            self._send(_NOTE, (migration.number, migration.title))
            ran.append(migration.number)
        return ran

    def _lock(self) -> None:
        deadline = self.stop_watch() + LONGEST_WAIT_S
        told = False
        while not self._is_ours(_LOCK, (self.holder,)):
            if self.stop_watch() > deadline:
                raise StoreUnavailableError("another migration holds the lock: look for a second `edge store migrate`")
            if not told:
                self.say("another migration is under way: waiting for it")
                told = True
            self.pause(_POLL_S)

    def _renew(self) -> None:
        if not self._is_ours(_RENEW, (self.holder, self.holder)):
            raise StoreUnavailableError("the migration's lock was lost: run it again")

    def _is_ours(self, query: str, arguments: tuple[object, ...]) -> bool:
        """Whether the lock is this run's after a conditional write, which may be one whose first answer was lost.

        Each is sent again until it has an answer: refused, it shows whose the lock is.
        """
        [answer] = self._send(query, arguments)
        return bool(answer["[applied]"]) or answer.get("holder") == self.holder

    def _change(self, statement: str, *, under_lock: bool = False) -> None:
        """Change the schema, and see that all nodes agree on it.  under_lock: which is prolonged before each try."""

        def send() -> bool:
            if under_lock:
                self._renew()
            result = self._once(statement, None)
            return result.response_future.is_schema_agreed is not False

        tries, agreed = self._again(send)
        deadline = self.stop_watch() + LONGEST_WAIT_S
        # A repeat finds nothing to do, and the driver then does not look whether the nodes agree.
        agreed = agreed and tries == 1
        while not agreed:
            agreed = self._again(self.session.cluster.control_connection.wait_for_schema_agreement)[1]
            if not agreed and self.stop_watch() > deadline:
                raise StoreUnavailableError(
                    "the nodes do not agree on the schema: see that all are up, and run it again"
                )

    def _send(
        self, cql: str, arguments: tuple[object, ...] | None = None, patience_s: float = LONGEST_WAIT_S
    ) -> list[dict[str, Any]]:
        """The rows of a statement that may be sent again."""
        return self._again(lambda: list(self._once(cql, arguments)), patience_s)[1]

    def _again(self, act: Callable[[], Result], patience_s: float = LONGEST_WAIT_S) -> tuple[int, Result]:
        """(how often it was tried, what came of it): tried again while it gets no answer.

        Raises StoreUnavailableError after patience_s.
        """
        deadline = self.stop_watch() + patience_s
        for tries in itertools.count(1):
            try:
                return tries, act()
            except _NO_ANSWER as e:
                if self.stop_watch() > deadline:
                    raise StoreUnavailableError(
                        f"Cassandra does not answer ({type(e).__name__}), tried {tries} times in {patience_s:.0f} s: "
                        "what was done stays done, run it again when the node is less busy"
                    ) from e
                if tries == 1:
                    self.say(f"no answer ({type(e).__name__}): trying again for at most {patience_s:.0f} s")
                self.pause(_POLL_S)
        raise AssertionError("count() does not end")

    def _once(self, cql: str, arguments: tuple[object, ...] | None) -> Any:
        return _result(self.session, cql, arguments, self.host)


def _numbers(rows: list[dict[str, Any]]) -> list[int]:
    return sorted(row["number"] for row in rows)


def _execute(session: Session, cql: str) -> list[dict[str, Any]]:
    return list(_result(session, cql, None, None))


def _result(session: Session, cql: str, arguments: tuple[object, ...] | None, host: Any) -> Any:
    """Of one statement, which the driver does not repeat; it waits until all nodes agree on a changed schema."""
    statement = SimpleStatement(
        cql,
        consistency_level=ConsistencyLevel.LOCAL_QUORUM,
        serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,
        is_idempotent=False,
        retry_policy=NeverAgain(),
    )
    return session.execute(statement, arguments, timeout=_STATEMENT_S, host=host)
