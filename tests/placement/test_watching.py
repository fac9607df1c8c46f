"""What a cluster has otherwise than a release's manifest says, and whose pods are the release's."""

from __future__ import annotations

from typing import Any

import pytest

from placement import watching
from placement.api import ApiError
from placement.errors import Code, PlacementError
from placement.readiness import Verdict
from placement.watching import MOST_PODS
from tests.placement.fake_cluster import FakeCluster, api

CONFIGMAPS, DEPLOYMENTS = "/api/v1/namespaces/lab/configmaps", "/apis/apps/v1/namespaces/lab/deployments"


def config(**parts: Any) -> dict[str, Any]:
    return {"kind": "ConfigMap", "metadata": {"name": "c"}, **parts}


def drift(cluster: FakeCluster, wanted: dict[str, Any], live: dict[str, Any]) -> list[str]:
    cluster.put(f"{CONFIGMAPS}/c", {**live})
    return watching.drift(api(cluster), "lab", [wanted])


def asks(**quantities: str) -> dict[str, Any]:
    return {"spec": {"resources": {"requests": quantities}}}


CONTENT_DIFFERS = ["ConfigMap/c: data.requests.limits.x differs"]
ENV_DIFFERS = ["ConfigMap/c: spec.env[0].value differs"]


@pytest.mark.parametrize(
    ("wanted", "live", "found"),
    [
        ({"data": {"tac": "7"}}, {"data": {"tac": "7"}}, []),
        ({"data": {"tac": "7"}}, {"data": {"tac": "8"}}, ["ConfigMap/c: data.tac differs"]),
        ({"data": {"tac": "7"}}, {"data": {}}, ["ConfigMap/c: data.tac differs"]),
        ({"data": {"tac": "7"}}, {}, ["ConfigMap/c: data differs"]),
        # an empty text is a content like any other
        ({"data": {"tac": ""}}, {"data": {"tac": "7"}}, ["ConfigMap/c: data.tac differs"]),
        ({"data": {"tac": ""}}, {"data": {}}, ["ConfigMap/c: data.tac differs"]),
        ({"data": {"tac": ""}}, {"data": {"tac": ""}}, []),
        ({"data": {}}, {}, []),
        ({"binaryData": {"k": "YQ=="}}, {"binaryData": {"k": "Yg=="}}, ["ConfigMap/c: binaryData.k differs"]),
        # what the server and controllers add is no drift
        ({"spec": {"a": 1}}, {"spec": {"a": 1, "b": 2}, "status": {"x": 1}}, []),
        ({"spec": {"a": None, "b": {}, "c": [], "d": ""}}, {"spec": {}}, []),
        ({"spec": {"clusterIP": ""}}, {"spec": {"clusterIP": "10.96.0.7"}}, []),
        # one quantity in two forms, and a number as text
        (asks(cpu="0.5", memory="1Gi"), asks(cpu="500m", memory="1024Mi"), []),
        (asks(cpu="0.5"), asks(cpu="600m"), ["ConfigMap/c: spec.resources.requests.cpu differs"]),
        ({"spec": {"emptyDir": {"sizeLimit": "1Gi"}}}, {"spec": {"emptyDir": {"sizeLimit": "1024Mi"}}}, []),
        ({"spec": {"target": {"averageValue": "1"}}}, {"spec": {"target": {"averageValue": "1000m"}}}, []),
        # one number, and two texts: a TAC, an MNC, whatever a daemon reads
        ({"data": {"tac": "0007"}}, {"data": {"tac": "7"}}, ["ConfigMap/c: data.tac differs"]),
        ({"data": {"requests.limits.x": "1Ki"}}, {"data": {"requests.limits.x": "1024"}}, CONTENT_DIFFERS),
        (
            {"spec": {"env": [{"name": "MNC", "value": "01"}]}},
            {"spec": {"env": [{"name": "MNC", "value": "1"}]}},
            ENV_DIFFERS,
        ),
        ({"spec": {"port": 80}}, {"spec": {"port": "80"}}, []),
        ({"spec": {"image": "nf:1"}}, {"spec": {"image": "nf:2"}}, ["ConfigMap/c: spec.image differs"]),
        # entries with names are found by them
        (
            {"spec": {"c": [{"name": "b", "v": 1}, {"name": "a", "v": 2}]}},
            {"spec": {"c": [{"name": "injected"}, {"name": "a", "v": 2}, {"name": "b", "v": 1}]}},
            [],
        ),
        (
            {"spec": {"c": [{"name": "a", "v": 1}]}},
            {"spec": {"c": [{"name": "other", "v": 1}]}},
            ["ConfigMap/c: spec.c[0] differs"],
        ),
        ({"spec": {"c": ["x", "y"]}}, {"spec": {"c": ["x"]}}, ["ConfigMap/c: spec.c differs"]),
        ({"spec": {"c": ["x", "y"]}}, {"spec": {"c": ["x", "z"]}}, ["ConfigMap/c: spec.c[1] differs"]),
        ({"spec": {"c": ["x"]}}, {"spec": {"c": "x"}}, ["ConfigMap/c: spec.c differs"]),
        ({"spec": {"c": {"d": 1}}}, {"spec": {"c": 1}}, ["ConfigMap/c: spec.c differs"]),
    ],
)
def test_what_differs_is_told_by_its_place_and_without_content(
    cluster: FakeCluster, wanted: dict[str, Any], live: dict[str, Any], found: list[str]
) -> None:
    assert drift(cluster, config(**wanted), live) == found


