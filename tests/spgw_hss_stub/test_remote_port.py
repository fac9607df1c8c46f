"""The port's caller: silence is Pending, a refusal is one at once, and nothing holds it in line for long."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mme.codec.needs import encode_answer
from mme.errors import ConfigError
from mme.ids import Imsi, Plmn
from mme.needs import Done, Need, NeedVector, Pending, Refusal, Refused, Vector
from mme.remote_port import RemotePort

NEED = NeedVector("00101-0019b/4/2/vector", 77, Imsi("001010123456780"), Plmn("00101"))
VECTOR = Vector(b"r" * 16, b"x" * 8, b"a" * 16, b"k" * 32)
ANSWER_URL = "http://127.0.0.1:9/async-function/mme-answer"
BOUND_S = 0.5
"""A call's limit is 90 ms; the rest is for a busy machine."""


@contextmanager
def listening(serve: Callable[[socket.socket, bytes], None]) -> Iterator[tuple[str, list[bytes]]]:
    """A server of raw sockets: serve(connection, request) for each request; its URL and the requests."""
    requests: list[bytes] = []
    open_connections: list[socket.socket] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def one(connection: socket.socket) -> None:
        try:
            while request := read_request(connection):
                requests.append(request)
                serve(connection, request)
        except OSError:
            return
        finally:
            connection.close()

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            open_connections.append(connection)
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/hss", requests
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in open_connections:
            connection.close()
        thread.join(10)


