"""Functions as they are assembled: the issue's "Bad input" list, each with a clear answer, and nothing stored."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from enb_app.association import Association, Plan
from enb_app.effects import SendS1ap
from enb_app.enb import EnbUe
from enb_app.ue import Profile, Ue
from enb_app.usim import Subscriber as Sim
from enb_app.usim import Usim
from mme.codec import envelope, s1ap
from mme.codec.envelope import Item, Timer
from mme.errors import ConfigError
from mme.function import build
from mme.ids import Imsi, Plmn
from mme.messages import AttachRequest, DownlinkNasTransport, ErrorIndication, S1SetupResponse, UplinkNasTransport
from mme.procedures import attach_request, dispatch
from mme.routing import function_of
from tests.mme.assembled import (
    ENB,
    EPOCH,
    IMSI,
    INITIAL,
    MASTER,
    NAMES,
    OTHER_ENB,
    SETUP,
    SUBSCRIBER_KEY,
    Answered,
    Assembled,
    Event,
    headers,
    initial_item,
    write_secrets,
)
from tests.mme.runtime.pair import OPC, K
from trust import signing
from trust.signing import Signed, Way

INITIAL_UE = "mme-initial-ue"
UPLINK = "mme-uplink-nas"


@pytest.fixture
def mme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Assembled]:
    write_secrets(tmp_path / "secrets")
    monkeypatch.setenv("EDGE_SECRETS_DIR", str(tmp_path / "secrets"))
    made = Assembled(tmp_path)
    yield made
    made.close()


def assert_refused(mme: Assembled, answered: Answered, status: int, before: object) -> str:
    """That status, a body with one sentence and nothing else, and nothing stored."""
    assert answered.status == status
    assert answered.headers["Content-Type"] == "application/json"
    body = json.loads(answered.body)
    assert list(body) == ["error"]
    assert body["error"]
    assert "\n" not in body["error"]
    assert "Traceback" not in body["error"]
    assert mme.stored() == before
    return str(body["error"])


def test_s1_setup_of_a_real_enb(mme: Assembled) -> None:
    assert mme.set_up.status == 200
    [reply] = mme.set_up.response.replies
    assert reply.result == "done"
    assert isinstance(s1ap.decode(reply.downlink[0].s1ap), S1SetupResponse)


def test_attach_request_of_a_real_ue(mme: Assembled) -> None:
    """The captured message, as JSON by hand: base64 in, a challenge out."""
    body = json.dumps(
        {
            "items": [
                {
                    "id": f"{ENB}/7/1",
                    "enb": ENB,
                    "epoch": EPOCH,
                    "stream": 1,
                    "s1ap": base64.b64encode(INITIAL).decode(),
                }
            ]
        }
    ).encode()
    answered = mme.call(INITIAL_UE, body)
    reply = json.loads(answered.body)["replies"][0]
    assert (reply["id"], reply["result"]) == (f"{ENB}/7/1", "done")
    downlink = reply["downlink"][0]
    assert (downlink["enb"], downlink["ue"], downlink["order"], downlink["stream"]) == (ENB, 1, 0, 1)
    message = s1ap.decode(base64.b64decode(downlink["s1ap"]))
    assert isinstance(message, DownlinkNasTransport)
    assert isinstance(message.nas_pdu, bytes)
    assert message.nas_pdu[:2] == b"\x07\x52"  # AUTHENTICATION REQUEST (TS 24.301 table 9.8.1)
    [cost] = json.loads(answered.body)["costs"]
    assert (cost["reads"], cost["writes"], cost["conditional_writes"]) == (3, 1, 2)


def test_reply_is_signed_for_the_caller(mme: Assembled) -> None:
    """docs/envelope.md by hand: down, this function, no URL."""
    answered = mme.call(INITIAL_UE, [initial_item()])
    key = hmac.digest(MASTER, b"telco-edge signing key v1\n" + ENB.encode(), "sha256")
    stamp = answered.headers["X-Edge-Timestamp"]
    digest = hashlib.sha256(answered.body).hexdigest()
    text = "\n".join(["edge-v1", ENB, stamp, "down", INITIAL_UE, "", digest])
    assert answered.headers["X-Edge-Key"] == ENB
    assert answered.headers["X-Edge-Signature"] == hmac.new(key, text.encode(), "sha256").hexdigest()


def test_while_the_master_key_is_replaced_a_reply_is_signed_as_its_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The secret's file holds the new key and the old one: docs/operations.md, Replace a key, step 2."""
    write_secrets(tmp_path / "secrets")
    new = bytes(range(5, 37))
    (tmp_path / "secrets" / "edge-signing-key").write_text(f"{new.hex()}\n{MASTER.hex()}\n")
    monkeypatch.setenv("EDGE_SECRETS_DIR", str(tmp_path / "secrets"))
    made = Assembled(tmp_path)
    for number, master in enumerate((MASTER, new)):
        answered = made.call(INITIAL_UE, [initial_item(f"r{number}")], master=master)
        down = Signed(ENB, answered.headers["X-Edge-Timestamp"], Way.DOWN, INITIAL_UE, "", answered.body)
        assert answered.status == 200
        assert signing.verify(signing.derive_key(master, ENB), down, answered.headers["X-Edge-Signature"])
    assert made.call(INITIAL_UE, [initial_item("r2")], master=bytes(32)).status == 401
    made.close()


