"""Who may call: signatures, their age, URLs that answers may go to, and what each party may say."""

from __future__ import annotations

import hashlib
import hmac

import msgspec
import pytest

from mme.access import fault_of
from mme.codec.envelope import Item, Timer
from mme.errors import ConfigError, EnvelopeError
from tests.mme.assembled import ENB, EPOCH, MASTER, OTHER_ENB, headers, initial_item
from trust import signing
from trust.access import KEYS_KEPT, MAX_BODY_OCTETS, Access
from trust.signing import Way

NOW_S = 1_700_000_000.0
FUNCTION = "mme-uplink-nas"
BODY = b'{"items": []}'
ALLOW = "http://127.0.0.1, https://enb.example:8443,http://edge.example"


@pytest.fixture
def access() -> Access:
    return Access(MASTER, ALLOW, 600)


def authenticate(access: Access, body: bytes = BODY, **signed: object) -> str:
    stamp = {"timestamp": str(int(NOW_S))} | signed
    return access.authenticate(FUNCTION, headers(FUNCTION, body, **stamp), body, NOW_S).name  # type: ignore[arg-type]


def test_signature_as_the_page_describes_it(access: Access) -> None:
    """docs/envelope.md, by hand: the key from the master, the seven lines, HMAC-SHA256 in hex."""
    key = hmac.digest(MASTER, b"telco-edge signing key v1\n" + ENB.encode(), "sha256")
    lines = ["edge-v1", ENB, "1700000000", "up", FUNCTION, "http://127.0.0.1:9/x", hashlib.sha256(BODY).hexdigest()]
    signature = hmac.new(key, "\n".join(lines).encode(), "sha256").hexdigest()
    sent = {
        "X-Edge-Key": ENB,
        "X-Edge-Timestamp": "1700000000",
        "X-Edge-Signature": signature,
        "X-Callback-Url": "http://127.0.0.1:9/x",
    }
    assert access.authenticate(FUNCTION, sent, BODY, NOW_S).name == ENB


@pytest.mark.parametrize("age_s", [-600, -1, 0, 1, 600])
def test_within_the_window(access: Access, age_s: int) -> None:
    assert authenticate(access, timestamp=str(int(NOW_S) - age_s)) == ENB


