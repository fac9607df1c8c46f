"""charts/edge-platform's Prometheus and Alertmanager as pods: what they find, which rules they have, whom they tell.

Also under the chart's policies, and whom those keep out.  With real tickers, and stand-ins for a function and the
gateway.  Without Cassandra: a ticker tells its metrics, too, while its store is not to be had.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab import images, oci, platform_images
from tests.lab.documented import ROOT, WALK, block, shell
from tests.lab.errors import LabError
from tests.lab.installed import READY_S, RELEASE, image_values, places
from tests.lab.kubectl import Cluster, eventually
from tests.lab.policies import enforced
from tests.lab.reaching import prober
from tests.lab.site import Site

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

PASSWORD = "of the gateway"
FUNCTION = "mme-enb"
STATEFUL = ("prometheus", "alertmanager")
OPEN_TO_NOBODY_ELSE = {"prometheus": 9090, "alertmanager": 9093, "ticker": 9100, "placement-ticker": 9100}
"""Ports by component, of those who are watched or watch."""
CLAIMS = len(STATEFUL) + 1
"""The third is the backups': the chart has their rules only where it makes them.  No pod takes it before the first."""
# Prints the body of every alert that it is told with its password, "-" of one without.  argv: the name of the function
# of which its metrics, on port 8082, tell ten calls more with each scrape.  A function's are at /metrics on port 8080.
STAND_IN = """
import base64, http.server, itertools, sys, threading

WANTED = "Basic " + base64.b64encode(b"admin:of the gateway").decode()
calls = itertools.count(0, 100)

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        known = self.headers.get("Authorization") == WANTED
        print(body.decode().strip() if known else "-", flush=True)
        self.send_response(200 if known else 401)
        self.end_headers()

    def do_GET(self):
        name = sys.argv[1]
        text = f'gateway_function_invocation_total{{function_name="{name}",code="200"}} {next(calls)}\\n'
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass

for port in (8080, 8082):
    threading.Thread(target=http.server.ThreadingHTTPServer(("", port), Handler).serve_forever).start()
"""


@dataclass(frozen=True)
class Watched:
    """A release.  namespace: its own; gateway, functions: the other two."""

    cluster: Cluster
    namespace: str

    @property
    def gateway(self) -> str:
        return f"{self.namespace}-gateway"

    @property
    def functions(self) -> str:
        return f"{self.namespace}-functions"

    def ask(self, name: str, path: str) -> Any:
        """What Prometheus or Alertmanager answers, by the API server."""
        namespace, port = {"prometheus": (self.namespace, 9090), "alertmanager": (self.gateway, 9093)}[name]
        service = f"/api/v1/namespaces/{namespace}/services/{RELEASE}-{name}:{port}/proxy"
        return json.loads(self.cluster.kubectl("get", "--raw", service + path))

    def scrapes(self) -> dict[tuple[str, str], tuple[str, str]]:
        """By job and pod of each target: what became of its last scrape, and when that began."""
        found = self.ask("prometheus", "/api/v1/targets?state=active")["data"]["activeTargets"]
        return {(one["labels"]["job"], one["labels"]["pod"]): (one["health"], one["lastScrape"]) for one in found}

    def told(self) -> str:
        """When Prometheus told Alertmanager last of the alert that scales the function; "": it has not."""
        name = f"{FUNCTION}.{self.functions}"
        for one in self.ask("alertmanager", "/api/v2/alerts"):
            labels = one["labels"]
            if (labels["alertname"], labels.get("function_name")) == ("FunctionWantsReplicas", name):
                return str(one["updatedAt"])
        return ""

    def passed_on(self) -> list[str]:
        """What the gateway has printed: the body of every alert."""
        return self.cluster.kubectl("-n", self.gateway, "logs", "gateway").splitlines()

    def addresses(self) -> list[tuple[str, int]]:
        """Where the pods of OPEN_TO_NOBODY_ELSE serve."""
        pods = [
            pod
            for namespace in (self.namespace, self.gateway)
            for pod in self.cluster.get("pods", namespace=namespace)["items"]
        ]
        components = [pod["metadata"]["labels"].get("app.kubernetes.io/component") for pod in pods]
        return [
            (pod["status"]["podIP"], OPEN_TO_NOBODY_ELSE[component])
            for pod, component in zip(pods, components, strict=True)
            if component in OPEN_TO_NOBODY_ELSE
        ]


