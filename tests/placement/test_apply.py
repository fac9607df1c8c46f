"""Placing with the real helm on a fake API: what is answered, remembered, repeated, and left behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from placement import ending
from placement.releases import decode
from tests.placement.conftest import CALLER, Event, Site, signed


def release_states(site: Site, cluster: int = 0) -> list[tuple[int, str]]:
    """Revision and status of every release record that Helm keeps on a cluster."""
    records = [decode(s) for s in site.clusters[cluster].things("secrets") if s.get("type") == "helm.sh/release.v1"]
    return sorted((record["version"], record["info"]["status"]) for record in records)


def test_a_release_is_installed_and_the_answer_has_the_shape_of_the_contract(site: Site) -> None:
    answer = site.call(location="berlin", wait=True)
    assert answer.http == 200
    assert list(answer.body) == [
        "status",
        "cluster",
        "release",
        "revision",
        "chart",
        "time_taken_s",
        "pods",
        "why",
        "error",
    ]
    assert (answer.status, answer.body["cluster"], answer.body["release"]) == ("ready", "a", "upf")
    assert (answer.body["revision"], answer.body["chart"], answer.body["error"]) == (1, "nf-1.0.0", None)
    [pod] = answer.body["pods"]
    assert set(pod) == {"name", "phase", "ready", "restarts", "node", "image"}
    assert (pod["phase"], pod["ready"], pod["restarts"], pod["node"]) == ("Running", True, 0, "node-1")
    assert pod["image"] == "registry.test/nf:1"


def test_the_request_of_the_earlier_function_is_understood(site: Site) -> None:
    answer = site.call(
        {
            "location": "berlin",
            "chart_repository": site.registry.oci(),
            "chart_version": "1.0.0",
            "function_name": "upf",
            "run_namespace": "lab",
            "eks_cluster_name": "a",
            "values_yaml_file": None,
        }
    )
    assert (answer.status, answer.body["cluster"]) == ("ready", "a")


def test_values_of_the_call_reach_the_chart_and_null_means_its_defaults(site: Site) -> None:
    site.call(values={"tac": "0012", "replicas": 2})
    [config] = site.clusters[0].things("configmaps")
    assert config["data"] == {"tac": "0012"}
    assert site.clusters[0].things("deployments")[0]["spec"]["replicas"] == 2
    assert site.call(values=None).body["revision"] == 2
    [config] = site.clusters[0].things("configmaps")
    assert config["data"] == {"tac": "7"}
    assert site.clusters[0].things("deployments")[0]["spec"]["replicas"] == 1


def test_the_same_call_delivered_twice_is_done_once(site: Site) -> None:
    first = site.call(call_id="x", wait=True)
    again = site.call(call_id="x", wait=True)
    assert again.body == first.body
    assert release_states(site) == [(1, "deployed")]
    assert site.call(id="y", wait=True).body["revision"] == 2


def test_a_captured_request_under_a_new_call_id_is_a_repeat(site: Site) -> None:
    body = json.dumps(site.request()).encode()
    headers = signed(body, CALLER)
    first = site.over(Event(body, headers | {"X-Call-Id": "one"}))
    again = site.over(Event(body, headers | {"X-Call-Id": "two"}))
    assert again.body == first.body
    assert release_states(site) == [(1, "deployed")]


def test_a_call_id_that_another_signer_used_is_another_call(site: Site) -> None:
    """X-Call-Id is the gateway's, and anybody may send one: it neither answers for another caller nor keeps it away."""
    other = "operator/mallory"
    grant = {"locations": ["*"], "namespaces": ["lab"], "repositories": ["*"]}
    site.secret("placement-policy", json.dumps({"callers": {CALLER: grant, other: grant}}))
    first = site.call(call_id="x", caller=other, function_name="theirs", values={"tac": "9"}, wait=True)
    mine = site.call(call_id="x", wait=True)
    assert (mine.status, mine.body["release"], mine.body["revision"]) == ("ready", "upf", 1)
    again = site.call(call_id="x", caller=other, function_name="theirs", values={"tac": "9"}, wait=True)
    assert again.body == first.body
    whose = {(p.release, p.history[-1].who, p.history[-1].call_id) for p in site.inventory.all()}
    assert whose == {("upf", CALLER, "x"), ("theirs", other, "x")}


