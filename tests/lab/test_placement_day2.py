"""Day 2: one value changes in S3 and the same placement call is made again, on real daemons that must not be replaced.

kubelet runs with its default sync period.  The other way to the same pods, config-reload, is in test_reload.py.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from reload import bundle
from tests.lab import artefacts, images, oci
from tests.lab.figures import told
from tests.lab.kubectl import eventually
from tests.lab.nginx import ASK, conf, wrapped
from tests.lab.placing import ROOT, Placing, push

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]
TRIES = 10
COREDNS = """\
.:5353 {{
  reload 2s 1s
  template ANY ANY {{
    answer "{{{{ .Name }}}} 1 IN TXT tac={tac}"
  }}
}}
"""
ASK_DNS = """
import socket
question = bytes.fromhex("000101000001000000000000") + b"\\x03tac\\x00" + bytes.fromhex("00100001")
with socket.create_connection(("127.0.0.1", 5353), 5) as stream:
    stream.sendall(len(question).to_bytes(2, "big") + question)
    print(stream.recv(1000)[2:].partition(b"tac=")[2].decode())
"""
HOLD = """
import http.client, sys, time
held = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
held.connect()
held.auto_open = 0  # a lost connection is an error, and not opened anew
first = None
until = time.monotonic() + 90
while time.monotonic() < until:
    held.request("GET", "/")
    text = held.getresponse().read().decode()
    if first is None:
        first = text
        print("held", text, flush=True)
    if text == sys.argv[2]:
        print("now", text, flush=True)
        break
    time.sleep(0.05)
"""


@pytest.fixture(scope="module")
def nginx(placing: Placing) -> str:
    """See tests/lab/nginx.py; and the chart that it is placed from."""
    push(placing, ROOT / "charts/network-function")
    return wrapped(placing.around.registry)


@pytest.fixture(scope="module")
def greeter(placing: Placing, nginx: str) -> str:
    """A small daemon that reads its directory on SIGHUP, or watches it."""
    files: dict[str, str | bytes | Path] = {
        "/usr/local/bin/auto-reload": bundle.bundle(),
        "/opt/daemon.py": ROOT / "tests/reload/agent/daemon.py",
    }
    return oci.push(images.build("greeter", files=files), placing.around.registry)


@pytest.fixture(scope="module")
def coredns(placing: Placing, nginx: str) -> str:
    """A real daemon that reads its file again by itself, every two seconds."""
    artefacts.provide((artefacts.COREDNS,))
    files: dict[str, str | bytes | Path] = {
        "/usr/local/bin/auto-reload": bundle.bundle(),
        "/coredns": artefacts.program(artefacts.COREDNS, "coredns"),
    }
    return oci.push(images.build("coredns-under-reload", files=files), placing.around.registry)


def values(reference: str, policy: str, command: list[str], files: dict[str, str], **reload: Any) -> dict[str, Any]:
    repository, _, tag = reference.rpartition(":")
    return {
        "image": {"repository": repository, "tag": tag, "pullPolicy": "Always"},
        "command": command,
        "config": {"files": files},
        # Roles are what the account on the target may not make: docs/placement.md.
        "reload": {"mode": "wrapper", "policy": policy, "eventsRole": False, **reload},
        "podSecurityContext": {"runAsNonRoot": True, "runAsUser": 33, "runAsGroup": 33},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
    }


def slice_text(tac: int, sst: int, sd: str) -> str:
    return f"tac={tac} s-nssai={sst}-{sd}"


def nginx_values(reference: str, policy: str, tac: int, sd: str = "000001") -> dict[str, Any]:
    return values(
        reference,
        policy,
        ["nginx", "-c", "/etc/nf/nginx.conf", "-g", "daemon off;"],
        {"nginx.conf": conf(slice_text(tac, 1, sd))},
        checks=["nginx -t -q -c {dir}/nginx.conf"],
    )


def greeting(reference: str, policy: str, text: str) -> dict[str, Any]:
    command = ["python3", "/opt/daemon.py", "/etc/nf", "/tmp/daemon.log"]  # noqa: S108  in a container of its own
    command += ["watch"] if policy == "none" else []
    files = {"app.conf": f"greeting={text}\nport=8080\n"}
    return values(reference, policy, command, files, checks=["grep -q greeting {dir}/app.conf"])


class Release:
    """One release of charts/network-function on edge-a, its values in S3."""

    def __init__(self, placing: Placing, name: str) -> None:
        self.placing, self.name = placing, name

    def place(self, given: dict[str, Any], key: str = "values.yaml") -> dict[str, Any]:
        """Write the values file and make the placement call, the same one every time."""
        url = self.placing.put(f"{self.name}/{key}", yaml.safe_dump(given))
        return self.placing.call(
            self.name,
            cluster="edge-a",
            chart_repository=self.placing.chart("network-function"),
            chart_version="0.1.0",
            values=None,
            values_yaml_file=url,
            wait=True,
        )

    def status(self) -> dict[str, Any]:
        return self.placing.call(
            self.name, action="status", cluster="edge-a", chart_repository=None, chart_version=None
        )

    def pod(self) -> dict[str, Any]:
        labels = f"app.kubernetes.io/instance={self.name}"
        (found,) = self.placing.around.a.get("pods", namespace=self.placing.namespace, labels=labels)["items"]
        pod: dict[str, Any] = found
        return pod

    def state(self) -> tuple[str, dict[str, int]]:
        """The pod's uid, and restartCount by container."""
        pod = self.pod()
        return pod["metadata"]["uid"], {c["name"]: c["restartCount"] for c in pod["status"]["containerStatuses"]}

    def asked(self, question: str = ASK) -> str:
        """What the daemon answers, asked from within its pod."""
        name, namespace = self.pod()["metadata"]["name"], self.placing.namespace
        words = ("-n", namespace, name, "-c", "daemon", "--", "python3", "-c", question)
        return self.placing.around.a.kubectl("exec", *words).strip()

    def config(self) -> dict[str, str]:
        data: dict[str, str] = self.placing.around.a.get(
            "configmap", f"{self.name}-config", namespace=self.placing.namespace
        )["data"]
        return data

    def events(self) -> set[str]:
        """Reasons of the Kubernetes events about its pods."""
        found = self.placing.around.a.get("events", namespace=self.placing.namespace)["items"]
        return {event["reason"] for event in found if event["involvedObject"]["name"].startswith(self.name)}

    @contextmanager
    def holding(self, container: str, port: int, last: str) -> Iterator[subprocess.Popen[str]]:
        """A connection within the pod that is opened once, and lives until it is told `last`."""
        argv = self.placing.around.a.argv("-n", self.placing.namespace, "exec", self.pod()["metadata"]["name"])
        argv += ["-c", container, "--", "python3", "-u", "-c", HOLD, str(port), last]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as held:
            yield held


