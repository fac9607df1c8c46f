"""charts/edge-platform: which pods its Prometheus scrapes where, and under which labels, by Prometheus' own program.

The rendered jobs' relabelling on targets as Prometheus finds them in Kubernetes (its documentation,
`kubernetes_sd_config`, role pod): one for each declared port of a container, one without a port where none is declared.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts.rendering import NAMESPACE, Charts, Manifest, named, pods
from tests.monitoring.conftest import program

Target = dict[str, str]

RELOAD = {"cluster": "munich-1", "namespaces": ["lab"]}
PORT = "reload.edge/status-port"


def found(pod: Manifest, namespace: str, name: str, address: str) -> list[dict[str, Any]]:
    """That pod as Prometheus finds it, as static targets."""
    meta = {"namespace": namespace, "pod_name": name, "pod_ip": address}
    for kind in ("label", "annotation"):
        for key, value in pod["metadata"].get(f"{kind}s", {}).items():
            meta[f"pod_{kind}_{re.sub('[^a-zA-Z0-9_]', '_', key)}"] = str(value)
    labels = {f"__meta_kubernetes_{key}": value for key, value in meta.items()}
    ports = [each["containerPort"] for one in pod["spec"]["containers"] for each in one.get("ports", [])]
    return [{"targets": [f"{address}:{port}"], "labels": labels} for port in ports] or [
        {"targets": [address], "labels": labels}
    ]


def bare(*ports: int, **metadata: dict[str, str]) -> Manifest:
    containers = [{"name": f"c{port}", "ports": [{"containerPort": port}]} for port in ports] or [{"name": "c"}]
    return {"metadata": metadata, "spec": {"containers": containers}}


@pytest.fixture(scope="module")
def scrape(charts: Charts) -> dict[str, Any]:
    manifests = charts.render("edge-platform", {"monitoring": {"reload": RELOAD}}, release="edge")
    read: dict[str, Any] = yaml.safe_load(named(manifests, "ConfigMap", "edge-scrape")["data"]["prometheus.yml"])
    return read


@pytest.fixture(scope="module")
def cluster(default: list[Manifest]) -> list[dict[str, Any]]:
    """What is found: functions, OpenFaaS' own pods, all of this release and a ticker of another one."""
    strange = json.loads(json.dumps(pods(default)["Deployment edge-ticker"]))
    strange["metadata"]["labels"]["app.kubernetes.io/instance"] = "other"
    everything = {
        # faas-netes makes functions' pods so, and its chart the gateway's.
        ("openfaas-fn", "mme-enb-1"): bare(8080, labels={"faas_function": "mme-enb"}),
        ("openfaas-fn", "placement-1"): bare(8080, labels={"faas_function": "placement"}),
        ("openfaas-fn", "no-function"): bare(8080, labels={"app": "gateway"}),
        ("openfaas", "gateway-1"): bare(8080, 8082, 8081, labels={"app": "gateway"}),
        ("openfaas", "nats-1"): bare(4222, labels={"app": "nats"}),
        (NAMESPACE, "strange-ticker"): strange,
        ("lab", "amf-1"): bare(7777, annotations={PORT: "9300"}),
        ("lab", "smf-1"): bare(7777),
    }
    everything |= {(NAMESPACE, name.rpartition(" ")[2]): pod for name, pod in pods(default).items()}
    return [
        target
        for number, ((namespace, name), pod) in enumerate(everything.items())
        for target in found(pod, namespace, name, f"10.0.0.{number}")
    ]


def scraped(scrape: dict[str, Any], cluster: list[dict[str, Any]], job: str, folder: Path) -> dict[str, Target]:
    """The targets' labels by the pod's name; two that are scraped under different labels are an error."""
    told = json.loads(json.dumps(scrape)) | {"rule_files": []}
    (one,) = (each for each in told["scrape_configs"] if each["job_name"] == job)
    (discovery,) = one.pop("kubernetes_sd_configs")
    assert discovery["role"] == "pod"
    within = discovery["namespaces"]["names"]
    one["static_configs"] = [each for each in cluster if each["labels"]["__meta_kubernetes_namespace"] in within]
    told["scrape_configs"] = [one]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(told))
    by_pod: dict[str, Target] = {}
    for labels in (each["labels"] for each in discovered(folder / "prometheus.yml", job) if each["labels"]):
        assert by_pod.setdefault(labels["pod"], labels) == labels
    return by_pod


