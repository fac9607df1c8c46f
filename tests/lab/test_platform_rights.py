"""What the platform's service accounts may do, asked of a real API server: Prometheus finds pods, nobody does more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts.rendering import Charts
from tests.lab.errors import LabError
from tests.lab.kubectl import Cluster
from tests.lab.site import Site

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

RIGHTS = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
PODS = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]
REVIEW = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview"}


@pytest.fixture
def spaces(site: Site, namespace: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Give the three namespaces of a release, with its accounts and their rights in them."""
    names = {"own": namespace, "gateway": f"{namespace}-gateway", "functions": f"{namespace}-functions"}
    for name in ("gateway", "functions"):
        site.b.kubectl("create", "namespace", names[name])
    charts = Charts(tmp_path)
    values = {"openfaas": {"namespace": names["gateway"], "functionNamespace": names["functions"]}}
    path = str(charts.folder / "edge-platform")
    text = charts.run("template", "edge", path, "-n", namespace, "-f", "-", text=json.dumps(values))
    for manifest in yaml.safe_load_all(text):
        if manifest and manifest["kind"] in RIGHTS:
            manifest["metadata"].setdefault("namespace", namespace)
            site.b.apply(manifest)
    yield names
    for name in ("gateway", "functions"):
        site.b.kubectl("delete", "namespace", names[name], "--wait=false")


def rules(cluster: Cluster, account: str, namespace: str) -> list[dict[str, Any]]:
    """What the account may do in the namespace beyond what every account may."""

    def of(subject: str) -> list[dict[str, Any]]:
        review = json.dumps({**REVIEW, "spec": {"namespace": namespace}})
        words = ["create", "--validate=false", "-o", "json", "-f", "-", f"--as=system:serviceaccount:{subject}"]
        groups = [
            "system:authenticated",
            "system:serviceaccounts",
            f"system:serviceaccounts:{subject.partition(':')[0]}",
        ]
        told = cluster.kubectl(*words, *(f"--as-group={group}" for group in groups), stdin=review)
        found: list[dict[str, Any]] = json.loads(told)["status"]["resourceRules"]
        return found

    everybody = of(f"{account.partition(':')[0]}:default")
    return [
        {key: sorted(rule[key]) for key in ("apiGroups", "resources", "verbs")}
        for rule in of(account)
        if rule not in everybody
    ]


def test_prometheus_finds_pods_in_three_namespaces_and_the_others_may_nothing(
    site: Site, spaces: dict[str, str]
) -> None:
    prometheus = f"{spaces['own']}:edge-prometheus"
    for namespace in spaces.values():
        assert rules(site.b, prometheus, namespace) == PODS
    assert rules(site.b, prometheus, "kube-system") == []
    accounts = [
        f"{spaces['own']}:edge-cassandra",
        f"{spaces['own']}:edge-tools",
        f"{spaces['gateway']}:edge-alertmanager",
    ]
    for account in accounts:
        for namespace in (*spaces.values(), "kube-system"):
            assert rules(site.b, account, namespace) == [], account


def may(cluster: Cluster, account: str, *what: str) -> bool:
    try:
        return cluster.kubectl("auth", "can-i", *what, f"--as=system:serviceaccount:{account}").strip() == "yes"
    except LabError:
        return False


def test_the_authorizer_says_the_same_of_each_request(site: Site, spaces: dict[str, str]) -> None:
    prometheus, tools = (f"{spaces['own']}:edge-{name}" for name in ("prometheus", "tools"))
    assert may(site.b, prometheus, "list", "pods", "-n", spaces["functions"])
    for what in (
        ("list", "pods", "-n", "kube-system"),
        ("list", "pods", "--all-namespaces"),
        ("get", "secrets", "-n", spaces["functions"]),
        ("delete", "pods", "-n", spaces["functions"]),
        ("create", "pods/exec", "-n", spaces["functions"]),
        ("get", "nodes"),
    ):
        assert not may(site.b, prometheus, *what), what
    for what in (
        ("get", "secrets", "-n", spaces["own"]),
        ("list", "pods", "-n", spaces["own"]),
        ("create", "jobs.batch", "-n", spaces["own"]),
        ("patch", "statefulsets.apps", "-n", spaces["own"]),
    ):
        assert not may(site.b, tools, *what), what
