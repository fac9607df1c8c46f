"""The journals' tables on a node that is too busy to answer; the store itself: tests/edge/test_store.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from cassandra import OperationTimedOut, Unauthorized, WriteTimeout, WriteType

from durable.cassandra import SCHEMA_PATIENCE_S, SCHEMA_STATEMENT_S, CassandraStore
from durable.errors import StoreError
from placement.tables import TABLES as PLACEMENT


@dataclass
class Session:
    """fails: the next statements that hold `part` get that error, so many times."""

    error: Exception | None = None
    part: str = ""
    times: int = 0
    now_s: float = 0.0
    done: list[str] = field(default_factory=list)
    timeouts: set[float] = field(default_factory=set)

    def execute(self, cql: str, _: object, *, timeout: float) -> list[dict[str, Any]]:
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
