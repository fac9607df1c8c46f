"""config-reload where the API server takes its time: a call has one end, and what it says then is true."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from reload import apply, edits
from reload.cluster import Cluster, Pod
from reload.errors import ReloadError
from reload.kubernetes_client import from_kubeconfig
from reload.kubernetes_cluster import READ_S, Call, KubernetesCluster, Send
from reload.service import CALL_S, WRITE_BY_S, WRITTEN_BY_S, Service
from tests.lab.placing import Callbacks, callbacks
from tests.reload.conftest import FILES, LABELS, Edge, pod_body

BUSY_S = 2.5
"""What a busy machine adds to a call."""
PATH = "/end"


class Slowness:
    """A transport whose answers each take `each_s` of its own time, over the one that reaches the fake API server.

    An answer that is not waited for so long is lost, after the API server has done what it was asked.
    hung: pods never answer.  writes_s: what an answer takes that says that a ConfigMap or Secret is written.
    history_s: the same of a Secret alone.
    """

    def __init__(self) -> None:
        self.now_s = 0.0
        self.each_s = 0.0
        self.hung = False
        self.writes_s: float | None = None
        self.history_s: float | None = None

    def timer(self) -> float:
        return self.now_s

    def connect(self, name: str, text: str) -> Cluster:
        inner = from_kubeconfig(name, text)._send
        return KubernetesCluster(name, self._slow(inner))

    def _slow(self, send: Send) -> Send:
        def sent(call: Call) -> tuple[int, bytes]:
            answer = send(Call(call.method, call.path, call.query, call.headers, call.body, READ_S))
            takes_s = math.inf if self.hung and "/proxy/" in call.path else self.each_s
            if self.writes_s is not None and call.method != "GET" and "/pods/" not in call.path:
                takes_s = self.writes_s
            if self.history_s is not None and call.method != "GET" and "/secrets" in call.path:
                takes_s = self.history_s
            self.now_s += min(takes_s, call.read_s)
            if takes_s > call.read_s:
                raise TimeoutError
            return answer

        return sent


@pytest.fixture
def slow(edge: Edge) -> Slowness:
    made = Slowness()
    edge.use(Service(timer=made.timer), connect=made.connect, timer=made.timer)
    return made


@pytest.fixture
def caller() -> Iterator[Callbacks]:
    with callbacks() as kept:
        yield kept


def is_over(edge: Edge) -> bool:
    return edge.store.due(int(edge.clock() * 1000) + 10**9) == []


@pytest.mark.parametrize("named", [{}, {"release": "", "configmap": "amf-config"}])
@pytest.mark.parametrize("tenths", [1, 4, 6, 7, 8, 9, 10, 11, 12, 16, 20, 24])
def test_however_slow_each_answer_is_the_call_has_its_end_and_tells_what_it_has_done(
    edge: Edge, slow: Slowness, tenths: int, named: dict[str, Any]
) -> None:
    """The agent answers as soon as it is asked: no pod is silent, whatever time is over."""
    edge.add_pod()
    slow.each_s = tenths / 10
    status, answer = edge.call(call="c-1", files={"app.conf": "greeting=two\n"}, **named)
    assert slow.now_s <= CALL_S + 0.001
    code = (answer["error"] or {}).get("code")
    if status == 200:
        assert edge.api.data("core", "amf-config")["app.conf"] == "greeting=two\n"
        assert answer["status"] in ("applied", "waiting")
        assert code in (None, "pod_waiting", "cluster_unreachable")
        assert [pod["state"] for pod in answer["pods"]] in ([], ["applied"], ["waiting"])
        assert (answer["changed"], answer["revision"]) == (True, 1)
        assert "warning" not in answer
    else:
        assert (status, code) == (503, "cluster_unreachable")
        assert "too slowly" in answer["error"]["message"] or slow.each_s > READ_S
        assert edge.api.data("core", "amf-config") == FILES
    assert (status == 200) is (tenths <= 11)  # at 1.1 s the four answers of a change are within 4.5 s


@pytest.mark.parametrize("each_s", [0.1, 0.4, 0.7, 1.0])
def test_what_a_slow_api_server_leaves_open_the_next_steps_finish(
    edge: Edge, slow: Slowness, caller: Callbacks, each_s: float
) -> None:
    edge.add_pod()
    slow.each_s = each_s
    edge.deaf.add("amf-0")
    status, answer = edge.call(call="c-1", callback=caller.url + PATH, files={"app.conf": "greeting=two\n"})
    assert (status, answer["status"], answer["changed"], answer["revision"]) == (200, "progressing", True, 1)
    edge.deaf.clear()

    def stepped() -> bool:
        before_s = slow.now_s
        edge.turn()
        assert slow.now_s - before_s <= CALL_S + 0.001
        return is_over(edge)

    edge.turn_until(stepped, "end")
    [end] = caller.answers(PATH)
    assert (end["status"], end["applied"], end["of"], end["error"]) == ("applied", 1, 1, None)


@pytest.mark.parametrize("delay_s", [0.4, 0.8])
def test_a_call_to_a_really_slow_api_server_ends_in_its_time_and_the_ticker_goes_on(
    edge: Edge, caller: Callbacks, delay_s: float
) -> None:
    edge.add_pod()
    edge.deaf.add("amf-0")
    edge.api.delay_s = delay_s
    begin = time.monotonic()
    status, answer = edge.call(call="c-1", callback=caller.url + PATH, files={"app.conf": "greeting=two\n"})
    assert time.monotonic() - begin < 5 + BUSY_S
    assert answer["time_taken_s"] < 5 + BUSY_S
    assert (status, answer["status"], answer["revision"]) == (200, "progressing", 1)
    assert edge.api.data("core", "amf-config")["app.conf"] == "greeting=two\n"
    edge.deaf.clear()
    edge.turn_until(lambda: is_over(edge), "end", 120)
    assert [end["status"] for end in caller.answers(PATH)] == ["applied"]


@pytest.mark.parametrize("wait", [True, False])
def test_a_pod_that_answers_slowly_is_waited_for_also_by_a_call_that_waits_for_nothing_else(
    edge: Edge, slow: Slowness, wait: bool
) -> None:
    """Far away, or behind a slow API server: 0.3 s for an answer."""
    edge.add_pod()
    slow.each_s = 0.3
    _, answer = edge.call(action="status", wait=wait)
    assert (answer["status"], answer["applied"], answer["of"]) == ("unchanged", 1, 1)


@pytest.mark.parametrize(
    ("each_s", "code"),
    [(0.1, "pod_silent"), (0.3, "pod_silent"), (0.5, "cluster_unreachable"), (0.8, "cluster_unreachable")],
)
def test_a_pod_is_silent_only_when_it_was_given_time_to_answer(
    edge: Edge, slow: Slowness, each_s: float, code: str
) -> None:
    edge.api.put("pods", "core", "amf-0", pod_body(1), LABELS)
    slow.each_s, slow.hung = each_s, True
    status, answer = edge.call(files={"app.conf": "greeting=two\n"})
    assert (status, answer["status"], answer["changed"], answer["error"]["code"]) == (200, "waiting", True, code)
    assert slow.now_s <= CALL_S + 0.001
    if code == "cluster_unreachable":
        assert (answer["of"], answer["pods"]) == (None, [])
        assert answer["error"]["message"].startswith("ConfigMap amf-config is written, but its pods")


def test_a_change_whose_answer_is_lost_is_not_told_as_if_nothing_had_changed(
    edge: Edge, slow: Slowness, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge.add_pod()
    real = slow._slow

    def lost(send: Send) -> Send:
        inner = real(send)

        def sent(call: Call) -> tuple[int, bytes]:
            answer = inner(call)
            if (call.method, "configmaps" in call.path) == ("PATCH", True):
                raise TimeoutError
            return answer

        return sent

    with monkeypatch.context() as once:
        once.setattr(slow, "_slow", lost)
        status, answer = edge.call(call="c-1", files={"app.conf": "greeting=two\n"})
    assert (status, answer["error"]["code"]) == (503, "cluster_unreachable")
    assert "whether ConfigMap amf-config is written nobody knows" in answer["error"]["message"]
    assert edge.api.data("core", "amf-config")["app.conf"] == "greeting=two\n"


def test_a_write_that_is_begun_is_remembered_also_when_the_api_server_turns_slow(edge: Edge, slow: Slowness) -> None:
    edge.add_pod()
    slow.each_s, slow.writes_s = 1.0, 1.6
    status, answer = edge.call(files={"app.conf": "greeting=two\n"})
    assert slow.now_s <= 2 * slow.each_s + 2 * slow.writes_s
    assert (status, answer["status"], answer["changed"], answer["revision"]) == (200, "waiting", True, 1)
    assert answer["error"]["code"] == "cluster_unreachable"
    assert [entry["revision"] for entry in edge.call(action="history")[1]["history"]] == [1]


@pytest.mark.parametrize("writes_s", [0.1, 1.0, 1.5, 1.9])
@pytest.mark.parametrize("each_s", [0.1, 0.5, 1.0, 1.12])
def test_a_call_whose_api_server_turns_slow_behind_its_write_ends_in_its_time_too(
    edge: Edge, slow: Slowness, each_s: float, writes_s: float
) -> None:
    """Its history may be written all the same, which nobody has heard of: that is what it says."""
    edge.add_pod()
    slow.each_s, slow.writes_s = each_s, writes_s
    edge.api.before_patch = lambda: setattr(slow, "history_s", math.inf)
    status, answer = edge.call(files={"app.conf": "greeting=two\n"})
    assert slow.now_s <= WRITTEN_BY_S + 0.001 <= 5.5
    assert (status, answer["changed"], answer["revision"]) == (200, True, None)
    assert answer["status"] in ("applied", "waiting")
    assert answer["warning"]["code"] == "cluster_unreachable"
    assert answer["warning"]["message"].startswith("ConfigMap amf-config is written, but perhaps its history is not: ")
    assert edge.api.data("core", "amf-config")["app.conf"] == "greeting=two\n"
    slow.each_s, slow.history_s, slow.writes_s = 0.1, None, None
    assert [entry["revision"] for entry in edge.call(action="history")[1]["history"]] == [1]


def test_for_a_history_there_is_a_second_at_least() -> None:
    assert WRITTEN_BY_S - (WRITE_BY_S + READ_S) >= 1


def test_others_who_write_the_history_of_a_slow_cluster_make_no_call_longer(edge: Edge, slow: Slowness) -> None:
    """Each conflict is read and written again, and has no time of its own."""
    edge.add_pod()
    edge.api.refuse["POST", "secrets"] = 409
    slow.each_s = 0.9
    status, answer = edge.call(files={"app.conf": "greeting=two\n"})
    assert slow.now_s <= WRITTEN_BY_S + 0.001
    assert (status, answer["changed"], answer["revision"]) == (200, True, None)


def test_a_call_to_an_api_server_that_really_turns_slow_ends_in_its_time(edge: Edge) -> None:
    edge.add_pod()
    edge.api.delay_s = 1.0

    def turn() -> None:
        edge.api.delay_s = 30.0
        time.sleep(0.8)

    edge.api.before_patch = turn
    begin = time.monotonic()
    status, answer = edge.call(files={"app.conf": "greeting=two\n"})
    took_s = time.monotonic() - begin
    edge.api.delay_s = 0.0
    assert took_s < 5.5 + BUSY_S
    assert (status, answer["changed"], answer["revision"]) == (200, True, None)


def test_the_time_that_the_function_itself_needs_is_not_the_api_servers(
    edge: Edge, slow: Slowness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large file on a busy machine."""
    edge.add_pod()
    real = edits.edited

    def slowly(name: str, content: bytes, wanted: Mapping[edits.Path, object], *, create: bool) -> bytes:
        slow.now_s += 4
        return real(name, content, wanted, create=create)

    monkeypatch.setattr(edits, "edited", slowly)
    slow.each_s = 0.1
    status, answer = edge.call(set={"amf.yaml:amf.tac": 8})
    assert (status, answer["changed"], answer["revision"], answer["of"]) == (200, True, 1, 1)
    assert answer["time_taken_s"] >= 4