def test_a_call_id_with_another_request_is_refused(site: Site) -> None:
    site.call(call_id="x")
    answer = site.call(call_id="x", values={"tac": "9"})
    assert (answer.http, answer.code) == (409, "call_id_reused")
    assert release_states(site) == [(1, "deployed")]


def test_pods_that_crash_are_no_success_whether_anybody_waits_or_not(site: Site) -> None:
    site.clusters[0].pods = "crash"
    for wait in (False, True):
        answer = site.call(wait=wait, values={"cpu": f"{100 + wait}m"})
        assert (answer.status, answer.code) == ("failed", "pods_crash")
        assert "CrashLoopBackOff" in answer.body["error"]["message"]
        assert [pod["restarts"] for pod in answer.body["pods"]] == [3]
    assert site.inventory.get("a", "lab", "upf").history[-1].outcome == "pods_crash"  # type: ignore[union-attr]


def test_who_does_not_wait_is_told_deployed_and_not_ready(site: Site) -> None:
    site.clusters[0].pods = "pending"
    answer = site.call()
    assert (answer.status, answer.code) == ("deployed", None)
    assert [(pod["phase"], pod["ready"]) for pod in answer.body["pods"]] == [("Pending", False)]


def test_pods_that_never_become_ready_fail_a_call_that_waits(site: Site) -> None:
    site.clusters[0].pods = "pending"
    answer = site.call(wait=True, timeout_s=1)
    assert (answer.status, answer.code) == ("failed", "not_ready")
    assert "0 of 1 ready" in answer.body["error"]["message"]


def test_atomic_goes_back_to_the_revision_that_ran(site: Site) -> None:
    assert site.call(atomic=True).status == "ready"
    site.clusters[0].pods = "crash"
    body = site.request(atomic=True, values={"image": "registry.test/nf:bad"}, id="bad")
    answer = site.call(body)
    site.clusters[0].pods = "ready"
    site.turn_until(lambda: site.call(body).status not in ("accepted", "progressing"), "the rollback")
    answer = site.call(body)
    assert (answer.status, answer.code) == ("rolled-back", "pods_crash")
    assert "rolled back to what revision 1 was" in answer.body["error"]["message"]
    [deployment] = site.clusters[0].things("deployments")
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.test/nf:1"
    placed = site.inventory.get("a", "lab", "upf")
    assert placed is not None
    assert placed.is_placed


@pytest.mark.parametrize(
    ("pods", "code", "told"),
    [
        ("crash", "pods_crash", "Its pods do not run either: pod upf-"),
        ("pending", "not_ready", "Its pods are not ready"),
    ],
)
def test_going_back_to_pods_that_do_not_run_either_is_told(
    site: Site, monkeypatch: pytest.MonkeyPatch, pods: str, code: str, told: str
) -> None:
    monkeypatch.setattr(ending, "UNDO_S", 0.5)
    assert site.call(atomic=True).status == "ready"
    site.clusters[0].pods = pods
    answer = site.call(atomic=True, timeout_s=1, values={"image": "registry.test/nf:bad"})
    assert (answer.status, answer.code, answer.body["revision"]) == ("rolled-back", code, 3)
    assert told in answer.body["error"]["message"]


def digests(site: Site) -> list[str]:
    [placed] = site.inventory.all()
    return [placed.values_digest, *(event.values_digest for event in placed.history)]