# ------------------------------------------------------------------ the envelope

SIGNATURES: dict[str, dict[str, object]] = {
    "wrong master key": {"master": bytes(32)},
    "signed for another function": {"signed_function": UPLINK},
    "signed another body": {"signed_body": b"{}"},
    "a reply's signature": {"way": Way.DOWN},
    "too old": {"age_s": 700},
    "too new": {"age_s": -700},
    "redirected": {"callback": "http://127.0.0.1:1/mine", "signed_callback": "http://127.0.0.1:2/theirs"},
    "callback added": {"callback": "http://127.0.0.1:1/mine", "signed_callback": ""},
    "callback signed but not allowed": {"callback": "http://evil.example/"},
    "userinfo": {"callback": "http://127.0.0.1@evil.example/"},
    "userinfo of an allowed host": {"callback": "http://x@127.0.0.1/"},
    "other port": {"callback": "http://enb.example:8081/"},
    "no port": {"callback": "http://enb.example/"},
    "suffix": {"callback": "http://127.0.0.1.evil.example/"},
    "other scheme": {"callback": "https://127.0.0.1/"},
    "no URL": {"callback": "callback"},
    "key of another eNB": {"key_name": OTHER_ENB},
    "timestamp beyond all clocks": {"timestamp": "9" * 400},
    "timestamp with too many digits": {"timestamp": "9" * 5000},
}


@pytest.mark.parametrize("case", SIGNATURES)
def test_signature_age_and_callback(mme: Assembled, case: str) -> None:
    before = mme.stored()
    answered = mme.call(INITIAL_UE, [initial_item()], **SIGNATURES[case])
    assert_refused(mme, answered, 401, before)


def test_allowed_callback(mme: Assembled) -> None:
    answered = mme.call(INITIAL_UE, [initial_item()], callback="http://enb.example:8080/cb")
    assert answered.status == 200


@pytest.mark.parametrize("name", NAMES)
def test_unsigned(mme: Assembled, name: str) -> None:
    before = mme.stored()
    answered = mme.post(name, Event(envelope.encode(envelope.Request([initial_item()]))))
    assert_refused(mme, answered, 401, before)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "post", ""])
@pytest.mark.parametrize("name", [NAMES[0], NAMES[1]])
def test_other_methods(mme: Assembled, name: str, method: str) -> None:
    before = mme.stored()
    body = envelope.encode(envelope.Request([initial_item()]))
    answered = mme.post(name, Event(body, headers(name, body), method))
    assert_refused(mme, answered, 405, before)


