"""Pods that take longer than a call: the ticker's steps wait for them, and the caller's URL gets the last answer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from reload.service import Service
from tests.lab.placing import Callbacks, callbacks
from tests.reload.conftest import ALICE, FILES, MASTER, QUOTING, REFUSED, Edge
from trust import signing
from trust.signing import Signed, Way

PATH = "/end"
TWO = {"app.conf": "greeting=two\n"}


@pytest.fixture
def caller() -> Iterator[Callbacks]:
    with callbacks() as kept:
        yield kept


@pytest.fixture
def waiting(edge: Edge, caller: Callbacks) -> Edge:
    """A change that one pod of two has not taken when the call must end."""
    edge.add_pod()
    edge.add_pod()
    edge.deaf.add("amf-1")
    edge.use(Service(in_line_s=0.3))
    status, answer = ask(edge, caller)
    assert (status, answer["status"], answer["of"], answer["error"]) == (200, "progressing", 2, None)
    assert "callback" in answer["note"]
    return edge


def ask(edge: Edge, caller: Callbacks, **changes: Any) -> tuple[int, dict[str, Any]]:
    return edge.call(callback=caller.url + PATH, **{"call": "c-1", "files": TWO, **changes})


def ends(caller: Callbacks) -> list[dict[str, Any]]:
    return caller.answers(PATH)


def is_over(edge: Edge) -> bool:
    return edge.store.due(int(edge.clock() * 1000) + 10**9) == []


def header(headers: Mapping[str, str], name: str) -> str:
    return {key.lower(): value for key, value in headers.items()}[name.lower()]


def test_the_ticker_waits_on_and_the_last_answer_is_called_back_signed(waiting: Edge, caller: Callbacks) -> None:
    assert all(status == 200 for status, _ in waiting.turn())
    assert ends(caller) == []
    waiting.deaf.clear()
    waiting.turn_until(lambda: is_over(waiting), "end")
    [(headers, body)] = caller.came[PATH]
    answer = json.loads(body)
    assert (answer["status"], answer["applied"], answer["of"], answer["error"]) == ("applied", 2, 2, None)
    assert (answer["configmap"], answer["revision"], answer["changed"]) == ("amf-config", 1, True)
    assert "note" not in answer
    assert (header(headers, "X-Call-Id"), header(headers, "X-Function-Name")) == ("c-1", "config-reload")
    signed = Signed(ALICE, header(headers, "X-Edge-Timestamp"), Way.DOWN, "config-reload", caller.url + PATH, body)
    assert signing.verify(signing.derive_key(MASTER, ALICE), signed, header(headers, "X-Edge-Signature"))


def test_the_same_call_delivered_again_is_one_wait_and_one_change(waiting: Edge, caller: Callbacks) -> None:
    assert ask(waiting, caller)[1]["status"] == "progressing"
    waiting.deaf.clear()
    waiting.turn_until(lambda: is_over(waiting), "end")
    assert [answer["status"] for answer in ends(caller)] == ["applied"]
    assert ask(waiting, caller) == (200, ends(caller)[0])
    assert len(waiting.call(action="history")[1]["history"]) == 1


def test_a_function_killed_in_its_step_is_gone_on_from(waiting: Edge, caller: Callbacks) -> None:
    [key] = waiting.store.due(int(waiting.clock() * 1000))
    journal = waiting.function._waits._journal
    held = journal.load(key)
    assert held is not None
    assert journal.take(held, int(waiting.clock() * 1000)) is not None  # and then it was killed
    waiting.deaf.clear()
    waiting.use(Service())
    waiting.turn()
    assert ends(caller) == []
    waiting.ahead_s = 16
    waiting.turn_until(lambda: is_over(waiting), "end")
    assert [answer["status"] for answer in ends(caller)] == ["applied"]


def test_pods_that_never_take_it_are_told_at_the_end_of_the_time(waiting: Edge, caller: Callbacks) -> None:
    waiting.ahead_s = 121
    waiting.turn_until(lambda: is_over(waiting), "end")
    [answer] = ends(caller)
    assert (answer["status"], answer["applied"], answer["error"]["code"]) == ("waiting", 1, "pod_waiting")
    assert answer["time_taken_s"] >= 121


def test_what_the_call_itself_took_is_of_its_time(edge: Edge, caller: Callbacks) -> None:
    """By a timer of its own, on which its write takes longer than it may wait in all: the next step is the last one."""
    edge.add_pod()
    edge.deaf.add("amf-0")
    took_s: list[int] = []
    edge.api.before_patch = lambda: took_s.append(150)
    edge.use(Service(timer=lambda: time.monotonic() + sum(took_s)))
    assert ask(edge, caller, timeout_s=100)[1]["status"] == "progressing"
    edge.turn()
    edge.turn()
    assert is_over(edge)
    [answer] = ends(caller)
    assert (answer["status"], answer["error"]["code"]) == ("waiting", "pod_waiting")


def test_a_change_by_somebody_else_meanwhile_ends_the_wait(waiting: Edge, caller: Callbacks) -> None:
    assert waiting.call(files={"app.conf": "greeting=three\n"}, wait=False)[0] == 200
    waiting.turn_until(lambda: is_over(waiting), "end")
    [answer] = ends(caller)
    assert (answer["status"], answer["error"]["code"]) == ("error", "superseded")


def test_a_grant_that_is_withdrawn_meanwhile_ends_the_wait(waiting: Edge, caller: Callbacks) -> None:
    (waiting.folder / "secrets" / "reload-policy").write_text("callers: {}")
    before = len(waiting.api.calls)
    waiting.turn_until(lambda: is_over(waiting), "end")
    assert ends(caller)[0]["error"]["code"] == "namespace_not_allowed"
    assert waiting.api.calls[before:] == []


def test_a_cluster_that_is_down_for_a_while_is_asked_again(waiting: Edge, caller: Callbacks) -> None:
    waiting.api.delay_s = 3.0
    waiting.turn()
    assert not is_over(waiting)
    waiting.api.delay_s = 0.0
    waiting.deaf.clear()
    waiting.turn_until(lambda: is_over(waiting), "end")
    assert [answer["status"] for answer in ends(caller)] == ["applied"]


def test_a_cluster_that_stays_down_is_told_at_the_end_of_the_time(waiting: Edge, caller: Callbacks) -> None:
    waiting.api.delay_s = 3.0
    waiting.ahead_s = 121
    waiting.turn_until(lambda: is_over(waiting), "end")
    assert ends(caller)[0]["error"]["code"] == "cluster_unreachable"


def test_pods_that_may_not_be_asked_are_told_with_what_is_written(edge: Edge, caller: Callbacks) -> None:
    edge.add_pod()
    edge.api.denied.add("pods")
    status, answer = ask(edge, caller)
    assert (status, answer["status"], answer["changed"], answer["revision"]) == (200, "progressing", True, 1)
    edge.turn_until(lambda: is_over(edge), "end")
    [answer] = ends(caller)
    assert (answer["status"], answer["changed"], answer["revision"]) == ("error", True, 1)
    assert answer["error"]["code"] == "cluster_denied"
    assert answer["error"]["message"].startswith("ConfigMap amf-config is written, but")


def test_a_callback_that_fails_is_repeated_and_in_the_end_given_up(waiting: Edge, caller: Callbacks) -> None:
    waiting.deaf.clear()
    caller.refuse[PATH] = 2
    waiting.turn_until(lambda: len(ends(caller)) >= 1, "first try")
    waiting.ahead_s += 100
    waiting.turn_until(lambda: len(ends(caller)) >= 2, "second try")
    waiting.ahead_s += 100
    waiting.turn_until(lambda: is_over(waiting), "end")
    assert len(ends(caller)) == 3
    assert ask(waiting, caller, call="c-2", files={"app.conf": "greeting=three\n"})[1]["status"] != "error"


def test_nobody_listening_is_tried_eight_times(waiting: Edge, caller: Callbacks) -> None:
    waiting.deaf.clear()
    caller.refuse[PATH] = 1000
    for _ in range(20):
        waiting.turn_until(lambda: waiting.turn() or is_over(waiting), "step")
        waiting.ahead_s += 100
    assert is_over(waiting)
    assert len(ends(caller)) == 8


def test_without_a_callback_the_caller_is_told_to_ask_again(edge: Edge) -> None:
    edge.add_pod()
    edge.deaf.add("amf-0")
    edge.use(Service(in_line_s=0.3))
    _, answer = edge.call(files=TWO)
    assert (answer["status"], answer["error"]["code"]) == ("waiting", "pod_waiting")
    assert is_over(edge)


def test_a_store_that_is_down_costs_the_last_answer_and_not_the_change(edge: Edge, caller: Callbacks) -> None:
    edge.add_pod()
    edge.deaf.add("amf-0")
    edge.use(Service(in_line_s=0.3))
    edge.store.close()
    (edge.folder / "edge.db").unlink(missing_ok=True)
    (edge.folder / "edge.db").mkdir()
    status, answer = ask(edge, caller)
    assert (status, answer["status"], answer["error"]["code"]) == (200, "waiting", "pod_waiting")
    assert edge.api.data("core", "amf-config") == FILES | TWO


def test_nothing_secret_is_in_the_last_answer_or_in_the_store(edge: Edge, caller: Callbacks) -> None:
    edge.add_pod("--check", QUOTING)
    edge.deaf.add("amf-0")
    edge.use(Service(in_line_s=0.3))
    assert ask(edge, caller, files={"app.conf": REFUSED})[1]["status"] == "progressing"
    edge.deaf.clear()
    edge.turn_until(lambda: is_over(edge), "end")
    [answer] = ends(caller)
    assert (answer["status"], answer["error"]["code"]) == ("rejected", "candidate_rejected")
    assert 'keyword "retrun" password=***' in answer["error"]["message"]
    assert "hunter" not in json.dumps(answer)
    edge.store.close()
    kept = b"".join(path.read_bytes() for path in edge.folder.glob("edge.db*"))
    assert b"retrun" in kept
    assert b"hunter" not in kept
    assert b"horse" not in kept


@pytest.mark.parametrize("body", [b"", b"{}", b'{"step": 1}', b'{"step": "nobody", "more": 1}'])
def test_what_is_no_step_is_refused(edge: Edge, body: bytes) -> None:
    assert edge.post(body, "ticker")[0] == 400


def test_a_step_of_nothing_is_over(edge: Edge) -> None:
    edge.store.set_due("nobody", 1)
    assert edge.turn() == [(200, {"after_s": None})]
    assert is_over(edge)


def test_only_the_ticker_may_take_steps(waiting: Edge) -> None:
    [key] = waiting.store.due(int(waiting.clock() * 1000))
    status, answer = waiting.post(json.dumps({"step": key}).encode(), ALICE)
    assert (status, answer["error"]["code"]) == (400, "request_invalid")


@pytest.mark.parametrize("timeout_s", [0, 1801, -1])
def test_a_wait_has_bounds(edge: Edge, timeout_s: int) -> None:
    assert edge.call(files=TWO, timeout_s=timeout_s)[1]["error"]["code"] == "request_invalid"
