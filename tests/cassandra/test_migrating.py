"""`edge store migrate` through a network that loses answers and requests, on the real server."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from cassandra_lab.cluster import Cluster
from mme.store import cassandra_schema as schema
from mme.store.base import Saved, Table
from mme.store.cassandra import CassandraStore
from tests.cassandra.proxy import Fault, Proxy, proxy

pytestmark = [pytest.mark.cassandra, pytest.mark.timeout(600)]

PLAN = [
    ("IF holder IN ('', null)", Fault.LOSE_ANSWER),
    ("CREATE TABLE IF NOT EXISTS imsi ", Fault.LOSE_ANSWER),
    ("IF holder = %s", Fault.LOSE_ANSWER),
    ("CREATE TABLE IF NOT EXISTS lease ", Fault.LOSE_REQUEST),
    ("INSERT INTO migration ", Fault.LOSE_REQUEST),
    ("USING TTL 1 ", Fault.LOSE_ANSWER),
]
"""The first statement that holds the one gets the other, in this order."""


class Lossy:
    """A session whose statements meet what is planned for them."""

    def __init__(self, session: Any, between: Proxy) -> None:
        self._session = session
        self._between = between
        self.left = list(PLAN)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def execute(self, statement: Any, *arguments: Any, **named: Any) -> Any:
        if self.left and self.left[0][0] in statement.query_string:
            part, fault = self.left.pop(0)
            self._between.arm(fault, part.replace("%s", "").encode())
        return self._session.execute(statement, *arguments, **named)


def test_a_migration_whose_answers_and_requests_are_lost_ends_whole(
    own_node: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "_STATEMENT_S", 1.5)
    node = own_node.nodes[0]
    keyspace = f"edge_{uuid.uuid4().hex[:12]}"
    direct = CassandraStore((node.address,), keyspace, port=node.cql_port)
    said: list[str] = []
    with proxy(node.address, node.cql_port) as between:
        host, _, port = between.contact.partition(":")
        through = CassandraStore((host,), keyspace, port=int(port))
        with through._session_without_keyspace() as session:
            lossy: Any = Lossy(session, between)
            ran = schema.migrate(lossy, keyspace, 1, "datacenter1", said.append)
        assert lossy.left == []
    try:
        assert ran == direct.migrations_done() == [migration.number for migration in schema.MIGRATIONS]
        assert sum("trying again" in line for line in said) >= len(PLAN), said
        assert not any("another migration" in line for line in said), said
        assert direct.migrate() == []
        for table in Table:
            assert direct.save(table, "key", b"", expect=None, writer="w") == Saved(1)
    finally:
        direct.close()
        direct.drop()