def test_body_over_the_limit(mme: Assembled) -> None:
    before = mme.stored()
    padded = b" " * 256_001
    assert_refused(mme, mme.call(INITIAL_UE, padded), 413, before)
    body = envelope.encode(envelope.Request([initial_item()]))
    assert mme.call(INITIAL_UE, body + b" " * (256_000 - len(body))).status == 200


def item_json(**changes: object) -> bytes:
    item = {"id": f"{ENB}/r1/1", "enb": ENB, "epoch": EPOCH, "stream": 1, "s1ap": base64.b64encode(INITIAL).decode()}
    return json.dumps({"items": [item | changes]}).encode()


NO_REQUESTS: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"hello",
    "half a JSON": b'{"items": [',
    "more after it": b'{"items": []} x',
    "a list": b"[]",
    "null": b"null",
    "a number": b"7",
    "NaN": b"NaN",
    "no items": b"{}",
    "empty items": b'{"items": []}',
    "items is null": b'{"items": null}',
    "items is a dict": b'{"items": {}}',
    "an item is a number": b'{"items": [1]}',
    "no id": b'{"items": [{"enb": "x"}]}',
    "id is a number": item_json(id=7),
    "s1ap is a number": item_json(s1ap=7),
    "s1ap is no base64": item_json(s1ap="***"),
    "stream is a text": item_json(stream="1"),
    "stream is NaN": item_json(stream=float("nan")),
    "stream is infinite": item_json(stream=float("inf")),
    "stream is a fraction": item_json(stream=1.5),
    "stream is true": item_json(stream=True),
    "a field too many": item_json(priority=1),
    "a field too many outside": b'{"items": [{"id": "a/b/c"}], "more": 1}',
    "timer without a field": item_json(timer={"owner": 1}),
    "answer is a list": item_json(answer=[]),
    "no UTF-8": b'{"items": [{"id": "\xff\xfe"}]}',
    "half a surrogate": b'{"items": [{"id": "\\ud800"}]}',
    "UTF-16": '{"items": []}'.encode("utf-16"),
    "nested deeper than a stack": b'{"items": [{"id": "x", "answer": {"a": '
    + b"[" * 100_000
    + b"]" * 100_000
    + b"}}]}",
    "a number without end": b'{"items": [{"id": "x", "stream": ' + b"9" * 10_000 + b"}]}",
}


@pytest.mark.parametrize("case", NO_REQUESTS)
def test_json_that_is_none(mme: Assembled, case: str) -> None:
    before = mme.stored()
    assert_refused(mme, mme.call(INITIAL_UE, NO_REQUESTS[case]), 400, before)


# ------------------------------------------------------------------ items

