"""Reading rendered manifests: what they hold, what they ask of nodes, whether only configuration changed.

What a pod asks for: Kubernetes' documentation, "Init Containers" and "Sidecar Containers", "Resource sharing within
containers".
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from placement import manifest
from placement.cluster import Pods
from placement.errors import Code, PlacementError
from placement.request import Toleration

MI = 2**20


def container(cpu: object = None, memory: object = None, **more: Any) -> dict[str, Any]:
    asked = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value is not None}
    return {"name": "c", "resources": {"requests": asked}, **more}


def workload(kind: str = "Deployment", pod: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    template = {"spec": pod or {"containers": [container("100m", "64Mi")]}}
    return {"kind": kind, "metadata": {"name": "upf"}, "spec": {"template": template, **spec}}


def test_documents_lists_and_nothing_are_told_apart() -> None:
    text = """
# Source: nf/templates/empty.yaml
---
kind: ConfigMap
metadata: {name: a}
---
kind: ConfigMapList
items:
- {kind: ConfigMap, metadata: {name: b, namespace: other}}
- just text
---
[1, 2]
---
metadata: {name: "no kind"}
---
"""
    assert [manifest.name_of(thing) for thing in manifest.objects(text)] == [
        ("ConfigMap", "", "a"),
        ("ConfigMap", "other", "b"),
    ]
    assert manifest.objects("") == []


@pytest.mark.parametrize("text", ["a: [", "a: b: c", "\tx: 1", "a: &x [*y]", "a: !!python/object:os.system {}"])
def test_what_is_no_yaml_is_refused_with_a_line_and_without_its_content(text: str) -> None:
    with pytest.raises(PlacementError) as caught:
        manifest.objects(f"kind: Secret\nstringData: {{password: hunter2}}\n---\n{text}")
    assert caught.value.code is Code.RENDER_FAILED
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("thing", "wanted"),
    [
        (workload(replicas=3), Pods(3, 100, 64 * MI)),
        (workload(), Pods(1, 100, 64 * MI)),
        (workload(replicas=None), Pods(1, 100, 64 * MI)),
        (workload(replicas=0), Pods(0, 100, 64 * MI)),
        (workload("StatefulSet", replicas=2), Pods(2, 100, 64 * MI)),
        (workload("DaemonSet"), Pods(1, 100, 64 * MI, every_node=True)),
        (workload("Job", parallelism=4), Pods(4, 100, 64 * MI)),
        (workload("Job"), Pods(1, 100, 64 * MI)),
        (
            {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container("1", "1Gi")]}},
            Pods(1, 1000, 2**30),
        ),
    ],
)
def test_each_kind_of_workload_asks_for_its_pods(thing: dict[str, Any], wanted: Pods) -> None:
    assert manifest.needs([{"kind": "Service", "metadata": {"name": "s"}}, thing]) == (wanted,)


def test_a_cron_job_and_what_is_no_workload_ask_for_nothing() -> None:
    things = [workload("CronJob"), {"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"template": "x"}}]
    assert manifest.needs(things) == ()


@pytest.mark.parametrize(
    ("pod", "cpu_m", "memory_mi"),
    [
        ({"containers": [container("100m", "64Mi"), container("200m", "32Mi")]}, 300, 96),
        ({"containers": [container()]}, 0, 0),
        ({"containers": [{"name": "c", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}]}, 1000, 1024),
        (
            {"containers": [{"name": "c", "resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "100m"}}}]},
            100,
            0,
        ),
        # an init container runs alone: the larger of both
        ({"initContainers": [container("1", "8Mi")], "containers": [container("300m", "64Mi")]}, 1000, 64),
        (
            {"initContainers": [container("1", "8Mi"), container("2", "4Mi")], "containers": [container("1", "1Mi")]},
            2000,
            8,
        ),
        # a sidecar runs beside the containers
        (
            {
                "initContainers": [container("200m", "16Mi", restartPolicy="Always")],
                "containers": [container("300m", "64Mi")],
            },
            500,
            80,
        ),
        # ... and beside the init containers that begin after it, not beside those before
        (
            {
                "initContainers": [
                    container("600m", "8Mi"),
                    container("200m", "16Mi", restartPolicy="Always"),
                    container("500m", "8Mi"),
                ],
                "containers": [container("100m", "1Mi")],
            },
            700,
            24,
        ),
        (
            {"containers": [container("100m", "64Mi")], "overhead": {"cpu": "250m", "memory": "120Mi"}},
            350,
            184,
        ),
    ],
)
def test_a_pod_asks_for_what_the_scheduler_counts(pod: dict[str, Any], cpu_m: int, memory_mi: int) -> None:
    assert manifest.pod_requests(pod) == (cpu_m, memory_mi * MI)


def test_a_quantity_that_is_none_names_the_workload() -> None:
    with pytest.raises(PlacementError, match=r"Deployment/upf are no quantities") as caught:
        manifest.needs([workload(pod={"containers": [container("lots")]})])
    assert caught.value.code is Code.RENDER_FAILED


def test_tolerations_and_node_selectors_are_read() -> None:
    pod = {
        "containers": [container("1")],
        "tolerations": [{"key": "ran", "operator": "Exists"}, {"key": 7}, {"key": "x", "tolerationSeconds": 3}],
        "nodeSelector": {"gpu": True},
    }
    (found,) = manifest.needs([workload(pod=pod)])
    assert found.tolerations == (Toleration("ran", "Exists"), Toleration("x"))
    assert found.node_selector == {"gpu": "True"}


@pytest.mark.parametrize(
    ("thing", "labels"),
    [
        (workload(selector={"matchLabels": {"app": "upf", "tier": 1}}), {"app": "upf", "tier": "1"}),
        (workload("Job"), {"job-name": "upf"}),
        (workload(selector={}), None),
        ({"kind": "Pod", "metadata": {"name": "p"}}, None),
        ({"kind": "Service", "metadata": {"name": "s"}, "spec": {"selector": {"a": "b"}}}, None),
    ],
)
def test_a_workloads_pods_are_found_by_its_selector(thing: dict[str, Any], labels: dict[str, str] | None) -> None:
    assert manifest.selector_of(thing) == labels


def config(name: str, **data: str) -> dict[str, Any]:
    return {"kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_only_changed_contents_of_configmaps_count_as_a_change_of_configuration() -> None:
    before = [workload(), config("a", tac="7"), config("b", x="1")]
    assert manifest.only_configuration_changed(before, before) == []
    assert manifest.only_configuration_changed(before, [workload(), config("a", tac="8"), config("b", x="1")]) == ["a"]
    labelled = {**workload(), "metadata": {"name": "upf", "labels": {"helm.sh/chart": "nf-1.0.1"}}}
    assert manifest.only_configuration_changed(before, [labelled, config("a", tac="8"), config("b", x="2")]) == [
        "a",
        "b",
    ]


def test_what_is_no_text_counts_as_well() -> None:
    """ConfigMap, binaryData: what is not in the UTF-8 range."""
    one, two = ({**config("a"), "binaryData": {"key": text}} for text in ("YQ==", "Yg=="))
    assert manifest.changed_configuration([one], [two]) == ["a"]


def test_of_a_changed_configmap_only_pods_that_live_on_have_to_be_told() -> None:
    def mounting(name: str, configmap: str, **spec: Any) -> dict[str, Any]:
        volumes = [{"name": "v", "configMap": {"name": configmap}}, {"name": "e", "emptyDir": {}}]
        thing = workload(pod={"containers": [], "volumes": volumes}, **spec)
        return thing | {"metadata": {"name": name}}

    before = [mounting("amf", "a"), mounting("smf", "b"), config("a", x="1"), config("b", x="1"), config("c", x="1")]
    after = [mounting("amf", "a"), mounting("smf", "b", replicas=2), *(config(name, x="2") for name in "abc")]
    # smf's are made anew, and nobody mounts c
    assert manifest.changed_under_pods(before, after) == ["a"]


@pytest.mark.parametrize(("policy", "kept"), [("keep", True), ("Keep ", True), ("delete", False), (None, False)])
def test_helm_leaves_what_says_so(policy: str | None, kept: bool) -> None:
    """Helm's documentation, "Chart Development Tips and Tricks": the annotation helm.sh/resource-policy: keep."""
    annotations = {} if policy is None else {"helm.sh/resource-policy": policy}
    assert manifest.is_kept({"kind": "ConfigMap", "metadata": {"name": "c", "annotations": annotations}}) is kept
    assert manifest.is_kept({"kind": "ConfigMap", "metadata": {"name": "c"}}) is False


def test_a_workload_that_rolls_reads_its_configuration_anew_by_itself() -> None:
    before = [workload(), config("a", tac="7")]
    changed = config("a", tac="8")
    assert manifest.only_configuration_changed(before, [workload(), changed]) == ["a"]
    for after in ([workload(replicas=2), changed], [changed], [workload(), changed, workload("Job")]):
        assert manifest.only_configuration_changed(before, after) == []


def test_a_new_configmap_is_no_changed_one() -> None:
    assert manifest.only_configuration_changed([workload()], [workload(), config("a", tac="8")]) == []


def test_digests_do_not_depend_on_the_order_of_keys() -> None:
    one, two = yaml.safe_load("{a: 1, b: [2, x]}"), yaml.safe_load("{b: [2, x], a: 1}")
    assert manifest.digest(one) == manifest.digest(two) != manifest.digest({"a": 1, "b": ["x", 2]})
    # printf '{"a": 1}' | sha256sum
    assert manifest.digest({"a": 1}) == "f9d86028c6e0d64e"
