"""Day 2 on a real cluster: kubelet at its default sync period, real nginx, config-reload as its callers call it."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from durable.callbacks import HttpCallbacks
from durable.journal import Journal
from durable.sqlite import SqliteStore
from reload import bundle
from reload.function import Function
from reload.policy import Clusters
from reload.tables import TABLES, Table
from reload.waits import Wait, Waits
from tests.lab import artefacts, images, oci
from tests.lab.kubectl import eventually
from tests.lab.nginx import ASK, conf, wrapped
from tests.lab.run import run
from tests.lab.site import Site
from trust import signing
from trust.access import Access
from trust.signing import Signed, Way

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]
ROOT = Path(__file__).resolve().parents[2]
MASTER = bytes(range(32))
CALLER = "operator/lab"


@dataclass
class Call:
    """What the template hands over."""

    body: bytes
    headers: Mapping[str, str]
    method: str = "POST"


class Release:
    """A release of charts/network-function, and config-reload with a kubeconfig of the lab."""

    def __init__(self, site: Site, namespace: str, secrets: Path) -> None:
        self.site, self.namespace = site, namespace
        text = site.a.kubeconfig.read_text()
        parsed = yaml.safe_load(text)
        for context in parsed["contexts"]:
            if context["name"] == parsed["current-context"]:
                context["name"] = "edge-a"
        parsed["current-context"] = "edge-a"
        (secrets / "edge-kubeconfigs").write_text(yaml.safe_dump(parsed))
        policy = {"callers": {CALLER: {"clusters": ["edge-a"], "namespaces": [namespace]}}}
        (secrets / "reload-policy").write_text(json.dumps(policy))
        access, clusters = Access(MASTER, "", 180), Clusters(secrets)
        journal = Journal(SqliteStore(secrets.parent / "reload.db", TABLES), Table.WAIT, Wait)
        waits = Waits(journal, clusters, HttpCallbacks("config-reload", access))
        self.function = Function("config-reload", access, clusters, waits)

    def install(self, name: str, values: dict[str, Any]) -> None:
        argv: list[str | Path] = [self.site.helm, f"--kubeconfig={self.site.a.kubeconfig}", "-n", self.namespace]
        argv += ["upgrade", "--install", name, ROOT / "charts/network-function", "-f", "-", "--wait", "--timeout=120s"]
        run(argv, stdin=json.dumps(values), timeout_s=150)

    def call(self, release: str, **request: object) -> dict[str, Any]:
        body = json.dumps({"cluster": "edge-a", "namespace": self.namespace, "release": release, **request}).encode()
        signed = Signed(CALLER, str(int(time.time())), Way.UP, "config-reload", "", body)
        headers = signing.headers(signing.derive_key(MASTER, CALLER), signed)
        answered, _, _ = self.function.handle(Call(body, headers))
        answer: dict[str, Any] = json.loads(answered)
        return answer

    def pod(self, release: str) -> dict[str, Any]:
        labels = f"app.kubernetes.io/instance={release}"
        (found,) = self.site.a.get("pods", namespace=self.namespace, labels=labels)["items"]
        pod: dict[str, Any] = found
        return pod

    def state(self, release: str) -> tuple[str, dict[str, int]]:
        """The pod's uid, and restartCount by container."""
        pod = self.pod(release)
        counts = {c["name"]: c["restartCount"] for c in pod["status"]["containerStatuses"]}
        return pod["metadata"]["uid"], counts

    def served(self, release: str) -> str:
        """What the daemon answers, asked from within its pod."""
        name = self.pod(release)["metadata"]["name"]
        return self.site.a.exec(name, "python3", "-c", ASK, namespace=self.namespace).strip()


@pytest.fixture
def release(site: Site, namespace: str, tmp_path: Path) -> Release:
    return Release(site, namespace, tmp_path)


@pytest.fixture(scope="session")
def nginx(site: Site) -> str:
    return wrapped(site.registry)


def values(reference: str, policy: str, **reload: object) -> dict[str, Any]:
    repository, _, tag = reference.rpartition(":")
    return {
        "image": {"repository": repository, "tag": tag, "pullPolicy": "Always"},
        "command": ["nginx", "-c", "/etc/nf/nginx.conf", "-g", "daemon off;"],
        "config": {"files": {"nginx.conf": conf("7")}},
        "reload": {"mode": "wrapper", "policy": policy, "checks": ["nginx -t -q -c {dir}/nginx.conf"], **reload},
        "ports": [{"name": "http", "port": 8080}],
        "podSecurityContext": {"runAsNonRoot": True, "runAsUser": 33, "runAsGroup": 33},
    }


@pytest.mark.parametrize("policy", ["signal", "restart"])
def test_ten_changes_reach_the_daemon_in_seconds_and_its_pod_stays(
    release: Release, nginx: str, policy: str, record_property: Callable[[str, object], None]
) -> None:
    release.install("nf", values(nginx, policy))
    before = release.state("nf")
    times = []
    for tac in range(100, 110):
        answer = release.call("nf", files={"nginx.conf": conf(str(tac))})
        assert (answer["status"], answer["applied"], answer["of"]) == ("applied", 1, 1), answer
        assert release.served("nf") == str(tac)
        times.append(answer["time_taken_s"])
    assert release.state("nf") == before
    record_property("seconds", times)
    sys.stderr.write(f"\n{policy}: p50 {statistics.median(times):.2f} s, all {times}\n")
    assert statistics.median(times) <= 3.0