TIMER = Item(id=f"{ENB}/r1/T3460@1", timer=Timer(1, "T3460", "x", 1))
ITEMS: dict[str, tuple[str, str, Item]] = {
    "another eNB's": (INITIAL_UE, ENB, initial_item(enb=OTHER_ENB)),
    "another eNB's id": (INITIAL_UE, ENB, initial_item(id=f"{OTHER_ENB}/r1/1")),
    "the ticker sends s1ap": (INITIAL_UE, "ticker", initial_item()),
    "the ticker as an eNB": (INITIAL_UE, "ticker", initial_item(enb="ticker", id="ticker/r1/1")),
    "a port sends s1ap": (INITIAL_UE, "port/hss", initial_item()),
    "an operator sends s1ap": (INITIAL_UE, "operator/ann", initial_item()),
    "an eNB sends a timer": ("mme-timer", ENB, TIMER),
    "a port sends a timer": ("mme-timer", "port/hss", TIMER),
    "an eNB sends an answer": ("mme-answer", ENB, Item(id="a/b/1", answer={"kind": "refused"})),
    "the ticker sends an answer": ("mme-answer", "ticker", Item(id="a/b/1", answer={"kind": "refused"})),
    "an eNB sends a command": (INITIAL_UE, ENB, Item(id="a/b/1", command={})),
    "an operator's command": (INITIAL_UE, "operator/ann", Item(id="a/b/1", command={})),
    "no content": (INITIAL_UE, ENB, initial_item(s1ap=None)),
    "two contents": (INITIAL_UE, ENB, initial_item(event="association-lost")),
    "no epoch": (INITIAL_UE, ENB, initial_item(epoch="")),
    "an id too long": (INITIAL_UE, ENB, initial_item(id=f"{ENB}/{'r' * 5000}/1")),
    "an answer that is none": ("mme-answer", "port/hss", Item(id="a/b/1", answer={"kind": "moon"})),
    "a vector of wrong size": (
        "mme-answer",
        "port/hss",
        Item(
            id="a/b/1",
            answer={"kind": "vector", "need": "a", "owner": 1, "rand": "AA==", "xres": "", "autn": "", "k_asme": ""},
        ),
    ),
    "no such timer": ("mme-timer", "ticker", Item(id="a/b/1", timer=Timer(1, "T9", "x", 1))),
    "unknown event": (UPLINK, ENB, Item(id=f"{ENB}/r1/1", enb=ENB, epoch=EPOCH, event="moon")),
    "release of no id": (UPLINK, ENB, Item(id=f"{ENB}/r1/1", enb=ENB, epoch=EPOCH, event="release-ue")),
    "wrong function: initial at uplink": (UPLINK, ENB, initial_item()),
    "wrong function: setup at initial": (INITIAL_UE, ENB, initial_item(s1ap=SETUP)),
    "setup for another eNB": ("mme-enb", OTHER_ENB, initial_item(enb=OTHER_ENB, id=f"{OTHER_ENB}/s/1", s1ap=SETUP)),
    "setup with a downlink URL that is not allowed": (
        "mme-enb",
        ENB,
        initial_item(s1ap=SETUP, downlink_url="http://evil.example/"),
    ),
    "no S1AP": (INITIAL_UE, ENB, initial_item(s1ap=b"\xff\xff\xff")),
    "empty S1AP": (INITIAL_UE, ENB, initial_item(s1ap=b"")),
}


@pytest.mark.parametrize("case", ITEMS)
def test_items_that_are_refused(mme: Assembled, case: str) -> None:
    """200 for the envelope, `rejected` with a sentence for the item, nothing stored."""
    name, party, item = ITEMS[case]
    before = mme.stored()
    answered = mme.call(name, [item], party=party)
    assert answered.status == 200
    [reply] = answered.response.replies
    assert reply.result == "rejected"
    assert reply.error
    assert "\n" not in reply.error
    assert reply.id == item.id[:200]
    assert len(answered.response.costs) == 1
    assert mme.stored() == before


def test_an_owner_beyond_all_keys(mme: Assembled) -> None:
    before = mme.stored()
    for owner in (-1, 1 << 28, 1 << 63, 10**30):
        answered = mme.call("mme-timer", [Item(id="a/b/1", timer=Timer(owner, "T3460", "x", 1))], party="ticker")
        assert [r.result for r in answered.response.replies] == ["stale"]
    for mme_id in (-1, 1 << 40, 10**30):
        item = Item(id=f"{ENB}/r/1", enb=ENB, epoch=EPOCH, event="release-ue", mme_ue_s1ap_id=mme_id)
        assert [r.result for r in mme.call(UPLINK, [item]).response.replies] == ["stale"]
    assert mme.stored() == before


@pytest.mark.parametrize("stream", [-1, 65536, 10**30])
def test_a_stream_that_is_none(mme: Assembled, stream: int) -> None:
    """Whatever is said about it: an answer, and JSON."""
    answered = mme.call(INITIAL_UE, [initial_item(stream=stream, s1ap=b"\x00")])
    assert answered.status in (200, 400)
    assert json.loads(answered.body)


def causes(answered: Answered) -> list[str]:
    found = []
    for reply in answered.response.replies:
        for downlink in reply.downlink:
            message = s1ap.decode(downlink.s1ap)
            assert isinstance(message, ErrorIndication)
            assert message.cause is not None
            found.append(message.cause.value)
    return found


