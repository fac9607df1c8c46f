"""A conditional write whose outcome is unknown, on the real server: applied, not applied, later, overtaken."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from cassandra_lab import node
from cassandra_lab.cluster import Cluster, running
from mme.store.base import Conflict, Row, Saved, Table, Unknown, save_resolved
from mme.store.bulk import StoredRow
from mme.store.cassandra import CassandraStore
from tests.cassandra.proxy import Fault, Proxy, proxy

pytestmark = [pytest.mark.cassandra, pytest.mark.nodes, pytest.mark.timeout(600)]
UE = Table.UE_CONTEXT
KEYSPACE = "edge_unknown"


def store_on(contact: str, *, replication: int = 1, timeout_s: float = 4.5) -> CassandraStore:
    hosts = [part.partition(":") for part in contact.split(",")]
    port = int(hosts[0][2])
    return CassandraStore(
        tuple(host for host, _, _ in hosts), KEYSPACE, port=port, replication=replication, timeout_s=timeout_s
    )


@pytest.fixture(scope="module")
def direct(own_node: Cluster) -> Iterator[CassandraStore]:
    store = store_on(own_node.hosts)
    store.migrate()
    yield store
    store.close()


@pytest.fixture
def between(own_node: Cluster, direct: CassandraStore) -> Iterator[Proxy]:
    one = own_node.nodes[0]
    with proxy(one.address, one.cql_port) as between:
        yield between


@pytest.fixture
def lossy(between: Proxy) -> Iterator[CassandraStore]:
    """A store on the other side of the proxy, its statements prepared."""
    store = store_on(between.contact, timeout_s=3)
    key = uuid.uuid4().hex
    assert store.save(UE, key, b"", expect=None, writer="w") == Saved(1)
    assert store.save(UE, key, b"", expect=1, writer="w") == Saved(2)
    assert store.save(UE, key, None, expect=2, writer="w") == Saved(0)
    assert store.load(UE, key, serial=True) is None
    yield store
    store.close()


WRITES = [(None, 1), (1, 2)]
"""Version expected, version written."""


def prepared(direct: CassandraStore, expect: int | None) -> str:
    key = uuid.uuid4().hex
    if expect is not None:
        assert direct.save(UE, key, b"old", expect=None, writer="before") == Saved(expect)
    return key


@pytest.mark.parametrize(("expect", "version"), WRITES, ids=["insert", "update"])
def test_applied_and_the_answer_lost(
    direct: CassandraStore, lossy: CassandraStore, between: Proxy, expect: int | None, version: int
) -> None:
    key = prepared(direct, expect)
    between.arm(Fault.LOSE_ANSWER)
    assert lossy.save(UE, key, b"mine", expect=expect, writer="me") == Unknown()
    assert between.happened.is_set()
    assert direct.load(UE, key, serial=True) == Row(b"mine", version, "me"), "it was applied"
    key = prepared(direct, expect)
    between.arm(Fault.LOSE_ANSWER)
    assert save_resolved(lossy, UE, key, b"mine", expect=expect, writer="me") == Saved(version)
    assert direct.load(UE, key, serial=True) == Row(b"mine", version, "me")


@pytest.mark.parametrize(("expect", "version"), WRITES, ids=["insert", "update"])
def test_never_applied(
    direct: CassandraStore, lossy: CassandraStore, between: Proxy, expect: int | None, version: int
) -> None:
    key = prepared(direct, expect)
    old = direct.load(UE, key)
    between.arm(Fault.LOSE_REQUEST)
    assert lossy.save(UE, key, b"mine", expect=expect, writer="me") == Unknown()
    assert between.happened.is_set()
    assert direct.load(UE, key, serial=True) == old, "it was not applied"
    between.arm(Fault.LOSE_REQUEST)
    assert save_resolved(lossy, UE, key, b"mine", expect=expect, writer="me") == Saved(version)
    assert direct.load(UE, key, serial=True) == Row(b"mine", version, "me")


@pytest.mark.parametrize(("expect", "version"), WRITES, ids=["insert", "update"])
def test_applied_after_it_was_given_up(
    direct: CassandraStore, lossy: CassandraStore, between: Proxy, expect: int | None, version: int
) -> None:
    """The request was on its way all the time: whichever of the two lands first, the row is written once."""
    key = prepared(direct, expect)
    between.arm(Fault.HOLD_REQUEST)
    assert save_resolved(lossy, UE, key, b"mine", expect=expect, writer="me") == Saved(version)
    assert save_resolved(direct, UE, key, b"next", expect=version, writer="next") == Saved(version + 1)
    between.release()
    assert lossy.load(UE, key, serial=True) == Row(b"next", version + 1, "next")
    assert direct.load(UE, key, serial=True) == Row(b"next", version + 1, "next")


def test_overtaken_by_somebody_else(direct: CassandraStore, lossy: CassandraStore, between: Proxy) -> None:
    key = prepared(direct, 1)
    between.arm(Fault.LOSE_REQUEST)
    assert lossy.save(UE, key, b"mine", expect=1, writer="me") == Unknown()
    assert direct.save(UE, key, b"theirs", expect=1, writer="they") == Saved(2)
    assert save_resolved(lossy, UE, key, b"mine", expect=1, writer="me") == Conflict(Row(b"theirs", 2, "they"))


@pytest.mark.parametrize("fault", [Fault.LOSE_ANSWER, Fault.LOSE_REQUEST], ids=["applied", "not applied"])
def test_a_removal(direct: CassandraStore, lossy: CassandraStore, between: Proxy, fault: Fault) -> None:
    key = prepared(direct, 1)
    between.arm(fault)
    assert save_resolved(lossy, UE, key, None, expect=1, writer="me") == Saved(0)
    assert direct.load(UE, key, serial=True) is None


def test_bulk_writes_that_get_no_answer_are_written_again(lossy: CassandraStore, between: Proxy) -> None:
    """They are plain and the same every time; a busy node that answers too late must not end a restore."""
    keys = [uuid.uuid4().hex for _ in range(50)]

    def rows() -> Iterator[StoredRow]:
        between.arm(Fault.LOSE_REQUEST)  # what is sent next is a row
        for key in keys:
            yield StoredRow(key, Row(b"restored", 7, "before"))

    lossy.put_rows(UE, rows())
    assert between.happened.is_set()
    assert {lossy.load(UE, key) for key in keys} == {Row(b"restored", 7, "before")}


def test_two_of_three_nodes_paused(tmp_path: Path) -> None:
    """No majority: the outcome is not known.  They go on: the same write is resolved, and written once."""
    with running(tmp_path / "three", 3, heap_mb=384) as three:
        store = store_on(three.hosts, replication=3)
        store.migrate()
        assert store.save(UE, "warm", b"", expect=None, writer="w") == Saved(1)
        node.pause(three.nodes[2])
        try:
            # One of three away: a majority is left, and the answers come, if not from whom is asked first.
            assert save_resolved(store, UE, "a", b"mine", expect=None, writer="me") == Saved(1)
            node.pause(three.nodes[1])
            assert store.save(UE, "b", b"mine", expect=None, writer="me") == Unknown()
        finally:
            for paused in three.nodes[1:]:
                node.resume(paused)
        assert save_resolved(store, UE, "b", b"mine", expect=None, writer="me") == Saved(1)
        assert store.load(UE, "b", serial=True) == Row(b"mine", 1, "me")
        store.close()


def test_the_client_waits_longer_than_the_server(direct: CassandraStore) -> None:
    with direct._session_without_keyspace() as session:
        settings = {
            row["name"]: int(row["value"].removesuffix("ms"))
            for row in session.execute("SELECT name, value FROM system_views.settings")
            if row["name"] in ("cas_contention_timeout", "write_request_timeout")
        }
    assert len(settings) == 2
    assert sum(settings.values()) < direct._timeout_s * 1000
