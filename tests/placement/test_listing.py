"""The inventory as a caller may see it, and what differs between it and a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from durable.sqlite import SqliteStore
from placement import status
from placement.cluster import Cluster
from placement.inventory import Clusters, Event, Inventory, Placement
from placement.policy import Grant
from placement.readiness import Verdict
from placement.releases import PENDING, Revision
from placement.request import Request
from placement.tables import TABLES
from placement.watching import Look

ALL = Grant(("*",), ("*",), ("*",))


@pytest.fixture
def placer(tmp_path: Path) -> Iterator[Any]:
    store = SqliteStore(tmp_path / "edge.db", TABLES)
    inventory, clusters = Inventory(store), Clusters(store)
    clusters.put(Cluster("a", "berlin"))
    clusters.put(Cluster("b", "munich"))
    for cluster in ("a", "b", "forgotten"):
        for namespace in ("core", "edge-1"):
            for release in ("amf", "upf"):
                placed = Placement(cluster, namespace, release, "nf-1.0.0", "oci://r.test/nf", 1, "d", "", True)
                inventory.remember(placed, Event(1, "operator/alice", "apply", "nf-1.0.0", "d", 1, "ready", 0.5, "x"))
    yield SimpleNamespace(parts=SimpleNamespace(clusters=clusters, inventory=inventory))
    store.close()


def listed(placer: Any, grant: Grant = ALL, **named: str) -> set[str]:
    answer = status.listing(placer, grant, Request(action="list", **named))  # type: ignore[arg-type]
    return {f"{row['cluster']}/{row['namespace']}/{row['release']}" for row in answer.placements or ()}


@pytest.mark.parametrize(
    ("grant", "seen"),
    [
        (ALL, {"a/core", "a/edge-1", "b/core", "b/edge-1"}),
        (Grant(("berlin",), ("*",)), {"a/core", "a/edge-1"}),
        (Grant(("*",), ("edge-*",)), {"a/edge-1", "b/edge-1"}),
        (Grant(("munich",), ("core",)), {"b/core"}),
        (Grant(("*",), ()), set()),
        (Grant((), ("*",)), set()),
    ],
)
def test_only_what_is_granted_is_seen(placer: Any, grant: Grant, seen: set[str]) -> None:
    """By location and namespace; of a cluster that is registered no more nobody knows the location."""
    assert {one.rpartition("/")[0] for one in listed(placer, grant)} == seen


@pytest.mark.parametrize(
    ("named", "seen"),
    [
        ({"cluster": "a"}, {"a/core/amf", "a/core/upf", "a/edge-1/amf", "a/edge-1/upf"}),
        ({"location": "munich"}, {"b/core/amf", "b/core/upf", "b/edge-1/amf", "b/edge-1/upf"}),
        ({"run_namespace": "core", "function_name": "amf"}, {"a/core/amf", "b/core/amf"}),
        ({"cluster": "a", "location": "munich"}, set()),
    ],
)
def test_a_list_is_narrowed_by_each_name(placer: Any, named: dict[str, str], seen: set[str]) -> None:
    assert listed(placer, **named) == seen


def revision(state: str = "deployed", number: int = 2, **fields: Any) -> Revision:
    return Revision(number, state, "nf-1.0.0", "", {}, **({"description": ""} | fields))


UPF = Placement("a", "lab", "upf", "nf-1.0.0", "oci://r.test/nf", 2, "d", "", True)


@pytest.mark.parametrize(
    ("known", "newest", "drift"),
    [
        (UPF, revision(), []),
        (UPF, revision(number=3), ["revision: the inventory has 2, the cluster 3"]),
        (
            UPF,
            Revision(2, "deployed", "nf-2.0.0", "", {}, ""),
            ["chart: the inventory has nf-1.0.0, the cluster nf-2.0.0"],
        ),
        (None, revision(), ["the release is on the cluster and not in the inventory"]),
        (
            Placement("a", "lab", "upf", "nf-1.0.0", "", 2, "d", "", False),
            revision(),
            ["the release is on the cluster and not in the inventory"],
        ),
    ],
)
def test_what_the_inventory_has_otherwise_is_drift(known: Placement | None, newest: Revision, drift: list[str]) -> None:
    assert status._drift(known, newest) == drift


def judged(newest: Revision, verdict: Verdict = Verdict.READY, secret: frozenset[str] = frozenset()) -> tuple[str, str]:
    word, error = status._judged(newest, Look((), verdict, "pod upf-1 is odd"), None, set(secret))
    return word, error.detail if error is not None else ""


def test_a_release_is_what_helm_and_its_pods_are() -> None:
    assert judged(revision()) == ("ready", "")
    assert judged(revision(), Verdict.WAITING) == ("progressing", "")
    assert judged(revision(), Verdict.FAILED) == (
        "failed",
        "Pods of the release crash or cannot start: pod upf-1 is odd.",
    )
    for state in PENDING:
        assert judged(revision(state)) == ("progressing", "")


def test_what_helm_says_of_a_failed_revision_is_told_without_its_values_and_without_passwords() -> None:
    said = "Upgrade failed: the field hunter2-hunter2 is odd, and so is s3cret-of-s3."
    newest = Revision(2, "failed", "nf-1.0.0", "", {"any": "hunter2-hunter2"}, said)
    assert judged(newest, secret=frozenset({"s3cret-of-s3"})) == (
        "failed",
        "Revision 2 failed: Upgrade failed: the field *** is odd, and so is ***.",
    )