@pytest.mark.parametrize("octets", [b"\xff", b"\x00", b"\x00\x0c\x40\x05\x00", b"GET / HTTP/1.1"])
def test_bytes_that_are_no_s1ap(mme: Assembled, octets: bytes) -> None:
    """TS 36.413 10.2: Error Indication, transfer syntax error."""
    before = mme.stored()
    answered = mme.call(INITIAL_UE, [initial_item(s1ap=octets)])
    assert [r.result for r in answered.response.replies] == ["rejected"]
    assert causes(answered)[0] in ("transfer-syntax-error", "abstract-syntax-error-falsely-constructed-message")
    assert mme.stored() == before


def test_s1ap_without_a_mandatory_ie(mme: Assembled) -> None:
    """The captured InitialUEMessage less its TAI (id 67, missing): 10.3.4.2 and 10.3.5."""
    octets = bytes.fromhex(
        "000c4034000004000800020001001a00161507417108091010103254760802f07000040201d011006440080000f1100019b0100086400130"
    )
    before = mme.stored()
    answered = mme.call(INITIAL_UE, [initial_item(s1ap=octets)])
    indication = s1ap.decode(answered.response.replies[0].downlink[0].s1ap)
    assert isinstance(indication, ErrorIndication)
    assert indication.criticality_diagnostics is not None
    assert [(ie, why) for ie, _, why in indication.criticality_diagnostics.ies] == [(67, "missing")]
    assert indication.criticality_diagnostics.procedure_code == 12
    assert mme.stored() == before


# ------------------------------------------------------------------ a whole attach through the functions


class Line:
    """A UE of the simulator on the assembled functions."""

    def __init__(self, mme: Assembled, run: str = "ue1", ue: int = 9) -> None:
        self.mme = mme
        self.run = run
        self.association = Association(
            Ue(Usim(Sim(Imsi(IMSI), K, OPC)), Profile(Plmn("00101"))), EnbUe(mme.cell, ue), Plan()
        )
        self.queue = [e for e in self.association.start() if isinstance(e, SendS1ap)]
        self.number = 0
        self.posted: list[tuple[str, Item]] = []

    def item(self) -> Item:
        self.number += 1
        message = self.queue[0]
        return Item(id=f"{ENB}/{self.run}/{self.number}", enb=ENB, epoch=EPOCH, stream=1, s1ap=message.octets)

    def step(self) -> Answered:
        item = self.item()
        message = self.queue.pop(0)
        name = function_of(message.octets[1])
        self.posted.append((name, item))
        answered = self.mme.call(name, [item])
        [reply] = answered.response.replies
        for downlink in reply.downlink:
            self.queue += [e for e in self.association.downlink(downlink) if isinstance(e, SendS1ap)]
        self.association.answered(message, reply.result, reply.label)
        return answered


def test_attach_and_its_log(mme: Assembled, capsys: pytest.CaptureFixture[str]) -> None:
    """One grep is one attach; no key, no identity, no octets of a message in the log."""
    line = Line(mme)
    costs = []
    for _ in range(6):
        response = line.step().response
        assert response.replies[0].result == "done"
        costs += response.costs
    ue = line.association.ue
    assert ue.security is not None
    assert ue.guti is not None
    err = capsys.readouterr().err
    entries = [json.loads(text) for text in err.splitlines()]
    mine = [entry for entry in entries if entry.get("trace") == f"{ENB}/ue1"]
    assert [entry["message"] for entry in mine][:3] == [
        "AttachRequest",
        "AuthenticationResponse",
        "SecurityModeComplete",
    ]
    assert len(mine) == 6
    for name in ("reads", "writes", "conditional_writes", "store_ms"):
        assert [entry[name] for entry in mine] == [getattr(cost, name) for cost in costs], name
    assert all(entry["conditional_writes"] > 0 for entry in mine)
    secrets = {
        "K": K,
        "OPc": OPC,
        "K_ASME": ue.security.k_asme,
        "K_eNB": line.association.side.k_enb or b"?",
        "master": MASTER,
        "subscriber key": SUBSCRIBER_KEY,
        "message": INITIAL,
    }
    for name, octets in secrets.items():
        for text in (octets.hex(), octets.hex().upper(), base64.b64encode(octets).decode(), repr(octets)):
            assert text not in err, name
    assert IMSI not in err
    assert IMSI[5:] not in err


