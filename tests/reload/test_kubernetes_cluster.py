"""What is sent to an API server, and what its answers mean, over a transport that only notes and answers.

Kubernetes' reference: "ConfigMap v1" (data, binaryData), "Pod v1", "API Concepts" (resourceVersion); RFC 7396.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from urllib3.exceptions import ProtocolError

from reload.cluster import Config, Pod
from reload.errors import ReloadError, StaleVersionError
from reload.kubernetes_cluster import READ_S, Call, KubernetesCluster

CONFIG = Config("core", "amf", {"a.yaml": b"tac: 7\n", "key.bin": b"\xff\x00"}, "41", uid="u-1")


class Server:
    """Answers each call by the next of `answers`: a status and an object, octets, or an error that is raised."""

    def __init__(self, *answers: tuple[int, object] | Exception) -> None:
        self.answers = list(answers)
        self.calls: list[Call] = []
        self.left_s = 100.0

    def send(self, call: Call) -> tuple[int, bytes]:
        self.calls.append(call)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, body = answer
        return status, body if isinstance(body, bytes) else json.dumps(body).encode()

    def cluster(self) -> KubernetesCluster:
        return KubernetesCluster("edge-a", self.send, left_s=lambda: self.left_s)


def configmap(**more: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "core", "name": "amf", "resourceVersion": "42", "uid": "u-1"}, **more}


def pod(metadata: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    volumes = [{"configMap": {"name": "amf"}}, {"emptyDir": {}}, {"configMap": {"name": "extra"}}]
    named = {"namespace": "core", "name": "amf-1", "uid": "u-2", **(metadata or {})}
    return {"metadata": named, "spec": {"volumes": volumes}, "status": status}


def test_files_are_text_where_they_can_be_and_all_others_go() -> None:
    server = Server((200, configmap(data={"a.yaml": "tac: 8\n"})))
    server.cluster().replace_config(CONFIG, {"a.yaml": b"tac: 8\n", "b.bin": b"\xfe"})
    [call] = server.calls
    assert (call.method, call.path) == ("PATCH", "/api/v1/namespaces/core/configmaps/amf")
    assert call.headers["Content-Type"] == "application/merge-patch+json"
    # null removes (RFC 7396); a name may be in one of the two only; a stale version is refused by the server
    assert call.body == {
        "metadata": {"resourceVersion": "41"},
        "data": {"a.yaml": "tac: 8\n", "b.bin": None, "key.bin": None},
        "binaryData": {"a.yaml": None, "b.bin": base64.b64encode(b"\xfe").decode(), "key.bin": None},
    }


@pytest.mark.parametrize("status", [404, 409])
def test_a_configmap_that_has_moved_on_or_gone_is_read_again(status: int) -> None:
    with pytest.raises(StaleVersionError):
        Server((status, {})).cluster().replace_config(CONFIG, {})


def test_a_configmap_is_its_text_and_its_octets_together() -> None:
    found = configmap(data={"a.yaml": "tac: 7\n"}, binaryData={"key.bin": "/wA="}, immutable=True)
    config = Server((200, found)).cluster().config("core", "amf")
    assert config is not None
    assert (config.files, config.version, config.uid, config.immutable) == (CONFIG.files, "42", "u-1", True)
    assert config.digest == CONFIG.digest
    config = Server((200, configmap())).cluster().config("core", "amf")
    assert config is not None
    assert (config.files, config.immutable) == ({}, False)
    assert Server((404, {})).cluster().config("core", "amf") is None


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "cluster_denied"),
        (403, "cluster_denied"),
        (413, "values_invalid"),
        (422, "values_invalid"),
        (404, "cluster_failed"),
        (429, "cluster_failed"),
        (500, "cluster_failed"),
        (302, "cluster_failed"),
    ],
)
def test_each_refusal_has_its_code_and_repeats_nothing_of_the_answer(status: int, code: str) -> None:
    with pytest.raises(ReloadError) as refused:
        Server((status, {"message": "hidden"})).cluster().configs("core", "a=b")
    assert refused.value.code == code
    assert "hidden" not in str(refused.value.as_json())


@pytest.mark.parametrize("error", [ProtocolError("hidden"), OSError("hidden"), TimeoutError()])
def test_no_answer_is_an_unreachable_cluster(error: Exception) -> None:
    with pytest.raises(ReloadError) as refused:
        Server(error).cluster().pods("core")
    assert refused.value.code == "cluster_unreachable"
    assert "hidden" not in refused.value.detail


@pytest.mark.parametrize("octets", [b"", b"<html>", b"[]", b'"text"', b"\xff"])
def test_what_is_no_object_is_a_fault_of_the_cluster(octets: bytes) -> None:
    with pytest.raises(ReloadError) as refused:
        Server((200, octets)).cluster().config("core", "amf")
    assert refused.value.code == "cluster_failed"


def test_names_cannot_lead_to_another_object() -> None:
    server = Server((404, {}), (404, {}))
    server.cluster().config("core", "../secrets/all")
    server.cluster().config("a/b?c#d", "x")
    assert [call.path for call in server.calls] == [
        "/api/v1/namespaces/core/configmaps/..%2Fsecrets%2Fall",
        "/api/v1/namespaces/a%2Fb%3Fc%23d/configmaps/x",
    ]


def test_each_call_has_no_more_than_what_is_left() -> None:
    server = Server((404, {}), (404, {}))
    server.cluster().config("core", "amf")
    server.left_s = 0.5
    server.cluster().config("core", "amf")
    assert [call.read_s for call in server.calls] == [READ_S, 0.5]
    server.left_s = 0.0
    with pytest.raises(ReloadError, match="answers too slowly") as refused:
        server.cluster().config("core", "amf")
    assert refused.value.code == "cluster_unreachable"
    assert len(server.calls) == 2


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (
            pod(
                {"annotations": {"reload.edge/status-port": "9797"}},
                phase="Running",
                containerStatuses=[{"ready": True, "restartCount": 1}, {"ready": True, "restartCount": 2}],
            ),
            {"phase": "Running", "ready": True, "restarts": 3, "terminating": False, "status_port": 9797},
        ),
        (
            pod(containerStatuses=[{"ready": True}, {"ready": False}]),
            {"phase": "Unknown", "ready": False, "restarts": 0, "status_port": None},
        ),
        # no container has begun
        (pod(phase="Pending"), {"phase": "Pending", "ready": False}),
        (pod({"deletionTimestamp": "2026-01-01T00:00:00Z"}), {"terminating": True}),
        *(
            (pod({"annotations": {"reload.edge/status-port": port}}), {"status_port": None})
            for port in ("0", "65536", "-1", "http", "", "9797/../x")
        ),
        (pod({"annotations": {"reload.edge/status-port": "65535"}}), {"status_port": 65535}),
    ],
)
def test_what_a_reload_needs_of_a_pod(found: dict[str, Any], wanted: dict[str, object]) -> None:
    server = Server((200, {"items": [found]}))
    [made] = server.cluster().pods("core", "app=amf")
    assert {name: getattr(made, name) for name in wanted} == wanted
    assert made.configs == {"amf", "extra"}
    assert list(server.calls[0].query) == [("labelSelector", "app=amf")]


AGENT = Pod("core", "amf-1", "u-2", "Running", True, 0, False, frozenset({"amf"}), 9797)


def test_a_pods_agent_is_asked_by_the_api_server() -> None:
    server = Server((200, {"digest": "d"}), (503, {}), (404, {}), (200, b"<html>"), (403, {}))
    asked = server.cluster()
    assert asked.pod_status(AGENT, 0.7) == {"digest": "d"}
    assert (server.calls[0].path, server.calls[0].read_s) == (
        "/api/v1/namespaces/core/pods/amf-1:9797/proxy/status",
        0.7,
    )
    assert [asked.pod_status(AGENT, 0.7) for _ in range(3)] == [None] * 3
    with pytest.raises(ReloadError) as refused:
        asked.pod_status(AGENT, 0.7)
    assert refused.value.code == "cluster_denied"


def test_an_agent_is_silent_only_where_it_had_its_time() -> None:
    server = Server(TimeoutError(), TimeoutError())
    assert server.cluster().pod_status(AGENT, 0.7) is None
    server.left_s = 0.5
    with pytest.raises(ReloadError) as refused:
        server.cluster().pod_status(AGENT, 0.7)
    assert refused.value.code == "cluster_unreachable"


@pytest.mark.parametrize(("status", "is_there"), [(200, True), (404, False)])
def test_a_pod_may_be_gone_when_it_is_annotated(status: int, is_there: bool) -> None:
    server = Server((status, {}))
    assert server.cluster().annotate_pod("core", "amf-1", {"note": "x"}) is is_there
    assert server.calls[0].body == {"metadata": {"annotations": {"note": "x"}}}


def test_a_conflict_on_a_pod_is_the_servers_trouble() -> None:
    with pytest.raises(ReloadError) as refused:
        Server((409, {})).cluster().annotate_pod("core", "amf-1", {})
    assert refused.value.code == "cluster_failed"


def test_a_history_is_made_once_and_then_changed_under_its_version() -> None:
    server = Server((201, {}), (200, {}), (409, {}), (409, {}))
    asked = server.cluster()
    asked.save_history("core", "amf.history", b"octets", None, CONFIG)
    asked.save_history("core", "amf.history", b"octets", "7", CONFIG)
    made, changed = (call.body or {} for call in server.calls)
    assert (server.calls[0].method, server.calls[1].method) == ("POST", "PATCH")
    assert made["type"] == "reload.edge/history"
    # "Garbage Collection", "Owners and dependents"
    assert made["metadata"] == {
        "name": "amf.history",
        "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "amf", "uid": "u-1"}],
    }
    assert changed == {"metadata": {"resourceVersion": "7"}, "data": {"history": "b2N0ZXRz"}}
    for version in (None, "7"):
        with pytest.raises(StaleVersionError):
            asked.save_history("core", "amf.history", b"octets", version, CONFIG)


def test_a_history_is_read_with_its_version() -> None:
    found = {"metadata": {"resourceVersion": "7"}, "data": {"history": "b2N0ZXRz"}}
    server = Server((200, found), (404, {}))
    assert server.cluster().load_history("core", "amf.history") == (b"octets", "7")
    assert server.cluster().load_history("core", "amf.history") is None
