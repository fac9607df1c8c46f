"""Whatever comes in, signed or not: an answer of a known shape, no crash, and nothing stored for what is refused.

The seed of a failing run is printed by Hypothesis; runs are derandomized, so that CI sees the same examples each time.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mme.codec import envelope, nas, s1ap
from mme.codec.envelope import Item, Request
from mme.enums import ItemResult
from mme.errors import S1apError
from mme.messages import InitialUeMessage
from mme.routing import function_of
from tests.mme.assembled import ENB, EPOCH, INITIAL, NAMES, Answered, Assembled, Event, headers, write_secrets
from tests.mme.codec.outside import vectors
from tests.mme.codec.test_fuzz import MUTATED_NAS, MUTATED_PDUS, mutated

RESULTS = {result.value for result in ItemResult}


def fuzz(examples: int) -> settings:
    """The same examples on each run."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


REAL = [INITIAL, *vectors("s1ap/srsran").values(), *vectors("s1ap/nextepc").values(), *vectors("s1ap/pcapr").values()]


@pytest.fixture(scope="module")
def mme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Assembled]:
    folder: Path = tmp_path_factory.mktemp("mme")
    write_secrets(folder / "secrets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGE_SECRETS_DIR", str(folder / "secrets"))
        made = Assembled(folder)
    yield made
    made.close()


def assert_known_shape(answered: Answered, items: int | None = None) -> None:
    """200 with a signed response, or a refusal with one sentence."""
    body = json.loads(answered.body)
    if answered.status == 200:
        response = answered.response
        assert items is None or len(response.replies) == len(response.costs) == items
        assert {reply.result for reply in response.replies} <= RESULTS
        assert not any(reply.label == "internal error" for reply in response.replies)
        assert "X-Edge-Signature" in answered.headers
        for reply in response.replies:
            for downlink in reply.downlink:
                s1ap.decode(downlink.s1ap)
        return
    assert answered.status in (400, 401, 405, 413)
    assert list(body) == ["error"]


_number = iter(range(1, 1 << 30))


@fuzz(600)
@given(octets=MUTATED_PDUS | st.binary(max_size=80))
def test_s1ap_of_any_kind(mme: Assembled, octets: bytes) -> None:
    """To the function that its second octet names, as a gateway would send it."""
    name = function_of(octets[1]) if len(octets) > 1 else NAMES[0]
    name = name if name in NAMES else NAMES[0]
    before = mme.stored()
    item = Item(id=f"{ENB}/fuzz{next(_number)}/1", enb=ENB, epoch=EPOCH, stream=1, s1ap=octets)
    answered = mme.call(name, [item])
    assert_known_shape(answered, 1)
    [reply] = answered.response.replies
    if reply.result in ("rejected", "discarded", "stale", "retry") and not _may_leave_a_stub(octets):
        assert mme.stored() == before


def _may_leave_a_stub(octets: bytes) -> bool:
    """An attach that is rejected with a cause leaves a stub for its duplicates; a broken message never does."""
    try:
        return isinstance(s1ap.decode(octets), InitialUeMessage)
    except S1apError:
        return False


@fuzz(400)
@given(pdu=MUTATED_NAS | st.binary(max_size=60))
def test_nas_of_any_kind_in_an_initial_message(mme: Assembled, pdu: bytes) -> None:
    """Two in one batch with a good one between: the good one is done."""
    before = len(mme.stored()["ue_context"])
    message = InitialUeMessage(5, pdu, mme.cell.tai, mme.cell.ecgi)
    n = next(_number)
    bad = Item(id=f"{ENB}/nas{n}/1", enb=ENB, epoch=EPOCH, stream=1, s1ap=s1ap.encode(message))
    good = msgspec.structs.replace(bad, id=f"{ENB}/good{n}/1", s1ap=INITIAL)
    answered = mme.call("mme-initial-ue", [bad, good])
    assert_known_shape(answered, 2)
    first, second = answered.response.replies
    assert second.result == "done"
    added = len(mme.stored()["ue_context"]) - before
    assert added in (1, 2)
    if first.result == "discarded":
        assert added == 1