@pytest.mark.parametrize(
    ("wanted", "live", "found"),
    [
        ({"data": {"a": "1"}}, {"data": {"a": "1", "c": "x", "b": "x"}}, ["ConfigMap/c: data.b, data.c added"]),
        ({"data": {"a": "1"}}, {"data": {"a": "1"}, "binaryData": {"b": "eA=="}}, ["ConfigMap/c: binaryData.b added"]),
        (
            {"binaryData": {"a": "YQ=="}},
            {"binaryData": {"a": "YQ=="}, "data": {"b": "x"}},
            ["ConfigMap/c: data.b added"],
        ),
        # moved by whoever wrote octets into it: it differs, and is not one more
        ({"data": {"a": "1"}}, {"binaryData": {"a": "/w=="}}, ["ConfigMap/c: data differs"]),
        # others fill what the chart leaves empty: a trust bundle, a certificate, what a daemon keeps
        ({"data": {}}, {"data": {"ca.crt": "x"}}, []),
        ({}, {"data": {"ca.crt": "x"}, "binaryData": {"b": "eA=="}}, []),
        # nor is anything told of what controllers add around it
        ({"data": {"a": "1"}}, {"data": {"a": "1"}, "immutable": True, "metadata": {"annotations": {"b": "x"}}}, []),
    ],
)
def test_a_key_that_somebody_added_to_what_the_chart_fills_is_told_without_its_content(
    cluster: FakeCluster, wanted: dict[str, Any], live: dict[str, Any], found: list[str]
) -> None:
    assert drift(cluster, config(**wanted), live) == found


def test_of_many_added_keys_the_first_ten_are_named(cluster: FakeCluster) -> None:
    live = {"data": {f"k{number:02}": "x" for number in range(25)}}
    named = ", ".join(f"data.k{number:02}" for number in range(1, 11))
    assert drift(cluster, config(data={"k00": "x"}), live) == [f"ConfigMap/c: {named} and 14 more added"]


@pytest.mark.parametrize(
    ("wanted", "live", "found"),
    [
        ({"stringData": {"a": "hush"}}, {"a": "aHVzaA=="}, []),
        ({"stringData": {"a": "hush"}}, {"a": "bG91ZA=="}, ["Secret/s: data.a differs"]),
        ({"stringData": {"a": "hush"}}, {"a": "aHVzaA==", "b": "bG91ZA=="}, ["Secret/s: data.b added"]),
        ({"data": {"b": "eA=="}, "stringData": {"a": "hush"}}, {"a": "aHVzaA==", "b": "eA=="}, []),
        ({"type": "kubernetes.io/service-account-token", "data": {"a": "eA=="}}, {"a": "eA==", "token": "eA=="}, []),
    ],
)
def test_of_a_secret_what_differs_and_what_was_added_are_told_by_their_keys(
    cluster: FakeCluster, wanted: dict[str, Any], live: dict[str, str], found: list[str]
) -> None:
    cluster.put("/api/v1/namespaces/lab/secrets/s", {"data": live})
    thing = {"kind": "Secret", "metadata": {"name": "s"}, **wanted}
    assert watching.drift(api(cluster), "lab", [thing]) == found


