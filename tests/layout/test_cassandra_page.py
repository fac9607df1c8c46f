"""docs/cassandra.md shows every query as the store sends it."""

from __future__ import annotations

from pathlib import Path

from cassandra import ConsistencyLevel

from mme.store import cassandra_queries
from mme.store.cassandra_policies import CLIENT_TIMEOUT_S
from mme.store.cassandra_queries import QUERIES, Kind, Query

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cassandra.md"


def line(query: Query) -> str:
    serial = "LOCAL_SERIAL" if query.kind is Kind.CONDITIONAL_WRITE else "-"
    cells = (
        query.name,
        f"`{query.cql.format(table='T')}`",
        query.kind.value,
        ConsistencyLevel.value_to_name[query.consistency],
        serial,
        "yes" if query.idempotent else "no",
        f"{CLIENT_TIMEOUT_S} s",
        query.ttl,
        query.why,
    )
    return f"| {' | '.join(cells)} |"


def test_every_query_stands_in_the_page() -> None:
    lines = PAGE.read_text().splitlines()
    assert [text for text in lines if text.startswith("| ") and "`" in text and text.count("|") == 10] == [
        line(query) for query in QUERIES
    ]


def test_every_query_of_the_module_is_listed() -> None:
    assert {q for q in vars(cassandra_queries).values() if isinstance(q, Query)} == set(QUERIES)
    assert len({query.name for query in QUERIES}) == len(QUERIES)
