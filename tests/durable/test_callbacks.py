"""A callback's headers: whatever id its call has, the answer comes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from durable.callbacks import HttpCallbacks, To
from trust.access import Access
from trust.envelope import is_call_id

MASTER = bytes(32)


@pytest.fixture
def came() -> Iterator[tuple[str, list[str]]]:
    """A caller's server, and the ids that came to it."""
    ids: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            ids.append(self.headers["X-Call-Id"])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", ids
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("call_id", "header", "may_be_given"),
    [
        ("order 1/~%", "order 1/~%", True),
        ("commandé", "commandé", False),
        ("заказ-1", "%D0%B7%D0%B0%D0%BA%D0%B0%D0%B7-1", False),
    ],
)
def test_an_answer_comes_under_its_calls_id(
    came: tuple[str, list[str]], call_id: str, header: str, may_be_given: bool
) -> None:
    """An earlier version took ids that no header can hold: a call that is under way under one has its answer, too."""
    url, ids = came
    sender = HttpCallbacks("placement", Access(MASTER, "http://127.0.0.1", 180))
    assert sender.send(To(url, "operator/ana", call_id), b"{}")
    assert ids == [header]
    assert is_call_id(call_id) is may_be_given


@pytest.mark.parametrize("call_id", ["", "x" * 129, "one\ntwo", "one\ttwo", "\x7f"])
def test_what_is_no_id_of_a_call(call_id: str) -> None:
    assert not is_call_id(call_id)
