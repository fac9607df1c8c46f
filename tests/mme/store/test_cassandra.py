"""What becomes of the driver's errors, and how statements are sent.  The contract itself is in test_contract.py."""

from __future__ import annotations

import os
from typing import Any

import pytest
from cassandra import (
    ConsistencyLevel,
    InvalidRequest,
    OperationTimedOut,
    ReadTimeout,
    Unavailable,
    WriteFailure,
    WriteTimeout,
    WriteType,
)
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionShutdown
from cassandra.policies import RetryPolicy
from cassandra.protocol import ServerError

from mme.errors import StoreUnavailableError
from mme.store import cassandra_queries, cassandra_schema
from mme.store.base import Conflict, Row, Saved, Table, TimerRow, Unknown, save_resolved
from mme.store.cassandra import _RECONNECT_S, CassandraStore
from mme.store.cassandra_policies import CLIENT_TIMEOUT_S, NO_CONNECTION_PAUSES_S, NeverAgain, OnceMore
from mme.store.cassandra_schema import keyspace_statement
from mme.store.opening import open_store

UE = Table.UE_CONTEXT


class Statement:
    """A prepared statement as the store sets it up."""

    def __init__(self, query: str) -> None:
        self.query = query
        self.consistency_level = self.serial_consistency_level = self.is_idempotent = None


class Rows(list[dict[str, Any]]):
    def one(self) -> dict[str, Any]:
        return self[0]


class Future:
    """attempted_hosts: as the driver's, whom it was sent to; nobody, where NoHostAvailable names none."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.attempted_hosts = list(answer.errors) if isinstance(answer, NoHostAvailable) else ["a node"]

    def result(self) -> Rows:
        if isinstance(self._answer, Exception):
            raise self._answer
        return Rows(self._answer)


class Session:
    """Answers with what it is given, in order; exceptions are raised."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.sent: list[tuple[Statement, str]] = []
        self.prepared = 0

    def prepare(self, query: str) -> Statement:
        self.prepared += 1
        return Statement(query)

    def execute(self, statement: Statement, arguments: object, *, execution_profile: str) -> Rows:
        return self.execute_async(statement, arguments, execution_profile=execution_profile).result()

    def execute_async(self, statement: Statement, _: object, *, execution_profile: str) -> Future:
        self.sent.append((statement, execution_profile))
        return Future(self.answers.pop(0))


def store_on(session: Session, pauses_s: list[float] | None = None) -> CassandraStore:
    """pauses_s: those that it would have made."""
    store = CassandraStore(("nowhere",), "ks", pause=([] if pauses_s is None else pauses_s).append)
    store._session, store._pid = session, os.getpid()
    return store


MAYBE = [
    WriteTimeout("t", write_type=WriteType.CAS),
    WriteTimeout("t", write_type=WriteType.SIMPLE),
    ReadTimeout("t"),
    WriteFailure("f"),
    Unavailable("u"),
    OperationTimedOut(),
    ConnectionShutdown("gone"),
    ServerError(0x1700, "CAS_WRITE_UNKNOWN", None),
]
NOBODY = NoHostAvailable("none", {})
NEVER = [NOBODY, InvalidRequest("no such table")]
TRIES = 1 + len(NO_CONNECTION_PAUSES_S)