@pytest.fixture(scope="module")
def watched(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watching(site, tmp_path_factory.mktemp("watched")) as one:
        yield one


@contextlib.contextmanager
def watching(site: Site, folder: Path) -> Iterator[Watched]:
    """Install it in namespaces of its own, with the stand-ins; gone when the block ends.  folder: for its files."""
    name, cluster = f"watched-{secrets.token_hex(3)}", site.b
    one = Watched(cluster, name)
    tools, prometheus, alertmanager, debian = (
        oci.push(image, site.registry)
        for image in (platform_images.edge_tools(), images.prometheus(), images.alertmanager(), images.debian())
    )
    storage = {"size": "1Gi", "className": name if site.plan else ""}
    values = {
        "openfaas": {"namespace": one.gateway, "functionNamespace": one.functions},
        "cassandra": {"enabled": False, "backup": {"storage": storage}},
        "store": {"url": "cassandra://nobody.invalid:9042/edge"},
        "migrate": {"enabled": False},
        "monitoring": {
            "prometheus": {"image": image_values(prometheus), "storage": storage},
            "alertmanager": {"image": image_values(alertmanager), "storage": storage},
        },
    }
    (folder / "values.json").write_text(json.dumps(values))
    with places(site, cluster, name, CLAIMS, (one.namespace, one.gateway, one.functions)):
        secret = {"basic-auth-user": "admin", "basic-auth-password": PASSWORD}
        meta = {"name": "basic-auth", "namespace": one.gateway}
        cluster.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": secret},
            *stand_ins(one, debian),
        )
        install(one, site, tools, folder)
        ready(one)
        yield one


def install(one: Watched, site: Site, tools: str, folder: Path) -> None:
    """As k8s/README.md has it, with the values of this folder."""
    command, _ = block(WALK, "helm upgrade --install edge ").splitlines()
    repository, _, tag = tools.rpartition(":")
    here = {
        "registry.example:5000/edge-tools": repository,
        "tools.image.tag=1.0": f"tools.image.tag={tag}",
        "--namespace edge": f"--namespace {one.namespace} -f {folder / 'values.json'}",
    }
    shell(one.cluster, site.helm, folder / "shell").run(command, here)


def ready(one: Watched) -> None:
    """Wait for both, by their readiness probes.  Tickers are not Ready without a store."""
    for name, namespace in (("prometheus", one.namespace), ("alertmanager", one.gateway)):
        words = ("-n", namespace, "rollout", "status", f"statefulset/{RELEASE}-{name}", f"--timeout={READY_S}s")
        one.cluster.kubectl(*words, timeout_s=READY_S + 10)


