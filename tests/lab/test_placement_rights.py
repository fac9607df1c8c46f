"""What the account of charts/placement-target may not do, asked of the API server with its own token."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from placement.api import Api, ApiError
from placement.cluster import Cluster
from placement.errors import Code, PlacementError
from placement.settings import Secrets
from tests.lab.errors import LabError
from tests.lab.placing import CALLER, ROOT, Placing, install_target, push

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mine"}, "stringData": {"a": "b"}}
ROLE = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "more"}, "rules": []}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "mine"},
    "spec": {"containers": [{"name": "main", "image": "none"}]},
}
EVERYTHING = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "scn-never"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [],
}
TAINT = {"spec": {"unschedulable": True}}
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "scn-never"}}
REFUSED: list[tuple[str, str, Any]] = [
    ("GET", "/api/v1/namespaces/OTHER/secrets", None),
    ("GET", "/api/v1/namespaces/NEIGHBOUR/secrets", None),
    ("POST", "/api/v1/namespaces/NEIGHBOUR/configmaps", SECRET | {"kind": "ConfigMap"}),
    ("GET", "/api/v1/namespaces/kube-system/secrets", None),
    ("GET", "/api/v1/namespaces/ACCOUNT/secrets/NAME-token", None),
    ("GET", "/api/v1/secrets", None),
    ("GET", "/api/v1/configmaps", None),
    ("GET", "/api/v1/namespaces/OTHER/configmaps", None),
    ("POST", "/api/v1/namespaces/OTHER/configmaps", SECRET | {"kind": "ConfigMap"}),
    ("POST", "/api/v1/namespaces/OTHER/secrets", SECRET),
    ("POST", "/apis/coordination.k8s.io/v1/namespaces/OTHER/leases", {"metadata": {"name": "mine"}}),
    ("PATCH", "/api/v1/namespaces/kube-system/pods/none", {"metadata": {"annotations": {"a": "b"}}}),
    ("GET", "/api/v1/namespaces/kube-system/pods/none/proxy/status", None),
    ("POST", "/api/v1/namespaces/MINE/pods", POD),
    ("POST", "/api/v1/namespaces/MINE/pods/none/exec", {}),
    ("GET", "/api/v1/namespaces/MINE/pods/none/log", None),
    ("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/MINE/roles", ROLE),
    ("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/MINE/rolebindings", EVERYTHING | {"kind": "RoleBinding"}),
    ("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", ROLE | {"kind": "ClusterRole"}),
    ("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", EVERYTHING),
    ("POST", "/api/v1/namespaces/MINE/serviceaccounts/default/token", {"spec": {}}),
    ("PATCH", "/api/v1/nodes/edge-a", TAINT),
    ("GET", "/api/v1/nodes/edge-a/proxy/pods", None),
    ("GET", "/api/v1/namespaces", None),
    ("POST", "/api/v1/namespaces", NAMESPACE),
    ("DELETE", "/api/v1/namespaces/MINE", None),
    ("DELETE", "/api/v1/namespaces/OTHER", None),
    ("POST", "/api/v1/persistentvolumes", {"metadata": {"name": "scn-never"}}),
    ("GET", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", None),
]


@pytest.fixture(scope="module")
def api(placing: Placing) -> Api:
    """As the functions speak to edge-a for what is in the namespace."""
    return Api("edge-a", Secrets(placing.secrets).kubeconfig(Cluster("edge-a", "berlin")).within(placing.namespace))


@pytest.fixture(params=["the namespace's", "its own"])
def asking(request: pytest.FixtureRequest, api: Api) -> Api:
    """With the rights of the namespace's account, and of the token that may act as it."""
    return api if request.param == "the namespace's" else api.itself()