def discovered(configuration: Path, job: str) -> list[dict[str, Target]]:
    """Static targets are there at once; promtool looks for as long as it is told, longer on a busy machine only."""
    for within_s in (1, 5, 20):
        argv = [program("promtool"), "check", "service-discovery", f"--timeout={within_s}s", str(configuration), job]
        done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        targets: list[dict[str, Target]] | None = json.loads(done.stdout)
        if targets:
            return targets
    pytest.fail(f"no targets of {job}")


def expected(job: str, pod: str, address: str, **more: str) -> Target:
    """Every 5 s, as docs/metrics.md says that the rules reckon with."""
    return {
        "__address__": address,
        "__metrics_path__": "/metrics",
        "__scheme__": "http",
        "__scrape_interval__": "5s",
        "__scrape_timeout__": "5s",
        "instance": address,
        "job": job,
        "pod": pod,
        **more,
    }


def address_of(cluster: list[dict[str, Any]], pod: str) -> str:
    (address,) = {
        each["labels"]["__meta_kubernetes_pod_ip"]
        for each in cluster
        if each["labels"]["__meta_kubernetes_pod_name"] == pod
    }
    return str(address)


def test_a_function_is_scraped_at_its_watchdog_and_called_as_the_rules_call_it(
    scrape: dict[str, Any], cluster: list[dict[str, Any]], default: list[Manifest], tmp_path: Path
) -> None:
    told = scraped(scrape, cluster, "functions", tmp_path)
    assert told == {
        f"{name}-1": expected(
            "functions", f"{name}-1", f"{address_of(cluster, f'{name}-1')}:8080", function_name=f"{name}.openfaas-fn"
        )
        for name in ("mme-enb", "placement")
    }
    thresholds = yaml.safe_load(named(default, "ConfigMap", "edge-rules")["data"]["thresholds.yml"])
    known = {rule["labels"]["function_name"] for rule in thresholds["groups"][0]["rules"]}
    assert {labels["function_name"] for labels in told.values()} <= known


def test_the_gateway_is_scraped_at_its_port_of_metrics(
    scrape: dict[str, Any], cluster: list[dict[str, Any]], tmp_path: Path
) -> None:
    at = f"{address_of(cluster, 'gateway-1')}:8082"
    assert scraped(scrape, cluster, "gateway", tmp_path) == {"gateway-1": expected("gateway", "gateway-1", at)}


def test_the_tickers_of_this_release_are_scraped_at_the_port_they_serve(
    scrape: dict[str, Any], cluster: list[dict[str, Any]], default: list[Manifest], tmp_path: Path
) -> None:
    wanted = {}
    for name in ("edge-ticker", "edge-placement-ticker"):
        (container,) = pods(default)[f"Deployment {name}"]["spec"]["containers"]
        at = f"{address_of(cluster, name)}:{container['command'][-1]}"
        wanted[name] = expected("ticker", name, at)
    assert scraped(scrape, cluster, "ticker", tmp_path) == wanted


def test_a_reload_agent_is_scraped_at_the_port_of_its_annotation(
    scrape: dict[str, Any], cluster: list[dict[str, Any]], tmp_path: Path
) -> None:
    at = f"{address_of(cluster, 'amf-1')}:9300"
    assert scraped(scrape, cluster, "reload", tmp_path) == {
        "amf-1": expected("reload", "amf-1", at, cluster="munich-1")
    }


def test_rules_are_evaluated_as_often_as_is_scraped(scrape: dict[str, Any]) -> None:
    assert scrape["global"] == {"scrape_interval": "5s", "evaluation_interval": "5s"}