def test_a_broken_value_is_told_and_the_daemon_serves_on(release: Release, nginx: str) -> None:
    release.install("nf", values(nginx, "signal"))
    before = release.state("nf")
    answer = release.call("nf", files={"nginx.conf": conf("8").replace("return", "retrun")})
    assert answer["error"]["code"] == "candidate_rejected", answer
    assert "retrun" in answer["error"]["message"]
    assert release.served("nf") == "7"
    assert release.call("nf", action="rollback")["status"] == "applied"
    events = release.site.a.get("events", namespace=release.namespace)["items"]
    assert {"ConfigApplied", "ConfigRejected"} <= {event["reason"] for event in events}
    assert release.state("nf") == before


HOLD = """
import http.client, time
held = http.client.HTTPConnection("127.0.0.1", 8080, timeout=60)
held.connect()
held.auto_open = 0  # a lost connection is an error, and not opened anew
until = time.monotonic() + 60
first = None
while time.monotonic() < until:
    held.request("GET", "/")
    text = held.getresponse().read().decode()
    if first is None:
        first = text
        print("held", text, flush=True)
    if text != first:
        print("now", text, flush=True)
        break
    time.sleep(0.05)
"""


@pytest.mark.parametrize("policy", ["none", "signal"])
def test_an_open_connection_lives_on(release: Release, site: Site, policy: str) -> None:
    """A small daemon: under `none` it watches its directory by itself, under `signal` it reads it on SIGHUP."""
    program = bundle.bundle()
    files: dict[str, str | bytes | Path] = {
        "/usr/local/bin/auto-reload": program,
        "/opt/daemon.py": ROOT / "tests/reload/agent/daemon.py",
    }
    reference = oci.push(images.build("greeter", files=files), site.registry)
    given = values(reference, policy, checks=["grep -q greeting {dir}/app.conf"])
    given["command"] = ["python3", "/opt/daemon.py", "/etc/nf", "/tmp/daemon.log"]  # noqa: S108  in a container of its own
    given["command"] += ["watch"] if policy == "none" else []
    given["config"]["files"] = {"app.conf": "greeting=one\nport=8080\n"}
    release.install("nf", given)
    before = release.state("nf")
    name = release.pod("nf")["metadata"]["name"]
    kubectl = artefacts.program(artefacts.KUBERNETES, "kubectl")
    argv = [kubectl, f"--kubeconfig={site.a.kubeconfig}", "-n", release.namespace, "exec", name, "--"]
    with subprocess.Popen([*argv, "python3", "-u", "-c", HOLD], stdout=subprocess.PIPE, text=True) as holding:
        assert holding.stdout is not None
        assert holding.stdout.readline() == "held one\n"
        answer = release.call("nf", files={"app.conf": "greeting=two\nport=8080\n"})
        assert (answer["status"], answer["applied"]) == ("applied", 1), answer
        assert holding.stdout.readline() == "now two\n"
        assert holding.wait(60) == 0
    assert release.state("nf") == before


def test_a_sidecar_does_it_for_an_image_that_cannot_be_changed(release: Release, nginx: str) -> None:
    plain = nginx.rpartition(":")[0]
    base = images.nginx()
    reload = {
        "mode": "sidecar",
        "checks": ["nginx -t -q -c {dir}/nginx.conf"],
        "sidecar": {"image": nginx, "targetName": "nginx"},
    }
    given = values(f"{plain}:{base.tag()}", "signal", **reload)
    release.install("nf", given)
    before = release.state("nf")
    answer = release.call("nf", files={"nginx.conf": conf("11")})
    assert (answer["status"], answer["applied"]) == ("applied", 1), answer
    assert release.served("nf") == "11"
    assert release.state("nf") == before


def test_what_kubelet_mounts_by_subpath_is_refused(site: Site, namespace: str, nginx: str) -> None:
    """The three ways to do it (kubernetes/kubernetes#50345): one file, one file in a directory, a whole directory."""
    shapes = {
        "file": ("/etc/nf/nginx.conf", "nginx.conf", "/etc/nf/nginx.conf"),
        "within": ("/etc/nf/nginx.conf", "nginx.conf", "/etc/nf"),
        "directory": ("/etc/nf", "conf", "/etc/nf"),
    }
    containers = []
    for name, (point, inside, directory) in shapes.items():
        arguments = [f"--config={directory}", "--effective=/tmp/effective", "--policy=signal"]
        containers.append(
            {
                "name": name,
                "image": nginx,
                "imagePullPolicy": "Always",
                "command": ["auto-reload", *arguments, "--", "nginx", "-g", "daemon off;"],
                "volumeMounts": [{"name": "config", "mountPath": point, "subPath": inside}],
            }
        )
    items = [{"key": "nginx.conf", "path": path} for path in ("nginx.conf", "conf/nginx.conf")]
    volume = {"name": "config", "configMap": {"name": "fixed", "items": items}}
    site.a.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "fixed", "namespace": namespace},
            "data": {"nginx.conf": conf("7")},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "fixed", "namespace": namespace},
            "spec": {"restartPolicy": "Never", "containers": containers, "volumes": [volume]},
        },
    )

    def ends() -> dict[str, int]:
        statuses = site.a.get("pods", "fixed", namespace=namespace)["status"].get("containerStatuses", [])
        return {s["name"]: s["state"]["terminated"]["exitCode"] for s in statuses if "terminated" in s["state"]}

    eventually(lambda: ends() == dict.fromkeys(shapes, 2), "three containers that refuse", within_s=60)
    for name, (point, _, _) in shapes.items():
        (told,) = site.a.kubectl("logs", "fixed", "-c", name, "-n", namespace).splitlines()
        assert f"{point} is" in told, (name, told)
        assert "mounted by subPath: it never changes; mount the whole ConfigMap as a directory" in told, (name, told)
