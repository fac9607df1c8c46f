"""The journals' tables on a node that is too busy to answer; the store itself: tests/edge/test_store.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cassandra import ConsistencyLevel, InvalidRequest, OperationTimedOut, Unauthorized, WriteTimeout, WriteType

from durable.cassandra import SCHEMA_PATIENCE_S, SCHEMA_STATEMENT_S, CassandraStore
from durable.errors import StoreError
from durable.rows import Saved
from placement.tables import TABLES as PLACEMENT

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cassandra.md"


@dataclass
class Session:
    """fails: the next statements that hold `part` get that error, so many times."""

    error: Exception | None = None
    part: str = ""
    times: int = 0
    now_s: float = 0.0
    done: list[str] = field(default_factory=list)
    timeouts: set[float] = field(default_factory=set)
    prepared: list[Any] = field(default_factory=list)

    def prepare(self, cql: str) -> Any:
        self.prepared.append(SimpleNamespace(cql=cql))
        return self.prepared[-1]

    def execute(self, cql: Any, _: object = None, *, timeout: float | None = None) -> list[dict[str, Any]]:
        if timeout is None:
            return [{"[applied]": True}] if " IF " in cql.cql else []
        self.timeouts.add(timeout)
        if self.error is not None and self.times and self.part in cql:
            self.times -= 1
            raise self.error
        self.done.append(cql)
        return []

    def pause(self, seconds: float) -> None:
        self.now_s += seconds


def create(session: Session) -> None:
    store = CassandraStore(("nowhere",), "ks", PLACEMENT)
    store._session = session
    store.create_schema(pause=session.pause, stop_watch=lambda: session.now_s)


def test_statements_are_prepared_once_and_conditional_ones_are_not_idempotent() -> None:
    session = Session()
    store = CassandraStore(("nowhere",), "ks", PLACEMENT)
    store._session = session
    [table, *_] = PLACEMENT.rows
    for number in range(3):
        assert store.save(table, f"k{number}", b"x", expect=None, writer="w") == Saved(1)
        assert store.save(table, f"k{number}", b"y", expect=1, writer="w") == Saved(2)
        assert store.save(table, f"k{number}", None, expect=2, writer="w") == Saved(0)
        assert store.load(table, f"k{number}") is None
        store.scan(table)
        store.set_due("call", 5)
        store.set_due("call", None)
        store.due(9)
    assert len(session.prepared) == len({statement.cql for statement in session.prepared}) == 8
    assert all(statement.is_idempotent is (" IF " not in statement.cql) for statement in session.prepared)
    serial = [s for s in session.prepared if s.consistency_level == ConsistencyLevel.LOCAL_SERIAL]
    assert [s.cql.partition(" ")[0] for s in serial] == ["SELECT"]


def test_the_page_has_every_statement_as_it_is_sent() -> None:
    session = Session()
    store = CassandraStore(("nowhere",), "ks", PLACEMENT)
    store._session = session
    [table, *_] = PLACEMENT.rows
    store.save(table, "k", b"x", expect=None, writer="w")
    store.save(table, "k", b"y", expect=1, writer="w")
    store.save(table, "k", None, expect=2, writer="w")
    store.load(table, "k")
    store.scan(table)
    store.set_due("call", 5)
    store.set_due("call", None)
    store.due(9)
    sent = {
        (
            statement.cql.replace(f"ks.{table.value}", "T").replace(f"ks.{PLACEMENT.due}", "D"),
            ConsistencyLevel.value_to_name[statement.consistency_level],
            "yes" if statement.is_idempotent else "no",
        )
        for statement in session.prepared
    }
    lines = [line.split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| `") and " | " in line]
    assert {(line[0].strip("| `"), line[1], line[2]) for line in lines if len(line) == 4} == sent


@pytest.mark.parametrize("error", [OperationTimedOut(), WriteTimeout("t", write_type=WriteType.SIMPLE)])
@pytest.mark.parametrize("part", ["CREATE KEYSPACE", f"ks.{PLACEMENT.due} "])
def test_a_statement_without_an_answer_is_sent_again(part: str, error: Exception) -> None:
    session = Session(error, part, 3)
    create(session)
    calm = Session()
    create(calm)
    assert session.done == calm.done
    assert session.timeouts == {SCHEMA_STATEMENT_S}
    assert all(" IF NOT EXISTS " in cql for cql in calm.done)
    assert all(" id = " in cql for cql in calm.done if "TABLE" in cql)


def test_a_node_that_never_answers_is_given_up_after_a_bounded_time() -> None:
    session = Session(OperationTimedOut(), "CREATE TABLE", 10_000)
    with pytest.raises(StoreError):
        create(session)
    assert SCHEMA_PATIENCE_S <= session.now_s <= SCHEMA_PATIENCE_S + 1


def test_what_the_server_refuses_is_not_sent_again() -> None:
    session = Session(Unauthorized("no"), "CREATE TABLE", 10_000)
    with pytest.raises(StoreError):
        create(session)
    assert session.now_s == 0


@dataclass
class Unprepared(Session):
    """A node that answers each prepared statement with that error."""

    def prepare(self, cql: str) -> Any:  # noqa: ARG002
        assert self.error is not None
        raise self.error


def on(session: Session) -> CassandraStore:
    store = CassandraStore(("127.0.0.1",), "ks", PLACEMENT)
    store._session = session
    return store


def test_tables_are_missing_only_where_the_server_says_so() -> None:
    """What a login may not read, or a node that is away, is an error and no missing table."""
    assert on(Session()).has_schema()
    assert not on(Unprepared(InvalidRequest("table due does not exist"))).has_schema()
    for error in (Unauthorized("no"), OperationTimedOut()):
        with pytest.raises(StoreError):
            on(Unprepared(error)).has_schema()


def test_what_a_missing_table_needs_is_told() -> None:
    [table, *_] = PLACEMENT.rows
    with pytest.raises(StoreError, match="`edge store status` tells"):
        on(Unprepared(InvalidRequest("table does not exist"))).scan(table)