@pytest.mark.parametrize("error", MAYBE, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize(("value", "expect"), [(b"v", None), (b"v", 3), (None, 3)], ids=["insert", "update", "remove"])
def test_a_conditional_write_that_may_have_happened(error: Exception, value: bytes | None, expect: int | None) -> None:
    session = Session(error)
    assert store_on(session).save(UE, "key", value, expect=expect, writer="w") == Unknown()
    assert len(session.sent) == 1, "never sent again by the store itself"


@pytest.mark.parametrize("error", NEVER, ids=lambda e: type(e).__name__)
def test_a_conditional_write_that_was_never_tried(error: Exception) -> None:
    with pytest.raises(StoreUnavailableError):
        store_on(Session(*[error] * TRIES)).save(UE, "key", b"secret value", expect=1, writer="w")


def test_what_found_no_connection_is_sent_again_until_a_lost_node_may_have_one() -> None:
    """In the driver's own pauses: the first is over before the last try."""
    for found in range(TRIES):
        session, pauses_s = Session(*[NOBODY] * found, [{"[applied]": True}]), list[float]()
        assert store_on(session, pauses_s).save(UE, "key", b"v", expect=None, writer="w") == Saved(1)
        assert len(session.sent) == found + 1
        assert pauses_s == list(NO_CONNECTION_PAUSES_S[:found])
        session = Session(*[NOBODY] * found, [])
        assert store_on(session).load(UE, "key") is None
        assert len(session.sent) == found + 1
    session = Session(*[NOBODY] * (TRIES + 1))
    with pytest.raises(StoreUnavailableError):
        store_on(session).save(UE, "key", b"v", expect=None, writer="w")
    assert len(session.sent) == TRIES
    assert _RECONNECT_S[0] < sum(NO_CONNECTION_PAUSES_S) < CLIENT_TIMEOUT_S


def test_what_a_node_was_sent_and_no_other_could_be_is_not_sent_again() -> None:
    """With one node the policy's other host is nobody: NoHostAvailable, after a message that may have been obeyed."""
    sent = NoHostAvailable("none", {"the node": WriteTimeout("t", write_type=WriteType.SIMPLE)})
    session, pauses_s = Session(sent), list[float]()
    with pytest.raises(StoreUnavailableError):
        store_on(session, pauses_s).load(UE, "key")
    assert (len(session.sent), pauses_s) == (1, [])


def test_pauses_that_were_in_vain_are_not_made_for_each_of_a_calls_items() -> None:
    session = Session(*[NOBODY] * (TRIES + 2), [], *[NOBODY] * TRIES)
    pauses_s: list[float] = []
    store = store_on(session, pauses_s)
    for _ in range(3):
        with pytest.raises(StoreUnavailableError):
            store.load(UE, "key")
    assert pauses_s == list(NO_CONNECTION_PAUSES_S)
    assert store.load(UE, "key") is None
    with pytest.raises(StoreUnavailableError):
        store.load(UE, "key")
    assert pauses_s == list(NO_CONNECTION_PAUSES_S) * 2


def test_after_a_wait_for_a_connection_a_write_that_may_have_happened_is_not_sent_again() -> None:
    session = Session(NOBODY, OperationTimedOut())
    assert store_on(session).save(UE, "key", b"v", expect=None, writer="w") == Unknown()
    assert len(session.sent) == 2


@pytest.mark.parametrize("error", MAYBE + NEVER, ids=lambda e: type(e).__name__)
def test_reads_and_timers_that_fail(error: Exception) -> None:
    timer = TimerRow(1, 2, "T3450", "token", "1")
    for call in (
        lambda s: s.load(UE, "key"),
        lambda s: s.load(UE, "key", serial=True),
        lambda s: s.insert_timer(timer, ttl_s=1),
        lambda s: s.due_timers(1, 2),
        lambda s: s.scan(UE),
    ):
        with pytest.raises(StoreUnavailableError):
            call(store_on(Session(*[error] * TRIES)))


def test_consistency_and_idempotence_of_each_statement() -> None:
    applied, nothing = [{"[applied]": True}], list[dict[str, Any]]()
    session = Session(applied, applied, applied, nothing, nothing, nothing, nothing)
    store = store_on(session)
    store.save(UE, "key", b"", expect=None, writer="w")
    store.save(UE, "key", b"", expect=1, writer="w")
    store.save(UE, "key", None, expect=1, writer="w")
    store.load(UE, "key")
    store.load(UE, "key", serial=True)
    store.insert_timer(TimerRow(1, 2, "T3450", "token", "1"), ttl_s=1)
    store.due_timers(1, 2)
    quorum, serial = ConsistencyLevel.LOCAL_QUORUM, ConsistencyLevel.LOCAL_SERIAL
    assert [
        (s.consistency_level, s.serial_consistency_level, s.is_idempotent, profile) for s, profile in session.sent
    ] == [
        *[(quorum, serial, False, "conditional")] * 3,
        (quorum, serial, True, "idempotent"),
        (serial, serial, True, "idempotent"),
        *[(quorum, serial, True, "idempotent")] * 2,
    ]
    assert all((" IF " in s.query) is (profile == "conditional") for s, profile in session.sent)
    assert not any(word in s.query for s, _ in session.sent for word in ("DELETE", "ALLOW FILTERING", "BATCH"))


def test_statements_are_prepared_once() -> None:
    session = Session(*[[]] * 10)
    store = store_on(session)
    for _ in range(5):
        store.load(UE, "key")
        store.load(Table.IMSI, "key")
    assert session.prepared == 2


def test_a_refused_update_shows_the_row_read_at_serial() -> None:
    row = {"version": 4, "writer": "other", "value": b"theirs"}
    session = Session([{"[applied]": False, "version": 4}], [row])
    assert store_on(session).save(UE, "key", b"", expect=3, writer="w") == Conflict(Row(b"theirs", 4, "other"))
    assert session.sent[1][0].consistency_level == ConsistencyLevel.LOCAL_SERIAL


class Opening(Session):
    """A session as the driver's cluster hands it out, and that cluster."""

    keyspace = ""
    is_shut_down = False

    def connect(self) -> Opening:
        return self

    def set_keyspace(self, keyspace: str) -> None:
        self.keyspace = keyspace

    def shutdown(self) -> None:
        self.is_shut_down = True


def opened_by(session: Opening) -> CassandraStore:
    store = CassandraStore(("nowhere",), "ks")
    store._new_cluster = lambda: session  # type: ignore[method-assign, assignment, misc]
    return store


def test_the_migrations_are_read_as_docs_cassandra_says_once_per_process() -> None:
    """As an idempotent read, by the profile with its timeout and its one more try: a function's first item waits."""
    session = Opening([{"number": number} for number in (2, 1, 3)], [], [])
    store = opened_by(session)
    assert store.load(UE, "key") is None
    assert store.load(UE, "key") is None
    statement, profile = session.sent[0]
    assert (statement.query, profile) == (cassandra_queries.MIGRATIONS.cql, "idempotent")
    assert statement.consistency_level == ConsistencyLevel.LOCAL_QUORUM
    assert statement.is_idempotent
    assert [sent.query for sent, _ in session.sent].count(statement.query) == 1
    assert session.keyspace == "ks"


@pytest.mark.parametrize("error", [ReadTimeout("t"), OperationTimedOut(), NoHostAvailable("none", {})])
def test_a_node_that_does_not_say_what_migrations_it_has_had_is_asked_anew(error: Exception) -> None:
    first, second = Opening(error), Opening([{"number": cassandra_schema.NEWEST}], [])
    store = opened_by(first)
    with pytest.raises(StoreUnavailableError):
        store.load(UE, "key")
    assert first.is_shut_down
    store._new_cluster = lambda: second  # type: ignore[method-assign, assignment, misc]
    assert store.load(UE, "key") is None


@pytest.mark.parametrize("had", [[], [{"number": 1}], InvalidRequest("no keyspace")])
def test_a_keyspace_that_lacks_a_migration_is_refused(had: object) -> None:
    session = Opening(had)
    with pytest.raises(StoreUnavailableError, match="edge store migrate"):
        opened_by(session).load(UE, "key")
    assert session.is_shut_down


def test_retry_policies() -> None:
    never, once = NeverAgain(), OnceMore()
    for attempt in (0, 1, 2):
        for policy, expected in ((never, RetryPolicy.RETHROW), (once, RetryPolicy.RETRY_NEXT_HOST)):
            wanted = expected if attempt == 0 else RetryPolicy.RETHROW
            assert policy.on_read_timeout(None, 6, 2, 1, False, retry_num=attempt)[0] == wanted
            assert policy.on_write_timeout(None, 6, WriteType.CAS, 2, 1, retry_num=attempt)[0] == wanted
            assert policy.on_unavailable(None, 6, 2, 1, retry_num=attempt)[0] == wanted
            assert policy.on_request_error(None, 6, error=OSError(), retry_num=attempt)[0] == wanted


def test_conditional_writes_get_the_policy_that_never_repeats() -> None:
    cluster = CassandraStore(("127.0.0.1",), "ks")._new_cluster()
    profiles = cluster.profile_manager.profiles
    assert isinstance(profiles["conditional"].retry_policy, NeverAgain)
    assert isinstance(profiles["idempotent"].retry_policy, OnceMore)
    assert all(profiles[name].request_timeout == 4.5 for name in ("conditional", "idempotent"))
    cluster.shutdown()


def test_the_driver_calls_policies_as_they_are_written() -> None:
    """retry_num is passed by name: given by position it would be lost in *_ and a retry would never end."""
    import inspect  # noqa: PLC0415

    for name in ("on_read_timeout", "on_write_timeout", "on_unavailable", "on_request_error"):
        assert "retry_num" in inspect.signature(getattr(RetryPolicy, name)).parameters


def test_schema_replicates_by_network_topology() -> None:
    assert "{'class': 'NetworkTopologyStrategy', 'dc-1': 3}" in keyspace_statement("ks", 3, "dc-1")
    with pytest.raises(ValueError, match="datacenter"):
        keyspace_statement("ks", 3, "dc'; DROP")


def test_migrations_are_numbered_may_be_repeated_and_make_every_table() -> None:
    migrations = cassandra_schema.MIGRATIONS
    assert [migration.number for migration in migrations] == list(range(1, len(migrations) + 1))
    statements = [statement for migration in migrations for statement in migration.statements]
    assert all(s.startswith(("CREATE TABLE IF NOT EXISTS ", "ALTER TABLE timer WITH ")) for s in statements)
    made = {s.split()[5] for s in statements if s.startswith("CREATE")}
    assert made == {table.value for table in Table} | {"timer"}


@pytest.mark.cassandra
def test_a_real_write_whose_answer_does_not_come_in_time(cassandra_url: str, key: str) -> None:
    """The client gives up before the server can have answered; asked again with time enough, the truth comes out."""
    patient = open_store(cassandra_url)
    hasty = open_store(cassandra_url)
    assert isinstance(hasty, CassandraStore)
    assert hasty.load(UE, key) is None
    assert hasty.save(UE, key + "/prepared", b"", expect=None, writer="w") == Saved(1)
    hasty._session.get_execution_profile("conditional").request_timeout = 0.000001
    assert hasty.save(UE, key, b"mine", expect=None, writer="me") == Unknown()
    assert save_resolved(patient, UE, key, b"mine", expect=None, writer="me") == Saved(1)
    assert patient.load(UE, key) == Row(b"mine", 1, "me")
    hasty.close()
    patient.close()
