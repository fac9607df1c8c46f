"""Who may change what, and which kubeconfigs are taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reload.cluster import Cluster
from reload.errors import ReloadError
from reload.kubernetes_client import from_kubeconfig
from reload.kubernetes_cluster import KubernetesCluster
from reload.policy import Clusters

POLICY = """
callers:
  operator/alice: {clusters: ["edge-*", core], namespaces: [open5gs, "lab-*"]}
  operator/bob: {clusters: ["*"], namespaces: ["*"]}
"""


def kubeconfig(user: dict[str, Any] | None = None, server: str = "http://127.0.0.1:1", *names: str) -> str:
    names = names or ("edge-a", "core", "edgeb", "other")
    return json.dumps(
        {
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {"token": "hidden"} if user is None else user}],
            "contexts": [{"name": name, "context": {"cluster": "c", "user": "u"}} for name in names],
            "current-context": names[0],
        }
    )


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    (tmp_path / "reload-policy").write_text(POLICY)
    (tmp_path / "edge-kubeconfigs").write_text(kubeconfig())
    return tmp_path


def opened(name: str, _text: str) -> Cluster:
    return KubernetesCluster(name, lambda _: (404, b"{}"))


@pytest.mark.parametrize(
    ("caller", "cluster", "namespace", "is_granted"),
    [
        ("operator/alice", "edge-a", "open5gs", True),
        ("operator/alice", "core", "lab-1", True),
        ("operator/alice", "other", "open5gs", False),
        ("operator/alice", "edgeb", "open5gs", False),
        ("operator/alice", "edge-a", "kube-system", False),
        ("operator/alice", "edge-a", "open5gs-2", False),
        ("operator/alice", "edge-a", "lab", False),
        ("operator/bob", "other", "kube-system", True),
        ("operator/mallory", "edge-a", "open5gs", False),
        ("operator/*", "edge-a", "open5gs", False),
    ],
)
def test_a_caller_has_what_is_granted_and_nothing_else(
    secrets: Path, caller: str, cluster: str, namespace: str, is_granted: bool
) -> None:
    clusters = Clusters(secrets, opened)
    if is_granted:
        clusters.for_caller(caller, cluster, namespace)
        return
    with pytest.raises(ReloadError) as refused:
        clusters.for_caller(caller, cluster, namespace)
    assert refused.value.code == "namespace_not_allowed"


def test_a_grant_is_asked_for_also_where_the_connection_is_open(secrets: Path) -> None:
    clusters = Clusters(secrets, opened)
    assert clusters.for_caller("operator/alice", "core", "lab-1") is clusters.for_caller("operator/bob", "core", "x")
    (secrets / "reload-policy").write_text("callers: {}")
    with pytest.raises(ReloadError) as refused:
        clusters.for_caller("operator/bob", "core", "x")
    assert refused.value.code == "namespace_not_allowed"


@pytest.mark.parametrize("text", ["", "callers: []", "callers: {a: {clusters: [x]}}", "a: [", "callers: {}\nmore: 1"])
def test_a_policy_that_is_not_as_it_should_be_lets_nobody_in(secrets: Path, text: str) -> None:
    (secrets / "reload-policy").write_text(text)
    with pytest.raises(ReloadError, match="nobody may change anything") as refused:
        Clusters(secrets, opened).for_caller("operator/bob", "core", "x")
    assert refused.value.code == "namespace_not_allowed"


def test_another_kubeconfig_is_another_connection(secrets: Path) -> None:
    texts: list[str] = []

    def noted(name: str, text: str) -> Cluster:
        texts.append(text)
        return opened(name, text)

    clusters = Clusters(secrets, noted)
    for server in ("http://127.0.0.1:1", "http://127.0.0.1:2"):
        (secrets / "edge-kubeconfigs").write_text(kubeconfig(None, server))
        for _ in range(2):
            clusters.for_caller("operator/bob", "core", "x")
    assert ["127.0.0.1:1" in text for text in texts] == [True, False]


def test_a_cluster_without_a_context_of_its_name_is_unknown(secrets: Path) -> None:
    """Its current context would be another cluster."""
    with pytest.raises(ReloadError, match="no cluster is called edge-c") as refused:
        Clusters(secrets, opened).for_caller("operator/bob", "edge-c", "x")
    assert refused.value.code == "cluster_unknown"
    for text in ("a: [", "[]", "{}"):
        (secrets / "edge-kubeconfigs").write_text(text)
        with pytest.raises(ReloadError, match="is no kubeconfig"):
            Clusters(secrets, opened).for_caller("operator/bob", "core", "x")


@pytest.mark.parametrize(
    "field",
    [
        *("exec", "auth-provider", "tokenFile", "client-certificate", "client-key", "username", "password"),
        *("as-groups", "as-uid", "as-user-extra"),
    ],
)
def test_what_runs_a_command_or_reads_a_file_is_refused(field: str) -> None:
    with pytest.raises(ReloadError, match=f"uses {field}") as refused:
        from_kubeconfig("core", kubeconfig({"token": "hidden", field: "hidden"}))
    assert refused.value.code == "cluster_unknown"
    assert "hidden" not in str(refused.value.as_json())


@pytest.mark.parametrize("text", ["a: [", "[]", "{}", "users: [x]\ncontexts: []"])
def test_a_kubeconfig_that_is_broken_is_said_without_its_content(text: str) -> None:
    with pytest.raises(ReloadError) as refused:
        from_kubeconfig("core", text)
    assert refused.value.code == "cluster_unknown"
