"""What the account of charts/placement-target may not do, asked of the API server with its own token."""

from __future__ import annotations

from typing import Any

import pytest

from placement.api import Api, ApiError
from placement.cluster import Cluster
from placement.errors import Code, PlacementError
from placement.settings import Secrets
from tests.lab.placing import ROOT, Placing, push

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
    """As the functions speak to edge-a."""
    return Api("edge-a", Secrets(placing.secrets).kubeconfig(Cluster("edge-a", "berlin")))


@pytest.mark.parametrize(("method", "path", "body"), REFUSED, ids=lambda part: part if isinstance(part, str) else None)
def test_what_the_account_may_not(placing: Placing, api: Api, method: str, path: str, body: Any) -> None:
    names = {"MINE": placing.namespace, "OTHER": placing.other, "ACCOUNT": placing.account_namespace}
    for word, name in {**names, "NAME": placing.name}.items():
        path = path.replace(word, name)
    with pytest.raises(PlacementError) as refused:
        match method:
            case "GET":
                api.get(path)
            case "POST":
                api.post(path, body or {})
            case "PATCH":
                api.patch(path, body or {})
            case _:
                api.delete(path)
    assert refused.value.code is Code.CLUSTER_REFUSED
    assert "forbidden" in refused.value.detail


def test_what_it_needs_it_may(placing: Placing, api: Api) -> None:
    assert api.get("/api/v1/nodes")["items"]
    assert api.get("/api/v1/pods")["items"]
    assert api.get(f"/api/v1/namespaces/{placing.namespace}")["metadata"]["name"] == placing.namespace
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


def test_edge_clusters_check_tells_room_and_rights(placing: Placing, capsys: pytest.CaptureFixture[str]) -> None:
    secrets = ("--secrets", str(placing.secrets))
    assert placing.edge("clusters", "check", "--namespace", placing.namespace, *secrets) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["edge-a", "edge-b"]
    assert all(line.endswith("ok") and "1 nodes," in line for line in lines[1:]), lines
    assert placing.edge("clusters", "check", "edge-a", "--namespace", placing.other, *secrets) == 1
    told = capsys.readouterr().out
    assert f"lacks in {placing.other}: get secrets" in told
    admin = placing.folder / "admin"
    admin.mkdir(exist_ok=True)
    (admin / "edge-kubeconfigs").write_text(placing.around.a.kubeconfig.read_text())
    assert placing.edge("clusters", "check", "edge-a", "--secrets", str(admin)) == 1
    assert "its account may do everything" in capsys.readouterr().out