def test_what_was_gone_back_to_is_what_is_told_and_remembered(site: Site) -> None:
    site.registry.push("nf", "2.0.0")
    site.registry.push("other", "2.0.0")
    site.call(atomic=True, values={"tac": "1"})
    site.clusters[0].pods = "crash"
    bad = {"values": {"image": "registry.test/nf:bad"}, "chart_repository": site.registry.oci("other")}
    body = site.request(atomic=True, chart_version="2.0.0", id="bad", **bad)
    site.call(body)
    site.clusters[0].pods = "ready"
    site.turn_until(lambda: site.call(body).status not in ("accepted", "progressing"), "the rollback")
    answer = site.call(body)
    assert (answer.status, answer.body["revision"], answer.body["chart"]) == ("rolled-back", 3, "nf-1.0.0")
    assert site.call(action="status").body["drift"] == []
    [placed] = site.inventory.all()
    assert (placed.chart, placed.revision, placed.repository) == ("nf-1.0.0", 3, site.registry.oci())
    now, first, back = digests(site)
    assert now == first == back != ""


def test_a_rollback_has_the_values_of_what_it_goes_to(site: Site) -> None:
    site.call(values={"tac": "1"})
    site.call(values={"tac": "2"})
    site.call(action="rollback")
    site.call(action="rollback", revision=2)
    site.call(action="rollback", revision=3)
    now, one, two, to_one, to_two, to_one_again = digests(site)
    assert now == one == to_one == to_one_again != ""
    assert two == to_two != one


def test_atomic_uninstalls_what_never_ran(site: Site) -> None:
    site.clusters[0].pods = "crash"
    body = site.request(atomic=True, id="first")
    site.turn_until(lambda: site.call(body).status not in ("accepted", "progressing"), "the removal")
    answer = site.call(body)
    assert (answer.status, answer.code) == ("rolled-back", "pods_crash")
    assert "uninstalled" in answer.body["error"]["message"]
    assert site.clusters[0].things("deployments") == []
    assert release_states(site) == []
    placed = site.inventory.get("a", "lab", "upf")
    assert placed is not None
    assert not placed.is_placed


def test_dry_run_and_diff_change_nothing_and_show_no_secret(site: Site) -> None:
    planned = site.call(dry_run=True)
    assert (planned.status, planned.body["cluster"], planned.body["error"]) == ("planned", "a", None)
    assert site.clusters[0].things("deployments") == []
    assert release_states(site) == []
    assert site.inventory.all() == []
    site.call(values={"password": "hunter2-hunter2"})
    answer = site.call(action="diff", values={"tac": "8", "password": "correct-horse-battery"})
    assert answer.status == "planned"
    assert '-  tac: "7"' in "\n".join(answer.body["diff"]).replace("'", '"')
    assert '+  tac: "8"' in "\n".join(answer.body["diff"]).replace("'", '"')
    told = json.dumps(answer.body)
    assert "hunter2" not in told
    assert "correct-horse" not in told
    assert release_states(site) == [(1, "deployed")]


def test_rollback_and_uninstall(site: Site) -> None:
    site.call(values={"tac": "1"})
    site.call(values={"tac": "2"})
    back = site.call(action="rollback", chart_repository=None, chart_version=None)
    assert (back.status, back.body["revision"]) == ("ready", 3)
    assert site.clusters[0].things("configmaps")[0]["data"] == {"tac": "1"}
    missing = site.call(action="rollback", revision=99)
    assert missing.code == "no_such_revision"
    gone = site.call(action="uninstall")
    assert (gone.status, gone.body["pods"]) == ("uninstalled", [])
    assert site.clusters[0].things("deployments") == []
    assert site.call(action="uninstall", cluster="a").status == "absent"
    assert site.call(action="uninstall").code == "no_such_release"


def test_the_inventory_tells_who_asked_what_where_and_how_it_ended(site: Site) -> None:
    site.call(values={"tac": "1"}, call_id="first")
    site.call(values={"tac": "2"}, call_id="second")
    [row] = site.call({"action": "list"}).body["placements"]
    assert (row["cluster"], row["namespace"], row["release"], row["chart"]) == ("a", "lab", "upf", "nf-1.0.0")
    assert (row["revision"], row["is_placed"], row["repository"]) == (2, True, site.registry.oci())
    one, two = row["history"]
    assert (one["who"], one["action"], one["outcome"], one["call_id"]) == (CALLER, "apply", "ready", "first")
    assert (one["revision"], two["revision"]) == (1, 2)
    assert one["values_digest"] != two["values_digest"]
    assert one["duration_s"] > 0


