"""What an API server's answers mean, what room and time they tell, and whom it is told that we are.

Statuses: Kubernetes' reference, "API Concepts" and "API Priority and Fairness" (429).
"""

from __future__ import annotations

import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from placement.api import Api, ApiError
from placement.capacity import read_room
from placement.cluster import Room, Unreachable
from placement.errors import Code, PlacementError
from placement.kubeconfig import Credentials, credentials
from reload.kubernetes_cluster import Call
from tests.lab.authority import Authority
from tests.placement.fake_cluster import FakeCluster, api


def asked(api: Api) -> PlacementError | ApiError | None:
    try:
        api.get("/api/v1/nodes")
    except (PlacementError, ApiError) as e:
        return e
    return None


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, Code.CLUSTER_REFUSED),
        (403, Code.CLUSTER_REFUSED),
        (429, Code.CLUSTER_DOWN),
        (500, Code.CLUSTER_DOWN),
        (503, Code.CLUSTER_DOWN),
    ],
)
def test_refusals_and_trouble_are_told_apart(cluster: FakeCluster, status: int, code: Code) -> None:
    cluster.trouble.append(("GET", "/nodes", status))
    error = asked(api(cluster))
    assert isinstance(error, PlacementError)
    assert error.code is code
    if code is Code.CLUSTER_REFUSED:
        assert error.detail == "a refused: of a moment."


@pytest.mark.parametrize("status", [404, 409, 422])
def test_other_answers_are_for_who_asked(cluster: FakeCluster, status: int) -> None:
    cluster.trouble.append(("GET", "/nodes", status))
    error = asked(api(cluster))
    assert isinstance(error, ApiError)
    assert (error.status, error.message) == (status, "of a moment")
    assert error.told().code is Code.APPLY_FAILED


def test_when_its_time_is_over_it_is_asked_no_more(cluster: FakeCluster) -> None:
    asking = api(cluster)
    asking.until = time.monotonic() - 1
    error = asked(asking)
    assert isinstance(error, PlacementError)
    assert (error.code, error.detail) == (Code.CLUSTER_DOWN, "The API server of a answers too slowly.")
    assert cluster.calls == []
    cluster.slow_s = 40.0
    asking = Api("a", credentials(cluster.kubeconfig, "", "a"), read_s=60.0)
    asking.until = time.monotonic() + 1.0
    error = asked(asking)
    assert isinstance(error, PlacementError)
    assert time.monotonic() < asking.until + 30.0
    assert "(ReadTimeoutError)" in error.detail


class Patient(ThreadingHTTPServer):
    """Silent about a client that does not take its certificate."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ssl.SSLError):
            super().handle_error(request, client_address)


DATE, DATE_S = "Sun, 06 Nov 1994 08:49:37 GMT", 784111777  # RFC 9110, 5.6.7


@contextmanager
def answering(
    context: ssl.SSLContext | None = None, *, elsewhere: str = ""
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An API server without any objects, in another time: its URL, and whom it was told that we are.

    elsewhere: the URL of a server where it says that everything is, "" = here.
    """
    told: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
            subject: Any = (shown or {}).get("subject", ())
            name = next((pair[0][1] for pair in subject if pair[0][0] == "commonName"), None)
            told.append({"target": self.path, "token": self.headers.get("Authorization"), "certificate": name})
            self.send_response(302 if elsewhere else 200)
            if elsewhere:
                self.send_header("Location", elsewhere + self.path)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def date_time_string(self, timestamp: float | None = None) -> str:  # noqa: ARG002  the base class's name
            return DATE

        def log_message(self, *_: Any) -> None:
            return

    server = Patient(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{server.server_address[1]}", told
    finally:
        server.shutdown()
        server.server_close()


def test_a_server_is_judged_by_the_kubeconfigs_own_authority_and_told_its_token_or_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, others = Authority(tmp_path / "ours", "ours"), Authority(tmp_path / "others", "others")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ours.certificate)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_cert_chain(*ours.issue("server", "server", hosts=["127.0.0.1", "kubernetes.default"]))
    authority = ours.certificate.read_bytes()
    certificate, key = (path.read_bytes() for path in ours.issue("client", "placement"))
    with answering(context) as (url, told):

        def ask(**given: Any) -> PlacementError | ApiError | None:
            fields = {"authority": authority, "server_name": None, "token": None, "certificate": None, "key": None}
            api = Api("a", Credentials(url, **(fields | given)))
            try:
                return asked(api)
            finally:
                api.close()

        assert ask(token="t0ken") is None
        assert ask(certificate=certificate, key=key) is None
        assert ask(server_name="kubernetes.default") is None
        assert [(one["token"], one["certificate"]) for one in told] == [
            ("Bearer t0ken", None),
            (None, "placement"),
            (None, None),
        ]
        for wrong in (
            {"authority": others.certificate.read_bytes()},
            {"authority": None},
            {"server_name": "another.example"},
        ):
            error = ask(token="t0ken", **wrong)
            assert isinstance(error, PlacementError)
            assert error.code is Code.CLUSTER_DOWN
        assert len(told) == 3
    assert list(temporary.iterdir()) == []