REFUSED: dict[str, dict[str, object]] = {
    "too old": {"timestamp": str(int(NOW_S) - 601)},
    "too new": {"timestamp": str(int(NOW_S) + 601)},
    "no number": {"timestamp": "yesterday"},
    "a fraction": {"timestamp": "1700000000.5"},
    "a sign": {"timestamp": "+1700000000"},
    "a huge number": {"timestamp": "9" * 400},
    "a number with more digits than Python reads": {"timestamp": "9" * 5000},
    "other body": {"signed_body": BODY + b" "},
    "other function": {"signed_function": "mme-initial-ue"},
    "other master key": {"master": bytes(32)},
    "another's name": {"key_name": OTHER_ENB},
    "callback taken out": {"signed_callback": "http://127.0.0.1/a"},
    "callback changed": {"callback": "http://127.0.0.1/b", "signed_callback": "http://127.0.0.1/a"},
    "callback added": {"callback": "http://127.0.0.1/b", "signed_callback": ""},
    "callback not allowed": {"callback": "http://evil.example/a"},
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_401_and_one_sentence(access: Access, case: str) -> None:
    with pytest.raises(EnvelopeError) as refusal:
        authenticate(access, **REFUSED[case])
    assert refusal.value.status == 401
    assert refusal.value.detail
    assert "\n" not in refusal.value.detail


def test_only_keys_of_those_who_hold_them_are_remembered_and_not_without_end(access: Access) -> None:
    for number in range(3):
        with pytest.raises(EnvelopeError):
            authenticate(access, party=f"00101-{number:05x}", master=bytes(32))
    assert not access._keys
    for number in range(KEYS_KEPT + 1):
        party = f"00101-{number:05x}"
        assert authenticate(access, party=party) == authenticate(access, party=party) == party
    assert 0 < len(access._keys) <= KEYS_KEPT
    with pytest.raises(EnvelopeError):
        authenticate(access, party="00101-00001", master=bytes(32))


def test_a_reply_is_no_request(access: Access) -> None:
    with pytest.raises(EnvelopeError):
        authenticate(access, way=Way.DOWN)


@pytest.mark.parametrize("missing", ["X-Edge-Key", "X-Edge-Timestamp", "X-Edge-Signature"])
def test_a_header_is_missing(access: Access, missing: str) -> None:
    sent = headers(FUNCTION, BODY, timestamp=str(int(NOW_S)))
    del sent[missing]
    with pytest.raises(EnvelopeError) as refusal:
        access.authenticate(FUNCTION, sent, BODY, NOW_S)
    assert refusal.value.status == 401


@pytest.mark.parametrize("signature", ["0" * 64, "", "é" * 64, "00", "f" * 10_000, "\x00"])
def test_signatures_that_are_none(access: Access, signature: str) -> None:
    sent = headers(FUNCTION, BODY, timestamp=str(int(NOW_S))) | {"X-Edge-Signature": signature}
    with pytest.raises(EnvelopeError) as refusal:
        access.authenticate(FUNCTION, sent, BODY, NOW_S)
    assert refusal.value.status == 401


@pytest.mark.parametrize("name", ["é" * 200, "a\nb", "x" * 100_000, "\x00"])
def test_names_that_are_none(access: Access, name: str) -> None:
    sent = headers(FUNCTION, BODY, timestamp=str(int(NOW_S))) | {"X-Edge-Key": name}
    with pytest.raises(EnvelopeError) as refusal:
        access.authenticate(FUNCTION, sent, BODY, NOW_S)
    assert refusal.value.status == 401


def test_size(access: Access) -> None:
    """The issue: a body over 256,000 bytes."""
    assert MAX_BODY_OCTETS == 256_000
    assert authenticate(access, b"x" * 256_000) == ENB
    with pytest.raises(EnvelopeError) as refusal:
        authenticate(access, b"x" * 256_001)
    assert refusal.value.status == 413


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.0.0.1:31112/async",
        "HTTP://127.0.0.1/",
        "http://edge.example/x?y#z",
        "http://EDGE.example:1/x",
        "https://enb.example:8443/down",
    ],
)
def test_urls_that_may_be_reached(access: Access, url: str) -> None:
    assert access.may_reach(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/callback",
        "127.0.0.1",
        "//127.0.0.1/",
        "https://127.0.0.1/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "javascript://127.0.0.1/",
        "http://127.0.0.1@evil.example/",
        "http://edge.example:pw@evil.example/",
        "http://user@127.0.0.1/",
        "http://127.0.0.1.evil.example/",
        "http://edge.example.evil.example/",
        "http://evil.example/http://127.0.0.1/",
        "http://evil.example?http://127.0.0.1",
        "http://evil.example#@127.0.0.1/",
        "http://evil.example\\@127.0.0.1/",
        "http://notedge.example/",
        "http://edge.example.",
        "http://127.0.0.2/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "https://enb.example/down",
        "https://enb.example:443/down",
        "https://enb.example:84430/down",
        "https://enb.example:8443.evil.example/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:x/",
        "http://[127.0.0.1/",
        "http://１２７.0.0.1/",
        "http://ⓔdge.example/",
    ],
)
def test_urls_that_may_not(access: Access, url: str) -> None:
    assert not access.may_reach(url)


@pytest.mark.parametrize(
    "allowed",
    ["enb.example", "ftp://enb.example", "http://", "http://enb.example:port", "http://enb.example:99999", "http://["],
)
def test_allow_list_that_is_none(allowed: str) -> None:
    with pytest.raises(ConfigError) as error:
        Access(MASTER, allowed, 600)
    assert error.value.key == "callback_allow"


