"""template/python3-flask-edge/index.py as a process: what the watchdog and the handler rely on."""

import http.client
import json
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.localfaas.conftest import TEMPLATE, Serve, Served, wait_for
from tests.trust.reading import lines_of

SHAPES = """
import json

def handle(event, context):
    return {
        "/none": lambda: None,
        "/tuple": lambda: (event.body, 201, {"X-A": "1", "Content-Type": "a/b"}),
        "/short": lambda: ("text", 202),
        "/dict": lambda: {"statusCode": 203, "body": {"k": [1]}, "headers": {"X-B": "2"}},
        "/bytes": lambda: {"body": event.body},
        "/json-typed": lambda: ({"k": 1}, 200, {"Content-Type": "application/problem+json"}),
        "/bad": lambda: 42,
        "/bad-body": lambda: (object(), 200),
        "/event": lambda: ({
            "method": event.method, "path": event.path, "x": event.query.getlist("x"),
            "header": event.headers.get("x-MiXed"), "body": event.body.decode(),
        }, 200),
        "/metrics": lambda: ("never", 200),
    }[event.path]()
"""


def ask(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, dict(response.headers), response.read()


@pytest.fixture
def shapes(serve: Serve) -> Iterator[Served]:
    yield serve(SHAPES)


def test_results_of_a_handler(shapes: Served) -> None:
    port = shapes.port()
    octets = bytes(range(256))
    expected = {
        "/none": (200, None, b""),
        "/tuple": (201, "a/b", octets),
        "/short": (202, None, b"text"),
        "/dict": (203, "application/json", b'{"k":[1]}'),
        "/bytes": (200, None, octets),
        "/json-typed": (200, "application/problem+json", b'{"k":1}'),
        "/bad": (500, "text/plain; charset=utf-8", b""),
        "/bad-body": (500, "text/plain; charset=utf-8", b""),
        "/unknown": (500, "text/plain; charset=utf-8", b""),
    }
    for path, wanted in expected.items():
        status, headers, body = ask(port, "POST", path, octets)
        assert (status, headers.get("Content-Type"), body) == wanted, path
    assert ask(port, "POST", "/tuple")[1]["X-A"] == "1"
    assert ask(port, "POST", "/dict")[1]["X-B"] == "2"


def test_event_shows_the_request(shapes: Served) -> None:
    _, _, body = ask(shapes.port(), "PUT", "/event?x=1&x=2", b"hi", **{"X-Mixed": "yes"})
    assert json.loads(body) == {"method": "PUT", "path": "/event", "x": ["1", "2"], "header": "yes", "body": "hi"}


def test_metrics_are_not_the_handlers(shapes: Served) -> None:
    port = shapes.port()
    status, headers, body = ask(port, "GET", "/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=")
    assert b"process_cpu_seconds_total" in body
    assert ask(port, "POST", "/metrics")[0] == 405


def test_metrics_are_not_for_who_comes_through_the_gateway(shapes: Served) -> None:
    """It adds the header to each call: openfaas/faas, gateway/handlers/callid_middleware.go."""
    assert ask(shapes.port(), "GET", "/metrics", **{"X-Start-Time": "1795438972310000000"})[0] == 404


def test_body_over_one_mebibyte_is_413(shapes: Served) -> None:
    port = shapes.port()
    assert ask(port, "POST", "/bytes", b"x" * (1 << 20))[0] == 200
    # The server answers at the header and closes: a body on its way then would only meet a broken pipe.
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.putrequest("POST", "/bytes")
        connection.putheader("Content-Length", str((1 << 20) + 1))
        connection.endheaders()
        assert connection.getresponse().status == 413


def lines(served: Served) -> list[dict[str, Any]]:
    """What it has logged."""
    return lines_of(served.log.read_text())


def test_exception_is_one_json_line(serve: Serve) -> None:
    served = serve("def handle(event, context):\n    raise ValueError('secret of the handler')\n")
    status, _, body = ask(served.port(), "POST", "/p", **{"X-Call-Id": "c1"})
    assert (status, body) == (500, b"")
    (line,) = lines(served)
    assert (line["level"], line["event"], line["path"], line["call_id"]) == ("error", "handler raised", "/p", "c1")
    assert "ValueError: secret of the handler" in line["traceback"]


NOISY = """
import logging, threading, warnings

class Torn:
    def __del__(self):
        raise OSError("of a finalizer")

def fail():
    raise RuntimeError("of a thread")

def leave():
    raise SystemExit

def handle(event, context):
    logging.getLogger("waitress").warning("%d open connections", 1000)
    logging.getLogger("a.library").info("not asked for")
    logging.getLogger("a.library").warning("%d of them", "two")
    try:
        {}["key"]
    except KeyError:
        logging.getLogger("a.library").exception("two\\nlines")
    warnings.warn("of Python", RuntimeWarning)
    for what in (fail, leave):
        thread = threading.Thread(target=what, name="worker")
        thread.start()
        thread.join()
    Torn()
"""


def test_what_libraries_threads_and_finalizers_say_is_one_json_line_each(serve: Serve) -> None:
    served = serve(NOISY)
    assert ask(served.port(), "POST", "/")[0] == 200
    told = [(line["level"], line.get("logger"), line["event"]) for line in lines(served)]
    assert told[:3] == [
        ("warning", "waitress", "1000 open connections"),
        ("warning", "a.library", "%d of them"),
        ("error", "a.library", "two\nlines"),
    ]
    assert told[3][:2] == ("warning", "py.warnings")
    assert "RuntimeWarning: of Python" in told[3][2]
    assert told[4:] == [("error", None, "uncaught exception")] * 2
    _, _, logged, _, of_thread, of_finalizer = lines(served)
    assert "KeyError: 'key'" in logged["traceback"]
    assert of_thread["thread"] == "worker"
    assert "RuntimeError: of a thread" in of_thread["traceback"]
    assert "OSError: of a finalizer" in of_finalizer["traceback"]


def test_a_server_that_cannot_start_says_so_in_one_json_line(serve: Serve) -> None:
    served = serve("def handle(event, context):\n    pass\n", WAITRESS_THREADS="many")
    assert served.process.wait(timeout=20) == 1
    (line,) = lines(served)
    assert (line["level"], line["event"]) == ("error", "uncaught exception")
    assert "ValueError" in line["traceback"]


def test_import_failure_is_one_json_line_and_exits_1(serve: Serve) -> None:
    served = serve("import nothing_like_this\n")
    assert served.process.wait(timeout=20) == 1
    (line,) = lines(served)
    assert (line["level"], line["event"]) == ("error", "handler cannot be imported")
    assert "No module named 'nothing_like_this'" in line["traceback"]
    assert not served.lock.exists()


def test_call_sent_before_the_import_is_over_is_answered(serve: Serve, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    gate = tmp_path / "gate"
    served = serve(blocked_import(gate), PORT=str(port))

    def connected() -> bool:
        nonlocal connection
        try:
            connection = socket.create_connection(("127.0.0.1", port), timeout=20)
        except ConnectionRefusedError:
            return False
        return True

    connection: socket.socket | None = None
    wait_for(connected)
    assert connection is not None
    with connection:
        connection.sendall(b"POST / HTTP/1.0\r\nContent-Length: 0\r\n\r\n")
        assert not served.lock.exists()  # connected, and not yet ready
        gate.touch()
        assert connection.makefile("rb").read().endswith(b"late")
    assert served.port() == port


def blocked_import(gate: Path) -> str:
    """A handler whose import ends when the file is there."""
    return (
        "import os, time\n"
        f"while not os.path.exists({str(gate)!r}):\n    time.sleep(0.01)\n"
        "def handle(event, context):\n    return b'late', 200\n"
    )


def test_a_slow_import_is_ready_in_time_and_its_calls_wait(serve: Serve, tmp_path: Path) -> None:
    # The liveness probe of OpenFaaS CE would kill it: no lock for 6 s.
    gate = tmp_path / "gate"
    served = serve(blocked_import(gate), READY_WITHIN_S="0.1")
    port = served.port()
    answers: list[tuple[int, dict[str, str], bytes]] = []
    caller = threading.Thread(target=lambda: answers.append(ask(port, "POST", "/")))
    caller.start()
    gate.touch()
    caller.join(20)
    assert [(status, body) for status, _, body in answers] == [(200, b"late")]
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(timeout=20) == 0
    assert not served.lock.exists()


def test_a_lock_that_a_killed_container_left_does_not_count(serve: Serve, tmp_path: Path) -> None:
    left, gate = tmp_path / "left", tmp_path / "gate"
    left.write_text("5000")
    served = serve(blocked_import(gate), READY_LOCK=str(left))
    wait_for(lambda: not left.exists())
    gate.touch()
    wait_for(left.exists)
    assert ask(int(left.read_text()), "POST", "/")[2] == b"late"
    assert served.process.poll() is None


def test_sigterm_finishes_held_calls_and_exits_0(serve: Serve, tmp_path: Path) -> None:
    begun, gate = tmp_path / "begun", tmp_path / "gate"
    served = serve(
        "import os, pathlib, time\n"
        "def handle(event, context):\n"
        f"    pathlib.Path({str(begun)!r}).touch()\n"
        f"    while not os.path.exists({str(gate)!r}):\n        time.sleep(0.01)\n"
        "    return b'done', 200\n"
    )
    port = served.port()
    answers: list[tuple[int, dict[str, str], bytes]] = []
    # More than threads, so that some calls only wait in the queue when the signal comes.
    calls = [threading.Thread(target=lambda: answers.append(ask(port, "POST", "/"))) for _ in range(6)]
    for call in calls:
        call.start()
    wait_for(begun.exists)

    def all_connected() -> bool:
        # Established connections of this port, as the kernel lists them.
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        local = f":{port:04X}"
        return sum(1 for line in lines if line.split()[1].endswith(local) and line.split()[3] == "01") >= 6

    wait_for(all_connected)
    served.process.send_signal(signal.SIGTERM)

    def refused() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionRefusedError:
            return True
        return False

    wait_for(refused)
    assert not served.lock.exists()
    gate.touch()
    for call in calls:
        call.join(timeout=20)
    assert [(status, body) for status, _, body in answers] == [(200, b"done")] * 6
    assert served.process.wait(timeout=20) == 0


def test_drain_delay_goes_on_accepting(serve: Serve) -> None:
    served = serve("def handle(event, context):\n    return b'yes', 200\n", DRAIN_DELAY_S="0.6")
    port = served.port()
    served.process.send_signal(signal.SIGTERM)
    wait_for(lambda: not served.lock.exists())
    assert ask(port, "POST", "/")[2] == b"yes"
    assert served.process.wait(timeout=20) == 0


def test_drain_is_bounded(serve: Serve, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    served = serve(
        "import pathlib, threading\n"
        "def handle(event, context):\n"
        f"    pathlib.Path({str(begun)!r}).touch()\n"
        "    threading.Event().wait()\n",
        DRAIN_TIMEOUT_S="0.3",
    )
    with socket.create_connection(("127.0.0.1", served.port())) as connection:
        connection.sendall(b"POST / HTTP/1.0\r\nContent-Length: 0\r\n\r\n")
        wait_for(begun.exists)
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(timeout=10) == 0


def test_requirements_are_hashed_and_name_no_address() -> None:
    text = (TEMPLATE / "requirements.txt").read_text()
    pinned = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert pinned
    assert all("==" in line and line.endswith("\\") for line in pinned)
    assert "://" not in text
    assert not [line for line in pinned if line.startswith("-")]
