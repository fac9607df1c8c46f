"""One cluster with a release `amf`: a fake API server, real agents and real daemons as pods; and config-reload."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from durable.callbacks import HttpCallbacks
from durable.journal import Journal
from durable.sqlite import SqliteStore
from reload.function import Function
from reload.kubernetes_client import from_kubeconfig
from reload.policy import Clusters, Open
from reload.service import Service
from reload.tables import TABLES, Table
from reload.waits import Wait, Waits
from tests.reload.agent.test_run import Pod
from tests.reload.fake_api import FakeApi, Object
from trust import signing
from trust.access import TICKER, Access
from trust.signing import Signed, Way

MASTER = bytes(range(32))
ALICE = "operator/alice"
POLICY = 'callers: {operator/alice: {clusters: ["edge-*", lost, away], namespaces: [core]}}'
AMF = 'amf:\n  # the operator\'s own\n  plmn: {mcc: "001", mnc: "01"}\n  tac: 7   # hex 0x7\n'
FILES = {"app.conf": "greeting=one\n", "amf.yaml": AMF}
LABELS = {"app.kubernetes.io/instance": "amf", "reload.edge/config": "true"}

REFUSED = "retrun password=hunter2 uri=mongodb://amf:hunter3@db\nenable password hunter4\npassphrase: correct horse\n"
_QUOTE = """import sys
text = open(sys.argv[1] + '/app.conf').read()
if 'retrun' in text:
    line = text.splitlines()[0].removeprefix('retrun')
    sys.exit('error: unknown keyword "retrun"' + line + ' alone: hunter4 token=hunter5, no "horse"')
"""
QUOTING = f"{sys.executable} -c {shlex.quote(_QUOTE)} {{dir}}"
"""A check that refuses REFUSED with words of it."""


@dataclass
class Call:
    """What the template hands over."""

    body: bytes
    headers: dict[str, str]
    method: str = "POST"


@dataclass
class Edge:
    """One cluster with a release `amf`, and the function.  ahead_s: how far its clock for waits is before ours."""

    api: FakeApi
    folder: Path
    pods: list[Pod] = field(default_factory=list)
    deaf: set[str] = field(default_factory=set)
    ahead_s: float = 0.0
    store: SqliteStore = field(init=False)
    function: Function = field(init=False)

    def __post_init__(self) -> None:
        self.store = SqliteStore(self.folder / "edge.db", TABLES, clock=self.clock)
        self.use(Service())

    def clock(self) -> float:
        return time.time() + self.ahead_s

    def use(
        self,
        service: Service,
        *,
        connect: Open = from_kubeconfig,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        """A function like the one that was killed, with this service, on the same store."""
        access, clusters = Access(MASTER, "http://127.0.0.1", 180), Clusters(self.folder / "secrets", connect)
        journal = Journal(self.store, Table.WAIT, Wait)
        to = HttpCallbacks("config-reload", access)
        waits = Waits(journal, clusters, to, clock=self.clock, timer=timer)
        self.function = Function("config-reload", access, clusters, waits, service=service)

    def call(
        self, caller: str = ALICE, key: bytes | None = None, callback: str = "", **request: object
    ) -> tuple[int, dict[str, Any]]:
        return self.post(body_of(request), caller, key, callback)

    def signed(self, caller: str = ALICE, **request: object) -> Call:
        """A call as it may be captured."""
        body = body_of(request)
        signed = Signed(caller, str(int(time.time())), Way.UP, "config-reload", "", body)
        return Call(body, signing.headers(signing.derive_key(MASTER, caller), signed))

    def send(self, call: Call, call_id: str) -> tuple[int, dict[str, Any]]:
        """Through a gateway that gives it this X-Call-Id ("": none)."""
        headers = call.headers | ({"X-Call-Id": call_id} if call_id else {})
        answered, status, _ = self.function.handle(Call(call.body, headers))
        return status, json.loads(answered)

    def post(self, body: bytes, caller: str, key: bytes | None = None, callback: str = "") -> tuple[int, Any]:
        signed = Signed(caller, str(int(time.time())), Way.UP, "config-reload", callback, body)
        headers = signing.headers(key or signing.derive_key(MASTER, caller), signed)
        answered, status, heads = self.function.handle(
            Call(body, headers | ({"X-Callback-Url": callback} if callback else {}))
        )
        if status != 401:
            down = Signed(caller, heads["X-Edge-Timestamp"], Way.DOWN, "config-reload", "", answered)
            assert signing.verify(signing.derive_key(MASTER, caller), down, heads["X-Edge-Signature"])
        return status, json.loads(answered)

    def turn(self) -> list[tuple[int, Any]]:
        """One round of the ticker: every due step once."""
        return [
            self.post(json.dumps({"step": key}).encode(), TICKER) for key in self.store.due(int(self.clock() * 1000))
        ]

    def turn_until(self, condition: Callable[[], Any], what: str, within_s: float = 60) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, f"no {what}"
            self.turn()
            time.sleep(0.02)  # a ticker's pause

    def add_pod(self, *options: str) -> Pod:
        """A pod of the release: a real agent over a real daemon."""
        name = f"amf-{len(self.pods)}"
        pod = Pod(self.folder / name, FILES["app.conf"])
        pod.mounted.swap(FILES)
        pod.start("--policy", "signal", *options)
        pod.until_started(1)
        self.pods.append(pod)
        self.api.put("pods", "core", name, pod_body(pod.port), LABELS)
        return pod

    def sync(self, body: Object) -> None:
        """What kubelet does when its pod is patched: write the volume anew, after a moment."""
        name = body["metadata"]["name"]
        number = int(name.rpartition("-")[2])
        if name not in self.deaf and number < len(self.pods):
            files = self.api.data("core", "amf-config")
            pod = self.pods[number]
            if {p.name: p.read_text() for p in pod.mounted.directory.glob("[!.]*")} != files:
                pod.mounted.swap(files)


def body_of(request: dict[str, object]) -> bytes:
    return json.dumps({"cluster": "edge-a", "namespace": "core", "release": "amf", **request}).encode()


def pod_body(port: int | None, phase: str = "Running") -> Object:
    annotations = {} if port is None else {"reload.edge/status-port": str(port)}
    return {
        "metadata": {"annotations": annotations},
        "spec": {"volumes": [{"name": "config", "configMap": {"name": "amf-config"}}]},
        "status": {"phase": phase, "containerStatuses": [{"ready": True, "restartCount": 2}]},
    }


@contextmanager
def edge_in(folder: Path) -> Iterator[Edge]:
    """An edge, everything of which lies in the folder, until the block ends."""
    api = FakeApi()
    api.put("configmaps", "core", "amf-config", {"data": dict(FILES)}, LABELS)
    secrets = folder / "secrets"
    secrets.mkdir()
    (secrets / "reload-policy").write_text(POLICY)
    (secrets / "edge-kubeconfigs").write_text(api.kubeconfig("edge-a", "edge-b"))
    made = Edge(api, folder)
    api.kubelets.append(made.sync)
    try:
        yield made
    finally:
        for pod in made.pods:
            pod.close()
        made.store.close()
        api.close()


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Edge]:
    with edge_in(tmp_path) as made:
        yield made
