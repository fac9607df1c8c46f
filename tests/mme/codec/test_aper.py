"""The plain aligned PER of mme.codec.aper against pycrate's: where it reads or writes at all, it does so alike."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mme.codec import s1ap
from mme.errors import S1apError
from mme.messages import S1apMessage, S1SetupFailure, UnhandledS1ap
from tests.mme.codec.outside import vectors
from tests.mme.codec.strategies import S1AP
from tests.mme.codec.test_fuzz import MUTATED_PDUS, PDUS

FEW = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
HANDLED = [pdu for pdu in PDUS if s1ap.procedure_code(pdu) in s1ap._BY_PROCEDURE]
NAMED = {"S1SetupRequest", "S1SetupResponse", "EnbConfigurationUpdate", "MmeConfigurationUpdate", "OverloadStart"}
"""Messages with what is pycrate's: PrintableString, and values beyond an extension mark."""


def kind_of(pdu: bytes) -> s1ap._Kind:
    return s1ap._BY_PROCEDURE[s1ap.procedure_code(pdu)]


def fields_of(message: S1apMessage) -> tuple[s1ap._Kind, list[dict[str, Any]]]:
    kind = s1ap._BY_CLASS[type(message)]
    return kind, [
        {"id": int(ie), "criticality": kind.ies[ie].criticality, "value": (kind.ies[ie].type_name, value)}
        for ie, value in kind.write(message).items()
        if value is not None
    ]


def by_pycrate(kind: s1ap._Kind, fields: list[dict[str, Any]]) -> bytes | None:
    try:
        return s1ap._pdu_by_pycrate(kind, fields)
    except ValueError:
        return None


@pytest.mark.parametrize("message_class", [kind for kind in S1AP if kind is not UnhandledS1ap])
def test_every_message_is_written_and_read_alike(message_class: type[S1apMessage]) -> None:
    @FEW
    @given(S1AP[message_class])
    def check(message: S1apMessage) -> None:
        kind, fields = fields_of(message)
        expected = s1ap._pdu_by_pycrate(kind, fields)
        written, read = kind.plain.write(fields), kind.plain.read(expected)
        if message_class.__name__ not in NAMED and len(expected) < 16000:
            assert written is not None, "this message has nothing that is pycrate's"
            assert read is not None
        assert written in (None, expected)
        assert read in (None, s1ap._fields_by_pycrate(kind, expected))

    check()


@pytest.mark.parametrize("pdu", HANDLED, ids=lambda pdu: pdu[:24].hex())
def test_messages_of_others_are_read_alike(pdu: bytes) -> None:
    read = kind_of(pdu).plain.read(pdu)
    try:
        expected = s1ap._fields_by_pycrate(kind_of(pdu), pdu)
    except S1apError:
        assert read is None
        return
    assert read in (None, expected)


@pytest.mark.parametrize("source", ["lab", "srsran", "open5gs", "nextepc", "pcapr"])
def test_the_messages_of_an_attach_of_a_real_enb_need_no_pycrate(source: str) -> None:
    plain = {9, 11, 12, 13, 18, 22, 23}  # context setup, NAS transport, capability, release
    pdus = [pdu for pdu in vectors(f"s1ap/{source}").values() if pdu[1] in plain]
    assert pdus
    left = [pdu for pdu in pdus if kind_of(pdu).plain.read(pdu) is None]
    assert len(left) <= 1, "one of them holds an IE that its message does not list, and one is cut off"


@settings(max_examples=1000, deadline=None)
@given(MUTATED_PDUS)
def test_what_is_read_of_spoilt_messages_is_what_pycrate_reads(pdu: bytes) -> None:
    try:
        kind = kind_of(pdu)
    except (S1apError, KeyError):
        return
    read = kind.plain.read(pdu)
    if read is not None:
        assert read == s1ap._fields_by_pycrate(kind, pdu)


def spoilt(value: Any, chance: random.Random) -> Any:
    """The value with one leaf changed, to something of its kind or not."""
    if isinstance(value, list) and value and chance.random() < 0.9:
        place = chance.randrange(len(value))
        return [spoilt(one, chance) if n == place else one for n, one in enumerate(value)]
    if isinstance(value, tuple) and chance.random() < 0.9:
        place = chance.randrange(len(value))
        return tuple(spoilt(one, chance) if n == place else one for n, one in enumerate(value))
    if isinstance(value, dict) and value and chance.random() < 0.9:
        name = chance.choice(list(value))
        if chance.random() < 0.2:
            return {key: content for key, content in value.items() if key != name}
        return {key: spoilt(content, chance) if key == name else content for key, content in value.items()}
    wrong: list[Any] = [-1, 0, 255, 256, 65536, 1 << 24, 1 << 32, 1 << 40, True, None, b"", bytes(3), bytes(200), "x"]
    wrong += [(0, 0), (1, 1), (1 << 160, 160), [], {}, 1.5]
    if isinstance(value, bytes):
        wrong += [value[:-1], value + b"\0"] * 4
    if isinstance(value, int):
        wrong += [value + 1, value - 1, -value] * 4
    return chance.choice(wrong)


@settings(max_examples=700, deadline=None)
@given(st.sampled_from(HANDLED), st.integers(0, 1 << 32))
def test_a_value_that_does_not_fit_is_left_to_pycrate(pdu: bytes, seed: int) -> None:
    kind = kind_of(pdu)
    try:
        fields = s1ap._fields_by_pycrate(kind, pdu)
    except S1apError:
        return
    chance = random.Random(seed)
    place = chance.randrange(len(fields))
    type_name, content = fields[place]["value"]
    changed = {**fields[place], "value": (type_name, spoilt(content, chance))}
    given_fields = [changed if n == place else field for n, field in enumerate(fields)]
    written = kind.plain.write(given_fields)
    if written is not None:
        assert written == by_pycrate(kind, given_fields)


def test_a_wrong_criticality_a_fragment_and_padding_are_left_to_pycrate() -> None:
    kind, fields = fields_of(S1SetupFailure(s1ap._UNSPECIFIED, 1))
    pdu = kind.plain.write(fields)
    assert pdu is not None
    assert kind.plain.read(pdu) == fields
    assert kind.plain.read(pdu + b"\0") is None, "octets after the PDU"
    assert kind.plain.read(pdu[:-1]) is None, "cut off"
    assert kind.plain.read(pdu[:-1] + bytes((pdu[-1] | 1,))) is None, "padding that is not zero"
    assert kind.plain.write([{**fields[0], "criticality": "reject"}]) is None
    assert kind.plain.read(pdu[:2] + bytes((pdu[2] ^ 0x40,)) + pdu[3:]) is None, "another criticality"