def test_wrong_mac_and_unknown_id(mme: Assembled, capsys: pytest.CaptureFixture[str]) -> None:
    line = Line(mme)
    line.step()
    line.step()
    good = s1ap.decode(line.queue[0].octets)
    assert isinstance(good, UplinkNasTransport)
    assert isinstance(good.nas_pdu, bytes)
    before = mme.stored()
    forged = UplinkNasTransport(
        good.mme_ue_s1ap_id, good.enb_ue_s1ap_id, good.nas_pdu[:1] + bytes(4) + good.nas_pdu[5:], good.ecgi, good.tai
    )
    answered = mme.call(UPLINK, [initial_item("forged", s1ap=s1ap.encode(forged))])
    [reply] = answered.response.replies
    assert (reply.result, reply.downlink) == ("discarded", [])
    unknown = UplinkNasTransport(good.mme_ue_s1ap_id ^ 0x100, good.enb_ue_s1ap_id, good.nas_pdu, good.ecgi, good.tai)
    answered = mme.call(UPLINK, [initial_item("unknown", s1ap=s1ap.encode(unknown))])
    assert causes(answered) == ["unknown-mme-ue-s1ap-id"]
    assert mme.stored() == before
    assert line.step().response.replies[0].result == "done"
    assert "discarded" in capsys.readouterr().err


def test_the_rest_of_a_batch_is_unharmed(mme: Assembled) -> None:
    items = [
        initial_item("bad1", s1ap=b"\xff"),
        initial_item("good"),
        initial_item("bad2", enb=OTHER_ENB),
        initial_item("bad3", s1ap=None),
        initial_item("bad4", stream=1 << 60, s1ap=b"\x00"),
        initial_item("good2"),
    ]
    answered = mme.call(INITIAL_UE, items)
    replies = answered.response.replies
    assert [r.id for r in replies] == [item.id for item in items]
    assert [r.result for r in replies] == ["rejected", "done", "rejected", "rejected", "rejected", "done"]
    assert len(answered.response.costs) == len(items)
    assert len(mme.stored()["ue_context"]) == 2


