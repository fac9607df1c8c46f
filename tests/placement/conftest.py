"""A placement function with all its parts, real helm, and fakes of what helm talks to."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from durable.sqlite import SqliteStore
from placement.cluster import Cluster
from placement.function import Function, build
from placement.inventory import Clusters, Inventory
from placement.tables import TABLES
from tests.lab import artefacts
from tests.placement import fake_cluster, fake_registry
from tests.placement.fake_cluster import FakeCluster, wait_for
from tests.placement.fake_registry import FakeRegistry
from trust import signing
from trust.access import TICKER
from trust.signing import Signed, Way

MASTER = bytes(range(1, 33))
CALLER = "operator/alice"


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    with fake_cluster.running() as [cluster]:
        yield cluster


@pytest.fixture(scope="session")
def helm_binary() -> str:
    """The real helm: HELM_BINARY, `make helm`'s, or the one on the path.  Without it: left out, in CI a failure."""
    built = artefacts.program(artefacts.HELM, "helm") if shutil.which("go") else None
    named = os.environ.get("HELM_BINARY")
    if named is None and built is not None and built.is_file():
        named = str(built)
    found = shutil.which(named or "helm")
    if found is None:
        told = "helm is not here: `make helm` builds it, or set HELM_BINARY"
        if os.environ.get("CI") == "true":
            pytest.fail(told)
        pytest.skip(told)
    return found


@dataclass
class Event:
    """What the template hands over."""

    body: bytes
    headers: dict[str, str]
    method: str = "POST"


@dataclass
class Answered:
    """What came back."""

    http: int
    body: dict[str, Any]

    @property
    def status(self) -> str:
        return str(self.body["status"])

    @property
    def code(self) -> str | None:
        return self.body["error"]["code"] if self.body.get("error") else None


@dataclass
class Site:
    """One installation: function, store, secrets, registered clusters; and its ticker, which a test turns by hand."""

    folder: Path
    registry: FakeRegistry
    clusters: list[FakeCluster]
    environment: dict[str, str]
    function: Function = field(init=False)
    store: SqliteStore = field(init=False)
    calls: int = 0

    def __post_init__(self) -> None:
        self.function = build(self.environment)
        self.store = SqliteStore(self.folder / "edge.db", TABLES)

    @property
    def inventory(self) -> Inventory:
        return Inventory(self.store)

    def secret(self, name: str, text: str) -> None:
        (self.folder / "secrets" / name).write_text(text)

    def policy(self, **grant: Any) -> None:
        full = {"locations": ["*"], "namespaces": ["lab", "made-*"], "repositories": ["*"]} | grant
        self.secret("placement-policy", json.dumps({"callers": {CALLER: full}}))

    def request(self, **changes: Any) -> dict[str, Any]:
        """A placement of chart nf as release upf in namespace lab; None leaves a field out."""
        body = {
            "function_name": "upf",
            "run_namespace": "lab",
            "chart_repository": self.registry.oci(),
            "chart_version": "1.0.0",
        } | changes
        return {key: value for key, value in body.items() if value is not None}

    def call(
        self,
        body: dict[str, Any] | bytes | None = None,
        *,
        caller: str = CALLER,
        call_id: str | None = None,
        callback: str | None = None,
        **changes: Any,
    ) -> Answered:
        """Call the function as `caller`; every call has an `id` of its own unless one, or a call_id, is given.

        Without a callback: called again while it is progressing, as a caller does on a machine that is busy.
        """
        self.calls += 1
        if not isinstance(body, bytes):
            body = dict(body or self.request(**changes))
            if call_id is None:
                body.setdefault("id", f"id-{self.calls}")
        octets = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = signed(octets, caller, callback) | {"X-Call-Id": call_id or f"call-{self.calls}"}
        event = Event(octets, headers)
        return self.post(event) if callback else self.over(event)

    def over(self, event: Event) -> Answered:
        """Call again while it is progressing."""
        deadline = time.monotonic() + 120
        while True:
            answer = self.post(event)
            if answer.body.get("status") != "progressing" or time.monotonic() > deadline:
                return answer

    def post(self, event: Event) -> Answered:
        answer, status, _ = self.function.handle(event)
        return Answered(status, json.loads(answer))

    def turn(self) -> int:
        """One round of the ticker: every due step once."""
        due = self.store.due(int(time.time() * 1000))
        for key in due:
            body = json.dumps({"step": key}).encode()
            self.post(Event(body, signed(body, TICKER)))
        return len(due)

    def turn_until(self, condition: Callable[[], Any], what: str, within_s: float = 60) -> None:
        def turned() -> bool:
            if condition():
                return True
            self.turn()
            return bool(condition())

        wait_for(turned, what, within_s)


def signed(body: bytes, caller: str, callback: str | None = None) -> dict[str, str]:
    """Headers of a call."""
    what = Signed(caller, str(int(time.time())), Way.UP, "placement", callback or "", body)
    headers = signing.headers(signing.derive_key(MASTER, caller), what)
    return headers | ({"X-Callback-Url": callback} if callback else {})


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with fake_registry.running() as registry:
        yield registry


@pytest.fixture
def make_site(
    tmp_path: Path, registry: FakeRegistry, helm_binary: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Site]]:
    """A site with as many clusters as asked: a in berlin, b in munich, …"""
    started: list[FakeCluster] = []
    sites: list[Site] = []

    def make(count: int = 1, **environment: str) -> Site:
        clusters = [FakeCluster() for _ in range(count)]
        for cluster in clusters:
            cluster.start()
            started.append(cluster)
        secrets = tmp_path / "secrets"
        secrets.mkdir()
        temporary = tmp_path / "tmp"
        temporary.mkdir()
        monkeypatch.setenv("EDGE_SECRETS_DIR", str(secrets))
        monkeypatch.setattr("tempfile.tempdir", str(temporary))
        monkeypatch.setattr("placement.choosing.TEMPLATE_S", 20)  # as helm_timeout_s below
        monkeypatch.setattr("placement.steps.INLINE_HELM_S", 20)
        monkeypatch.setattr("placement.pacing.is_starved", lambda *_: False)  # it may be; test_starved.py
        (secrets / "edge-signing-key").write_text(MASTER.hex())
        (secrets / "placement-credentials").write_text(
            json.dumps({"registries": [{"host": registry.host, "plain_http": True}]})
        )
        settings = {
            "store_url": f"sqlite:///{tmp_path / 'edge.db'}",
            "helm_binary": helm_binary,
            "helm_timeout_s": "20",  # a loaded machine is no fault of the function; the default: test_interrupted.py
        }
        site = Site(tmp_path, registry, clusters, settings | environment)
        sites.append(site)
        site.policy()
        places = [("a", "berlin"), ("b", "munich"), ("c", "hamburg")]
        for cluster, (name, location) in zip(clusters, places, strict=False):
            site.secret(f"kubeconfig-{name}", cluster.kubeconfig)
            Clusters(site.store).put(Cluster(name, location, zone=f"{location}-1", secret=f"kubeconfig-{name}"))
        return site

    yield make
    for site in sites:
        site.store.close()
        site.function._placer.parts.journal._store.close()
    for cluster in started:
        cluster.stop()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site(1)