def test_other_calls_of_one_connection_have_times_of_their_own(edge: Edge) -> None:
    """A replica works on several calls at once, over the connections of one cluster."""
    cluster = from_kubeconfig("edge-a", edge.api.kubeconfig("edge-a"))
    over = cluster.until(time.monotonic(), time.monotonic)
    with pytest.raises(ReloadError) as told:
        over.config("core", "amf-config")
    assert told.value.code == "cluster_unreachable"
    assert edge.api.calls == []
    assert cluster.config("core", "amf-config") is not None
    assert len(edge.api.calls) == 1
    cluster.close()


def test_silent_pods_are_asked_at_once_and_take_no_time_from_the_others() -> None:
    """One after the other, those of a lost node would use up what a call has, and no other pod's answer were told."""
    together = threading.Barrier(24)

    class Silent(KubernetesCluster):
        def pod_status(self, _pod: Pod, _timeout_s: float) -> None:  # type: ignore[override]
            together.wait(timeout=30)

    def nothing(call: Call) -> tuple[int, bytes]:
        raise AssertionError(call)

    there = [Pod("core", f"amf-{n}", str(n), "Running", True, 0, False, frozenset({"c"}), 9797) for n in range(24)]
    target = apply.Target("core", "c", "sha256:0")
    found = apply.look(Silent("edge-a", nothing), [target], pods=[(target, pod) for pod in there])
    assert [pod.state for pod in found.pods] == ["silent"] * 24