def test_nobody_is_asked_but_the_server_of_the_kubeconfig() -> None:
    """Whoever answers in its place would be told whose rights a call has, and could send it to a server within."""
    with answering() as (within, heard), answering(elsewhere=within) as (url, told):
        asking = Api("a", Credentials(url, None, None, token="t0ken", certificate=None, key=None))
        error = asked(asking)
        assert isinstance(error, ApiError)
        assert error.status == 302
        assert asking.send(Call("GET", "/api/v1/pods", (), {}, None, read_s=5.0))[0] == 302
        asking.close()
        assert [one["token"] for one in told] == ["Bearer t0ken", "Bearer t0ken"]
        assert heard == []


def test_what_time_it_is_there_is_learnt_from_each_answer() -> None:
    with answering() as (url, told):
        asking = Api("a", Credentials(url, None, None, token=None, certificate=None, key=None))
        assert abs(asking.now() - time.time()) < 60
        # "resourceVersion=0": of any version, from the server's cache ("API Concepts", "Resource versions")
        assert read_room(asking) == Room(())
        assert [one["target"] for one in told] == [f"/api/v1/{kind}?resourceVersion=0" for kind in ("nodes", "pods")]
        assert abs(asking.now() - DATE_S) < 60
        asking.close()


@pytest.mark.parametrize("part", ["authority", "key"])
def test_a_certificate_that_is_none_is_told_without_its_content(tmp_path: Path, part: str) -> None:
    ours = Authority(tmp_path, "ours")
    certificate, _ = ours.issue("client", "placement")
    fields: dict[str, Any] = {"authority": None, "certificate": certificate.read_bytes(), "key": b"hidden"}
    fields |= {"authority": b"hidden"} if part == "authority" else {}
    with pytest.raises(PlacementError) as refused:
        Api("a", Credentials("https://a.example", server_name=None, token=None, **fields))
    assert refused.value.code is Code.CLUSTER_CREDENTIALS
    assert "hidden" not in repr(refused.value)


def test_the_room_of_a_cluster_is_what_pods_that_are_not_over_leave_of_nodes_that_take_some(
    cluster: FakeCluster,
) -> None:
    """Kubernetes' documentation: "Node Status", "Allocatable"; "Pod Lifecycle", "Pod phase"; kubectl cordon."""
    nodes = "/api/v1/nodes"
    for name in ("cordoned", "down"):
        cluster.node(name, cpu="4", memory="8Gi")
    cluster.objects[f"{nodes}/cordoned"]["spec"]["unschedulable"] = True
    cluster.objects[f"{nodes}/down"]["status"]["conditions"] = [{"type": "Ready", "status": "Unknown"}]
    node = cluster.objects[f"{nodes}/node-1"]
    node["metadata"]["labels"] = {"disk": "ssd"}
    node["spec"]["taints"] = [{"key": "only", "effect": "NoExecute"}]

    def pod(name: str, phase: str, cpu: str, on: str | None = "node-1") -> None:
        asked = {"requests": {"cpu": cpu, "memory": "1Gi"}}
        spec = {"containers": [{"name": "c", "resources": asked}], **({"nodeName": on} if on else {})}
        path = f"/api/v1/namespaces/lab/pods/{name}"
        cluster.put(path, {"metadata": {"name": name}, "spec": spec, "status": {"phase": phase}})

    pod("runs", "Running", "1500m")
    pod("begins", "Pending", "500m")
    pod("done", "Succeeded", "1")
    pod("failed", "Failed", "1")
    pod("not-bound", "Pending", "1", None)
    pod("odd", "Running", "lots")
    room = read_room(api(cluster))
    assert isinstance(room, Room)
    [found] = room.nodes
    assert (found.name, found.free_cpu_m, found.free_memory_b, found.free_pods) == ("node-1", 2000, 6 * 2**30, 107)
    assert (found.labels, [str(taint) for taint in found.taints]) == ({"disk": "ssd"}, ["only:NoExecute"])
    pod("more", "Running", "9")
    room = read_room(api(cluster))
    assert isinstance(room, Room)
    assert room.nodes[0].free_cpu_m == 0
    node["status"]["allocatable"]["cpu"] = "lots"
    assert read_room(api(cluster)) == Unreachable("'lots' is no Kubernetes quantity")
    cluster.trouble.append(("GET", "/pods", 404))
    assert read_room(api(cluster)) == Unreachable("404: of a moment")
