"""docs/operations.md, Replace a login of a registry or of S3: no placement is refused meanwhile."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from durable.opening import open_store
from laptop.site import Site
from localfaas.process import Running, running
from placement.cluster import Cluster
from placement.inventory import Clusters
from placement.tables import TABLES
from tests.charts.rendering import helm_binary
from tests.lab.documented import OPERATIONS, Shell, block
from tests.lab.placing import stack_file
from tests.placement import fake_cluster, fake_registry, fake_s3
from trust import signing
from trust.secrets import SIGNING_KEY, read_secret
from trust.signing import Signed, Way

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

CALLER = "operator/alice"
REPLICAS = 2
WITHIN_S = 150


class Load:
    """Placements of a release for each replica, each with values of its own, until it is told to stop."""

    def __init__(self, gateway: Running, key: bytes, chart: str) -> None:
        self.answers: list[tuple[str, str]] = []
        self._gateway, self._key, self._chart = gateway, key, chart
        self._ended: Counter[str] = Counter()
        self._change = threading.Condition()
        self._stop = False
        names = [f"upf-{number}" for number in range(REPLICAS)]
        self._threads = {name: threading.Thread(target=self._run, args=(name,)) for name in names}

    def __enter__(self) -> Load:
        for thread in self._threads.values():
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        for thread in self._threads.values():
            thread.join()

    def go_on(self, calls: int) -> None:
        """Until each release has had so many placements more that have begun since."""
        with self._change:
            # The first one to end may have begun before.
            wanted = {name: self._ended[name] + calls + 1 for name in self._threads}
            enough = self._change.wait_for(
                lambda: all(self._ended[name] >= wanted[name] for name in wanted), timeout=WITHIN_S
            )
        assert enough, f"{self._ended} of {wanted}: {self.answers[-4:]}"

    def _run(self, release: str) -> None:
        number = 0
        while not self._stop:
            number += 1
            answer = self.place(release, number)
            with self._change:
                self.answers.append((answer["status"], (answer.get("error") or {}).get("code", "")))
                self._ended[release] += 1
                self._change.notify_all()

    def place(self, release: str, number: int) -> dict[str, Any]:
        request = {
            "id": f"{release}-{number}",
            "function_name": release,
            "run_namespace": "lab",
            "cluster": "a",
            "chart_repository": self._chart,
            "chart_version": "1.0.0",
            "values_yaml_file": "s3://values/upf.yaml",
            "values": {"tac": str(number)},
        }
        body = json.dumps(request).encode()
        deadline = time.monotonic() + WITHIN_S
        while True:
            signed = Signed(CALLER, str(int(time.time())), Way.UP, "placement", "", body)
            headers = signing.headers(signing.derive_key(self._key, CALLER), signed)
            response = self._gateway.invoke("placement", body, headers=headers)
            # A machine too busy for a call within exec_timeout is no fault of a login: its caller tries again.
            is_over = response.status < 500 and json.loads(response.body)["status"] != "progressing"
            if is_over or time.monotonic() > deadline:
                answer: dict[str, Any] = json.loads(response.body)
                return answer


def test_no_placement_is_refused_while_the_logins_of_registry_and_s3_are_replaced(tmp_path: Path) -> None:
    helm = helm_binary()
    site = Site(tmp_path / "site")
    site.provision(1)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with fake_registry.running() as registry, fake_s3.running() as s3, fake_cluster.running() as [cluster]:
        registry.logins = {("edge", "first-of-the-registry")}
        s3.logins = {"edge": "first-of-s3"}
        s3.objects["/values/upf.yaml"] = b"cpu: 50m\n"
        grant = {"locations": ["*"], "namespaces": ["lab"], "repositories": ["*"]}
        first = {
            "registries": [
                {"host": registry.host, "plain_http": True, "username": "edge", "password": "first-of-the-registry"}
            ],
            "s3": {"endpoint": s3.endpoint, "access_key": "edge", "secret_key": "first-of-s3"},
        }
        (site.secrets / "placement-policy").write_text(json.dumps({"callers": {CALLER: grant}}))
        (site.secrets / "placement-credentials").write_text(json.dumps(first))
        (site.secrets / "edge-kubeconfigs").write_text(cluster.kubeconfig)
        store = open_store(site.store_url, TABLES)
        Clusters(store).put(Cluster("a", "berlin"))
        store.close()
        environment = {
            "store_url": site.store_url,
            "helm_binary": helm,
            "helm_timeout_s": "10",  # a loaded machine is no fault of the function
            "TMPDIR": str(temporary),
        }
        with running(
            stack_file(tmp_path / "stack", ["placement"]),
            env=environment,
            replicas={"placement": REPLICAS},
            secrets_dir=site.secrets,
        ) as gateway:
            key = read_secret(SIGNING_KEY, site.secrets)
            with Load(gateway, key, registry.oci()) as load:
                load.go_on(1)
                assert (set(registry.used), set(s3.used)) == ({"edge"}, {"edge"}), load.answers
                # The second login beside the first, and the functions' secret by the page's commands.
                registry.logins = {*registry.logins, ("edge-2", "second of the registry")}
                s3.logins = {**s3.logins, "edge-2": "second/of+s3"}
                gateway.manage(
                    "PUT", "/system/secrets", {"name": "placement-credentials", "value": told(site, registry, s3)}
                )
                load.go_on(1)
                # No call that has begun before is under way any more: the first is taken away.
                registry.logins = {("edge-2", "second of the registry")}
                s3.logins = {"edge-2": "second/of+s3"}
                before = registry.used["edge-2"], s3.used["edge-2"]
                load.go_on(3)
                assert registry.used["edge-2"] > before[0]
                assert s3.used["edge-2"] > before[1]
            assert [answer for answer in load.answers if answer not in (("ready", ""), ("deployed", ""))] == []
            assert (registry.refused, s3.refused) == (0, 0)
            # A policy that grants nobody anything counts as soon.
            gateway.manage("PUT", "/system/secrets", {"name": "placement-policy", "value": "callers: {}"})
            assert load.place("upf-0", 0)["error"]["code"] == "not_allowed"


def told(site: Site, registry: fake_registry.FakeRegistry, s3: fake_s3.FakeS3) -> str:
    """What `faas-cli secret update` hands over of the file that the page's command writes."""
    (site.folder / "keys").symlink_to(site.secrets)
    (site.secrets / "registry-password-2").write_text("second of the registry")
    (site.secrets / "s3-secret-key-2").write_text("second/of+s3\n")
    here = {
        '"registry.example:5000"': f'"{registry.host}", plain_http: true',
        '"https://s3.example"': f'"{s3.endpoint}"',
    }
    Shell(site.folder, dict(os.environ)).run(block(OPERATIONS, "cat > keys/placement-credentials"), here)
    written = site.secrets / "placement-credentials"
    return written.read_text().strip()


def test_the_s3_servers_signatures_are_those_of_its_reference() -> None:
    """Its example "GET Object"."""
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    signed = {
        "host": "examplebucket.s3.amazonaws.com",
        "range": "bytes=0-9",
        "x-amz-content-sha256": empty,
        "x-amz-date": "20130524T000000Z",
    }
    secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    made = fake_s3.signature(secret_key, "20130524/us-east-1/s3/aws4_request", "GET", "/test.txt", signed)
    assert made == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
