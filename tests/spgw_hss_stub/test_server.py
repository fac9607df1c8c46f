"""The stub behind the port: in line, late, lost, refused, signed."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from typing import Any

import pytest
import requests

from mme.codec.needs import decode_answer, encode_need
from mme.errors import StoreUnavailableError
from mme.ids import Imsi, Plmn
from mme.needs import (
    DeleteSession,
    Done,
    ModifySession,
    Need,
    NeedProfile,
    NeedSession,
    NeedVector,
    Pending,
    Profile,
    Refusal,
    Refused,
    Session,
    Vector,
)
from mme.remote_port import RemotePort
from spgw_hss_stub.behaviour import Behaviour, in_share
from spgw_hss_stub.server import FIRST_PAUSE_S, TRIES, is_allowed
from tests.spgw_hss_stub.conftest import CIPHER_KEY, IMSIS, KEYS, Sink, StubUrl
from trust.signing import Signed, Way, derive_key, headers, verify

IMSI = IMSIS[0]
PLMN = Plmn("00101")
MASTER = bytes(range(100, 132))
LONG_MS = 3000
"""Wait in line of tests that want an answer in line, however busy the machine is."""


def vector(number: int = 1, imsi: Imsi = IMSI) -> NeedVector:
    return NeedVector(f"00101-0019b/4/{number}/vector", 77, imsi, PLMN)


def session(number: int = 1, imsi: Imsi = IMSI) -> NeedSession:
    return NeedSession(f"00101-0019b/4/{number}/session", 77, imsi, "internet", 1, 5)


class Ports:
    """Both ports of a stub."""

    def __init__(self, url: str, sink: Sink, **arguments: Any) -> None:
        arguments = {"in_line_ms": LONG_MS} | arguments
        self.hss = RemotePort(f"{url}/hss", sink.url, **arguments)
        self.sgw = RemotePort(f"{url}/sgw", sink.url, **arguments)

    def __enter__(self) -> Ports:
        return self

    def __exit__(self, *_: object) -> None:
        self.hss.close()
        self.sgw.close()


def post(url: str, need: Need | Any, answer_url: str, **changes: Any) -> requests.Response:
    body = {"need": encode_need(need) if isinstance(need, Need) else need, "answer_url": answer_url} | changes
    return requests.post(url, json=body, timeout=10)


def test_every_need_in_line(stub_url: StubUrl, sink: Sink) -> None:
    with stub_url() as url, Ports(url, sink) as ports:
        first = ports.hss.ask(vector())
        assert isinstance(first, Vector)
        assert ports.hss.ask(vector()) == first
        assert isinstance(ports.hss.ask(NeedProfile("p", 77, IMSI)), Profile)
        assert ports.hss.ask(vector(2, Imsi("001019999999999"))) == Refused(Refusal.UNKNOWN_SUBSCRIBER)
        made = ports.sgw.ask(session())
        assert isinstance(made, Session)
        assert ports.sgw.ask(session()) == made
        assert ports.sgw.ask(ModifySession("m", 77, made.session_id, bytes(4), 5)) == Done()
        assert ports.sgw.ask(DeleteSession("d", 77, made.session_id)) == Done()
    assert sink.requests.empty()


def test_a_short_delay_is_waited_for_in_line(stub_url: StubUrl, sink: Sink) -> None:
    with stub_url(Behaviour(delay_ms=40)) as url, Ports(url, sink) as ports:
        begin = time.monotonic()
        assert isinstance(ports.hss.ask(vector()), Vector)
        assert time.monotonic() - begin >= 0.04


def test_a_long_delay_is_answered_later_and_the_same(stub_url: StubUrl, sink: Sink) -> None:
    with stub_url(Behaviour(delay_ms=120)) as url, Ports(url, sink, in_line_ms=50) as ports:
        begin = time.monotonic()
        assert ports.hss.ask(vector()) == Pending()
        item = sink.next_item()
        assert time.monotonic() - begin >= 0.12
        assert ports.hss.ask(vector()) == Pending()
        again = sink.next_item()
    late = decode_answer(item["answer"])
    assert item["id"] == "00101-0019b/4/1/vector/answer"
    assert (late.need, late.owner) == (vector().id, 77)
    assert isinstance(late.answer, Vector)
    assert again == item


def test_accepted_comes_at_once(stub_url: StubUrl, sink: Sink) -> None:
    """The answer is as far away as the test likes: its sleep does not end before 202 has come."""
    accepted = threading.Event()

    async def sleep(_: float) -> None:
        await asyncio.to_thread(accepted.wait, 10)

    with stub_url(Behaviour(delay_ms=1000), sleep=sleep) as url:
        assert post(f"{url}/hss", vector(), sink.url).status_code == 202
        assert sink.requests.empty()
        accepted.set()
        assert isinstance(decode_answer(sink.next_item()["answer"]).answer, Vector)


def test_a_share_of_the_ues_is_slow_in_all_its_needs(stub_url: StubUrl, sink: Sink) -> None:
    with stub_url(Behaviour(delay_ms=5000, delay_share=0.5)) as url:
        slow = {imsi for imsi in IMSIS if post(f"{url}/hss", vector(1, imsi), sink.url).status_code == 202}
        assert 10 <= len(slow) <= 30
        for imsi in IMSIS[:10]:
            expected = 202 if imsi in slow else 200
            assert post(f"{url}/sgw", session(1, imsi), sink.url).status_code == expected
            session_id = "unknown"
            if expected == 200:
                session_id = post(f"{url}/sgw", session(1, imsi), sink.url).json()["answer"]["session_id"]
                modify = ModifySession("m", 77, session_id, bytes(4), 5)
                assert post(f"{url}/sgw", modify, sink.url).status_code == 200


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_shares(share: float) -> None:
    chosen = sum(in_share("delay", str(number), share) for number in range(4000))
    assert abs(chosen / 4000 - share) < 0.03


def test_answers_and_needs_are_signed(stub_url: StubUrl, sink: Sink) -> None:
    with (
        stub_url(Behaviour(delay_ms=60), signing_masters=(MASTER,)) as url,
        Ports(url, sink, in_line_ms=50, signing_master=MASTER) as ports,
    ):
        for port, need, name in ((ports.hss, vector(), "port/hss"), (ports.sgw, session(), "port/sgw")):
            assert port.ask(need) == Pending()
            got, body = sink.next()
            signed = Signed(name, got["x-edge-timestamp"], Way.UP, "mme-answer", "", body)
            assert got["x-edge-key"] == name
            assert verify(derive_key(MASTER, name), signed, got["x-edge-signature"])
            assert abs(int(got["x-edge-timestamp"]) - time.time()) < 60


def test_while_the_master_key_is_replaced_needs_come_under_either_and_answers_go_under_the_one_in_use(
    stub_url: StubUrl, sink: Sink
) -> None:
    new = bytes(range(64, 96))
    with stub_url(Behaviour(delay_ms=60), signing_masters=(new, MASTER)) as url:
        for number, master in enumerate((MASTER, new)):
            with Ports(url, sink, in_line_ms=50, signing_master=master) as ports:
                assert ports.hss.ask(vector(number)) == Pending()
                got, body = sink.next()
                signed = Signed("port/hss", got["x-edge-timestamp"], Way.UP, "mme-answer", "", body)
                assert verify(derive_key(new, "port/hss"), signed, got["x-edge-signature"])


@pytest.mark.parametrize("how", ["unsigned", "another key", "another body", "another URL", "too old", "an eNB's name"])
def test_needs_that_are_not_the_mmes(stub_url: StubUrl, sink: Sink, how: str) -> None:
    """No vector for whoever reaches the port."""
    body = json.dumps({"need": encode_need(vector()), "answer_url": sink.url}).encode()
    name = "00101-0019b" if how == "an eNB's name" else "mme"
    timestamp = str(int(time.time()) - (1000 if how == "too old" else 0))
    signed_url = "http://127.0.0.1/else" if how == "another URL" else sink.url
    signed = Signed(name, timestamp, Way.UP, "hss", signed_url, body + (b" " if how == "another body" else b""))
    key = derive_key(bytes(32) if how == "another key" else MASTER, name)
    sent = {} if how == "unsigned" else headers(key, signed)
    with stub_url(signing_masters=(MASTER,)) as url:
        response = requests.post(f"{url}/hss", data=body, headers=sent, timeout=10)
    assert response.status_code == 401
    assert "answer" not in response.json()


def test_a_late_answer_is_tried_again_on_5xx(stub_url: StubUrl, sink: Sink) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    sink.statuses = [503, 500, 429, 202]
    with stub_url(Behaviour(delay_ms=1000), sleep=sleep) as url:
        assert post(f"{url}/hss", vector(), sink.url).status_code == 202
        items = [sink.next_item() for _ in range(4)]
    assert all(item == items[0] for item in items)
    assert len(pauses) == 4
    assert all(0.5 <= pause / (FIRST_PAUSE_S * 2**n) <= 1.5 for n, pause in enumerate(pauses[1:]))


@pytest.mark.parametrize(("status", "tries"), [(500, TRIES), (401, 1), (307, 1)])
def test_tries_are_bounded_and_a_no_is_a_no(
    stub_url: StubUrl, sink: Sink, caplog: pytest.LogCaptureFixture, status: int, tries: int
) -> None:
    given_up = threading.Event()

    class Watch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "was not taken" in record.getMessage():
                given_up.set()

    async def sleep(_: float) -> None:
        pass

    watch = Watch()
    logging.getLogger("spgw_hss_stub.server").addHandler(watch)
    sink.statuses = [status] * 20
    with stub_url(Behaviour(delay_ms=1000), sleep=sleep) as url:
        post(f"{url}/hss", vector(), sink.url)
        assert given_up.wait(10)
    logging.getLogger("spgw_hss_stub.server").removeHandler(watch)
    assert sink.requests.qsize() == tries
    assert f"status {status}" in caplog.text
    for secret in (KEYS.k, KEYS.opc):
        assert secret.hex() not in caplog.text
    assert json.loads(sink.next()[1])["items"][0]["answer"]["k_asme"] not in caplog.text


def test_a_late_answer_survives_a_gateway_that_is_away(stub_url: StubUrl, sink: Sink) -> None:
    """The first URL refuses connections: the stub pauses, and what was pending is not lost for others."""
    paused = threading.Event()

    async def sleep(_: float) -> None:
        paused.set()

    with stub_url(Behaviour(delay_ms=1000), sleep=sleep) as url:
        assert post(f"{url}/hss", vector(), "http://127.0.0.1:1/async-function/mme-answer").status_code == 202
        assert paused.wait(10)
        assert post(f"{url}/hss", vector(2), sink.url).status_code == 202
        assert sink.next_item()["id"] == "00101-0019b/4/2/vector/answer"


def test_a_lost_need_is_silence_and_takes_no_vector(stub_url: StubUrl, sink: Sink) -> None:
    with stub_url(Behaviour(loss=1.0)) as url, Ports(url, sink, in_line_ms=50) as ports:
        assert ports.hss.ask(vector()) == Pending()
    with stub_url() as url, Ports(url, sink) as ports:
        assert isinstance(ports.hss.ask(vector(2)), Vector)
    assert sink.requests.empty()


def test_losses_are_a_share_and_repeat_with_a_seed() -> None:
    one, two = Behaviour(loss=0.3, seed=5), Behaviour(loss=0.3, seed=5)
    losses = [one.loses() for _ in range(2000)]
    assert losses == [two.loses() for _ in range(2000)]
    assert 500 < sum(losses) < 700
    assert not any(Behaviour(loss=0).loses() for _ in range(100))


@pytest.mark.parametrize("reason", Refusal)
def test_each_refusal(stub_url: StubUrl, sink: Sink, reason: Refusal) -> None:
    with stub_url(Behaviour(refuse=reason)) as url, Ports(url, sink) as ports:
        answers = [ports.hss.ask(vector()), ports.sgw.ask(session())]
        assert Refused(reason) in answers
        made = ports.sgw.ask(DeleteSession("d", 77, "s"))
        assert made == Done()


def test_a_share_is_refused(stub_url: StubUrl, sink: Sink) -> None:
    with stub_url(Behaviour(refuse=Refusal.NO_RESOURCES, refuse_share=0.5)) as url, Ports(url, sink) as ports:
        first = [ports.sgw.ask(session(1, imsi)) for imsi in IMSIS]
        assert [ports.sgw.ask(session(1, imsi)) for imsi in IMSIS] == first
        refused = first.count(Refused(Refusal.NO_RESOURCES))
    assert 10 <= refused <= 30


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/hss", b"", 400),
        ("/hss", b"no json", 400),
        ("/hss", b"[]", 400),
        ("/hss", b'{"need": {}, "answer_url": "http://127.0.0.1/"}', 400),
        ("/hss", b"x" * 100_000, 413),
        ("/other", b"{}", 404),
    ],
)
def test_bodies_that_are_none(stub_url: StubUrl, path: str, body: bytes, status: int) -> None:
    with stub_url() as url:
        assert requests.post(url + path, data=body, timeout=10).status_code == status
        assert requests.get(f"{url}/hss", timeout=10).status_code == 405
        assert requests.get(f"{url}/healthz", timeout=10).status_code == 200


def test_needs_at_the_wrong_port_and_bad_fields(stub_url: StubUrl, sink: Sink) -> None:
    with stub_url() as url:
        assert post(f"{url}/hss", session(), sink.url).status_code == 400
        assert post(f"{url}/sgw", vector(), sink.url).status_code == 400
        assert post(f"{url}/hss", vector(), sink.url, wait_ms=-1).status_code == 400
        assert post(f"{url}/hss", vector(), sink.url, wait_ms=60_000).status_code == 400
        assert post(f"{url}/hss", vector(), "http://192.0.2.1/steal").status_code == 400


@pytest.mark.parametrize(
    ("url", "allowed", "expected"),
    [
        ("http://127.0.0.1:8080/async-function/mme-answer", [], True),
        ("http://localhost/x", [], True),
        ("http://[::1]:8080/x", [], True),
        ("http://192.0.2.1/x", [], False),
        ("http://127.0.0.1@192.0.2.1/x", [], False),
        ("http://localhost.example.org/x", [], False),
        ("ftp://127.0.0.1/x", [], False),
        ("http://[::1/x", [], False),
        ("", [], False),
        ("http://gateway:8080/a", ["http://gateway:8080/a"], True),
        ("http://gateway:8080/ab", ["http://gateway:8080/a"], False),
        ("http://127.0.0.1/x", ["http://gateway:8080/a"], False),
    ],
)
def test_where_answers_may_go(url: str, allowed: list[str], expected: bool) -> None:
    assert is_allowed(url, frozenset(allowed)) is expected


def test_a_store_that_is_away(stub_url: StubUrl, sink: Sink) -> None:
    class Away:
        def ask(self, _: Need) -> Done:
            raise StoreUnavailableError("away")

    with stub_url(ports={"hss": Away(), "sgw": Away()}) as url, Ports(url, sink) as ports:
        assert post(f"{url}/hss", vector(), sink.url).status_code == 503
        assert ports.hss.ask(vector()) == Refused(Refusal.UNREACHABLE)


def test_the_wrong_subscriber_key_is_said_in_the_log_only(
    stub_url: StubUrl, sink: Sink, store: Any, caplog: pytest.LogCaptureFixture
) -> None:
    from mme.hss.embedded import EmbeddedHss  # noqa: PLC0415

    wrong = EmbeddedHss(store, bytes(32))
    with stub_url(ports={"hss": wrong, "sgw": wrong}) as url:
        response = post(f"{url}/hss", vector(), sink.url)
    assert response.status_code == 500
    assert "subscriber-key" in caplog.text
    assert "subscriber-key" not in response.text
    assert CIPHER_KEY.hex() not in caplog.text
    assert IMSI.digits not in caplog.text