def stand_ins(one: Watched, image: str) -> list[dict[str, Any]]:
    """A function's pod, and a gateway's with its Service."""
    command = ["python3", "-c", STAND_IN, f"{FUNCTION}.{one.functions}"]
    spec = {
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "main", "image": image, "command": command}],
    }
    places = {"function": (one.functions, {"faas_function": FUNCTION}), "gateway": (one.gateway, {"app": "gateway"})}
    pods: list[dict[str, Any]] = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": spec,
        }
        for name, (namespace, labels) in places.items()
    ]
    ports = {"selector": {"app": "gateway"}, "ports": [{"port": 8080}]}
    meta = {"name": "gateway", "namespace": one.gateway}
    return [*pods, {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": ports}]


def test_both_are_ready_on_claims_of_their_own(watched: Watched) -> None:
    for name, namespace in (("prometheus", watched.namespace), ("alertmanager", watched.gateway)):
        pod = watched.cluster.get("pod", f"{RELEASE}-{name}-0", namespace=namespace)
        assert {c["type"]: c["status"] for c in pod["status"]["conditions"]}["Ready"] == "True"
        claim = watched.cluster.get("pvc", f"data-{RELEASE}-{name}-0", namespace=namespace)
        assert claim["status"]["phase"] == "Bound"
    wanted = [f"http://{RELEASE}-alertmanager.{watched.gateway}:9093/api/v2/alerts"]

    def known() -> bool:
        found = watched.ask("prometheus", "/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
        return [one["url"] for one in found] == wanted

    # Some seconds after its start.
    eventually(known, "Alertmanager to be known to Prometheus", within_s=60)


def test_functions_gateway_and_tickers_are_found_and_scraped(watched: Watched) -> None:
    pods = watched.cluster.get("pods", namespace=watched.namespace)["items"]
    tickers = {
        ("ticker", pod["metadata"]["name"])
        for pod in pods
        if pod["metadata"]["labels"]["app.kubernetes.io/component"] in ("ticker", "placement-ticker")
    }
    assert len(tickers) == 4
    wanted = dict.fromkeys(tickers | {("functions", "function"), ("gateway", "gateway")}, "up")

    def all_up() -> bool:
        seen = {target: health for target, (health, _) in watched.scrapes().items()}
        if seen != wanted:
            raise LabError(f"found are {seen}, wanted {wanted}")
        return True

    eventually(all_up, "every target to be up", within_s=60)
    (function,) = (
        one["labels"]
        for one in watched.ask("prometheus", "/api/v1/targets?state=active")["data"]["activeTargets"]
        if one["labels"]["job"] == "functions"
    )
    assert function["function_name"] == f"{FUNCTION}.{watched.functions}"


def test_every_group_of_rules_is_loaded_and_can_be_evaluated(watched: Watched) -> None:
    files = watched.cluster.get("configmap", f"{RELEASE}-rules", namespace=watched.namespace)["data"]
    written = {
        (group["name"], rule.get("alert") or rule["record"])
        for text in files.values()
        for group in yaml.safe_load(text)["groups"]
        for rule in group["rules"]
    }
    assert files.keys() == {path.name for path in (ROOT / "k8s/monitoring/rules").iterdir()}

    def loaded() -> bool:
        groups = watched.ask("prometheus", "/api/v1/rules")["data"]["groups"]
        rules = [(group["name"], rule["name"], rule["health"]) for group in groups for rule in group["rules"]]
        assert {(group, name) for group, name, _ in rules} == written
        assert [rule for rule in rules if rule[2] == "err"] == []
        unknown = [rule for rule in rules if rule[2] != "ok"]
        if unknown:
            raise LabError(f"not evaluated yet: {unknown}")
        return True

    # A group is evaluated first at some moment of its interval, a minute for the slowest.
    eventually(loaded, "every rule to have been evaluated", within_s=90)


def test_an_alert_that_fires_reaches_alertmanager_and_by_it_the_gateway(watched: Watched) -> None:
    name = f"{FUNCTION}.{watched.functions}"

    eventually(lambda: watched.told() != "", "the alert at Alertmanager", within_s=90)

    def told() -> bool:
        lines = watched.passed_on()
        assert "-" not in lines
        return name in {json.loads(line)["commonLabels"]["function_name"] for line in lines}

    eventually(told, "the alert at the gateway", within_s=60)


def test_policies_refuse_strangers_and_let_it_watch_and_tell(watched: Watched, site: Site) -> None:
    """Enforced by tests/lab/policies.py.  Strangers have the labels of who is let in, in the wrong place, or others."""
    if site.plan is None:
        pytest.skip("LAB_KUBECONFIGS names clusters whose nodes' rules are out of reach")
    labels = {"app.kubernetes.io/name": "edge-platform", "app.kubernetes.io/instance": RELEASE}
    as_prometheus = {**labels, "app.kubernetes.io/component": "prometheus"}
    strangers = {
        "beside-prometheus": (watched.namespace, {"faas_function": FUNCTION}),
        "beside-alertmanager": (watched.gateway, as_prometheus),
        "beside-functions": (watched.functions, as_prometheus),
    }
    image = oci.push(images.debian(), site.registry)
    # Of before, so that what comes after is by the policies: Prometheus tells of an alert that lasts once a minute.
    eventually(lambda: watched.told() != "", "the alert at Alertmanager", within_s=90)
    addresses = watched.addresses()
    assert len(addresses) == len(STATEFUL) + 4
    with contextlib.ExitStack() as stack:
        for name, (namespace, its) in strangers.items():
            stack.callback(watched.cluster.kubectl, "-n", namespace, "delete", "pod", name, "--ignore-not-found")
            watched.cluster.apply(stranger(name, namespace, its, image))
        for name, (namespace, _) in strangers.items():
            watched.cluster.wait("-n", namespace, "--for=condition=Ready", f"pod/{name}", within_s=READY_S)
        ask = [stack.enter_context(prober(watched.cluster, where, name)).ask for name, (where, _) in strangers.items()]

        def reached() -> list[list[str]]:
            return [each(addresses) for each in ask]

        assert reached() == [["open"] * len(addresses)] * len(ask)
        with enforced(watched.cluster) as enforcement:
            enforcement.catch_up()
            assert reached() == [["refused"] * len(addresses)] * len(ask)
            scrapes, told, passed_on = watched.scrapes(), watched.told(), len(watched.passed_on())

            def scraped_again() -> bool:
                now = watched.scrapes()
                assert now.keys() == scrapes.keys()
                down = [target for target, (health, _) in now.items() if health != "up"]
                if down:
                    raise LabError(f"not up: {down}")
                return all(now[target][1] != scrapes[target][1] for target in now)

            eventually(scraped_again, "another scrape of every target", within_s=60)
            # To another Alertmanager: connections that are open stay so, as Kubernetes leaves it to engines.
            watched.cluster.kubectl("-n", watched.gateway, "delete", "pod", f"{RELEASE}-alertmanager-0")
            ready(watched)
            eventually(lambda: watched.told() not in ("", told), "the alert at Alertmanager once more", within_s=120)
            eventually(lambda: len(watched.passed_on()) > passed_on, "the alert at the gateway once more", within_s=60)


def stranger(name: str, namespace: str, labels: dict[str, str], image: str) -> dict[str, Any]:
    """A pod with Python that does nothing by itself."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": image, "command": ["sleep", "infinity"]}],
        },
    }