@pytest.mark.parametrize(("method", "path", "body"), REFUSED, ids=lambda part: part if isinstance(part, str) else None)
def test_what_the_account_may_not(placing: Placing, asking: Api, method: str, path: str, body: Any) -> None:
    names = {
        "MINE": placing.namespace,
        "OTHER": placing.other,
        "NEIGHBOUR": placing.neighbour,
        "ACCOUNT": placing.account_namespace,
    }
    for word, name in {**names, "NAME": placing.name}.items():
        path = path.replace(word, name)
    with pytest.raises(PlacementError) as refused:
        match method:
            case "GET":
                asking.get(path)
            case "POST":
                asking.post(path, body or {})
            case "PATCH":
                asking.patch(path, body or {})
            case _:
                asking.delete(path)
    assert refused.value.code is Code.CLUSTER_REFUSED
    assert "forbidden" in refused.value.detail


def test_what_it_needs_it_may(placing: Placing, api: Api) -> None:
    own = api.itself()
    assert own.get("/api/v1/nodes")["items"]
    assert own.get("/api/v1/pods")["items"]
    assert own.get(f"/api/v1/namespaces/{placing.namespace}")["metadata"]["name"] == placing.namespace
    path = f"/api/v1/namespaces/{placing.namespace}/secrets"
    api.post(path, SECRET)
    api.delete(f"{path}/mine")
    with pytest.raises(ApiError) as missing:  # allowed, and not there
        api.patch(f"/api/v1/namespaces/{placing.namespace}/pods/none", {"metadata": {}})
    assert missing.value.status == 404


def test_both_functions_say_so_where_the_cluster_grants_nothing(placing: Placing) -> None:
    answer = placing.call("foreign", cluster="edge-a", run_namespace=placing.other)
    assert answer["error"]["code"] == "cluster_refused", answer
    assert "Left on the cluster" not in answer["error"]["message"]
    assert placing.other in answer["error"]["message"]
    call = {"cluster": "edge-a", "namespace": placing.other, "configmap": "kube-root-ca.crt", "files": {"ca.crt": "x"}}
    told = placing.post("config-reload", call)
    assert told["error"]["code"] == "cluster_denied", told
    ours = placing.post("config-reload", {**call, "namespace": "kube-system"})
    assert ours["error"]["code"] == "namespace_not_allowed", ours
    nobody = placing.post("config-reload", call, caller="operator/nobody")
    assert nobody["error"]["code"] == "namespace_not_allowed", nobody


def test_a_namespace_that_is_not_there_is_told_apart_from_one_that_grants_nothing(placing: Placing) -> None:
    policy = (placing.secrets / "placement-policy").read_text()
    placing.secret("placement-policy", policy.replace(placing.other, "scn-never"))
    try:
        answer = placing.call("nowhere", cluster="edge-a", run_namespace="scn-never")
    finally:
        placing.secret("placement-policy", policy)
    assert answer["error"]["code"] == "namespace_missing", answer


def test_a_chart_cannot_grant_what_the_account_does_not_have(placing: Placing) -> None:
    """charts/network-function with `reload.events` wants a Role of its own."""
    push(placing, ROOT / "charts/network-function")
    values: dict[str, object] = {"image": {"repository": "none", "tag": "1"}, "command": ["none"], "replicas": 0}
    values["config"] = {"files": {"nf.conf": "tac=7"}}
    answer = placing.call(
        "granting",
        cluster="edge-a",
        chart_repository=placing.chart("network-function"),
        chart_version="0.1.0",
        values=values,
    )
    assert answer["status"] == "failed", answer
    assert answer["error"]["code"] == "cluster_refused", answer
    assert "roles" in answer["error"]["message"]
    placing.remove("granting")