def test_status_tells_drift_between_inventory_manifest_and_cluster(site: Site) -> None:
    site.call(values={"password": "hunter2-hunter2"})
    answer = site.call(action="status")
    assert (answer.status, answer.body["drift"], answer.body["revision"]) == ("ready", [], 1)
    deployment = site.clusters[0].objects["/apis/apps/v1/namespaces/lab/deployments/upf"]
    site.clusters[0].put(
        "/apis/apps/v1/namespaces/lab/deployments/upf",
        {**deployment, "spec": {**deployment["spec"], "replicas": 3}},
    )
    path = "/api/v1/namespaces/lab/configmaps/upf-config"
    config = site.clusters[0].objects[path]
    site.clusters[0].put(path, {**config, "data": {**config["data"], "extra.yaml": "tac: 7"}})
    answer = site.call(action="status")
    told = ["ConfigMap/upf-config: data.extra.yaml added", "Deployment/upf: spec.replicas differs"]
    assert sorted(answer.body["drift"]) == told
    del site.clusters[0].objects[path]
    answer = site.call(action="status")
    assert sorted(answer.body["drift"]) == ["ConfigMap/upf-config is missing", "Deployment/upf: spec.replicas differs"]
    site.clusters[0].objects.clear()
    site.clusters[0].put("/api/v1/namespaces/lab", {"kind": "Namespace", "metadata": {"name": "lab"}})
    answer = site.call(action="status")
    assert (answer.status, answer.code) == ("absent", "no_such_release")
    assert answer.body["drift"] == ["the release is in the inventory and not on the cluster"]


def test_no_call_leaves_a_file_or_a_lease_behind(site: Site, tmp_path: Path) -> None:
    site.call(wait=True)
    site.call(action="diff")
    site.call(action="rollback", revision=1)
    site.call(action="uninstall")
    site.call(chart_version="9.9.9")
    assert [p for p in (tmp_path / "tmp").iterdir() if not p.name.startswith("edge-kube-cache-")] == []
    assert site.clusters[0].things("leases") == []


def test_nothing_secret_is_stored_in_the_clear(site: Site, tmp_path: Path) -> None:
    site.call(values={"password": "hunter2-hunter2"}, callback="http://127.0.0.1:9/callback")
    site.store.close()
    for path in tmp_path.glob("edge.db*"):
        octets = path.read_bytes()
        assert b"hunter2" not in octets
        assert b"t0ken-of-the-test" not in octets


def test_what_helm_and_the_cluster_warn_of_is_told_without_what_is_secret(site: Site) -> None:
    """Of a field that no kind has, and of a value that the chart cannot take; not where there is nothing to warn of."""
    secret = {"password": "hunter2-hunter2"}
    assert "warnings" not in site.call(values=secret).body
    site.clusters[0].warnings = ['unknown field "spec.foo"', 'spec.bar: "hunter2-hunter2" is odd']
    told = ['unknown field "spec.foo"', 'spec.bar: "***" is odd']
    answer = site.call(values={**secret, "image": {"name": "nf"}}, dry_run=True)
    assert (answer.status, answer.body["warnings"]) == ("planned", ["skipped value for nf.image: Not a table."])
    assert site.call(values={**secret, "replicas": 2}).body["warnings"] == told
    # who goes back has not given those values
    answer = site.call(action="rollback", revision=1)
    assert (answer.body["revision"], answer.body["warnings"]) == (3, told)
    site.clusters[0].warnings = []
    assert "warnings" not in site.call(values=secret).body


def test_a_warning_is_told_where_the_release_goes_back(site: Site) -> None:
    site.clusters[0].warnings = ['unknown field "spec.foo"']
    site.clusters[0].pods = "crash"
    answer = site.call(atomic=True, timeout_s=1)
    assert (answer.status, answer.body["warnings"]) == ("rolled-back", ['unknown field "spec.foo"'])
