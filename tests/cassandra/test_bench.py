"""The sections of `make bench STORE=cassandra`, as small as they go: do they measure what they say?"""

from __future__ import annotations

import gzip
import json
import secrets
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import __main__ as bench
from bench import budget, residents
from bench.database import Database, opened
from cassandra_lab.cluster import Cluster
from mme.rows import ue_context
from mme.store.base import Row, Table
from mme.store.cassandra import CassandraStore
from tests.mme.runtime.test_upgrades import vector

pytestmark = [pytest.mark.cassandra, pytest.mark.timeout(600)]


@pytest.fixture
def store(cassandra_hosts: str) -> Iterator[CassandraStore]:
    made = opened(f"cassandra://{cassandra_hosts}/edge_{uuid.uuid4().hex[:12]}")
    made.migrate()
    yield made
    made.close()
    made.drop()


def test_residents_are_contexts_of_their_own_that_the_mme_reads(store: CassandraStore) -> None:
    ctx = ue_context(Row(vector("2-registered"), 1, "w"))
    residents.load(store, ctx, range(120), lambda _: None)
    residents.load(store, ctx, range(120, 150), lambda _: None)
    contexts = {key: ue_context(row) for key, row in store.scan(Table.UE_CONTEXT)}
    assert len(contexts) == len({found.imsi for found in contexts.values()}) == 150
    assert all(key == str(found.key) for key, found in contexts.items())
    assert len(store.scan(Table.IMSI)) == 150


def test_operations_are_counted_timed_and_weighed(
    cassandra_hosts: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CASSANDRA_HOSTS", cassandra_hosts)
    sizes = ("--operations", "20", "--rows", "0,150")
    assert bench.main(["--store", "cassandra", "--only", "operations", "--quick", *sizes, "--out", str(tmp_path)]) == 0
    figures = json.loads((tmp_path / "operations.json").read_text())["figures"]
    samples = json.loads(gzip.decompress((tmp_path / "operations.samples.json.gz").read_bytes()))
    assert [level["rows"] for level in figures["levels"]] == [0, 150]
    for level in figures["levels"]:
        assert [len(samples[str(level["rows"])][kind]) for kind in figures["boxes"]] == [20, 20, 20]
        assert all(0 < box["min"] <= box["p50"] <= box["p99"] <= box["max"] for box in level["kinds"].values())
    context = figures["context"]
    # A value travels once in each, with a header and the writer's name, and is not compressed.
    for octets in context["on_the_wire"].values():
        assert context["octets"] < octets < context["octets"] + 600
    assert context["on_disk"] is None, "another's cluster: its files are not ours to read"
    sessions = figures["sessions"]
    assert sessions["per call"]["p50"] > sessions["per process"]["p50"]
    assert (tmp_path / "operations.svg").stat().st_size > 1000
    assert "| Attach | " in (tmp_path / "summary.md").read_text()


def test_octets_on_disk_are_those_of_the_tables_files(own_node: Cluster) -> None:
    database = Database(own_node.hosts, own_node)
    with database.keyspace() as url:
        store = opened(url)
        before = database.cpu_ms()
        for number in range(50):
            # Not to be compressed.
            store.save(Table.UE_CONTEXT, str(number), secrets.token_bytes(2_000), expect=None, writer="w")
        octets = database.octets_on_disk(url, Table.UE_CONTEXT)
        store.close()
        assert octets is not None
        assert 100_000 < octets < 130_000
        assert database.octets_on_disk(url, Table.IMSI) == 0
        assert database.cpu_ms() > before


def test_procedures_are_the_sums_that_the_budget_page_says() -> None:
    text = budget.PAGE.read_text()
    for name in ("Attach", "Attach with ESM information", "Attach of a registered UE"):
        reads, writes, conditional = budget.procedures()[name]
        assert f"In all {reads} reads, {writes} plain writes, {conditional} conditional writes." in text