@pytest.fixture
def release(placing: Placing, request: pytest.FixtureRequest) -> Iterator[Release]:
    made = Release(placing, f"day2-{abs(hash(request.node.name)) % 100_000}")
    yield made
    placing.remove(made.name)
    assert placing.left_over() == []


@pytest.mark.parametrize("policy", ["signal", "restart"])
def test_ten_changed_values_reach_the_daemon_in_seconds_and_its_pod_stays(
    release: Release, nginx: str, policy: str, record_property: Callable[[str, object], None]
) -> None:
    first = release.place(nginx_values(nginx, policy, 7))
    assert first["status"] == "ready", first
    before, times, bare = release.state(), [], []
    assert release.asked() == "tac=7 s-nssai=1-000001"
    for number in range(TRIES):
        tac, sd = 100 + number, f"{number:06x}"
        begun = time.monotonic()
        answer = release.place(nginx_values(nginx, policy, tac, sd), "values-test.yaml")
        times.append(round(time.monotonic() - begun, 2))
        assert (answer["status"], answer["revision"], answer["error"]) == ("ready", number + 2, None), answer
        assert f"tac={tac} s-nssai=1-{sd}" in release.config()["nginx.conf"]
        assert release.asked() == f"tac={tac} s-nssai=1-{sd}"
        bare.append(release.placing.bare_helm("day2-bare"))
    assert release.state() == before
    told(f"day 2 {policy}", record_property, placement_s=times, bare_helm_s=bare)
    release.placing.bare_uninstall("day2-bare")
    assert statistics.median(times) <= 3.0


def test_a_daemon_that_reloads_by_itself_under_policy_none(release: Release, coredns: str) -> None:
    def given(tac: int) -> dict[str, Any]:
        command = ["/coredns", "-conf", "/etc/nf/Corefile"]
        return values(coredns, "none", command, {"Corefile": COREDNS.format(tac=tac)})

    assert release.place(given(7))["status"] == "ready"
    before = release.state()
    eventually(lambda: release.asked(ASK_DNS) == "7", "coredns's first answer", within_s=30)
    answer = release.place(given(8), "values-test.yaml")
    assert (answer["status"], answer["error"]) == ("ready", None), answer
    eventually(lambda: release.asked(ASK_DNS) == "8", "coredns's own reload", within_s=30)
    assert release.state() == before


