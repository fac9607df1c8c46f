"""No query on the path of a message, timer or lease reads a tombstone, and none leaves one: by the server's count."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cassandra import DriverException
from cassandra.cluster import NoHostAvailable

from mme.codec.envelope import Item
from mme.lease_holder import LeaseHolder
from mme.load import LoadMeter
from mme.overload import Limits
from mme.overload_guard import LEASE, OverloadGuard
from mme.routing import DOWNLINK
from mme.store.base import Table, TimerRow
from mme.store.cassandra import CassandraStore
from tests.mme.runtime.pair import IMSI, Network
from tests.mme.runtime.returning import idle

pytestmark = [pytest.mark.cassandra, pytest.mark.timeout(600)]
TABLES = frozenset({table.value for table in Table} | {"timer"})
PATIENCE_S = 20.0
LOST_SHARE = 0.01


@pytest.fixture
def keyspace(cassandra_hosts: str) -> Iterator[CassandraStore]:
    """New, so that the server's figures are of this test alone."""
    hosts = [part.partition(":") for part in cassandra_hosts.split(",")]
    name = f"edge_tombstones_{secrets.token_hex(4)}"
    store = CassandraStore(tuple(host for host, _, _ in hosts), name, port=int(hosts[0][2] or 9042))
    store.migrate()
    yield store
    store.close()
    store.drop()


class Traced:
    """Has the server trace whatever goes over the store's session, one query after the other.

    A node writes traces behind the answers, and drops what it cannot write within its timeout or hold in its queue:
    the next query waits until the last one's is there, so that a node that stands still costs one trace.
    """

    def __init__(self, store: CassandraStore) -> None:
        self.session: Any = store._opened()
        self.asked = 0
        self.queries: dict[Any, str] = {}
        self._execute_async = self.session.execute_async
        self.session.execute_async = self.execute_async  # what `execute` goes by, too

    def execute_async(self, query: Any, arguments: Any = None, _trace: bool = False, *rest: Any, **named: Any) -> Any:
        future = self._execute_async(query, arguments, True, *rest, **named)
        with suppress(DriverException, NoHostAvailable):  # its caller sees it
            future.result()
        for trace in future._query_traces or ():
            self._wait_for(trace.trace_id)
        return future

    def _execute(self, query: str, *arguments: Any) -> Any:
        """Without a trace."""
        return self._execute_async(query, arguments).result()

    def _wait_for(self, trace: Any) -> None:
        self.asked += 1
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            found = self._execute(
                "SELECT duration, parameters FROM system_traces.sessions WHERE session_id = %s", trace
            )
            if (row := found.one()) and row["duration"] is not None:
                self.queries[trace] = row["parameters"]["query"]
                return
            time.sleep(0.001)

    def since(self) -> tuple[list[str], list[str]]:
        """(queries, what each read of them met: "Read 1 live rows and 0 tombstone cells"), as the server has it."""
        (asked, queries), self.asked, self.queries = (self.asked, self.queries), 0, {}
        assert asked - len(queries) <= asked * LOST_SHARE, "traces that do not end"
        events = self._execute("SELECT session_id, activity FROM system_traces.events")
        activities = [row["activity"] for row in events if row["session_id"] in queries]
        reads = [text for text in activities if text.startswith("Read ") and "tombstone" in text]
        return list(queries.values()), reads


def assert_no_tombstone(traced: Traced, least: int) -> None:
    """least: reads that there must have been.

    A read counts cells and rows that were deleted, not a partition as a whole: that one shows by its query.
    """
    queries, reads = traced.since()
    assert len(reads) >= least
    assert [query for query in queries if "DELETE" in query] == []
    assert [text for text in reads if "and 0 tombstone" not in text] == []


def live(network: Network) -> None:
    """UEs attach, are duplicated, lose a message to T3460, idle, are paged, return, detach; overload comes and goes."""
    idling = idle(network)
    network.send(DOWNLINK, Item(id="operator/ana/1", command={"action": "page", "imsi": IMSI}))
    idling.comes(idling.service_request())
    idling.set_up()
    idling.says(idling.detach_request())
    late = network.ue(network.subscribe("001010000000002"))
    first = late.step()
    network.again(first)
    late.queue.clear()
    network.pushes.works = False
    network.wait(7, step_s=7)
    network.pushes.works = True
    network.wait(4, step_s=2)
    late.flow()
    network.event("association-lost")
    network.wait(3, step_s=3)
    network.set_up("again")
    network.ue(network.subscribe("001010000000003")).run()
    holder = LeaseHolder(network.store, (LEASE,), clock=network.clock, stop_watch=network.clock)
    guard = OverloadGuard(network.store, holder, lambda _id, _percent, _number: True, Limits(), clock=network.clock)
    meter = LoadMeter(network.store, "mme-initial-ue", clock=network.clock)
    for waited_ms in (5000,) * 6 + (10,) * 30:
        network.clock.now_s += 0.6
        meter.began(1, waited_ms)
        holder.keep()
        guard.step()
    holder.leave()


def test_no_query_reads_or_leaves_a_tombstone(keyspace: CassandraStore, tmp_path: Path) -> None:
    network = Network(tmp_path, shared=("", keyspace))
    traced = Traced(keyspace)
    live(network)
    met = {statement.query_string for statement in keyspace._prepared.values()}
    assert all(any(f" {table} " in cql for cql in met) for table in TABLES), "each is met on these paths"
    assert_no_tombstone(traced, least=300)
    # Whatever was left behind is met by a reading of everything.
    for table in TABLES:
        list(keyspace._session.execute(f"SELECT * FROM {table}"))  # noqa: S608
    assert_no_tombstone(traced, least=len(TABLES))


LEAVES = (
    "DELETE FROM load WHERE key = '{key}'",
    "UPDATE load SET value = null WHERE key = '{key}'",
    "DELETE FROM timer WHERE shard = {shard} AND second = 2 AND owner = 'o'",
    "DELETE FROM timer WHERE shard = {shard} AND second = 2 AND owner = 'o' AND name = 'n' AND timer_token = 't'",
)
"""A partition, a cell, a range of rows, a row."""


def test_the_measure_sees_each_kind_of_tombstone(keyspace: CassandraStore) -> None:
    traced = Traced(keyspace)
    for number, statement in enumerate(LEAVES):
        key, shard = f"k{number}", number
        keyspace.save(Table.LOAD, key, b"x", expect=None, writer="w")
        keyspace.insert_timer(TimerRow(shard, 2000, "n", "t", "o"), ttl_s=600)
        assert_no_tombstone(traced, least=0)
        keyspace._session.execute(statement.format(key=key, shard=shard))
        keyspace.load(Table.LOAD, key)
        keyspace.due_timers(shard, 2)
        with pytest.raises(AssertionError, match=r"tombstone|DELETE"):
            assert_no_tombstone(traced, least=2)