@pytest.mark.parametrize("way", ["renders", "reads"])
def test_a_chart_reaches_no_other_namespace(placing: Placing, tmp_path: Path, way: str) -> None:
    """Not even one where the same functions place for somebody else: each has an account of its own there."""
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps(SECRET | {"metadata": {"name": f"theirs-{way}"}}))
    placing.around.a.kubectl("-n", placing.neighbour, "create", "-f", secret)
    chart = tmp_path / f"reaching-{way}"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text(f"apiVersion: v2\nname: reaching-{way}\nversion: 1.0.0\n")
    config: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"reaching-{way}"}}
    if way == "renders":
        config["metadata"] = {"name": f"reaching-{way}", "namespace": placing.neighbour}
    else:
        found = f"(lookup `v1` `Secret` `{placing.neighbour}` `theirs-{way}`).data"
        config["data"] = {"theirs": f"{{{{ {found} | toJson }}}}"}
    (chart / "templates" / "config.yaml").write_text(json.dumps(config))
    push(placing, chart)
    answer = placing.call(
        f"reaching-{way}", cluster="edge-a", chart_repository=placing.chart(f"reaching-{way}"), values=None
    )
    assert (answer["status"], answer["error"]["code"]) == ("failed", "cluster_refused"), answer
    assert placing.neighbour in answer["error"]["message"]
    there = [m["metadata"]["name"] for m in placing.around.a.get("configmaps", namespace=placing.neighbour)["items"]]
    assert f"reaching-{way}" not in there
    assert placing.remove(f"reaching-{way}")["status"] in ("uninstalled", "absent")
    answer = placing.call(f"there-{way}", cluster="edge-a", run_namespace=placing.neighbour)
    assert answer["status"] == "deployed", answer


def test_a_namespace_is_made_with_an_account_that_reaches_no_other(placing: Placing, tmp_path: Path) -> None:
    made = f"{placing.name}-made"
    policy = (placing.secrets / "placement-policy").read_text()
    try:
        grants = yaml.safe_load(policy)
        grants["callers"][CALLER] |= {"create_namespaces": True, "namespaces": [made]}
        placing.secret("placement-policy", yaml.safe_dump(grants))
        refused = placing.call("new", cluster="edge-b", run_namespace=made)
        assert refused["error"]["code"] == "cluster_refused", refused
        install_target(placing, placing.around.b, "createNamespaces=true")
        answer = placing.call("new", cluster="edge-b", run_namespace=made, wait=True)
        assert answer["status"] == "ready", answer
        credentials = Secrets(placing.secrets).kubeconfig(Cluster("edge-b", "munich"))
        inside = Api("edge-b", credentials.within(made))
        assert inside.get(f"/api/v1/namespaces/{made}/secrets")["items"]
        reading = {"name": "main", "image": "none", "volumeMounts": [{"name": "disk", "mountPath": "/disk"}]}
        disk = {"name": "disk", "hostPath": {"path": "/"}}
        pod = tmp_path / "pod.json"
        pod.write_text(json.dumps(POD | {"spec": {"containers": [reading], "volumes": [disk]}}))
        with pytest.raises(LabError, match="violates PodSecurity"):
            placing.around.b.kubectl("-n", made, "create", "--dry-run=server", "-f", pod)
        for elsewhere in (placing.namespace, "kube-system", placing.account_namespace):
            with pytest.raises(PlacementError) as forbidden:
                inside.get(f"/api/v1/namespaces/{elsewhere}/secrets")
            assert forbidden.value.code is Code.CLUSTER_REFUSED
    finally:
        placing.secret("placement-policy", policy)
        install_target(placing, placing.around.b)
        placing.around.b.kubectl("delete", "namespace", made, "--ignore-not-found", "--wait=false")


def test_edge_clusters_check_tells_room_and_rights(placing: Placing, capsys: pytest.CaptureFixture[str]) -> None:
    secrets = ("--secrets", str(placing.secrets))
    assert placing.edge("clusters", "check", "--namespace", placing.namespace, *secrets) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["edge-a", "edge-b"]
    assert all(line.endswith("ok") and "1 nodes," in line for line in lines[1:]), lines
    assert placing.edge("clusters", "check", "edge-a", "--namespace", placing.other, *secrets) == 1
    told = capsys.readouterr().out
    assert (
        f'cannot impersonate resource "serviceaccounts" in API group "" in the namespace "{placing.account_namespace}"'
        in told
    )
    admin = placing.folder / "admin"
    admin.mkdir(exist_ok=True)
    (admin / "edge-kubeconfigs").write_text(placing.around.a.kubeconfig.read_text())
    assert placing.edge("clusters", "check", "edge-a", "--secrets", str(admin)) == 1
    assert "its account may do everything" in capsys.readouterr().out