def test_a_fault_of_ours_is_one_items_own(
    mme: Assembled, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`retry` for that item, a log line with trace and traceback, the other items done, and nothing of it told."""
    begin = attach_request.on_attach_request
    calls = 0

    def broken(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise ZeroDivisionError("the secret of the fault")
        return begin(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(attach_request, "on_attach_request", broken)
    assert dispatch.attach_request is attach_request
    answered = mme.call(INITIAL_UE, [initial_item("a"), initial_item("b"), initial_item("c")])
    assert [r.result for r in answered.response.replies] == ["done", "retry", "done"]
    assert answered.status == 200
    assert b"ZeroDivision" not in answered.body
    assert b"secret of the fault" not in answered.body
    faults = [json.loads(text) for text in capsys.readouterr().err.splitlines() if '"fault"' in text]
    assert [(f["level"], f["trace"], f["function"]) for f in faults] == [("error", f"{ENB}/b", INITIAL_UE)]
    assert "ZeroDivisionError" in faults[0]["traceback"]
    monkeypatch.undo()


def test_after_a_fault_the_same_item_works(mme: Assembled, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(attach_request, "on_attach_request", lambda *_: 1 / 0)
        assert mme.call(INITIAL_UE, [initial_item()]).response.replies[0].result == "retry"
    assert mme.call(INITIAL_UE, [initial_item()]).response.replies[0].result == "done"


def test_a_repeated_request_is_a_duplicate(mme: Assembled) -> None:
    """A captured request inside the window changes nothing: the same reply, byte by byte."""
    body = envelope.encode(envelope.Request([initial_item()]))
    event = Event(body, headers(INITIAL_UE, body))
    first = mme.post(INITIAL_UE, event)
    before = mme.stored()
    again = mme.post(INITIAL_UE, event)
    assert json.loads(again.body)["replies"] == json.loads(first.body)["replies"]
    assert mme.stored() == before


def test_log_of_a_refused_request_says_why_and_nothing_of_the_body(
    mme: Assembled, capsys: pytest.CaptureFixture[str]
) -> None:
    mme.call(INITIAL_UE, b'{"items": "001010123456780"}')
    mme.post(INITIAL_UE, Event(b"001010123456780"))
    lines = [json.loads(text) for text in capsys.readouterr().err.splitlines()]
    refused = [line for line in lines if line["event"] == "request refused"]
    assert [line["status"] for line in refused] == [400, 401]
    assert not any(IMSI in json.dumps(line) for line in lines)


def refused_items() -> float:
    return REGISTRY.get_sample_value("mme_items_refused_total") or 0.0


@pytest.mark.parametrize("id_", [f"{ENB}/r1/1", f"{ENB}/{'r' * 5000}/1", f"{ENB}/\n{{}}/1"])
def test_an_item_that_its_caller_may_not_say_is_counted_and_one_line_of_bounded_length(
    mme: Assembled, capsys: pytest.CaptureFixture[str], id_: str
) -> None:
    before = refused_items()
    mme.call(INITIAL_UE, [initial_item(id=id_)], party=OTHER_ENB)
    assert refused_items() == before + 1
    (line,) = (json.loads(text) for text in capsys.readouterr().err.splitlines() if OTHER_ENB in text)
    assert (line["level"], line["event"], line["function"]) == ("warning", "item refused", INITIAL_UE)
    assert (line["item"], line["trace"]) == (id_[:200], "/".join(id_[:200].split("/")[:2]))
    assert line["caller"] == OTHER_ENB
    assert line["why"]
    assert not {"s1ap", "body"} & line.keys()


def test_an_item_that_its_caller_may_say_is_no_refusal(mme: Assembled, capsys: pytest.CaptureFixture[str]) -> None:
    before = refused_items()
    mme.call(INITIAL_UE, [initial_item(), initial_item("r2")])
    assert refused_items() == before
    assert "item refused" not in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["edge-signing-key", "subscriber-key", "m-tmsi-key"])
def test_a_missing_secret_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    write_secrets(tmp_path / "secrets")
    (tmp_path / "secrets" / missing).unlink()
    monkeypatch.setenv("EDGE_SECRETS_DIR", str(tmp_path / "secrets"))
    with pytest.raises(ConfigError) as error:
        build(INITIAL_UE, {"store_url": f"sqlite:///{tmp_path / 'edge.db'}"})
    assert error.value.key == missing


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("store_url", ""),
        ("signature_window_s", "soon"),
        ("mtu", "-1"),
        ("ue_pool", "everywhere"),
        ("callback_allow", "enb.example"),
        ("plmn", "1"),
        ("tacs", "seven"),
        ("port_wait_ms", "x"),
        ("port_wait_ms", "2001"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, value: str) -> None:
    write_secrets(tmp_path / "secrets")
    monkeypatch.setenv("EDGE_SECRETS_DIR", str(tmp_path / "secrets"))
    with pytest.raises(ConfigError) as error:
        build(INITIAL_UE, {"store_url": f"sqlite:///{tmp_path / 'edge.db'}"} | {key: value})
    assert key in error.value.key


def test_the_message_in_the_log_is_the_nas_message(mme: Assembled) -> None:
    assert AttachRequest.__name__ == "AttachRequest"
    runtime = mme.functions[INITIAL_UE]._runtime
    _, _, message = runtime.work(initial_item("named"))
    assert message == "AttachRequest"