def read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(4096)
        if not part:
            return b""
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(
        next(line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    )
    while len(body) < length:
        body += connection.recv(4096)
    return head + b"\r\n\r\n" + body


def respond(connection: socket.socket, status: int, body: bytes = b"") -> None:
    connection.sendall(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body)


def answer_body(need: Need = NEED, answer: Any = VECTOR) -> bytes:
    return json.dumps({"answer": encode_answer(need, answer)}).encode()


@contextmanager
def port_to(url: str, **arguments: Any) -> Iterator[RemotePort]:
    port = RemotePort(url, ANSWER_URL, **arguments)
    try:
        yield port
    finally:
        port.close()


def timed(port: RemotePort) -> tuple[object, float]:
    begin = time.monotonic()
    answer = port.ask(NEED)
    return answer, time.monotonic() - begin


def test_an_answer_in_line_over_a_kept_connection() -> None:
    connections = set()

    def serve(connection: socket.socket, _: bytes) -> None:
        connections.add(connection)
        respond(connection, 200, answer_body())

    with listening(serve) as (url, requests), port_to(url) as port:
        for _ in range(10):
            assert port.ask(NEED) == VECTOR
    assert len(connections) == 1
    body = json.loads(requests[0].partition(b"\r\n\r\n")[2])
    assert (body["wait_ms"], body["answer_url"]) == (50, ANSWER_URL)


def test_a_longer_wait_is_passed_on() -> None:
    with (
        listening(lambda c, _: respond(c, 200, answer_body())) as (url, requests),
        port_to(url, in_line_ms=1000) as port,
    ):
        assert port.ask(NEED) == VECTOR
    assert json.loads(requests[0].partition(b"\r\n\r\n")[2])["wait_ms"] == 1000


def test_accepted_is_pending() -> None:
    with listening(lambda c, _: respond(c, 202)) as (url, _), port_to(url) as port:
        assert port.ask(NEED) == Pending()


def test_silence_is_pending_within_the_bound() -> None:
    with listening(lambda *_: None) as (url, _), port_to(url) as port:
        for _ in range(3):
            answer, seconds = timed(port)
            assert answer == Pending()
            assert seconds < BOUND_S


def test_an_answer_octet_by_octet_is_pending_within_the_bound() -> None:
    """Each octet comes in time for a socket's timeout; the whole never does."""
    stop = threading.Event()

    def serve(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        while not stop.wait(0.02):
            connection.sendall(b"x")

    with listening(serve) as (url, _), port_to(url) as port:
        answer, seconds = timed(port)
        stop.set()
    assert answer == Pending()
    assert seconds < BOUND_S


def test_a_name_that_takes_long_to_resolve_is_pending_within_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved = threading.Event()

    def slow(*_: object, **__: object) -> list[Any]:
        resolved.wait(5)
        raise OSError("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with port_to("http://hss.invalid/hss") as port:
        answer, seconds = timed(port)
        resolved.set()
    assert answer == Pending()
    assert seconds < BOUND_S


def test_more_silent_needs_than_threads_stay_within_the_bound() -> None:
    with listening(lambda *_: None) as (url, _), port_to(url) as port:
        results: list[tuple[object, float]] = []
        threads = [threading.Thread(target=lambda: results.append(timed(port))) for _ in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert len(results) == 24
    assert all(answer == Pending() and seconds < BOUND_S for answer, seconds in results)


def test_nobody_listens() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port_number = listener.getsockname()[1]
    listener.close()
    with port_to(f"http://127.0.0.1:{port_number}/hss") as port:
        answer, seconds = timed(port)
    assert answer == Refused(Refusal.UNREACHABLE)
    assert seconds < BOUND_S


def test_a_kept_connection_that_was_closed_is_made_anew() -> None:
    """The other side takes the second request and closes without a word."""
    count = 0

    def serve(connection: socket.socket, _: bytes) -> None:
        nonlocal count
        count += 1
        if count == 2:
            connection.shutdown(socket.SHUT_RDWR)
        else:
            respond(connection, 200, answer_body())

    with listening(serve) as (url, _), port_to(url, in_line_ms=1000) as port:
        assert port.ask(NEED) == VECTOR
        assert port.ask(NEED) == VECTOR
    assert count == 3


def test_a_connection_that_is_always_closed_is_unreachable() -> None:
    with (
        listening(lambda c, _: c.shutdown(socket.SHUT_RDWR)) as (url, requests),
        port_to(url, in_line_ms=1000) as port,
    ):
        assert port.ask(NEED) == Refused(Refusal.UNREACHABLE)
    assert len(requests) == 2


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (500, b"", Refusal.UNREACHABLE),
        (503, answer_body(), Refusal.UNREACHABLE),
        (400, b"", Refusal.REJECTED),
        (401, b"", Refusal.REJECTED),
        (301, b"", Refusal.REJECTED),
        (200, b"", Refusal.REJECTED),
        (200, b"no json", Refusal.REJECTED),
        (200, b"[]", Refusal.REJECTED),
        (200, b"{}", Refusal.REJECTED),
        (200, b'{"answer": {"kind": "vector"}}', Refusal.REJECTED),
        (200, b"\xff" * 10, Refusal.REJECTED),
        (200, answer_body(NeedVector("another need", 77, NEED.imsi, NEED.serving_plmn)), Refusal.REJECTED),
        (200, answer_body(NeedVector(NEED.id, 78, NEED.imsi, NEED.serving_plmn)), Refusal.REJECTED),
    ],
)
def test_answers_that_are_none(status: int, body: bytes, reason: Refusal) -> None:
    with listening(lambda c, _: respond(c, status, body)) as (url, _), port_to(url, in_line_ms=1000) as port:
        assert port.ask(NEED) == Refused(reason)


def test_a_refusal_of_the_port_itself() -> None:
    body = answer_body(answer=Refused(Refusal.UNKNOWN_SUBSCRIBER))
    with listening(lambda c, _: respond(c, 200, body)) as (url, _), port_to(url, in_line_ms=1000) as port:
        assert port.ask(NEED) == Refused(Refusal.UNKNOWN_SUBSCRIBER)
    body = answer_body(answer=Done())
    with listening(lambda c, _: respond(c, 200, body)) as (url, _), port_to(url, in_line_ms=1000) as port:
        assert port.ask(NEED) == Done()


@pytest.mark.parametrize("url", ["", "hss", "ftp://host/hss", "http:///hss", "http://user@host/hss"])
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(ConfigError):
        RemotePort(url, ANSWER_URL)
