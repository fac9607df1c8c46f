"""Signatures, correlation and resends, with a fake clock and a fake HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

import pytest

from enb_app.exchange import CALL_ID, CALLBACK_URL, FUNCTION_NAME, FUNCTION_STATUS, WINDOW_S, Answer, Exchange
from enb_app.keys import KeyRing
from enb_app.outbox import Call, Policy
from mme.codec import envelope
from mme.codec.envelope import Cost, Downlink, Item, Reply, Response
from tests.enb_app.fake_clock import FakeClock
from trust import signing
from trust.signing import Signed, Way

ENB = "00101-0019b"
FN = "mme-uplink-nas"
MASTER = bytes(range(32))
CALLBACK = "http://127.0.0.1:1/callback/x"
DOWNLINK = f"http://127.0.0.1:1/downlink/x/{ENB}"
NOW = 1_800_000_000
ITEM = Item(f"{ENB}/r-1/1", ENB, "e", 1, b"\x00\x0d\x40")


@dataclass
class Posted:
    call: Call
    headers: dict[str, str]
    body: bytes


@dataclass
class Bench:
    callback_url: str = CALLBACK
    masters: tuple[bytes, ...] = (MASTER,)
    clock: FakeClock = field(default_factory=FakeClock)
    posted: list[Posted] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    downlinks: list[Downlink] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.exchange = Exchange(
            policy=Policy(),
            random=Random(1),
            clock=self.clock,
            unix_s=lambda: NOW + self.clock.now,
            keys=KeyRing(masters=self.masters),
            enbs=frozenset({ENB}),
            callback_url=self.callback_url,
            downlink_url=lambda _: DOWNLINK,
            post=lambda call, headers, body: self.posted.append(Posted(call, headers, body)),
            on_downlink=self.downlinks.append,
        )

    def submit(self, item: Item = ITEM) -> None:
        self.exchange.submit(item, FN, self.answers.append)

    @property
    def counters(self) -> tuple[int, int]:
        return self.exchange.counters.refused_signatures, self.exchange.counters.calls


def reply(result: str = "done", item_id: str = ITEM.id, downlink: Downlink | None = None) -> bytes:
    answer = Reply(item_id, result, [downlink] if downlink else [])
    return envelope.encode(Response([answer], [Cost(1, 2, 3, 4.5)]))


def signed(body: bytes, **changed: str) -> dict[str, str]:
    """Headers of a right signature, unless changed: name, timestamp, function, url, way."""
    name = changed.get("name", ENB)
    key = signing.derive_key(MASTER, changed.get("key", name))
    way = Way(changed.get("way", "down"))
    timestamp = changed.get("timestamp", str(NOW))
    what = Signed(name, timestamp, way, changed.get("function", FN), changed.get("url", ""), body)
    return signing.headers(key, what)


def callback(call: Call, body: bytes, status: int = 200, **changed: str) -> Mapping[str, str]:
    return signed(body, **changed) | {CALL_ID: call.id, FUNCTION_STATUS: str(status), FUNCTION_NAME: FN}


def test_a_request_is_signed_over_function_callback_and_body() -> None:
    bench = Bench()
    bench.submit()
    (posted,) = bench.posted
    what = Signed(ENB, f"{NOW}.000", Way.UP, FN, CALLBACK, posted.body)
    signature = posted.headers[signing.SIGNATURE_HEADER]
    assert signing.verify(signing.derive_key(MASTER, ENB), what, signature)
    assert posted.headers[CALLBACK_URL] == CALLBACK
    assert posted.headers[CALL_ID] == posted.call.id
    assert envelope.decode_request(posted.body).items == [ITEM]


def test_a_synchronous_request_names_no_callback() -> None:
    bench = Bench(callback_url="")
    bench.submit()
    (posted,) = bench.posted
    what = Signed(ENB, f"{NOW}.000", Way.UP, FN, "", posted.body)
    assert signing.verify(signing.derive_key(MASTER, ENB), what, posted.headers[signing.SIGNATURE_HEADER])
    assert CALLBACK_URL not in posted.headers


def test_a_callback_hands_out_downlinks_first_and_then_the_answer_with_its_cost() -> None:
    bench = Bench()
    bench.submit()
    call = bench.posted[0].call
    bench.exchange.on_response(call, 202, {}, b"")
    assert bench.answers == []
    bench.clock.pass_s(0.25)
    body = reply(downlink=Downlink("d", ENB, 1, b"x", 1, 0))
    assert bench.exchange.on_callback(callback(call, body), body) == 200
    assert [downlink.id for downlink in bench.downlinks] == ["d"]
    (answer,) = bench.answers
    assert answer.reply
    assert (answer.reply.result, answer.cost, answer.answered - answer.posted) == ("done", Cost(1, 2, 3, 4.5), 0.25)


@pytest.mark.parametrize(
    "changed",
    [
        {"key": "00101-0019c"},
        {"function": "mme-enb"},
        {"url": CALLBACK},
        {"way": "up"},
        {"timestamp": str(NOW - WINDOW_S - 1)},
        {"timestamp": "soon"},
        {"name": "00101-0019c"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_callback_that_is_not_rightly_signed_is_refused_and_counted(changed: dict[str, str]) -> None:
    bench = Bench()
    bench.submit()
    call = bench.posted[0].call
    body = reply()
    assert bench.exchange.on_callback(callback(call, body, 200, **changed), body) == 401
    assert bench.answers == []
    assert bench.counters == (1, 1)
    assert bench.exchange.on_callback(callback(call, body), body) == 200
    assert len(bench.answers) == 1


def test_a_changed_body_is_refused() -> None:
    bench = Bench()
    bench.submit()
    call = bench.posted[0].call
    assert bench.exchange.on_callback(callback(call, reply()), reply("rejected")) == 401


def test_a_synchronous_reply_wrongly_signed_is_asked_for_again() -> None:
    bench = Bench(callback_url="")
    bench.submit()
    body = reply()
    bench.exchange.on_response(bench.posted[0].call, 200, signed(body, key="x"), body)
    bench.clock.pass_s(0.2)
    assert len(bench.posted) == 2
    bench.exchange.on_response(bench.posted[1].call, 200, signed(body), body)
    assert bench.answers[0].tries == 2


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_failed_function_has_the_same_item_sent_again(status: int) -> None:
    bench = Bench()
    bench.submit()
    call = bench.posted[0].call
    headers = {CALL_ID: call.id, FUNCTION_STATUS: str(status), FUNCTION_NAME: FN}
    assert bench.exchange.on_callback(headers, b"") == 200
    assert len(bench.posted) == 1
    bench.clock.pass_s(0.2)
    assert [envelope.decode_request(posted.body).items for posted in bench.posted] == [[ITEM], [ITEM]]


def test_silence_is_bounded_and_says_so() -> None:
    bench = Bench()
    bench.submit()
    for _ in range(20):
        bench.clock.pass_s(15)
    assert len(bench.posted) == 3
    assert {envelope.decode_request(posted.body).items[0].id for posted in bench.posted} == {ITEM.id}
    (answer,) = bench.answers
    assert answer.reply is None
    assert answer.why == f"{FN}: no answer, 3 times sent"
    assert Policy().give_up_s <= answer.answered - answer.posted <= Policy().give_up_s + 12


def test_retry_is_obeyed_with_the_same_item() -> None:
    bench = Bench()
    bench.submit()
    call = bench.posted[0].call
    body = reply("retry")
    bench.exchange.on_callback(callback(call, body), body)
    bench.clock.pass_s(0.2)
    assert envelope.decode_request(bench.posted[1].body).items == [ITEM]
    assert bench.exchange.counters.retries == 1
    body = reply()
    bench.exchange.on_callback(callback(bench.posted[1].call, body), body)
    assert bench.answers[0].tries == 2


def test_a_second_answer_is_counted_and_its_downlinks_are_handed_out_for_the_enb_to_drop() -> None:
    bench = Bench()
    bench.submit()
    call = bench.posted[0].call
    body = reply(downlink=Downlink("d", ENB, 1, b"x", 1, 0))
    for _ in range(2):
        bench.exchange.on_callback(callback(call, body), body)
    assert len(bench.answers) == 1
    assert [downlink.id for downlink in bench.downlinks] == ["d", "d"]
    assert bench.exchange.counters.late == 1


def test_a_late_answer_to_an_earlier_sending_is_taken() -> None:
    bench = Bench()
    bench.submit()
    first = bench.posted[0].call
    bench.clock.pass_s(6)
    assert len(bench.posted) == 2
    body = reply()
    assert bench.exchange.on_callback(callback(first, body), body) == 200
    assert len(bench.answers) == 1
    bench.clock.pass_s(60)
    assert len(bench.posted) == 2


@pytest.mark.parametrize("status", [400, 401, 413])
def test_a_refused_request_is_not_sent_again(status: int) -> None:
    bench = Bench(callback_url="")
    bench.submit()
    bench.exchange.on_response(bench.posted[0].call, status, {}, b'{"error":"no"}')
    bench.clock.pass_s(60)
    assert len(bench.posted) == 1
    assert f"answered {status}" in bench.answers[0].why
    assert not bench.answers[0].broken


def test_an_unknown_function_breaks_the_run() -> None:
    bench = Bench(callback_url="")
    bench.submit()
    bench.exchange.on_response(bench.posted[0].call, 404, {}, b"error finding function")
    assert bench.answers[0].broken


def test_no_gateway_breaks_the_run_at_once_a_lost_connection_later_does_not() -> None:
    bench = Bench()
    bench.submit()
    bench.exchange.on_failure(bench.posted[0].call, "cannot connect")
    assert (bench.answers[0].broken, bench.answers[0].why) == (True, "cannot connect")
    bench = Bench()
    bench.submit()
    bench.exchange.on_response(bench.posted[0].call, 500, {}, b"")
    bench.clock.pass_s(0.2)
    bench.exchange.on_failure(bench.posted[1].call, "cannot connect")
    bench.clock.pass_s(0.4)
    assert (len(bench.posted), bench.answers) == (3, [])


def test_a_push_is_taken_when_signed_for_its_url_and_function() -> None:
    bench = Bench()
    body = reply(item_id="timer/1", downlink=Downlink("p", ENB, 1, b"x", 1, 3))
    headers = signed(body, function="mme-timer", url=DOWNLINK) | {"X-Edge-Function": "mme-timer"}
    assert bench.exchange.on_push(ENB, headers, body) == 200
    assert [downlink.id for downlink in bench.downlinks] == ["p"]


def test_while_the_master_key_is_replaced_the_first_signs_and_pushes_come_under_either() -> None:
    """Step 1 of docs/operations.md has reached this gateway, and step 2 the functions."""
    old, new = MASTER, bytes(range(100, 132))
    bench = Bench(masters=(old, new))
    bench.submit()
    (posted,) = bench.posted
    what = Signed(ENB, f"{NOW}.000", Way.UP, FN, CALLBACK, posted.body)
    assert signing.verify(signing.derive_key(old, ENB), what, posted.headers[signing.SIGNATURE_HEADER])
    body = reply(item_id="timer/1", downlink=Downlink("p", ENB, 1, b"x", 1, 3))
    down = Signed(ENB, str(NOW), Way.DOWN, "mme-timer", DOWNLINK, body)
    for master, status in ((old, 200), (new, 200), (bytes(32), 401)):
        headers = signing.headers(signing.derive_key(master, ENB), down) | {"X-Edge-Function": "mme-timer"}
        assert bench.exchange.on_push(ENB, headers, body) == status


@pytest.mark.parametrize("changed", [{"url": ""}, {"function": "mme-enb"}, {"way": "up"}, {"name": "00101-0019c"}])
def test_a_push_wrongly_signed_is_refused(changed: dict[str, str]) -> None:
    bench = Bench()
    body = reply(downlink=Downlink("p", ENB, 1, b"x", 1, 3))
    headers = signed(body, **({"function": "mme-timer", "url": DOWNLINK} | changed)) | {"X-Edge-Function": "mme-timer"}
    assert bench.exchange.on_push(ENB, headers, body) == 401
    assert bench.downlinks == []
    assert bench.counters == (1, 0)


def test_a_key_speaks_for_its_enb_only() -> None:
    bench = Bench()
    body = reply(downlink=Downlink("p", "00101-0019c", 1, b"x", 1, 3))
    headers = signed(body, function="mme-timer", url=DOWNLINK) | {"X-Edge-Function": "mme-timer"}
    bench.exchange.on_push(ENB, headers, body)
    assert bench.downlinks == []
