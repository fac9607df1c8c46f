"""charts/edge-platform: what it renders for each ci/*-values.yaml, and what its schema refuses."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge import cli as edge
from mme import config
from mme.store.base import Table
from mme.store.opening import open_store
from tests.charts.kubernetes_schema import NotOfTheApiError, check
from tests.charts.rendering import NAMESPACE, ROOT, Charts, Manifest, RefusedValuesError, named, of_kind, pods
from tests.lab.policies import Allowed, peers_of
from tests.monitoring.conftest import program
from tools.monitoring import thresholds

FOLDER = ROOT / "charts/edge-platform"
CASES = sorted((FOLDER / "ci").glob("*-values.yaml"))
URL = "cassandra://cassandra.core:9042/edge?rf=1&dc=datacenter1"


def values(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(path.read_text())
    return read


# The lines of conf/cassandra.yaml in Apache Cassandra 5.0 that are about it.
PERIODIC = """# milliseconds.
commitlog_sync: periodic
# Min unit: ms
commitlog_sync_period: 10000ms
commitlog_segment_size: 32MiB
"""


@pytest.mark.parametrize("text", [PERIODIC, PERIODIC.replace("sync: periodic", "sync: group"), ""])
def test_cassandra_acknowledges_what_is_on_the_disk_or_does_not_start(
    default: list[Manifest], tmp_path: Path, text: str
) -> None:
    (container,) = pods(default)["StatefulSet cassandra"]["spec"]["initContainers"]
    image, copy = tmp_path / "image", tmp_path / "copy"
    for folder in (image, copy):
        folder.mkdir()
    (image / "cassandra.yaml").write_text(text)
    argv = [
        word.replace("/etc/cassandra", str(image)).replace("/configuration", str(copy)) for word in container["command"]
    ]
    done = subprocess.run(argv, check=False, capture_output=True, timeout=60)
    if text != PERIODIC:
        assert done.returncode != 0
        return
    assert done.returncode == 0, done.stderr
    read = yaml.safe_load((copy / "cassandra.yaml").read_text())
    # Cassandra refuses a period beside `batch`.
    assert read == {"commitlog_sync": "batch", "commitlog_segment_size": "32MiB"}


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_what_it_renders_is_what_the_api_describes(charts: Charts, path: Path) -> None:
    manifests = charts.render("edge-platform", values(path), release="edge")
    assert manifests
    for manifest in manifests:
        check(manifest)
    names = [(m["kind"], m["metadata"].get("namespace", NAMESPACE), m["metadata"]["name"]) for m in manifests]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_it_lints(charts: Charts, path: Path) -> None:
    told = charts.run("lint", "--strict", str(charts.folder / "edge-platform"), "-f", str(path))
    assert "0 chart(s) failed" in told


def test_the_check_itself_refuses(default: list[Manifest]) -> None:
    cassandra = json.loads(json.dumps(named(default, "StatefulSet", "cassandra")))
    cassandra["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(NotOfTheApiError, match=r"readynessProbe.*no such key"):
        check(cassandra)
    cassandra = json.loads(json.dumps(named(default, "StatefulSet", "cassandra")))
    cassandra["spec"]["replicas"] = "1"
    with pytest.raises(NotOfTheApiError, match="'1' is no int"):
        check(cassandra)
    del cassandra["spec"]["selector"]
    cassandra["spec"]["replicas"] = 1
    with pytest.raises(NotOfTheApiError, match="selector"):
        check(cassandra)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_no_pod_is_root_or_may_become_it_or_writes_its_root(charts: Charts, path: Path) -> None:
    found = pods(charts.render("edge-platform", values(path), release="edge"))
    assert found
    for name, pod in found.items():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] > 0, name
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True, name
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert {"requests", "limits"} <= set(container["resources"]), name


def test_every_image_can_be_pinned_by_its_digest(charts: Charts) -> None:
    """As `docker pull` and Kubernetes take it: name:tag@digest."""
    digest = f"sha256:{'0123456789abcdef' * 4}"
    pinned = {"image": {"tag": f"v1.0@{digest}"}}
    own = {"tools": pinned, "cassandra": pinned, "monitoring": {"prometheus": pinned, "alertmanager": pinned}}
    images = {
        container["image"]
        for pod in pods(charts.render("edge-platform", own, release="edge")).values()
        for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
    }
    assert images == {
        f"{name}:v1.0@{digest}"
        for name in (
            "registry.edge.local:5000/edge-tools",
            "docker.io/library/cassandra",
            "docker.io/prom/prometheus",
            "docker.io/prom/alertmanager",
        )
    }


def test_images_of_others_are_pinned_but_for_those_whose_digest_is_not_known(default: list[Manifest]) -> None:
    images = {
        container["image"]
        for pod in pods(default).values()
        for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
    }
    by_tag = {image.partition(":")[0] for image in images if not re.search(r":[^@/]+@sha256:[0-9a-f]{64}$", image)}
    assert by_tag == {"registry.edge.local", "docker.io/library/cassandra", "docker.io/prom/prometheus"}
    page = " ".join((ROOT / "docs/operations.md").read_text().split())
    assert "Of of-watchdog, Cassandra and Prometheus this repository knows releases only" in page


def test_only_prometheus_may_ask_the_api_and_only_for_pods(default: list[Manifest]) -> None:
    assert not of_kind(default, "ClusterRole")
    rules = [rule for role in of_kind(default, "Role") for rule in role["rules"]]
    assert rules == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}] * 3
    bound = {binding["subjects"][0]["name"] for binding in of_kind(default, "RoleBinding")}
    assert bound == {"edge-prometheus"}
    for name, pod in pods(default).items():
        if name != "StatefulSet edge-prometheus":
            assert pod["spec"]["automountServiceAccountToken"] is False, name


def test_a_program_has_the_secrets_that_it_reads_and_no_others(default: list[Manifest]) -> None:
    def mounted(name: str) -> list[str]:
        return [
            source["secret"]["name"]
            for volume in pods(default)[name]["spec"]["volumes"]
            for source in volume.get("projected", {}).get("sources", [])
        ]

    assert mounted("Deployment edge-ticker") == ["edge-signing-key"]
    assert mounted("Deployment edge-placement-ticker") == ["edge-signing-key"]
    assert mounted("Job edge-migrate") == []
    assert mounted("CronJob edge-backup") == []


def test_keys_are_hex_of_32_octets_alike_for_tickers_and_functions_and_kept(default: list[Manifest]) -> None:
    import base64  # noqa: PLC0415

    secrets = of_kind(default, "Secret")
    by_name: dict[str, dict[str, str]] = {}
    for secret in secrets:
        name = secret["metadata"]["name"]
        by_name.setdefault(name, {})[secret["metadata"]["namespace"]] = secret["data"][name]
        # No part of a revision, and not made anew: without a policy helm deletes what is there before.
        assert secret["metadata"]["annotations"] == {
            "helm.sh/hook": "pre-install,pre-upgrade",
            "helm.sh/hook-weight": "-1",
            "helm.sh/hook-delete-policy": "hook-failed",
            "helm.sh/resource-policy": "keep",
        }
    assert set(by_name) == {"edge-signing-key", "subscriber-key", "m-tmsi-key"}
    contents = []
    for found in by_name.values():
        assert set(found) == {NAMESPACE, "openfaas-fn"}
        (content,) = set(found.values())
        contents.append(base64.b64decode(content).decode())
    assert all(re.fullmatch(r"[0-9a-f]{64}\n", content) for content in contents)
    assert len(set(contents)) == 3


def test_cassandra_is_ready_once_it_has_joined_and_drains_before_it_ends(default: list[Manifest]) -> None:
    spec = named(default, "StatefulSet", "cassandra")["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    assert "Mode: NORMAL" in container["startupProbe"]["exec"]["command"][-1]
    assert container["startupProbe"]["failureThreshold"] * container["startupProbe"]["periodSeconds"] == 1800
    # On a starved machine nodetool took more than 20 s each time, for minutes after the node had joined.
    assert container["startupProbe"]["timeoutSeconds"] >= 60
    assert container["readinessProbe"]["tcpSocket"]["port"] == "cql"
    assert container["lifecycle"]["preStop"]["exec"]["command"][-1] == "timeout 120 nodetool drain"
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] > 120
    assert spec["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] == "10Gi"
    assert named(default, "Service", "cassandra-nodes")["spec"]["publishNotReadyAddresses"] is True
    assert "publishNotReadyAddresses" not in named(default, "Service", "cassandra")["spec"]


@pytest.mark.parametrize(("there", "nodes", "says"), [(1, 3, True), (1, 1, False), (2, 3, False), (3, 3, False)])
def test_its_notes_tell_who_grows_from_one_node_to_three_what_is_to_be_done(
    charts: Charts, tmp_path: Path, there: int, nodes: int, says: bool
) -> None:
    """there: replicas of the StatefulSet, which are two while volumes are mended (docs/operations.md).

    helm renders notes only where there is a cluster to ask: here as a template, with that answer.
    """
    folder = tmp_path / "edge-platform"
    shutil.copytree(FOLDER, folder)
    asked = 'lookup "apps/v1" "StatefulSet" .Release.Namespace "cassandra"'
    before, found, after = (folder / "templates/NOTES.txt").read_text().partition(asked)
    assert found
    notes = f'{before}dict "spec" (dict "replicas" {there}){after}'
    wrapped = f'{{{{- define "notes" }}}}{notes}{{{{ end -}}}}\ntold: {{{{ include "notes" . | toJson }}}}\n'
    (folder / "templates/notes.yaml").write_text(wrapped)
    words = ("--show-only", "templates/notes.yaml", "--set", f"cassandra.nodes={nodes}")
    told = yaml.safe_load(charts.run("template", "edge", str(folder), "-n", NAMESPACE, *words))["told"]
    assert ("Cassandra grows from 1 to 3 nodes" in told) == ("Another number of" in told) == says
    assert "faas-cli deploy" in told


def test_three_nodes_are_each_others_seeds_and_one_may_go_at_a_time(charts: Charts, default: list[Manifest]) -> None:
    three = charts.render("edge-platform", {"cassandra": {"nodes": 3}}, release="edge")
    (container,) = named(three, "StatefulSet", "cassandra")["spec"]["template"]["spec"]["containers"]
    seeds = next(each["value"] for each in container["env"] if each["name"] == "CASSANDRA_SEEDS")
    assert seeds == ",".join(f"cassandra-{number}.cassandra-nodes.core.svc" for number in range(3))
    assert named(three, "PodDisruptionBudget", "cassandra")["spec"]["maxUnavailable"] == 1
    assert "cassandra" not in [m["metadata"]["name"] for m in of_kind(default, "PodDisruptionBudget")]
    job = pods(three)["Job edge-migrate"]["spec"]["containers"][0]
    assert {"name": "STORE_URL", "value": URL.replace("rf=1", "rf=3")} in job["env"]


def test_several_nodes_start_by_what_they_find_and_found_one_ring_only(charts: Charts, default: list[Manifest]) -> None:
    three = charts.render("edge-platform", {"cassandra": {"nodes": 3}}, release="edge")
    template = named(three, "StatefulSet", "cassandra")["spec"]["template"]
    spec = template["spec"]
    (container,) = spec["containers"]
    program, directory = container["args"]
    assert container["command"] == ["python3", "-c"]
    assert program.strip() == (ROOT / "charts/edge-platform/files/cassandra_start.py").read_text().strip()
    assert "$(" not in program  # Kubernetes would put a variable there
    assert container["startupProbe"]["exec"]["command"][-1].endswith(" && rm -f /var/lib/cassandra/joining")
    assert {"name": "founded", "mountPath": directory, "readOnly": True} in container["volumeMounts"]
    founded = named(three, "ConfigMap", "cassandra-founded")
    assert list(founded["data"]) == ["ring"]
    assert {"name": "founded", "configMap": {"name": "cassandra-founded", "optional": True}} in spec["volumes"]
    # After the job that makes the tables, which has no weight; that needs the ring.
    notes = founded["metadata"]["annotations"]
    assert notes == {"helm.sh/hook": "post-install,post-upgrade", "helm.sh/hook-weight": "1"}
    without = {"cassandra": {"nodes": 3}, "migrate": {"enabled": False}}
    founded = named(charts.render("edge-platform", without, release="edge"), "ConfigMap", "cassandra-founded")
    assert founded["metadata"]["annotations"]["helm.sh/hook"] == "post-upgrade"
    # One alone is like the first of three: it becomes that without a restart.
    assert named(default, "StatefulSet", "cassandra")["spec"]["template"] == template
    assert "cassandra-founded" not in [m["metadata"]["name"] for m in of_kind(default, "ConfigMap")]


def test_one_ticker_of_two_stays_while_a_node_is_emptied(charts: Charts, default: list[Manifest]) -> None:
    for name in ("ticker", "placement-ticker"):
        spec = named(default, "PodDisruptionBudget", f"edge-{name}")["spec"]
        assert spec["minAvailable"] == 1
        labels = pods(default)[f"Deployment edge-{name}"]["metadata"]["labels"]
        assert spec["selector"] == named(default, "Deployment", f"edge-{name}")["spec"]["selector"]
        assert spec["selector"]["matchLabels"].items() <= labels.items()
        assert named(default, "Deployment", f"edge-{name}")["spec"]["replicas"] == 2
    # Of one, it would keep the node from ever being emptied.
    alone = {"ticker": {"replicas": 1}, "placementTicker": {"replicas": 1}}
    assert not of_kind(charts.render("edge-platform", alone, release="edge"), "PodDisruptionBudget")


def test_the_stacks_default_store_is_this_release_in_namespace_edge(charts: Charts) -> None:
    rendered = yaml.safe_load_all(charts.run("template", "edge", str(charts.folder / "edge-platform"), "-n", "edge"))
    job = pods([m for m in rendered if m])["Job edge-migrate"]["spec"]["containers"][0]
    (url,) = (each["value"] for each in job["env"] if each["name"] == "STORE_URL")
    assert f"${{STORE_URL:-{url.partition('?')[0]}}}" in (ROOT / "stack.yml").read_text()


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_programs_are_told_a_store_that_they_can_open(
    charts: Charts, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_SECRETS_DIR", str(tmp_path))
    for pod in pods(charts.render("edge-platform", values(path), release="edge")).values():
        for container in pod["spec"]["containers"]:
            for each in container.get("env", []):
                if each["name"] == "STORE_URL":
                    open_store(each["value"]).close()


def allowed(manifests: list[Manifest], policy: str) -> list[tuple[int, str, str]]:
    """(port, namespace or "" for its own, selector) of a NetworkPolicy."""
    spec = named(manifests, "NetworkPolicy", policy)["spec"]
    assert spec["policyTypes"] == ["Ingress"]
    found = []
    for rule in spec.get("ingress", []):
        for peer in rule["from"]:
            labels = peer.get("namespaceSelector", {}).get("matchLabels", {})
            selector = peer["podSelector"]
            components = selector.get("matchLabels", {}).get("app.kubernetes.io/component") or ",".join(
                value for each in selector.get("matchExpressions", []) for value in each.get("values", [each["key"]])
            )
            named_by = components or selector["matchLabels"]["app"]
            for port in rule["ports"]:
                found.append((port["port"], labels.get("kubernetes.io/metadata.name", ""), named_by))
    return found


def with_a_store() -> list[str]:
    """The functions of stack.yml that are told one, in the order of their names."""
    functions = yaml.safe_load((ROOT / "stack.yml").read_text())["functions"]
    return sorted(name for name, each in functions.items() if "store_url" in each["environment"])


@pytest.mark.parametrize("own", [None, ["mme-enb-2"]], ids=["by default", "deployed under another name"])
def test_only_functions_that_use_the_store_reach_it(charts: Charts, own: list[str] | None) -> None:
    """By tests/lab/policies.py, which is held to what Kubernetes' own suite demands of an engine."""
    wanted = {} if own is None else {"networkPolicies": {"storeFunctions": own}}
    manifests = charts.render("edge-platform", wanted, release="edge")
    namespaces = [
        {"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}}
        for name in (NAMESPACE, "openfaas", "openfaas-fn")
    ]
    names = [*with_a_store(), "mme-enb-2", "of-somebody-else"]
    where = [(namespace, name) for namespace in ("openfaas-fn", "openfaas", NAMESPACE) for name in names]
    callers = [
        {
            "metadata": {"namespace": namespace, "labels": {"faas_function": name}},
            "status": {"podIP": f"10.0.0.{number}"},
        }
        for number, (namespace, name) in enumerate(where)
    ]
    node = json.loads(json.dumps(pods(manifests)["StatefulSet cassandra"]))
    node["metadata"]["namespace"], node["status"] = NAMESPACE, {"podIP": "10.0.1.0"}
    policies = json.loads(json.dumps(of_kind(manifests, "NetworkPolicy")))
    for policy in policies:
        policy["metadata"].setdefault("namespace", NAMESPACE)
    let_in = peers_of(node, policies, callers, namespaces)
    assert let_in == {
        Allowed(f"10.0.0.{number}/32", "tcp", 9042, 9042)
        for number, (namespace, name) in enumerate(where)
        if namespace == "openfaas-fn" and name in (own or with_a_store())
    }


def test_who_may_reach_whom(default: list[Manifest]) -> None:
    assert allowed(default, "edge-nobody") == []
    assert allowed(default, "edge-cassandra") == [
        (9042, "openfaas-fn", ",".join(with_a_store())),
        (9042, "", "ticker,placement-ticker,migrate,backup,cassandra"),
        (7000, "", "cassandra"),
    ]
    assert allowed(default, "edge-functions") == [(8080, "openfaas", "gateway"), (8080, NAMESPACE, "prometheus")]
    assert allowed(default, "edge-ticker-metrics") == [(9100, "", "prometheus")]
    assert allowed(default, "edge-alertmanager") == [(9093, NAMESPACE, "prometheus")]
    functions = named(default, "NetworkPolicy", "edge-functions")
    assert functions["metadata"]["namespace"] == "openfaas-fn"
    # Every pod of the release in its namespace is under "nobody".
    everybody = named(default, "NetworkPolicy", "edge-nobody")["spec"]["podSelector"]["matchLabels"].items()
    for name, pod in pods(default).items():
        assert everybody <= pod["metadata"]["labels"].items(), name


def test_every_ticker_is_probed_and_scraped(default: list[Manifest]) -> None:
    (job,) = (
        job
        for job in yaml.safe_load(named(default, "ConfigMap", "edge-scrape")["data"]["prometheus.yml"])[
            "scrape_configs"
        ]
        if job["job_name"] == "ticker"
    )
    (component,) = (
        rule["regex"]
        for rule in job["relabel_configs"]
        if rule["source_labels"][0].endswith("_kubernetes_io_component")
    )
    (let_in,) = named(default, "NetworkPolicy", "edge-ticker-metrics")["spec"]["podSelector"]["matchExpressions"]
    for name in ("ticker", "placement-ticker"):
        pod = pods(default)[f"Deployment edge-{name}"]
        assert pod["metadata"]["labels"]["app.kubernetes.io/component"] == name
        (container,) = pod["spec"]["containers"]
        assert container["ports"] == [{"name": "metrics", "containerPort": 9100}]
        assert container["command"][-2:] == ["--metrics-port", "9100"]
        for probe, path in (("readinessProbe", "/ready"), ("livenessProbe", "/metrics")):
            assert container[probe]["httpGet"] == {"path": path, "port": "metrics"}
        budget = named(default, "PodDisruptionBudget", f"edge-{name}")["spec"]
        assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        assert re.fullmatch(component, name)
        assert name in let_in["values"]


def test_a_prometheus_of_ones_own_may_scrape_functions_and_tickers(charts: Charts) -> None:
    own = charts.render("edge-platform", values(FOLDER / "ci/03-own-cassandra-values.yaml"), release="edge")
    assert allowed(own, "edge-ticker-metrics") == [(9100, "monitoring", "prometheus")]
    assert allowed(own, "edge-functions") == [(8080, "openfaas", "gateway"), (8080, "monitoring", "prometheus")]
    more = {"networkPolicies": {"metricsFrom": [{"podSelector": {"matchLabels": {"app": "agent"}}}]}}
    both = charts.render("edge-platform", more, release="edge")
    assert allowed(both, "edge-ticker-metrics") == [(9100, "", "prometheus"), (9100, "", "agent")]
    nobody = charts.render("edge-platform", {"monitoring": {"deploy": False}}, release="edge")
    assert "edge-ticker-metrics" not in [m["metadata"]["name"] for m in of_kind(nobody, "NetworkPolicy")]


def test_prometheus_and_alertmanager_take_their_configuration(default: list[Manifest], tmp_path: Path) -> None:
    rules = named(default, "ConfigMap", "edge-rules")["data"]
    for name, text in rules.items():
        (tmp_path / name).write_text(text)
    ran(program("promtool"), "check", "rules", *(str(tmp_path / name) for name in rules))
    assert yaml.safe_load(rules["thresholds.yml"]) == by_record(ROOT / "k8s/monitoring/rules/thresholds.yml")
    routes = tmp_path / "routes.yml"
    routes.write_text(named(default, "ConfigMap", "edge-routes")["data"]["alertmanager.yml"])
    ran(program("amtool"), "check-config", str(routes))
    scrape = yaml.safe_load(named(default, "ConfigMap", "edge-scrape")["data"]["prometheus.yml"])
    # Debian's Prometheus knows no Kubernetes: the rest of it is checked, with the discovery put aside.
    assert [job.pop("kubernetes_sd_configs")[0]["namespaces"]["names"] for job in scrape["scrape_configs"]] == [
        ["openfaas-fn"],
        ["openfaas"],
        [NAMESPACE],
    ]
    scrape["rule_files"] = []
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(scrape))
    ran(program("promtool"), "check", "config", str(tmp_path / "prometheus.yml"))


