"""Nudging and waiting on one cluster, without helm: what a pod that does not take a configuration makes of a call."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from placement.api import Api
from placement.errors import Code, PlacementError
from placement.kubeconfig import credentials
from placement.nudging import Reloads
from reload.agent.digest import digest_of
from tests.placement import fake_cluster
from tests.placement.fake_cluster import FakeCluster

LABELS = {"app.kubernetes.io/instance": "upf", "reload.edge/config": ""}
OLD, NEW = digest_of({"app.conf": b"one"}), digest_of({"app.conf": b"two"})
PODS = "/api/v1/namespaces/lab/pods"


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    """Two ConfigMaps, and a pod under reload that mounts the first."""
    with fake_cluster.running() as [cluster]:
        for name in ("first", "second"):
            config = {"kind": "ConfigMap", "metadata": {"name": name, "namespace": "lab", "labels": LABELS}}
            cluster.put(f"/api/v1/namespaces/lab/configmaps/{name}", {**config, "data": {"app.conf": "two"}})
        pod("upf-1", cluster)
        yield cluster


def pod(name: str, cluster: FakeCluster, **says: str) -> None:
    """A pod whose agent says this; nothing = it does not answer."""
    metadata = {
        "name": name,
        "namespace": "lab",
        "labels": LABELS,
        "annotations": {"reload.edge/status-port": "9797"},
    }
    spec = {"volumes": [{"name": "v", "configMap": {"name": "first"}}]}
    cluster.put(f"{PODS}/{name}", {"kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": "Running"}})
    if says:
        cluster.objects[f"{PODS}/{name}:9797/proxy/status"] = {"metadata": {}, **says}


def reloads(cluster: FakeCluster) -> Reloads:
    return Reloads(Api("a", credentials(cluster.kubeconfig, "", "a")))


def note(cluster: FakeCluster, name: str = "upf-1") -> str:
    return str(cluster.objects[f"{PODS}/{name}"]["metadata"]["annotations"].get("reload.edge/wanted-digest", ""))


def test_only_pods_that_mount_what_changed_are_nudged(cluster: FakeCluster) -> None:
    assert not reloads(cluster).begin("lab", "upf", ["second"])
    assert note(cluster) == ""
    assert reloads(cluster).begin("lab", "upf", ["first", "second"])
    assert note(cluster).startswith(f"{NEW} first ")


def test_pods_that_are_not_settled_are_nudged_again(cluster: FakeCluster) -> None:
    """A kubelet may have been nudged before the change had reached its own watch."""
    pod("upf-1", cluster, digest=OLD)
    taken = reloads(cluster).wait("lab", "upf", ["first"], wait_s=0.0)
    assert not taken.is_settled
    assert note(cluster).startswith(f"{NEW} first ")


@pytest.mark.parametrize(
    ("says", "is_settled", "code", "told"),
    [
        ({"digest": NEW}, True, None, ""),
        (
            {"digest": OLD, "candidate": NEW, "verdict": "rejected", "reason": "line 1"},
            True,
            Code.CONFIG_REJECTED,
            "1 of 2 pods: upf-1 keeps its last good configuration: line 1.",
        ),
        (
            {"digest": OLD, "candidate": NEW, "verdict": "failed", "reason": "it ended."},
            True,
            Code.CONFIG_REJECTED,
            "1 of 2 pods: upf-1 did not take the new one: it ended.",
        ),
        (
            {"digest": OLD, "candidate": NEW, "verdict": "rejected", "reason": ""},
            True,
            Code.CONFIG_REJECTED,
            "1 of 2 pods: upf-1 keeps its last good configuration: no reason given.",
        ),
        # refused was what came before
        (
            {"digest": OLD, "candidate": OLD, "verdict": "rejected", "reason": "line 1"},
            False,
            Code.CONFIG_NOT_TAKEN,
            "1 of 2 pods have not confirmed the new configuration, upf-1 first.",
        ),
        ({}, False, Code.CONFIG_NOT_TAKEN, "1 of 2 pods have not confirmed the new configuration, upf-1 first."),
    ],
)
def test_what_a_pod_says_decides(
    cluster: FakeCluster, says: dict[str, str], is_settled: bool, code: Code | None, told: str
) -> None:
    pod("upf-1", cluster, **says)
    pod("upf-2", cluster, digest=NEW)
    taken = reloads(cluster).wait("lab", "upf", ["first"], wait_s=0.0)
    assert taken.is_settled is is_settled
    assert (taken.error.code, taken.error.detail) == (code, told) if taken.error else code is None


@pytest.mark.parametrize(
    ("says", "which"),
    [
        ({"digest": OLD}, "waiting"),
        ({"digest": OLD, "candidate": NEW, "verdict": "rejected"}, "refused"),
        ({"digest": OLD, "candidate": NEW, "verdict": "failed"}, "refused"),
        ({}, "silent"),
        ({"digest": NEW}, None),
    ],
)
def test_which_configmaps_pods_do_not_run_with(cluster: FakeCluster, says: dict[str, str], which: str | None) -> None:
    pod("upf-1", cluster, **says)
    found = reloads(cluster).nudged_behind("lab", "upf")
    names = {name: getattr(found, name) for name in ("waiting", "refused", "silent")}
    assert names == {name: frozenset({"first"} if name == which else ()) for name in names}
    assert (note(cluster) != "") is (which == "waiting")


def test_pods_that_may_not_be_asked_are_silent(cluster: FakeCluster) -> None:
    cluster.refuse.add("/proxy/")
    assert reloads(cluster).nudged_behind("lab", "upf").silent == {"first", "second"}


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, Code.CLUSTER_REFUSED),
        (429, Code.CLUSTER_DOWN),
        (500, Code.CLUSTER_DOWN),
        # on a pod: the API server gave up on writers in between
        (409, Code.CLUSTER_DOWN),
    ],
)
def test_a_nudge_that_the_cluster_does_not_take_is_its_trouble_and_no_pods(
    cluster: FakeCluster, status: int, code: Code
) -> None:
    cluster.trouble.append(("PATCH", "/pods/", status))
    with pytest.raises(PlacementError) as caught:
        reloads(cluster).begin("lab", "upf", ["first"])
    assert caught.value.code is code
    cluster.stop()
    with pytest.raises(PlacementError) as caught:
        reloads(cluster).begin("lab", "upf", ["first"])
    assert caught.value.code is Code.CLUSTER_DOWN