# ------------------------------------------------------------------ what each party may say

TIMER = Item(id="a/b/T3460@1", timer=Timer(1, "T3460", "a/b/1", 1))
ANSWER = Item(id="a/b/1/vector/late", answer={"kind": "refused"})
COMMAND = Item(id="op/1/1", command={"what": "page"})
EVENT = Item(id=f"{ENB}/r/1", enb=ENB, epoch=EPOCH, event="association-lost")


@pytest.mark.parametrize(
    ("caller", "item"),
    [(ENB, initial_item()), (ENB, EVENT), ("ticker", TIMER), ("port/hss", ANSWER), ("operator/ann", COMMAND)],
)
def test_allowed(caller: str, item: Item) -> None:
    assert fault_of(item, caller) is None


@pytest.mark.parametrize("caller", [ENB, OTHER_ENB, "ticker", "port/hss", "operator/ann", "mme", ""])
@pytest.mark.parametrize("name", ["s1ap", "event", "timer", "answer", "command"])
def test_only_its_own_party_may_say_it(caller: str, name: str) -> None:
    items = {"s1ap": initial_item(), "event": EVENT, "timer": TIMER, "answer": ANSWER, "command": COMMAND}
    speaks = {"s1ap": ENB, "event": ENB, "timer": "ticker", "answer": "port/hss", "command": "operator/ann"}
    fault = fault_of(items[name], caller)
    assert (fault is None) == (caller == speaks[name])


@pytest.mark.parametrize(
    "changes",
    [
        {"s1ap": None},
        {"event": "association-lost"},
        {"timer": TIMER.timer},
        {"answer": {}},
        {"command": {}},
        {"enb": OTHER_ENB},
        {"enb": ""},
        {"epoch": ""},
        {"epoch": "#1"},
        {"epoch": "a#"},
        {"epoch": "a#one"},
        {"epoch": "a#1#2"},
        {"id": ""},
        {"id": "x"},
        {"id": f"{ENB}/1"},
        {"id": f"{ENB}/r/1/2"},
        {"id": f"{OTHER_ENB}/r/1"},
        {"id": f"{ENB}/r\n/1"},
        {"id": f"{ENB}/{'r' * 200}/1"},
        {"id": f"{ENB}/\u202e/1"},
    ],
)
def test_items_that_are_wrong_in_themselves(changes: dict[str, object]) -> None:
    assert fault_of(msgspec.structs.replace(initial_item(), **changes), ENB)


def test_the_ticker_is_no_enb() -> None:
    """A key that is not an eNB's speaks for no eNB, whatever the item calls itself."""
    item = Item(id="ticker/r/1", enb="ticker", epoch=EPOCH, event="association-lost")
    assert fault_of(item, "ticker")
    assert fault_of(Item(id="mme/r/1", enb="mme", epoch=EPOCH, s1ap=b"x"), "mme")


# --------------------------------------------------------------------------- while the master key is replaced

NEW = bytes(range(200, 232))


def test_a_request_may_be_signed_under_any_of_the_keys_and_is_answered_under_the_same() -> None:
    access = Access(NEW, ALLOW, 600, others=[MASTER])
    for master in (MASTER, NEW, MASTER):
        sent = headers(FUNCTION, BODY, timestamp=str(int(NOW_S)), master=master)
        caller = access.authenticate(FUNCTION, sent, BODY, NOW_S)
        assert (caller.name, caller.key) == (ENB, signing.derive_key(master, ENB))
    assert access.key(ENB) == signing.derive_key(NEW, ENB), "a push is signed with the key in use"
    assert repr(caller.key) not in repr(caller)


def test_a_key_that_is_dropped_or_was_never_there_is_refused() -> None:
    for access, master in ((Access(NEW, ALLOW, 600), MASTER), (Access(NEW, ALLOW, 600, others=[MASTER]), bytes(32))):
        with pytest.raises(EnvelopeError, match="does not fit the key"):
            authenticate(access, master=master)