def test_what_is_missing_is_told_and_what_nobody_knows_is_not_looked_at(cluster: FakeCluster) -> None:
    there = {"kind": "ConfigMap", "metadata": {"name": "there", "namespace": "other"}, "data": {"a": "1"}}
    cluster.put("/api/v1/namespaces/other/configmaps/there", {"data": {"a": "1"}})
    odd = {"kind": "Gateway", "metadata": {"name": "g"}, "spec": {"a": 1}}
    assert watching.drift(api(cluster), "lab", [config(data={"a": "1"}), there, odd]) == ["ConfigMap/c is missing"]


def test_a_cluster_that_does_not_tell_has_no_missing_objects(cluster: FakeCluster) -> None:
    cluster.refuse.add("/configmaps/")
    with pytest.raises(PlacementError) as refused:
        watching.drift(api(cluster), "lab", [config()])
    assert refused.value.code is Code.CLUSTER_REFUSED


def test_an_odd_answer_or_name_makes_no_object_missing_or_another(cluster: FakeCluster) -> None:
    cluster.trouble.append(("GET", "/configmaps/", 422))
    with pytest.raises(ApiError):
        watching.drift(api(cluster), "lab", [config()])
    odd = {"kind": "ConfigMap", "metadata": {"name": "../secrets/x"}}
    cluster.put("/api/v1/namespaces/lab/secrets/x", {"metadata": {"name": "x"}})
    assert watching.drift(api(cluster), "lab", [odd]) == ["ConfigMap/../secrets/x is missing"]
    assert cluster.calls[-1] == ("GET", f"{CONFIGMAPS}/..%2Fsecrets%2Fx")


def workload(replicas: int, **labels: str) -> dict[str, Any]:
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "nf:1"}]}},
    }
    return {"kind": "Deployment", "metadata": {"name": "upf"}, "spec": spec}


def test_only_pods_that_a_workload_selects_are_the_releases(cluster: FakeCluster) -> None:
    ours = workload(2, app="upf", tier="core")
    cluster.put(f"{DEPLOYMENTS}/upf", {**ours})
    other = workload(1, app="upf")
    cluster.put(f"{DEPLOYMENTS}/other", {**other, "metadata": {"name": "other"}})
    look = watching.look(api(cluster), "lab", [ours, config()])
    assert (look.verdict, len(look.pods)) == (Verdict.READY, 2)
    assert [pod.name for pod in look.pods] == sorted(pod.name for pod in look.pods)


def test_a_workload_that_is_not_there_yet_is_waited_for(cluster: FakeCluster) -> None:
    look = watching.look(api(cluster), "lab", [workload(1, app="upf")])
    assert (look.verdict, look.pods) == (Verdict.WAITING, ())


def test_an_answer_shows_a_hundred_pods_at_most_and_all_are_judged(cluster: FakeCluster) -> None:
    many = workload(MOST_PODS + 5, app="upf")
    cluster.put(f"{DEPLOYMENTS}/upf", {**many})
    last = max(cluster.things("pods"), key=lambda thing: str(thing["metadata"]["name"]))
    last["status"]["containerStatuses"][0] |= {"ready": False, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    look = watching.look(api(cluster), "lab", [many])
    assert len(look.pods) == MOST_PODS == 100
    assert (look.verdict, str(last["metadata"]["name"]) in look.why) == (Verdict.FAILED, True)


def test_a_pod_of_its_own_is_its_pod(cluster: FakeCluster) -> None:
    pod = {"kind": "Pod", "metadata": {"name": "probe"}, "spec": {"containers": [{"name": "c", "image": "nf:1"}]}}
    cluster.put("/api/v1/namespaces/lab/pods/probe", {**pod, "status": {"phase": "Succeeded"}})
    look = watching.look(api(cluster), "lab", [pod])
    assert (look.verdict, [one.name for one in look.pods]) == (Verdict.READY, ["probe"])
