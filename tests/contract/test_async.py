"""Checklist items 1-14: /async-function."""

import json
import re
import uuid

import pytest

from localfaas.client import Client, Response
from localfaas.process import Running
from tests.contract.recorder import Recorder, Seen

pytestmark = [pytest.mark.contract, pytest.mark.e2e]


@pytest.fixture
def path() -> str:
    """A path of the recorder that is this test's alone."""
    return f"/{uuid.uuid4().hex}"


def queue(
    gateway: Client,
    function: str,
    body: bytes = b"",
    *,
    path: str = "",
    callback: str = "",
    headers: dict[str, str] | None = None,
) -> Response:
    sent = {"X-Callback-Url": callback} if callback else {}
    return gateway.invoke(function, body, path=path, headers={**sent, **(headers or {})}, asynchronous=True)


def wait_until_idle(gateway: Client, recorder: Recorder) -> None:
    """Queue one more call and wait for its callback: with one worker, everything before it is over then."""
    last = f"/{uuid.uuid4().hex}"
    queue(gateway, "behave", callback=recorder.url + last)
    recorder.wait(last)


def echoed(seen: Seen) -> dict[str, list[str]]:
    """Headers the echo function got, by lower-case name."""
    headers: dict[str, list[str]] = {}
    for name, value in json.loads(seen.body)["headers"]:
        headers.setdefault(name.lower(), []).append(value)
    return headers


def test_01_known_function_is_queued(gateway: Client) -> None:
    answer = queue(gateway, "behave", b"x")
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (202, b"", "0")
    assert uuid.UUID(answer.headers["X-Call-Id"]).version == 4
    assert re.fullmatch(r"\d{19}", answer.headers["X-Start-Time"])
    assert answer.headers["X-Served-By"].startswith("openfaas-")


def test_02_callers_call_id_reaches_function_and_callback_not_the_202(
    gateway: Client, recorder: Recorder, path: str
) -> None:
    answer = queue(gateway, "echo", callback=recorder.url + path, headers={"X-Call-Id": "mine/1"})
    assert "X-Call-Id" not in answer.headers
    (callback,) = recorder.wait(path)
    assert callback.headers["X-Call-Id"] == "mine/1"
    assert echoed(callback)["x-call-id"] == ["mine/1"]


def test_03_get_is_405_empty(gateway: Client) -> None:
    answer = gateway.request("GET", "/async-function/echo")
    assert (answer.status, answer.body) == (405, b"")


def test_04_unknown_function_is_queued_and_404_in_the_callback(gateway: Client, recorder: Recorder, path: str) -> None:
    assert queue(gateway, "nobody", callback=recorder.url + path).status == 202
    (callback,) = recorder.wait(path)
    assert callback.headers["X-Function-Status"] == "404"
    assert callback.headers["X-Function-Name"] == "nobody"
    assert "X-Served-By" not in callback.headers
    assert "X-Start-Time" not in callback.headers
    assert callback.body.startswith(b"error finding function nobody.openfaas-fn: ")


def test_05_body_limit_is_256000_octets(gateway: Client, recorder: Recorder, path: str) -> None:
    assert queue(gateway, "behave", b"x" * 256_000, callback=recorder.url + path).status == 202
    assert len(recorder.wait(path)[0].body) == 256_000
    answer = queue(gateway, "behave", b"x" * 256_001)
    assert answer.status == 500
    assert answer.body == (
        b"Error queuing request: request body too large for OpenFaaS CE (256001 bytes), maximum: 256000 bytes\n"
    )
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "X-Start-Time" in answer.headers


def test_06_callback_carries_the_result(gateway: Client, recorder: Recorder, path: str) -> None:
    body = bytes(range(256))
    call_id = queue(
        gateway, "behave", body, path="?status=201&type=application/x-s1ap", callback=recorder.url + path
    ).headers["X-Call-Id"]
    (callback,) = recorder.wait(path)
    assert callback.body == body
    assert callback.headers["Content-Type"] == "application/x-s1ap"
    assert callback.headers["X-Call-Id"] == call_id
    assert callback.headers["X-Function-Name"] == "behave"
    assert callback.headers["X-Function-Status"] == "201"
    assert re.fullmatch(r"\d+\.\d{6}", callback.headers["X-Duration-Seconds"])
    assert "X-Served-By" in callback.headers
    assert "X-Start-Time" in callback.headers


def test_07_failing_function_runs_once(gateway: Client, recorder: Recorder, path: str) -> None:
    target = f"?status=500&tell={recorder.url}{path}/begun"
    queue(gateway, "behave", path=target, callback=f"{recorder.url}{path}/done")
    assert recorder.wait(f"{path}/done")[0].headers["X-Function-Status"] == "500"
    wait_until_idle(gateway, recorder)
    assert len(recorder.at(f"{path}/begun")) == len(recorder.at(f"{path}/done")) == 1