@fuzz(300)
@given(
    n=st.integers(0, len(REAL) - 1),
    place=st.integers(0, 1 << 16),
    value=st.integers(0, 255),
    where=st.sampled_from(["body", "signature", "timestamp", "key", "function", "callback"]),
)
def test_a_signed_request_that_was_tampered_with(mme: Assembled, n: int, place: int, value: int, where: str) -> None:
    """One octet of what was signed is another one: 401, and nothing is even looked at."""
    name = "mme-initial-ue"
    item = Item(id=f"{ENB}/t{next(_number)}/1", enb=ENB, epoch=EPOCH, stream=1, s1ap=REAL[n])
    body = envelope.encode(Request([item]))
    sent = headers(name, body, callback="http://127.0.0.1:5/cb")
    before = mme.stored()

    def other(text: str) -> str:
        at = place % len(text)
        replaced = chr(value % 94 + 33)
        return text[:at] + (replaced if replaced != text[at] else "~" if text[at] != "~" else "!") + text[at + 1 :]

    match where:
        case "body":
            at = place % len(body)
            body = body[:at] + bytes(((body[at] + 1 + value % 255) % 256,)) + body[at + 1 :]
        case "signature":
            sent["X-Edge-Signature"] = other(sent["X-Edge-Signature"])
        case "timestamp":
            sent["X-Edge-Timestamp"] = other(sent["X-Edge-Timestamp"])
        case "key":
            sent["X-Edge-Key"] = other(sent["X-Edge-Key"])
        case "callback":
            sent["X-Callback-Url"] = other(sent["X-Callback-Url"])
        case _:
            name = "mme-uplink-nas"
    answered = mme.post(name, Event(body, sent))
    assert answered.status == 401
    assert_known_shape(answered)
    assert mme.stored() == before


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "id",
    "enb",
    "epoch",
    "stream",
    "s1ap",
    "downlink_url",
    "event",
    "mme_ue_s1ap_id",
    "timer",
    "answer",
    "command",
]
VALUES = JSON | st.sampled_from([ENB, EPOCH, f"{ENB}/j/1", "association-lost", "release-ue", "AAAA", 1, -1, 10**40])


@fuzz(400)
@given(
    item=st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=8),
    party=st.sampled_from([ENB, "ticker", "port/hss", "operator/x", "00101-0019c"]),
    name=st.sampled_from(NAMES),
)
def test_json_of_any_kind_from_a_party_with_a_key(
    mme: Assembled, item: dict[str, object], party: str, name: str
) -> None:
    base = {"id": f"{ENB}/j{next(_number)}/1", "enb": ENB, "epoch": EPOCH}
    body = json.dumps({"items": [base | item]}).encode()
    before = mme.stored()
    answered = mme.call(name, body, party=party)
    assert_known_shape(answered, 1 if answered.status == 200 else None)
    if answered.status != 200 or answered.response.replies[0].result != "done":
        assert mme.stored() == before
    elif answered.response.replies[0].label == "association lost":
        mme.call("mme-enb", [Item(id=f"{ENB}/s/1", enb=ENB, epoch=EPOCH, s1ap=vectors("s1ap/lab")["s1_setup_request"])])


@fuzz(150)
@given(body=st.binary(max_size=200), seed=st.integers(0, 1 << 32), cut=st.booleans())
def test_bodies_of_any_kind(mme: Assembled, body: bytes, seed: int, cut: bool) -> None:
    """Octets signed as they are, random ones and broken JSON: 400, or 200 where it is a request after all."""
    if cut:
        good = envelope.encode(Request([Item(id=f"{ENB}/b/1", enb=ENB, epoch=EPOCH, s1ap=b"\x00")]))
        body = mutated(good, seed)
    before = mme.stored()
    answered = mme.call(random.Random(seed).choice(NAMES), body)
    assert_known_shape(answered)
    assert mme.stored() == before


def test_the_seeds_are_what_they_say() -> None:
    """The captured Attach Request decodes, so that mutations of it reach beyond the codec."""
    message = s1ap.decode(INITIAL)
    assert isinstance(message, InitialUeMessage)
    assert isinstance(message.nas_pdu, bytes)
    assert type(nas.decode(message.nas_pdu)).__name__ == "AttachRequest"
