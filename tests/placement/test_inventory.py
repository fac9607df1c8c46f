"""What the store remembers of releases and clusters, also where several write at once."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import msgspec
import pytest

from durable.errors import StoreError
from durable.rows import WriteResult
from durable.sqlite import SqliteStore
from placement.cluster import Cluster, Placed
from placement.errors import Code, PlacementError
from placement.inventory import HISTORY, Clusters, Event, Inventory, Placement
from placement.tables import TABLES

UPF = Placement("a", "lab", "upf", "nf-1.0.0", "oci://r.test/nf", 1, "digest", "core", True)


class Contended(SqliteStore):
    """meanwhile: what others write before each of the next writes."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, TABLES)
        self.meanwhile = 0
        self.others = 0

    def save(
        self, table: Enum, key: str, value: bytes | None, *, expect: int | None, writer: str, ttl_s: int | None = None
    ) -> WriteResult:
        if self.meanwhile:
            self.meanwhile -= 1
            self.others += 1
            row = self.load(table, key)
            other = row.value if row is not None else value
            super().save(table, key, other, expect=row.version if row else None, writer=f"other-{self.others}")
        return super().save(table, key, value, expect=expect, writer=writer, ttl_s=ttl_s)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Contended]:
    made = Contended(tmp_path / "edge.db")
    yield made
    made.close()


def event(call_id: str = "one", who: str = "operator/alice", outcome: str = "ready") -> Event:
    return Event(1, who, "apply", "nf-1.0.0", "digest", 1, outcome, 0.5, call_id)


def history(store: Contended) -> list[tuple[str, str, str]]:
    placed = Inventory(store).get("a", "lab", "upf")
    assert placed is not None
    return [(e.who, e.call_id, e.outcome) for e in placed.history]


def test_a_call_is_one_event_also_where_its_end_is_written_twice(store: Contended) -> None:
    inventory = Inventory(store)
    inventory.remember(UPF, event(outcome="cluster_down"))
    inventory.remember(UPF, event(outcome="ready"))
    assert history(store) == [("operator/alice", "one", "ready")]
    # another caller's call under the same id is another one
    inventory.remember(UPF, event(who="operator/bob"))
    assert [who for who, _, _ in history(store)] == ["operator/alice", "operator/bob"]


def test_the_newest_events_are_kept(store: Contended) -> None:
    for n in range(HISTORY + 5):
        Inventory(store).remember(UPF, event(f"call-{n}"))
    assert [call for _, call, _ in history(store)] == [f"call-{n}" for n in range(5, HISTORY + 5)]


def test_what_another_wrote_meanwhile_stays(store: Contended) -> None:
    Inventory(store).remember(UPF, event("before"))
    store.meanwhile = 3
    Inventory(store).remember(UPF, event("after"))
    assert [call for _, call, _ in history(store)] == ["before", "after"]
    store.meanwhile = 100
    with pytest.raises(StoreError, match="kept changing"):
        Inventory(store).remember(UPF, event("never"))


def test_only_what_is_there_counts_as_placed(store: Contended) -> None:
    Inventory(store).remember(UPF, event())
    Inventory(store).remember(msgspec.structs.replace(UPF, release="gone", is_placed=False), event())
    assert Inventory(store).placed() == (Placed("a", "lab", "upf", "core"),)
    assert [p.release for p in Inventory(store).all()] == ["gone", "upf"]
    assert Inventory(store).get("a", "lab", "never") is None


def test_a_cluster_is_added_replaced_and_removed(store: Contended) -> None:
    clusters = Clusters(store)
    assert clusters.put(Cluster("a", "berlin"))
    store.meanwhile = 2
    assert not clusters.put(Cluster("a", "munich"))
    assert clusters.get("a").location == "munich"
    assert clusters.all() == [Cluster("a", "munich")]
    assert clusters.remove("a")
    assert not clusters.remove("a")
    with pytest.raises(PlacementError) as unknown:
        clusters.get("a")
    assert unknown.value.code is Code.UNKNOWN_CLUSTER


def test_a_cluster_that_was_changed_meanwhile_is_not_removed(store: Contended) -> None:
    Clusters(store).put(Cluster("a", "berlin"))
    store.meanwhile = 1
    with pytest.raises(StoreError, match="changed meanwhile"):
        Clusters(store).remove("a")
    assert Clusters(store).get("a").location == "berlin"
    store.meanwhile = 100
    with pytest.raises(StoreError, match="kept changing"):
        Clusters(store).put(Cluster("a", "munich"))
