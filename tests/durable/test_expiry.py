"""A call that is over leaves nothing behind when its day is, on a real Cassandra: its id may begin another one."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from durable import journal as journals
from durable.cassandra import CassandraStore
from durable.journal import Held, Journal, Next
from durable.rows import Conflict, Row, Saved
from tests.durable.test_journal import TABLES, Errand, Table

pytestmark = [pytest.mark.cassandra, pytest.mark.timeout(600)]
DAY_S = 2
PATIENCE_S = 30.0


@pytest.fixture
def store(cassandra_hosts: str) -> Iterator[CassandraStore]:
    hosts = [part.partition(":") for part in cassandra_hosts.split(",")]
    name = f"edge_expiry_{secrets.token_hex(4)}"
    made = CassandraStore(tuple(host for host, _, _ in hosts), name, TABLES, port=int(hosts[0][2] or 9042))
    made.create_schema()
    yield made
    session: Any = made._connect(None)
    session.execute(f"DROP KEYSPACE {name}", timeout=60)
    made.close()


@pytest.fixture
def journal(store: CassandraStore, monkeypatch: pytest.MonkeyPatch) -> Journal[Errand]:
    monkeypatch.setattr(journals, "KEEP_S", DAY_S)
    return Journal(store, Table.ERRAND, Errand)


def now_ms() -> int:
    return int(time.time() * 1000)


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def left_of(store: CassandraStore) -> list[dict[str, Any]]:
    """Whatever a reading of the whole table finds."""
    session: Any = store._connect(None)
    return list(session.execute(f"SELECT key, version FROM {store._keyspace}.{Table.ERRAND.value}"))  # noqa: S608


def test_a_call_that_is_over_is_gone_after_its_day_and_its_id_is_free(
    store: CassandraStore, journal: Journal[Errand]
) -> None:
    errand = Errand(key="ana\nnightly")
    for note in ("first", "second"):
        held = journal.open(errand, due_ms=now_ms())
        assert held == Held(errand, 1), note
        assert (
            journal.advance(errand.key, now_ms, lambda hand: Next(msgspec.structs.replace(hand.call, steps=0))) is None
        )
        assert journal.open(errand, due_ms=now_ms()).call.is_over, note
        until(lambda: journal.load(errand.key) is None)
        assert left_of(store) == []
    assert journal.due(now_ms() + 10**9) == []


def test_a_name_is_free_after_its_day(store: CassandraStore, journal: Journal[Errand]) -> None:
    assert (journal.first_under("n", "one"), journal.first_under("n", "two")) == ("one", "one")
    until(lambda: left_of(store) == [])
    assert journal.first_under("n", "two") == "two"


def test_what_an_earlier_version_left_of_a_row_keeps_nobody_away(
    store: CassandraStore, journal: Journal[Errand]
) -> None:
    """It made rows by INSERT without a time to live, and gave them one with their last write."""
    session: Any = store._connect(None)
    name, key = f"{store._keyspace}.{Table.ERRAND.value}", "ana\nold"
    row = Row(b"{}", 1, "w")
    made = f"INSERT INTO {name} (key, version, writer, value) VALUES (%s, 1, 'w', %s) IF NOT EXISTS"  # noqa: S608
    session.execute(made, (key, row.value))
    assert store.save(Table.ERRAND, key, b"x", expect=None, writer="new") == Conflict(row)
    assert store.save(Table.ERRAND, key, row.value, expect=1, writer="w", ttl_s=DAY_S) == Saved(2)
    assert store.load(Table.ERRAND, key) == replace(row, version=2)
    until(lambda: store.load(Table.ERRAND, key) is None)
    assert left_of(store) == [{"key": key, "version": None}]
    assert journal.load(key) is None
    assert journal.open(Errand(key=key), due_ms=now_ms()) == Held(Errand(key=key), 1)
    assert store.save(Table.ERRAND, key, b"x", expect=None, writer="late") == Conflict(store.load(Table.ERRAND, key))
    assert store.save(Table.ERRAND, key, None, expect=1, writer="w") == Saved(0)
    assert left_of(store) == []