def test_callers_reload_agents_other_namespaces_and_those_who_are_called_are_values(
    charts: Charts, tmp_path: Path
) -> None:
    changed = {
        "openfaas": {"namespace": "faas", "functionNamespace": "faas-fn"},
        "monitoring": {
            "callers": ["192.0.2.7:9200"],
            "reload": {"cluster": "munich-1", "namespaces": ["lab"]},
            "alertmanager": {
                "people": {"slack_configs": [{"channel": "#edge", "api_url_file": "/etc/alertmanager/people/url"}]},
                "secret": "people",
            },
        },
    }
    manifests = charts.render("edge-platform", changed, release="edge")
    scrape = yaml.safe_load(named(manifests, "ConfigMap", "edge-scrape")["data"]["prometheus.yml"])
    jobs = {job["job_name"]: job for job in scrape["scrape_configs"]}
    assert jobs["callers"]["static_configs"] == [{"targets": ["192.0.2.7:9200"]}]
    assert jobs["reload"]["kubernetes_sd_configs"] == [{"role": "pod", "namespaces": {"names": ["lab"]}}]
    assert {"target_label": "cluster", "replacement": "munich-1"} in jobs["reload"]["relabel_configs"]
    finders = [
        m["metadata"]["namespace"] for m in of_kind(manifests, "Role") if m["metadata"]["name"] == "edge-prometheus"
    ]
    assert sorted(finders) == [NAMESPACE, "faas", "faas-fn", "lab"]
    # What a caller publishes counts for the function in the namespace where it is.
    assert '"$1.faas-fn"' in named(manifests, "ConfigMap", "edge-rules")["data"]["scaling.yml"]
    text = named(manifests, "ConfigMap", "edge-routes")["data"]["alertmanager.yml"]
    receivers = {each["name"]: each for each in yaml.safe_load(text)["receivers"]}
    (slack,) = receivers["people"]["slack_configs"]
    assert slack == {"channel": "#edge", "api_url_file": "/etc/alertmanager/people/url"}
    assert receivers["gateway"]["webhook_configs"][0]["url"].startswith("http://gateway.faas:")
    (tmp_path / "routes.yml").write_text(text)
    ran(program("amtool"), "check-config", str(tmp_path / "routes.yml"))
    alertmanager = named(manifests, "StatefulSet", "edge-alertmanager")["spec"]["template"]["spec"]
    mounts = {mount["name"]: mount["mountPath"] for mount in alertmanager["containers"][0]["volumeMounts"]}
    assert mounts["people"] == "/etc/alertmanager/people"
    (secret,) = (volume["secret"] for volume in alertmanager["volumes"] if volume["name"] == "people")
    # Alertmanager has to start without it: it is what scales functions, too.
    assert secret == {"secretName": "people", "defaultMode": 0o440, "optional": True}