@pytest.mark.parametrize("policy", ["none", "signal"])
def test_an_open_connection_lives_on(release: Release, greeter: str, policy: str) -> None:
    assert release.place(greeting(greeter, policy, "one"))["status"] == "ready"
    before = release.state()
    with release.holding("daemon", 8080, "two") as held:
        assert held.stdout is not None
        assert held.stdout.readline() == "held one\n"
        answer = release.place(greeting(greeter, policy, "two"), "values-test.yaml")
        assert (answer["status"], answer["error"]) == ("ready", None), answer
        assert held.stdout.readline() == "now two\n"
        assert held.wait(60) == 0
    assert release.state() == before


def test_a_restart_is_the_daemons_alone_and_another_containers_connection_lives_on(
    release: Release, greeter: str, nginx: str
) -> None:
    script = "import pathlib; p = pathlib.Path('/tmp/c'); p.mkdir(); "
    script += "(p / 'app.conf').write_text('greeting=beside\\nport=9090')"
    beside = {"name": "beside", "image": greeter, "command": ["sh", "-c"]}
    beside["args"] = [f'python3 -c "{script}"; exec python3 /opt/daemon.py /tmp/c /tmp/log']

    def given(tac: int) -> dict[str, Any]:
        return {**nginx_values(nginx, "restart", tac), "containers": [beside]}

    assert release.place(given(7))["status"] == "ready"
    before = release.state()
    assert set(before[1]) == {"daemon", "beside"}
    process = release.asked("import os; print(sorted(p for p in os.listdir('/proc') if p.isdigit())[:3])")
    with release.holding("beside", 9090, "after") as held:
        assert held.stdout is not None
        assert held.stdout.readline() == "held beside\n"
        answer = release.place(given(8), "values-test.yaml")
        assert (answer["status"], answer["error"]) == ("ready", None), answer
        assert release.asked().startswith("tac=8 ")
        hup = "printf 'greeting=after\\nport=9090' > /tmp/c/app.conf; kill -HUP 1"
        name = release.pod()["metadata"]["name"]
        words = ("-n", release.placing.namespace, name, "-c", "beside", "--", "sh", "-c", hup)
        release.placing.around.a.kubectl("exec", *words)
        assert held.stdout.readline() == "now after\n"  # on the connection that was opened before the restart
        assert held.wait(60) == 0
    assert release.state() == before
    assert release.asked("import os; print(sorted(p for p in os.listdir('/proc') if p.isdigit())[:3])") != process


def test_a_broken_value_is_told_and_the_daemon_keeps_its_last_good_file(release: Release, nginx: str) -> None:
    assert release.place(nginx_values(nginx, "signal", 7))["status"] == "ready"
    before = release.state()
    broken = nginx_values(nginx, "signal", 8)
    broken["config"]["files"]["nginx.conf"] = conf(slice_text(8, 1, "1")).replace("return", "retrun")
    answer = release.place(broken, "values-test.yaml")
    assert (answer["status"], answer["error"]["code"]) == ("failed", "config_rejected"), answer
    assert "retrun" in answer["error"]["message"]
    assert "last good configuration" in answer["error"]["message"]
    asked = release.status()
    assert (asked["status"], asked["error"]["code"]) == ("failed", "config_rejected"), asked
    assert release.asked() == "tac=7 s-nssai=1-000001"
    assert release.state() == before
    mended = release.place(nginx_values(nginx, "signal", 9), "values-test.yaml")
    assert (mended["status"], mended["error"]) == ("ready", None), mended
    asked = release.status()
    assert (asked["status"], asked["error"], asked["drift"]) == ("ready", None, []), asked
    assert release.asked().startswith("tac=9 ")
    assert release.state() == before
    eventually(
        lambda: {"ConfigApplied", "ConfigRejected"} <= release.events(),
        "events of a pod that placement's account has put there",
        within_s=30,
    )


def test_config_reload_changes_what_was_placed_by_the_same_account(release: Release, nginx: str) -> None:
    placing = release.placing
    assert release.place(nginx_values(nginx, "signal", 7))["status"] == "ready"
    before = release.state()
    changed = {"nginx.conf": conf(slice_text(11, 2, "00000b"))}
    call = {"cluster": "edge-a", "namespace": placing.namespace, "release": release.name, "files": changed}
    answer = placing.post("config-reload", call)
    assert (answer["status"], answer["applied"], answer["of"]) == ("applied", 1, 1), answer
    assert release.asked() == "tac=11 s-nssai=2-00000b"
    assert release.state() == before
    drift = release.status()
    assert f"ConfigMap/{release.name}-config: data.nginx.conf differs" in drift["drift"]
    assert "tac=11" not in json.dumps(drift)
