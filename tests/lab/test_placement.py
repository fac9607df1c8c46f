"""Placing on two real clusters through the gateway: where, why there, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from placement.releases import decode
from tests.lab.kubectl import Cluster
from tests.lab.placing import ROOT, Placing, push

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]


def states(cluster: Cluster, namespace: str, release: str) -> list[tuple[int, str]]:
    """Revision and status of every record that Helm keeps of a release."""
    found = cluster.get("secrets", namespace=namespace, labels=f"owner=helm,name={release}")["items"]
    records = [decode(secret) for secret in found]
    return sorted((record["version"], record["info"]["status"]) for record in records)


def test_one_function_on_both_clusters_by_location(placing: Placing) -> None:
    for location, cluster in (("berlin", placing.around.a), ("munich", placing.around.b)):
        answer = placing.call("by-place", location=location, wait=True)
        assert (answer["status"], answer["cluster"], answer["error"]) == ("ready", cluster.name, None), answer
        [pod] = answer["pods"]
        assert (pod["phase"], pod["ready"], pod["image"]) == ("Running", True, placing.image)
        assert pod["node"] in [node["metadata"]["name"] for node in cluster.get("nodes")["items"]]
        other = "edge-b" if cluster.name == "edge-a" else "edge-a"
        assert list(answer["why"]["others"]) == [other]
        assert f"not {location}" in answer["why"]["others"][other]
    for cluster in placing.clusters:
        assert states(cluster, placing.namespace, "by-place") == [(1, "deployed")]
        placing.remove("by-place", cluster.name)
        assert states(cluster, placing.namespace, "by-place") == []
    assert placing.left_over() == []


def test_by_policy_around_a_full_cluster_and_refused_when_none_fits(placing: Placing) -> None:
    node = placing.around.a.get("nodes")["items"][0]
    assert node["status"]["allocatable"]["cpu"].isdecimal()
    half = int(node["status"]["allocatable"]["cpu"]) * 1000 // 2 + 100
    filler = {"image": placing.image, "cpu": f"{half}m"}
    assert placing.call("filler", cluster="edge-a", values=filler, wait=True)["status"] == "ready"
    try:
        answer = placing.call("by-room", values=filler, wait=True)
        assert (answer["status"], answer["cluster"]) == ("ready", "edge-b"), answer
        assert answer["why"]["this"] == "the only cluster that fits"
        assert "too full" in answer["why"]["others"]["edge-a"]
        assert f"asks for {half}m CPU" in answer["why"]["others"]["edge-a"]
        refused = placing.call("no-room", values=filler)
        assert (refused["status"], refused["error"]["code"]) == ("refused", "no_cluster_fits"), refused
        assert {name: "too full" in why for name, why in refused["why"]["others"].items()} == {
            "edge-a": True,
            "edge-b": True,
        }
        assert refused["cluster"] is None
        for cluster in placing.clusters:
            assert states(cluster, placing.namespace, "no-room") == []
        nowhere = placing.call("no-room", choose={"labels": {"gpu": "yes"}})
        assert nowhere["error"]["code"] == "no_cluster_fits"
        assert nowhere["why"]["others"]["edge-a"] == "its label gpu is not set, not yes"
    finally:
        placing.remove("filler", "edge-a")
        placing.remove("by-room", "edge-b")


def test_a_field_that_no_kind_has_and_a_key_added_by_hand_are_told(placing: Placing, tmp_path: Path) -> None:
    chart = tmp_path / "misspelt"
    shutil.copytree(ROOT / "tests/lab/charts/small", chart)
    for path, before, after in (
        (chart / "Chart.yaml", "name: small", "name: misspelt"),
        (chart / "templates/all.yaml", "  replicas:", "  replcas: 2\n  replicas:"),
    ):
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after))
    push(placing, chart)
    answer = placing.call("misspelt", cluster="edge-a", chart_repository=placing.chart("misspelt"), wait=True)
    assert (answer["status"], answer["warnings"]) == ("ready", ['unknown field "spec.replcas"']), answer
    patch = json.dumps({"data": {"extra.conf": "tac=9"}})
    placing.around.a.kubectl("-n", placing.namespace, "patch", "configmap", "misspelt", "--type=merge", "-p", patch)
    drift = placing.call("misspelt", action="status", cluster="edge-a", chart_repository=None, chart_version=None)
    assert "ConfigMap/misspelt: data.extra.conf added" in drift["drift"]
    placing.remove("misspelt")


def test_an_async_call_is_accepted_and_its_last_callback_tells_the_end(placing: Placing) -> None:
    path = placing.send(placing.request("by-callback", cluster="edge-a", wait=True))
    end = placing.callbacks.end(path, within_s=90)
    assert (end["status"], end["cluster"], end["revision"]) == ("ready", "edge-a", 1), end
    told = [answer["status"] for answer in placing.callbacks.answers(path)]
    assert "accepted" in told
    assert "progressing" in told
    assert told.count("ready") == 1
    placing.remove("by-callback")


def test_pods_that_crash_are_no_success_and_atomic_takes_them_away(placing: Placing) -> None:
    crash = {"image": placing.image, "command": ["/there-is-no-such-program"]}
    answer = placing.call("crash", cluster="edge-a", values=crash, atomic=True)
    assert (answer["status"], answer["error"]["code"]) == ("rolled-back", "pods_crash"), answer
    assert states(placing.around.a, placing.namespace, "crash") == []
    assert placing.left_over() == []


def test_values_of_the_s3_server_and_what_is_wrong_with_them(placing: Placing) -> None:
    good = placing.put("small/values.yaml", f'image: {placing.image}\ntac: "0012"\n')
    answer = placing.call("from-s3", cluster="edge-a", values=None, values_yaml_file=good)
    assert answer["error"] is None, answer
    config = placing.around.a.get("configmap", "from-s3", namespace=placing.namespace)
    assert config["data"] == {"tac": "0012"}
    placing.call("from-s3", cluster="edge-a", values={"tac": "9"}, values_yaml_file=good)
    config = placing.around.a.get("configmap", "from-s3", namespace=placing.namespace)
    assert config["data"] == {"tac": "9"}  # the call's own values lie over the file's
    placing.remove("from-s3")
    for key, content, code in (
        ("small/broken.yaml", "tac: [1", "bad_values"),
        ("small/list.yaml", "- 1\n", "bad_values"),
        ("small/octets.yaml", b"\xff\xfe", "bad_values"),
        ("small/large.yaml", "a: " + "x" * 300_000, "values_too_large"),
    ):
        answer = placing.call("from-s3", cluster="edge-a", values_yaml_file=placing.put(key, content))
        assert (answer["status"], answer["error"]["code"]) == ("refused", code), answer
    for url in (f"s3://{placing.bucket}/small/none.yaml", "s3://no-such-bucket-here/values.yaml"):
        answer = placing.call("from-s3", cluster="edge-a", values_yaml_file=url)
        assert (answer["status"], answer["error"]["code"]) == ("refused", "values_missing"), answer
    assert states(placing.around.a, placing.namespace, "from-s3") == []


def test_an_s3_server_that_refuses_or_does_not_answer_is_told_apart(placing: Placing) -> None:
    url = placing.put("small/values.yaml", f"image: {placing.image}\n")
    kept = (placing.secrets / "placement-credentials").read_text()
    wrong = json.dumps({"registries": [{"host": placing.around.registry, "plain_http": True}]})
    try:
        for s3, code in (
            (
                {"endpoint": placing.around.s3_endpoint, "access_key": "nobody", "secret_key": "n"},
                "values_store_refused",
            ),
            ({"endpoint": "http://127.0.0.1:9", "access_key": "a", "secret_key": "s3cr3t-word"}, "values_store_down"),
        ):
            placing.secret("placement-credentials", json.dumps({**json.loads(wrong), "s3": s3}))
            answer = placing.call("from-s3", cluster="edge-a", values_yaml_file=url)
            assert (answer["status"], answer["error"]["code"]) == ("refused", code), answer
            assert "s3cr3t" not in json.dumps(answer)
        placing.secret("placement-credentials", wrong)
        answer = placing.call("from-s3", cluster="edge-a", values_yaml_file=url)
        assert answer["error"]["code"] == "configuration", answer
    finally:
        placing.secret("placement-credentials", kept)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"cluster": "edge-z"}, "unknown_cluster"),
        ({"chart_version": "9.9.9"}, "no_such_chart"),
        ({"chart_repository": "oci://REGISTRY/none/none"}, "no_such_chart"),
        ({"values": {}}, "render_failed"),
        ({"values": {"image": "x", "replicas": -1}}, "apply_failed"),
        ({"run_namespace": "kube-system"}, "not_allowed"),
        ({"function_name": "Not_A_Label"}, "bad_name"),
        ({"chart_repository": "oci://127.0.0.1:9/charts/small"}, "not_allowed"),
    ],
)
def test_bad_input_has_a_code_and_leaves_nothing(placing: Placing, changes: dict[str, Any], code: str) -> None:
    told: dict[str, Any] = {
        key: text.replace("REGISTRY", placing.around.registry) if isinstance(text, str) else text
        for key, text in changes.items()
    }
    answer = placing.call("wrong", **{"cluster": "edge-a", **told})
    assert answer["error"]["code"] == code, answer
    assert answer["error"]["message"].endswith(".")
    assert "deployed" not in [status for _, status in states(placing.around.a, placing.namespace, "wrong")]
    if code == "apply_failed":
        assert "Left on the cluster" in answer["error"]["message"]
        placing.remove("wrong")
    assert states(placing.around.a, placing.namespace, "wrong") == []