def test_a_receiver_whose_name_has_a_digit_is_taken(charts: Charts) -> None:
    people = {"msteamsv2_configs": [{"webhook_url_file": "/etc/alertmanager/people/url"}]}
    manifests = charts.render("edge-platform", {"monitoring": {"alertmanager": {"people": people}}}, release="edge")
    routes = yaml.safe_load(named(manifests, "ConfigMap", "edge-routes")["data"]["alertmanager.yml"])
    (told,) = (each for each in routes["receivers"] if each["name"] == "people")
    assert told == {"name": "people", **people}


def test_alerts_go_to_the_charts_alertmanager_only_where_it_is(charts: Charts, default: list[Manifest]) -> None:
    own = charts.render("edge-platform", values(FOLDER / "ci/03-own-cassandra-values.yaml"), release="edge")
    with_one, without = (
        yaml.safe_load(named(manifests, "ConfigMap", "edge-scrape")["data"]["prometheus.yml"])
        for manifests in (default, own)
    )
    (alertmanager,) = with_one["alerting"]["alertmanagers"]
    assert alertmanager["static_configs"] == [{"targets": ["edge-alertmanager.openfaas:9093"]}]
    assert "alerting" not in without
    assert without["scrape_configs"]


def test_one_alertmanager_has_its_memory_on_a_claim(charts: Charts, default: list[Manifest]) -> None:
    """tests/charts/test_alertmanager_restart.py: what it is for."""
    spec = named(default, "StatefulSet", "edge-alertmanager")["spec"]
    assert spec["replicas"] == 1
    pod = spec["template"]["spec"]
    (folder,) = (each for each in pod["containers"][0]["args"] if each.startswith("--storage.path="))
    mounts = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    (claim,) = spec["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == mounts[folder.partition("=")[2]]
    assert claim["metadata"]["name"] not in [volume["name"] for volume in pod["volumes"]]
    assert claim["spec"] == {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    own = {"monitoring": {"alertmanager": {"storage": {"size": "2Gi", "className": "fast-local"}}}}
    changed = named(charts.render("edge-platform", own, release="edge"), "StatefulSet", "edge-alertmanager")["spec"]
    asked = changed["volumeClaimTemplates"][0]["spec"]
    assert (asked["storageClassName"], asked["resources"]) == ("fast-local", {"requests": {"storage": "2Gi"}})


def by_record(path: Path) -> Any:
    """With the rules of a function in the order of their names, as a template walks them."""
    read = yaml.safe_load(path.read_text())
    rules = read["groups"][0]["rules"]
    rules.sort(key=lambda rule: (rule["labels"]["function_name"], rule["labels"]["of"]))
    return read


def ran(*argv: str) -> None:
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_missing_backup_is_told_after_so_many_hours_as_a_value_says_where_the_chart_makes_any(charts: Charts) -> None:
    def rules(**backup: object) -> dict[str, str]:
        manifests = charts.render("edge-platform", {"cassandra": {"backup": backup}}, release="edge")
        found: dict[str, str] = named(manifests, "ConfigMap", "edge-rules")["data"]
        return found

    usual = (ROOT / "k8s/monitoring/rules/backups.yml").read_text()
    (rule,) = yaml.safe_load(rules()["backups.yml"])["groups"][0]["rules"]
    assert rule == yaml.safe_load(usual)["groups"][0]["rules"][0]
    (weekly,) = yaml.safe_load(rules(alertAfterHours=200)["backups.yml"])["groups"][0]["rules"]
    assert weekly == {**rule, "expr": rule["expr"].replace("36 * 3600", "200 * 3600").replace("36h", "200h")}
    assert "200h" in weekly["expr"]
    assert "backups.yml" not in rules(enabled=False)


@pytest.mark.parametrize(
    ("hours", "monitoring", "refused"),
    [
        (359, {}, False),
        (360, {}, True),
        (400, {}, True),
        (400, {"prometheus": {"retention": "400h"}}, True),
        (400, {"prometheus": {"retention": "17d"}}, False),
        (400, {"prometheus": {"retention": "2w"}}, True),
        (400, {"prometheus": {"retention": "3w"}}, False),
        (400, {"deploy": False}, False),
    ],
    ids=str,
)
def test_a_missing_backup_is_not_to_be_told_after_prometheus_has_forgotten_who_served(
    charts: Charts, hours: int, monitoring: dict[str, Any], refused: bool
) -> None:
    """Of a Prometheus of one's own the chart does not know for how long it keeps what it has scraped."""
    wanted = {"cassandra": {"backup": {"alertAfterHours": hours}}, "monitoring": monitoring}
    if refused:
        with pytest.raises(RefusedValuesError, match=rf"alertAfterHours \({hours}\) has to be less than .*retention"):
            charts.render("edge-platform", wanted, release="edge")
        wanted["cassandra"]["backup"]["enabled"] = False
    charts.render("edge-platform", wanted, release="edge")


def test_a_threshold_is_a_value(charts: Charts) -> None:
    changed = {"monitoring": {"thresholds": {"mme-uplink-nas": {"invocations": 30}}}}
    manifests = charts.render("edge-platform", changed, release="edge")
    rules = yaml.safe_load(named(manifests, "ConfigMap", "edge-rules")["data"]["thresholds.yml"])["groups"][0]["rules"]
    told = {(rule["labels"]["function_name"], rule["labels"]["of"]): rule["expr"] for rule in rules}
    assert told["mme-uplink-nas.openfaas-fn", "invocations"] == "vector(30)"
    assert told["mme-uplink-nas.openfaas-fn", "messages"] == "vector(40)"
    assert told["mme-enb.openfaas-fn", "invocations"] == "vector(5)"


@pytest.mark.parametrize(
    ("version", "taken"),
    [
        ("v1.26.15", False),
        ("v1.27.0", True),
        ("v1.27.3-gke.100", True),
        ("v1.29.1-eks-508b6b3", True),
        ("v1.34.4", True),
    ],
)
def test_a_cluster_that_does_not_know_all_that_it_makes_is_refused(charts: Charts, version: str, taken: bool) -> None:
    """Before 1.27 the tickers' budgets would be without unhealthyPodEvictionPolicy, and hold a node that is drained."""
    command = ("template", "edge", str(charts.folder / "edge-platform"), "--kube-version", version)
    if taken:
        assert "unhealthyPodEvictionPolicy: AlwaysAllow" in charts.run(*command)
    else:
        with pytest.raises(RefusedValuesError, match="incompatible with Kubernetes"):
            charts.run(*command)


def test_a_function_of_ones_own_has_thresholds_beside_the_others(charts: Charts) -> None:
    changed = {
        "monitoring": {
            "thresholds": {"mme-enb": {"invocations": 8}},
            "otherThresholds": {"my-function": {"invocations": 2, "p99_seconds": 1}},
        }
    }
    manifests = charts.render("edge-platform", changed, release="edge")
    rules = yaml.safe_load(named(manifests, "ConfigMap", "edge-rules")["data"]["thresholds.yml"])["groups"][0]["rules"]
    told = {(rule["labels"]["function_name"], rule["labels"]["of"]): rule["expr"] for rule in rules}
    assert {of: expr for (name, of), expr in told.items() if name == "my-function.openfaas-fn"} == {
        "invocations": "vector(2)",
        "p99_seconds": "vector(1)",
    }
    assert told["mme-enb.openfaas-fn", "invocations"] == "vector(8)"
    assert told["mme-enb.openfaas-fn", "p99_seconds"] == "vector(1)"


def test_names_that_the_schema_takes_are_the_code_s() -> None:
    schema = json.loads((FOLDER / "values.schema.json").read_text())
    of_ticker = schema["properties"]["ticker"]["properties"]["settings"]["propertyNames"]["enum"]
    assert of_ticker == sorted(config.SETTINGS)
    monitoring = schema["properties"]["monitoring"]["properties"]
    functions = sorted(thresholds.load(ROOT / "k8s/monitoring/thresholds.yaml"))
    assert functions == sorted(yaml.safe_load((ROOT / "stack.yml").read_text())["functions"])
    assert monitoring["thresholds"]["propertyNames"]["enum"] == functions
    assert {"not": {"enum": functions}} in monitoring["otherThresholds"]["propertyNames"]["allOf"]
    assert set(schema["definitions"]["figures"]["properties"]) == {*thresholds.SCALING, *thresholds.HEALTH}


@pytest.mark.parametrize(
    ("scaling", "kept", "repeated"),
    [({}, "1m", "25s"), ({"keepFiringFor": "10s", "repeatInterval": "85s"}, "10s", "85s")],
    ids=["by default", "told"],
)
def test_how_long_a_function_stays_grown_and_how_fast_it_grows_are_values(
    charts: Charts, tmp_path: Path, scaling: dict[str, str], kept: str, repeated: str
) -> None:
    manifests = charts.render("edge-platform", {"monitoring": {"scaling": scaling}}, release="edge")
    rules = named(manifests, "ConfigMap", "edge-rules")["data"]["scaling.yml"]
    routes = named(manifests, "ConfigMap", "edge-routes")["data"]["alertmanager.yml"]
    (alert,) = (rule for rule in yaml.safe_load(rules)["groups"][0]["rules"] if "alert" in rule)
    assert alert["keep_firing_for"] == kept
    people = yaml.safe_load(routes)["route"]
    (gateway,) = people["routes"]
    assert gateway["repeat_interval"] == repeated
    assert people["repeat_interval"] == "4h"  # what people are told again is not a step
    for name, text, checks in (
        ("rules.yml", rules, ("promtool", "check", "rules")),
        ("routes.yml", routes, ("amtool", "check-config")),
    ):
        (tmp_path / name).write_text(text)
        ran(program(checks[0]), *checks[1:], str(tmp_path / name))


def test_every_dashboard_is_a_configmap_that_grafana_finds(default: list[Manifest]) -> None:
    found = [m for m in of_kind(default, "ConfigMap") if m["metadata"]["labels"].get("grafana_dashboard") == "1"]
    told = {name: json.loads(text) for m in found for name, text in m["data"].items()}
    files = (ROOT / "k8s/monitoring/dashboards").glob("*.json")
    assert told == {path.name: json.loads(path.read_text()) for path in files}


@pytest.mark.parametrize(
    "wrong",
    [
        {"unknown": 1},
        {"cassandra": {"nodes": 2}},
        {"cassandra": {"enabled": False}},
        {"cassandra": {"heap": "lots"}},
        {"cassandra": {"storage": {"size": 10}}},
        {"cassandra": {"backup": {"keep": 0}}},
        {"cassandra": {"image": {"repository": "", "tag": "5"}}},
        {"cassandra": {"image": {"tag": "5.0.6@sha256:0123"}}},
        {"cassandra": {"image": {"tag": f"@sha256:{'0' * 64}"}}},
        {"cassandra": {"image": {"tag": f"5.0.6@sha256:{'G' * 64}"}}},
        {"cassandra": {"image": {"repository": f"cassandra@sha256:{'0' * 64}"}}},
        {"store": {"url": "postgres://x"}},
        {"store": {"keyspace": "Edge-1"}},
        {"ticker": {"replicas": 0}},
        {"ticker": {"settings": {"A B": 1}}},
        {"ticker": {"settings": {"clok_bound_ms": 100}}},
        {"ticker": {"settings": {"m_tmsi_key": "00"}}},
        {"monitoring": {"thresholds": {"mme-enb": {"calls": 5}}}},
        {"monitoring": {"thresholds": {"mme-uplnk-nas": {"invocations": 5}}}},
        {"monitoring": {"otherThresholds": {"mme-enb": {"invocations": 5}}}},
        {"monitoring": {"otherThresholds": {"my function": {"invocations": 5}}}},
        {"monitoring": {"otherThresholds": {"my-function": {"calls": 5}}}},
        {"monitoring": {"thresholds": {"mme-enb": {"invocations": 0}}}},
        {"networkPolicies": {"storeFrom": [{}]}},
        {"networkPolicies": {"storeFunctions": []}},
        {"networkPolicies": {"storeFunctions": ["mme_enb"]}},
        {"networkPolicies": {"metricsFrom": [{}]}},
        {"openfaas": {"namespace": "Open FaaS"}},
        {"monitoring": {"callers": ["http://192.0.2.7:9200/metrics"]}},
        {"monitoring": {"reload": {"cluster": "Munich 1"}}},
        {"monitoring": {"scaling": {"keepFiringFor": 60}}},
        {"monitoring": {"scaling": {"repeatInterval": "0s"}}},
        {"monitoring": {"scaling": {"repeatInterval": "soon"}}},
        {"monitoring": {"scaling": {"groupInterval": "1m"}}},
        {"monitoring": {"alertmanager": {"people": {"name": "others"}}}},
        {"monitoring": {"alertmanager": {"people": {"slack_config": []}}}},
        {"monitoring": {"alertmanager": {"people": {"slak_configs": [{"channel": "#edge"}]}}}},
        {"monitoring": {"alertmanager": {"people": {"slack_configs": {"channel": "#edge"}}}}},
    ],
    ids=str,
)
def test_wrong_values_are_refused(charts: Charts, wrong: dict[str, Any]) -> None:
    with pytest.raises(RefusedValuesError):
        charts.render("edge-platform", wrong, release="edge")


@dataclass(frozen=True)
class BackupJob:
    """The job's own command on a store of this machine, and k8s/restore.yaml's.  folder: for the volume."""

    command: list[str]
    folder: Path
    store: str

    def begin(self, command: list[str] | None = None) -> subprocess.Popen[str]:
        *shell, script = command or self.command
        assert "cd /backups\n" in script
        return subprocess.Popen(
            [*shell, script.replace("cd /backups\n", f"cd {self.folder}\n")],
            env={**os.environ, "STORE_URL": self.store, "KEEP": "2", "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def kept(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("2*Z"))


@pytest.fixture
def job(default: list[Manifest], tmp_path: Path) -> BackupJob:
    container = pods(default)["CronJob edge-backup"]["spec"]["containers"][0]
    assert {"name": "KEEP", "value": "7"} in container["env"]
    store = f"sqlite:///{tmp_path}/edge.db"
    assert edge.main(["store", "migrate", "--store", store]) == 0
    with contextlib.closing(open_store(store)) as opened:
        opened.save(Table.ENB, "first", b"x", expect=None, writer="w")
    (tmp_path / "backups").mkdir()
    return BackupJob(container["command"], tmp_path / "backups", store)


def ended(running: subprocess.Popen[str]) -> str:
    said, errors = running.communicate(timeout=100)
    assert running.returncode == 0, errors
    return said


def is_waited_for(path: Path) -> bool:
    """Whether a process is kept waiting for a lock on it (proc(5), /proc/locks)."""
    inode = path.stat().st_ino
    return any("->" in line and f":{inode} " in line for line in Path("/proc/locks").read_text().splitlines())


def test_a_backup_waits_for_one_that_is_being_made(job: BackupJob) -> None:
    """Which has no manifest yet, and would be taken for one that was broken off."""
    being_made = job.folder / "20260104T000000Z"
    being_made.mkdir()
    with (job.folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = job.begin()
        until = time.monotonic() + 60
        while not is_waited_for(job.folder / ".lock"):
            assert time.monotonic() < until, "nobody waits for the lock"
            assert second.poll() is None, second.communicate()
            time.sleep(0.02)
        assert being_made.is_dir()
        (being_made / "manifest.json").touch()
    ended(second)
    assert len(job.kept()) == 2
    assert being_made.is_dir()


def test_the_newest_whole_backup_or_a_named_one_is_restored(job: BackupJob) -> None:
    """Not one that was broken off after it."""
    name = "20260104T000000Z"
    assert edge.main(["store", "backup", str(job.folder / name), "--store", job.store]) == 0
    with contextlib.closing(open_store(job.store)) as store:
        store.save(Table.ENB, "later", b"x", expect=None, writer="w")
    ended(job.begin())
    newest = job.kept()[-1]
    (job.folder / "29991231T000000Z").mkdir()
    patches = yaml.safe_load((ROOT / "k8s/restore.yaml").read_text())
    (command,) = (each["value"] for each in patches if each["path"].endswith("/command"))
    *shell, script = command
    said = restored(job, [*shell, script], "newest", 2)
    assert said.startswith("".join(f"{one}/manifest.json\n" for one in (name, newest)))
    assert f"restoring {newest} " in said
    assert "BACKUP= " in script
    assert f"restoring {name} " in restored(job, [*shell, script.replace("BACKUP= ", f"BACKUP={name} ")], "named", 1)


def restored(job: BackupJob, command: list[str], name: str, rows: int) -> str:
    """Into a file of its own, as into the keyspace that STORE_URL is changed to.  Out: what was said."""
    said = ended(replace(job, store=f"sqlite:///{job.folder.parent}/{name}.db").begin(command))
    assert f"{rows} rows restored" in said
    return said


def restore_on(url: str, keyspace: str) -> subprocess.CompletedProcess[str]:
    """k8s/restore.yaml's command where STORE_URL is this, with a stand-in of `edge` that says what it is to do."""
    patches = yaml.safe_load((ROOT / "k8s/restore.yaml").read_text())
    (command,) = (each["value"] for each in patches if each["path"].endswith("/command"))
    assert "KEYSPACE=restored " in command[-1]
    script = command[-1].replace("KEYSPACE=restored ", f"KEYSPACE={keyspace} ").replace("cd /backups", "ls() { :; }")
    argv = ["/bin/sh", "-euc", f'edge() {{ echo "$*"; [ "$2" != status ]; }}\n{script}']
    return subprocess.run(argv, env={"STORE_URL": url}, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("keyspace", ["restored", "edge"])
@pytest.mark.parametrize(
    ("url", "changed"),
    [
        ("cassandra://cassandra.edge:9042/edge?rf=3&dc=dc1", "cassandra://cassandra.edge:9042/{}?rf=3&dc=dc1"),
        ("cassandra://cassandra.edge:9042/lab?rf=1", "cassandra://cassandra.edge:9042/{}?rf=1"),
        ("cassandra://db1.example,db2.example/edge", "cassandra://db1.example,db2.example/{}"),
        ("cassandra://db1.example:9042/mme?ca_file=/edge/ca", "cassandra://db1.example:9042/{}?ca_file=/edge/ca"),
        ("cassandra://db1.example:9042?rf=1", "cassandra://db1.example:9042/{}?rf=1"),
    ],
)
def test_a_restore_goes_into_a_keyspace_beside_what_runs_or_after_a_loss_into_that_one(
    url: str, changed: str, keyspace: str
) -> None:
    done = restore_on(url, keyspace)
    assert done.returncode == 0, done.stderr
    stores = {line.partition(" --store ")[2] for line in done.stdout.splitlines() if line.startswith("store ")}
    assert stores == {changed.format(keyspace)}
    assert "\nstore restore " in done.stdout


def test_a_restore_into_no_keyspace_of_its_own_is_refused() -> None:
    done = restore_on("cassandra:///edge", "restored")
    assert done.returncode == 1
    assert "store restore" not in done.stdout
    assert "nothing is restored" in done.stdout


@pytest.mark.parametrize(
    ("status", "migrate", "restored", "asked"),
    [(0, 1, True, 0), (1, 0, True, 1), (1, 1, False, 60)],
    ids=["tables are there, a login that may not make them", "no tables", "no tables, and none to be made"],
)
def test_a_restore_makes_the_tables_where_they_are_missing_and_does_not_try_for_ever(
    status: int, migrate: int, restored: bool, asked: int
) -> None:
    patches = yaml.safe_load((ROOT / "k8s/restore.yaml").read_text())
    (command,) = (each["value"] for each in patches if each["path"].endswith("/command"))
    script = command[-1].replace("cd /backups", "ls() { :; }; sleep() { :; }")
    edge = f'edge() {{ echo "$*"; case $2 in status) return {status};; migrate) return {migrate};; esac; }}'
    argv = ["timeout", "30", "/bin/sh", "-euc", f"{edge}\n{script}"]
    store = "cassandra://db.example:9042/edge?user=edge"
    done = subprocess.run(argv, env={**os.environ, "STORE_URL": store}, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is restored
    assert done.stdout.count("store migrate ") == asked
    assert ("store restore " in done.stdout) is restored


def test_a_restore_is_tried_once(default: list[Manifest]) -> None:
    """What it has left when it broke off would be refused as not empty, and that would be what its log says."""
    spec = named(default, "CronJob", "edge-backup")["spec"]["jobTemplate"]["spec"]
    patches = {each["path"]: each for each in yaml.safe_load((ROOT / "k8s/restore.yaml").read_text())}
    once = patches["/spec/backoffLimit"]
    assert once["value"] == 0
    assert once["op"] == "replace"  # which needs what is replaced
    assert spec["backoffLimit"] > 0


def test_backups_are_whole_and_the_oldest_go(job: BackupJob) -> None:
    """What was broken off goes, and never counts."""
    backups = job.folder
    for name in ("20260101T000000Z", "20260102T000000Z", "20260103T000000Z"):
        (backups / name).mkdir(parents=True)
        (backups / name / "manifest.json").touch()
    (backups / "20260104T000000Z").mkdir()
    ended(job.begin())
    old, new = job.kept()
    assert old == "20260103T000000Z"
    assert (backups / new / "manifest.json").stat().st_size > 0