@pytest.mark.localfaas_only("needs an ack_wait of a second")
def test_08_function_slower_than_ack_wait_runs_twice(hurried: Running, recorder: Recorder, path: str) -> None:
    target = f"?sleep=1.2&tell={recorder.url}{path}/begun"
    queue(hurried, "behave", path=target, callback=f"{recorder.url}{path}/done")
    recorder.wait(f"{path}/done", 2)
    wait_until_idle(hurried, recorder)
    assert len(recorder.at(f"{path}/begun")) == len(recorder.at(f"{path}/done")) == 2


@pytest.mark.localfaas_only("kills a queue-worker")
def test_09_call_of_a_killed_worker_is_redelivered_after_ack_wait(
    hurried: Running, recorder: Recorder, path: str
) -> None:
    target = f"?sleep=0.3&tell={recorder.url}{path}/begun"
    queue(hurried, "behave", path=target, callback=f"{recorder.url}{path}/done")
    recorder.wait(f"{path}/begun")
    assert hurried.manage("POST", "/localfaas/worker/kill") == {"busy": True}
    assert hurried.manage("GET", "/localfaas/queue")["pending"] == 1
    recorder.wait(f"{path}/begun", 2)
    recorder.wait(f"{path}/done")
    wait_until_idle(hurried, recorder)
    assert len(recorder.at(f"{path}/begun")) == 2
    assert len(recorder.at(f"{path}/done")) == 1  # the killed one made no callback


def test_10_one_worker_is_first_in_first_out_over_all_functions(gateway: Client, recorder: Recorder, path: str) -> None:
    for number in range(6):
        function = ("behave", "single")[number % 2]
        target = f"?sleep={0.2 if number == 0 else 0}&tell={recorder.url}{path}/begun/{number}"
        queue(gateway, function, path=target, callback=f"{recorder.url}{path}/done/{number}")
    recorder.wait(f"{path}/done", 6)
    steps = [seen.path.removeprefix(path) for seen in recorder.at(path)]
    assert steps == [f"/{step}/{number}" for number in range(6) for step in ("begun", "done")]


@pytest.mark.localfaas_only("needs exactly two workers")
def test_11_two_workers_overlap(pair: Running, recorder: Recorder, path: str) -> None:
    queue(pair, "behave", path="?sleep=1", callback=f"{recorder.url}{path}/slow")
    for _ in range(3):
        queue(pair, "behave", callback=f"{recorder.url}{path}/quick")
    recorder.wait(path, 4)
    # The free worker takes all of them: none is dealt to the one that is busy.
    assert [seen.path for seen in recorder.at(path)] == [f"{path}/quick"] * 3 + [f"{path}/slow"]


@pytest.mark.localfaas_only("restarts the broker")
def test_12_broker_restart_loses_the_backlog(hurried: Running, recorder: Recorder, path: str) -> None:
    queue(hurried, "behave", path=f"?sleep=0.3&tell={recorder.url}{path}/begun", callback=f"{recorder.url}{path}/done")
    for _ in range(3):
        queue(hurried, "behave", callback=f"{recorder.url}{path}/lost")
    recorder.wait(f"{path}/begun")
    assert hurried.manage("POST", "/localfaas/broker/restart") == {"lost": 3}
    recorder.wait(f"{path}/done")  # what a worker has begun goes on
    wait_until_idle(hurried, recorder)
    assert recorder.at(f"{path}/lost") == []


def test_13_path_and_query_reach_the_function(gateway: Client, recorder: Recorder, path: str) -> None:
    queue(gateway, "echo", path="/a/b%20c?x=1&x=2", callback=recorder.url + path)
    told = [recorder.wait(path)[0].body, gateway.invoke("echo", method="PUT", path="/a/b%20c?x=1&x=2").body]
    assert [(json.loads(t)["path"], json.loads(t)["query"]) for t in told] == [("/a/b c", {"x": ["1", "2"]})] * 2
    assert [json.loads(t)["method"] for t in told] == ["POST", "PUT"]
    queue(gateway, "echo", callback=recorder.url + path)
    assert json.loads(recorder.wait(path, 2)[1].body)["path"] == "/"
    assert json.loads(gateway.invoke("echo").body)["path"] == "/"


def test_14_refused_callback_is_not_sent_again(gateway: Client, recorder: Recorder, path: str) -> None:
    queue(gateway, "behave", callback=f"{recorder.url}/failing{path}")
    recorder.wait(f"/failing{path}")
    wait_until_idle(gateway, recorder)
    assert len(recorder.at(f"/failing{path}")) == 1


def test_bad_callback_url_is_400(gateway: Client) -> None:
    answer = queue(gateway, "behave", callback="http://[::1")
    assert (answer.status, answer.body) == (400, b"parse \"http://[::1\": missing ']' in host\n")


def test_function_sees_the_gateways_headers(gateway: Client, recorder: Recorder, path: str) -> None:
    queue(gateway, "echo", callback=recorder.url + path)
    headers = echoed(recorder.wait(path)[0])
    assert headers["x-callback-url"] == [recorder.url + path]
    # Added by the asynchronous and again by the synchronous route.
    assert len(",".join(headers["x-start-time"]).split(",")) == 2
    assert headers["x-forwarded-host"]
    assert headers["x-forwarded-for"]
