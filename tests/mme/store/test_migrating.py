"""Migrations on a node that is too busy to answer: what may have happened is looked at, and not done twice.

The node here is a small model of what a keyspace keeps; tests/cassandra/test_migrating.py does the same to a real one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from cassandra import InvalidRequest, OperationTimedOut, Unavailable, WriteTimeout, WriteType
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionShutdown
from cassandra.policies import RetryPolicy
from cassandra.protocol import ConfigurationException, ServerError

from mme.errors import StoreUnavailableError
from mme.store import cassandra_schema as schema

LOCK = "TTL 60 SET holder = %s WHERE name = 'migrate' IF holder IN"
RENEW = "TTL 60 SET holder = %s WHERE name = 'migrate' IF holder ="
UNLOCK = "TTL 1 SET"
ALL = [migration.number for migration in schema.MIGRATIONS]


class Rows(list[dict[str, Any]]):
    """schema_agreed: None = the statement changed no schema."""

    def __init__(self, rows: list[dict[str, Any]], schema_agreed: bool | None = None) -> None:
        super().__init__(rows)
        self.response_future = SimpleNamespace(is_schema_agreed=schema_agreed)


@dataclass
class Fault:
    """part: of the statement that it waits for.  error: what the client gets.  applied: whether it was carried out."""

    part: str
    error: Exception
    applied: bool
    times: int = 1


@dataclass
class Node:
    """A session on a keyspace.  agrees: answers to whether the nodes agree on the schema, then always True."""

    faults: list[Fault] = field(default_factory=list)
    agrees: list[bool] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    holder: str = ""
    now_s: float = 0.0
    sent: list[Any] = field(default_factory=list)
    hosts: list[Any] = field(default_factory=list)

    @property
    def cluster(self) -> Any:
        agreement = SimpleNamespace(wait_for_schema_agreement=lambda: self.agrees.pop(0) if self.agrees else True)
        return SimpleNamespace(get_control_connection_host=lambda: "one", control_connection=agreement)

    def set_keyspace(self, name: str) -> None:
        self.execute(SimpleNamespace(query_string=f"USE {name}"), None, timeout=schema._STATEMENT_S, host="one")

    def execute(self, statement: Any, arguments: tuple[Any, ...] | None, *, timeout: float, host: Any) -> Rows:
        assert timeout < schema.LOCK_S, "a lock that is prolonged before a statement must outlast it"
        self.sent.append(statement)
        self.hosts.append(host)
        cql: str = statement.query_string
        fault = next((fault for fault in self.faults if fault.times and fault.part in cql), None)
        if fault is None:
            return self.carry_out(cql, arguments or ())
        fault.times -= 1
        if fault.applied:
            self.carry_out(cql, arguments or ())
        raise fault.error

    def carry_out(self, cql: str, arguments: tuple[Any, ...]) -> Rows:
        if cql.startswith(("CREATE", "ALTER")):
            new = cql not in self.made or cql.startswith("ALTER")
            self.made += [cql] if cql not in self.made else []
            return Rows([], (self.agrees.pop(0) if self.agrees else True) if new else None)
        if cql.startswith("SELECT"):
            return Rows([{"number": number} for number in self.numbers])
        if cql.startswith("INSERT"):
            self.numbers = sorted({*self.numbers, arguments[0]})
        if not cql.startswith("UPDATE"):
            return Rows([])
        wanted = "" if LOCK in cql else arguments[-1]
        if self.holder != wanted:
            return Rows([{"[applied]": False, "holder": self.holder or None}])
        self.holder = "" if UNLOCK in cql else arguments[0]
        return Rows([{"[applied]": True}])

    def migrate(self, pause: Callable[[], None] = lambda: None) -> tuple[list[int], list[str]]:
        said: list[str] = []

        def wait(seconds: float) -> None:
            self.now_s += seconds
            pause()

        ran = schema.migrate(self, "ks", 1, "datacenter1", said.append, pause=wait, stop_watch=lambda: self.now_s)
        return ran, said


NO_ANSWER = [
    WriteTimeout("t", write_type=WriteType.CAS),
    OperationTimedOut(),
    Unavailable("u"),
    ConnectionShutdown("gone"),
    NoHostAvailable("none", {}),
    ServerError(0x1700, "CAS_WRITE_UNKNOWN", None),
]
STATEMENTS = [
    "CREATE KEYSPACE",
    "ks.migration_lock",
    "USE",
    LOCK,
    RENEW,
    "SELECT",
    "EXISTS imsi",
    "ALTER TABLE",
    "INSERT",
    UNLOCK,
]


@pytest.mark.parametrize("applied", [True, False], ids=["applied", "not applied"])
@pytest.mark.parametrize("part", STATEMENTS)
def test_a_statement_without_an_answer_is_looked_at_and_made_up_for(part: str, applied: bool) -> None:
    calm = Node()
    calm.migrate()
    node = Node([Fault(part, NO_ANSWER[0], applied, times=2)])
    ran, said = node.migrate()
    assert ran == node.numbers == ALL
    assert node.made == calm.made
    assert node.holder == ""
    assert sum("no answer (WriteTimeout): trying again" in line for line in said) == 1
    assert not any("another migration" in line for line in said), "it waited for its own lock"
    assert set(node.hosts) == {"one"}, "a second node could make the same table a second time"


@pytest.mark.parametrize("error", NO_ANSWER, ids=lambda e: type(e).__name__)
def test_each_kind_of_silence_is_one(error: Exception) -> None:
    assert Node([Fault(LOCK, error, applied=True)]).migrate()[0] == ALL


@pytest.mark.parametrize("part", STATEMENTS[:-1])
def test_a_node_that_never_answers_is_given_up_after_a_bounded_time(part: str) -> None:
    node = Node([Fault(part, NO_ANSWER[0], applied=False, times=10_000)])
    with pytest.raises(StoreUnavailableError, match="run it again when the node is less busy"):
        node.migrate()
    assert schema.LONGEST_WAIT_S <= node.now_s <= 2 * schema.LONGEST_WAIT_S
    assert node.holder == "", "what it held it gave back"
    node.faults.clear()
    node.migrate()
    assert node.numbers == ALL


def test_a_lock_that_cannot_be_given_back_ends_by_itself() -> None:
    node = Node([Fault(UNLOCK, NO_ANSWER[0], applied=False, times=10_000)])
    assert node.migrate()[0] == ALL
    assert node.now_s <= schema.LOCK_S


@pytest.mark.parametrize(
    "error", [InvalidRequest("no"), ConfigurationException(0x2300, "unknown datacenter", None)], ids=["cql", "dc"]
)
def test_what_the_server_refuses_is_not_sent_again(error: Exception) -> None:
    node = Node([Fault("CREATE KEYSPACE", error, applied=False)])
    with pytest.raises(type(error)):
        node.migrate()
    assert len(node.sent) == 1


def test_anothers_lock_is_waited_for_and_not_taken() -> None:
    node = Node([Fault(LOCK, NO_ANSWER[0], applied=False)], holder="another")
    with pytest.raises(StoreUnavailableError, match="another migration holds the lock"):
        node.migrate()
    assert (node.holder, node.numbers) == ("another", [])

    def give_back() -> None:
        node.holder = ""

    assert node.migrate(give_back)[0] == ALL


def test_a_lock_that_was_lost_on_the_way_ends_the_run() -> None:
    """Its holder was away for longer than it lasts, and another one is at work."""
    node = Node([Fault("EXISTS imsi", NO_ANSWER[0], applied=False)])

    def lose() -> None:
        node.holder = "another"

    with pytest.raises(StoreUnavailableError, match="lock was lost"):
        node.migrate(lose)
    assert not any("EXISTS imsi" in cql for cql in node.made)
    assert node.holder == "another"


def test_nodes_that_do_not_agree_yet_are_waited_for() -> None:
    node = Node(agrees=[False, False, True])
    assert node.migrate()[0] == ALL
    with pytest.raises(StoreUnavailableError, match="do not agree"):
        Slow().migrate()


class Slow(Node):
    """Its nodes never agree, and each look takes ten seconds."""

    @property
    def cluster(self) -> Any:
        def look() -> bool:
            self.now_s += 10
            return False

        made = super().cluster
        made.control_connection = SimpleNamespace(wait_for_schema_agreement=look)
        self.agrees = [False]
        return made


def test_a_repeated_statement_is_followed_by_a_look_at_the_nodes() -> None:
    """The driver looks only where a statement has changed something: a repeat finds nothing to do."""
    node = Node([Fault("EXISTS imsi", NO_ANSWER[0], applied=True)])
    looks = 0

    class Looking(Node):
        @property
        def cluster(self) -> Any:
            def look() -> bool:
                nonlocal looks
                looks += 1
                return looks == 3

            made = super().cluster
            made.control_connection = SimpleNamespace(wait_for_schema_agreement=look)
            return made

    assert Looking(node.faults).migrate()[0] == ALL
    assert looks == 3


def test_the_driver_repeats_nothing_by_itself() -> None:
    node = Node()
    node.migrate()
    for statement in node.sent:
        policy = getattr(statement, "retry_policy", None)
        if policy is not None:
            assert policy.on_write_timeout(None, 6, WriteType.CAS, 2, 1, retry_num=0)[0] == RetryPolicy.RETHROW
    assert sum(getattr(statement, "retry_policy", None) is not None for statement in node.sent) == len(node.sent) - 1
