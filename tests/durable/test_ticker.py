"""The ticker fires what is due, a few at a time, each once at a time, and leaves alone what has said when."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from durable.sqlite import SqliteStore
from durable.ticker import AT_ONCE, NO_ANSWER_S, HttpFire, StepDone, Ticker
from tests.durable.test_journal import TABLES
from trust import signing
from trust.signing import Signed, Way

MASTER = bytes(range(32))


class Site:
    """A store, and a clock that a test turns."""

    def __init__(self, folder: Path) -> None:
        self.now_s = 1_000.0
        self.store = SqliteStore(folder / "edge.db", TABLES)
        self.fired: list[str] = []

    def due(self, *keys: str) -> None:
        for key in keys:
            self.store.set_due(key, 1)

    def ticker(self, fire: Callable[[str], StepDone | None]) -> Ticker:
        def noted(key: str) -> StepDone | None:
            self.fired.append(key)
            return fire(key)

        return Ticker(self.store, noted, clock=lambda: self.now_s)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_no_more_than_a_few_at_once_and_none_twice(site: Site) -> None:
    go_on, names = threading.Event(), [f"call-{n}" for n in range(2 * AT_ONCE)]
    site.due(*names)

    def slow(_: str) -> StepDone:
        go_on.wait(60)
        return StepDone(None)

    ticker = site.ticker(slow)
    assert ticker.tick() == AT_ONCE
    assert ticker.tick() == 0
    until(lambda: len(site.fired) == AT_ONCE)
    go_on.set()
    until(lambda: ticker.tick() > 0)
    ticker.close()
    assert set(site.fired[:AT_ONCE]) == set(names[:AT_ONCE])


def test_one_that_runs_is_not_fired_again_where_there_is_room(site: Site) -> None:
    go_on = threading.Event()
    site.due("call")

    def slow(_: str) -> StepDone:
        go_on.wait(60)
        return StepDone(None)

    ticker = site.ticker(slow)
    assert [ticker.tick() for _ in range(3)] == [1, 0, 0]
    go_on.set()
    until(lambda: not ticker._busy)
    assert ticker.tick() == 1
    ticker.close()
    assert site.fired == ["call", "call"]


@pytest.mark.parametrize(("answer", "pause_s"), [(StepDone(0.3), 0.3), (None, NO_ANSWER_S)])
def test_who_says_when_and_who_does_not_answer_is_left_alone_so_long(
    site: Site, answer: StepDone | None, pause_s: float
) -> None:
    site.due("call")
    ticker = site.ticker(lambda _: answer)
    assert ticker.tick() == 1
    until(lambda: not ticker._busy)
    site.now_s += pause_s - 0.05
    assert ticker.tick() == 0
    site.now_s += 0.1
    assert ticker.tick() == 1
    ticker.close()
    assert site.fired == ["call", "call"]


def test_a_fault_of_the_function_is_no_end_of_the_ticker(site: Site) -> None:
    site.due("call")

    def broken(_: str) -> StepDone:
        raise RuntimeError

    ticker = site.ticker(broken)
    assert ticker.tick() == 1
    until(lambda: not ticker._busy)
    site.now_s += NO_ANSWER_S - 0.1
    assert ticker.tick() == 0
    site.now_s += 0.2
    assert ticker.tick() == 1
    ticker.close()


def test_a_step_is_signed_for_its_function_and_only_a_proper_answer_counts() -> None:
    answers = iter([(200, b'{"after_s": 1.5}'), (503, b"{}"), (200, b"nonsense")])
    came: list[tuple[str, dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            came.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            status, answer = next(answers)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    troubles: list[str] = []
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        fire = HttpFire(f"http://127.0.0.1:{server.server_port}/", "config-reload", MASTER, troubles.append)
        assert fire("one") == StepDone(1.5)
        assert fire("two") is None
        assert fire("three") is None
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert fire("four") is None  # nobody listens
    assert len(troubles) == 3
    path, headers, body = came[0]
    assert (path, json.loads(body)) == ("/function/config-reload", {"step": "one"})
    signed = Signed("ticker", headers["x-edge-timestamp"], Way.UP, "config-reload", "", body)
    assert signing.verify(signing.derive_key(MASTER, "ticker"), signed, headers["x-edge-signature"])
    assert not signing.verify(signing.derive_key(MASTER, "operator/alice"), signed, headers["x-edge-signature"])
