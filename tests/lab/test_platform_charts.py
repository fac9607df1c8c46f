"""Every chart as the API server judges it: linted, rendered with each case and validated there; nothing is made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts.rendering import ROOT, Charts, Manifest
from tests.charts.test_charts import CORE, NGINX
from tests.lab.errors import LabError
from tests.lab.kubectl import Cluster
from tests.lab.site import Site

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

CASES = sorted((ROOT / "charts/edge-platform/ci").glob("*-values.yaml"))


@pytest.fixture(scope="module")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Charts:
    return Charts(tmp_path_factory.mktemp("charts"))


@pytest.fixture
def others(site: Site, namespace: str) -> Iterator[dict[str, str]]:
    """Give namespaces of the gateway and of the functions: charts/edge-platform makes neither."""
    names = {"namespace": f"{namespace}-gateway", "functionNamespace": f"{namespace}-functions"}
    for name in names.values():
        site.b.kubectl("create", "namespace", name)
    yield names
    for name in names.values():
        site.b.kubectl("delete", "namespace", name, "--wait=false")


def validated(cluster: Cluster, namespace: str, manifests: list[Manifest]) -> list[str]:
    """What the server would have made.  namespace: where a manifest names none.  Raises LabError: it refuses."""
    by_namespace: dict[str, list[Manifest]] = {}
    for manifest in manifests:
        by_namespace.setdefault(manifest["metadata"].get("namespace", namespace), []).append(manifest)
    told: list[str] = []
    for name, some in by_namespace.items():
        words = ["apply", "-n", name, "--dry-run=server", "-f", "-"]
        told += cluster.kubectl(*words, stdin=yaml.safe_dump_all(some), timeout_s=120).splitlines()
    return told


def rendered(charts: Charts, chart: str, namespace: str, values: dict[str, Any]) -> list[Manifest]:
    """Raises RefusedValuesError: it does not lint, or not render."""
    path = str(charts.folder / chart)
    charts.run("lint", "--strict", path, "-n", namespace, "-f", "-", text=json.dumps(values))
    text = charts.run("template", "edge", path, "-n", namespace, "-f", "-", text=json.dumps(values))
    return [manifest for manifest in yaml.safe_load_all(text) if manifest]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_the_server_takes_the_platform(
    site: Site, namespace: str, others: dict[str, str], charts: Charts, path: Path
) -> None:
    values = {**yaml.safe_load(path.read_text()), "openfaas": others}
    manifests = rendered(charts, "edge-platform", namespace, values)
    told = validated(site.b, namespace, manifests)
    assert len(told) == len(manifests)
    assert all(line.endswith("created (server dry run)") for line in told)


def test_the_server_takes_the_other_charts(site: Site, namespace: str, charts: Charts) -> None:
    for chart, values in (
        ("network-function", NGINX),
        ("network-function", {**NGINX, "kind": "StatefulSet", "replicas": 2}),
        ("open5gs", CORE),
        (
            "placement-target",
            {"existingNamespaces": [namespace], "serviceAccount": {"name": "edge", "namespace": "default"}},
        ),
    ):
        manifests = rendered(charts, chart, namespace, values)
        assert len(validated(site.b, namespace, manifests)) == len(manifests), chart


def test_the_server_refuses_what_a_schema_of_fields_lets_through(
    site: Site, namespace: str, others: dict[str, str], charts: Charts
) -> None:
    manifests = rendered(charts, "edge-platform", namespace, {"openfaas": others})
    (cassandra,) = (m for m in manifests if m["kind"] == "StatefulSet" and m["metadata"]["name"] == "cassandra")
    cassandra["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["tcpSocket"]["port"] = "no such port!"
    with pytest.raises(LabError, match="no such port!"):
        validated(site.b, namespace, manifests)
    del cassandra["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]
    cassandra["spec"]["template"]["spec"]["readynessGates"] = []
    with pytest.raises(LabError, match="readynessGates"):
        validated(site.b, namespace, manifests)
    assert site.b.get("statefulsets", namespace=namespace)["items"] == []
