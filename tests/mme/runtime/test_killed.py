"""A function is killed between save and push, and at the points around: no message is lost, none doubled."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from mme.codec import envelope
from mme.codec.envelope import Downlink, Item, Timer
from mme.enums import TimerName
from mme.messages import DownlinkNasTransport
from mme.push import TIMEOUT_S, HttpPusher
from tests.mme.runtime.dying import KILLED, Point
from tests.mme.runtime.pair import M_TMSI_KEY, Network, Talk, assert_no_count_used_twice
from tests.mme.runtime.test_attach import assert_registered

ROOT = Path(__file__).resolve().parents[3]


def challenged(network: Network) -> Talk:
    """A UE that does not answer its challenge, so that T3460 will push; the clock is the real one, its rows' too."""
    network.clock.now_s = time.time()
    talk = network.ue(network.subscribe())
    talk.step()
    talk.queue.clear()
    network.clock.now_s += 6.5
    return talk


def die_of(network: Network, talk: Talk, point: Point) -> list[Downlink]:
    """A process takes the due timer and dies; out: what the eNB has taken from it."""
    ctx = network.context(talk)
    running = ctx.timers[TimerName.T3460.value]
    item = Item(id=f"{running.token}/T3460", timer=Timer(ctx.key, "T3460", running.token, running.due_ms))
    told = {
        "store": network.url,
        "part": network.part,
        "now_s": network.clock.now_s,
        "m_tmsi_key": M_TMSI_KEY.hex(),
        "item": envelope.encode(item).decode(),
        "point": point.value,
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.mme.runtime.dying"],
        input=json.dumps(told).encode(),
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'enb-app'}"},
        timeout=100,
        check=False,
    )
    assert done.returncode == (0 if point is Point.NOWHERE else KILLED), done.stderr.decode()
    return [msgspec.json.decode(line, type=Downlink) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("point", Point, ids=lambda p: p.value)
def test_a_killed_function_loses_no_message_and_sends_none_twice(network: Network, point: Point) -> None:
    talk = challenged(network)
    taken = die_of(network, talk, point)
    assert len(taken) == (point in (Point.BEFORE_TAKING_OUT, Point.NOWHERE))
    for downlink in taken:
        talk.hear(downlink)
    assert len(network.context(talk).outbox) == (point in (Point.AFTER_SAVE, Point.BEFORE_TAKING_OUT))
    network.wait(4)
    assert network.context(talk).outbox == ()
    assert [type(m) for m in talk.messages()].count(DownlinkNasTransport) == 2 + (point is Point.BEFORE_TAKING_OUT)
    assert talk.association.ordering.repeats == (point is Point.BEFORE_TAKING_OUT)
    talk.flow()
    assert_registered(network, talk)
    assert_no_count_used_twice(talk)


class Enb:
    """A downlink URL over HTTP.  status: its answer; after: is waited for first; heard: ids of all that came."""

    def __init__(self) -> None:
        self.status = 200
        self.after = threading.Event()
        self.after.set()
        self.heard: list[str] = []
        enb = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                replies = envelope.decode_response(body).replies
                enb.heard += [downlink.id for reply in replies for downlink in reply.downlink]
                enb.after.wait(30)
                try:
                    self.send_response(enb.status)
                    self.send_header("Location", "http://127.0.0.1:9/")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except OSError:
                    return  # whoever pushed has not waited

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/downlink"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def enb() -> Iterator[Enb]:
    made = Enb()
    yield made
    made.after.set()
    made.server.shutdown()
    made.server.server_close()


@contextmanager
def dead_url() -> Iterator[str]:
    """Somebody else's port that is bound, and not listened at."""
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{sock.getsockname()[1]}/downlink"


def push(url: str, downlink_id: str = "d1") -> bool:
    return HttpPusher("mme-timer").push(url, "00101-0019b", bytes(32), "item", [Downlink(downlink_id, "e", 0, b"")])


@pytest.mark.parametrize(("status", "taken"), [(200, True), (204, True), (302, False), (401, False), (500, False)])
def test_a_push_is_taken_by_two_hundreds_only(enb: Enb, status: int, taken: bool) -> None:
    enb.status = status
    assert push(enb.url) is taken
    assert enb.heard == ["d1"]


def test_a_dead_url_takes_nothing() -> None:
    with dead_url() as url:
        assert not push(url)


def test_a_slow_one_is_not_waited_for(enb: Enb) -> None:
    enb.after.clear()
    begin = time.monotonic()
    assert not push(enb.url)
    assert TIMEOUT_S == 1.0
    assert time.monotonic() - begin >= TIMEOUT_S
    assert not enb.after.is_set()


@pytest.mark.parametrize("fault", ["dead", "slow", "500"])
def test_the_retry_reaches_an_enb_that_was_away_under_the_same_id(network: Network, enb: Enb, fault: str) -> None:
    """The retry is a timer row: nobody waits in a function meanwhile."""
    network.pushes = HttpPusher("mme-timer")  # type: ignore[assignment]
    with dead_url() as dead:
        item = Item(
            id="00101-0019b/setup-again/1",
            enb="00101-0019b",
            epoch="epoch-1",
            s1ap=network.cell.setup_request().octets,
            downlink_url=dead if fault == "dead" else enb.url,
        )
        assert network.send("mme-enb", item).reply.result == "done"
        if fault == "slow":
            enb.after.clear()
        if fault == "500":
            enb.status = 500
        talk = network.ue(network.subscribe())
        talk.step()
        talk.queue.clear()
        network.clock.now_s += 6.5
        network.ticker.tick()
        ctx = network.context(talk)
        assert len(ctx.outbox) == 1
        assert TimerName.OUTBOX.value in ctx.timers
        assert len(enb.heard) == (0 if fault == "dead" else 1)
    enb.after.set()
    enb.status = 200
    if fault == "dead":
        again = msgspec.structs.replace(item, id="00101-0019b/setup-again/2", downlink_url=enb.url)
        assert network.send("mme-enb", again).reply.result == "done"
    network.clock.now_s += 2.5
    network.ticker.tick()
    assert network.context(talk).outbox == ()
    assert len(enb.heard) == (1 if fault == "dead" else 2)
    assert len(set(enb.heard)) == 1
