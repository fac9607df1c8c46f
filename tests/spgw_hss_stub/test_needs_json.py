"""Needs and answers as JSON: there and back, and what is none."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mme.codec.needs import LateAnswer, decode_answer, decode_need, encode_answer, encode_need
from mme.hss.subscribers import DEFAULT_PROFILE
from mme.ids import Imsi, Plmn
from mme.needs import (
    Answer,
    DeleteSession,
    Done,
    ModifySession,
    Need,
    NeedProfile,
    NeedSession,
    NeedVector,
    Refusal,
    Refused,
    Session,
    Vector,
)

IMSI = Imsi("001010123456780")
VECTOR_NEED = NeedVector("00101-0019b/4/2/vector", 77, IMSI, Plmn("00101"))
VECTOR = Vector(b"r" * 16, b"x" * 8, b"a" * 16, b"k" * 32)
NEEDS: list[Need] = [
    VECTOR_NEED,
    NeedVector("n", 0, IMSI, Plmn("310410"), b"r" * 16, b"a" * 14),
    NeedProfile("n", (1 << 28) - 1, IMSI),
    NeedSession("n", 1, IMSI, "internet", 3, 5, b"\x80"),
    NeedSession("n", 1, IMSI, "internet", 1, 5),
    NeedSession("n", 1, None, "sos", 1, 5, imei="353490069873300"),
    NeedSession("n", 1, IMSI, "sos", 1, 5, imei="353490069873300"),
    ModifySession("n", 1, "s", bytes(4), 0xFFFFFFFF),
    ModifySession("n", 1, "s", None, None),
    DeleteSession("n", 1, "s"),
]
ANSWERS: list[Answer] = [
    VECTOR,
    DEFAULT_PROFILE,
    Session("s", bytes(4), 1, bytes(4), bytes(8), b"\x80"),
    Session("s", bytes(4), 1, None),
    Done(),
    *[Refused(reason) for reason in Refusal],
]


@pytest.mark.parametrize("need", NEEDS)
def test_needs_there_and_back(need: Need) -> None:
    assert decode_need(json.loads(json.dumps(encode_need(need)))) == need


@pytest.mark.parametrize("answer", ANSWERS)
def test_answers_there_and_back(answer: Answer) -> None:
    text = json.dumps(encode_answer(VECTOR_NEED, answer))
    assert decode_answer(json.loads(text)) == LateAnswer(VECTOR_NEED.id, VECTOR_NEED.owner, answer)


def test_octets_are_base64() -> None:
    assert encode_answer(VECTOR_NEED, VECTOR)["k_asme"] == base64.b64encode(b"k" * 32).decode()


def changed(value: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {name: item for name, item in {**value, **changes}.items() if item != "left out"}


def b64(size: int) -> str:
    return base64.b64encode(bytes(size)).decode()


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "other"},
        {"kind": "left out"},
        {"id": "left out"},
        {"owner": -1},
        {"owner": 1 << 28},
        {"owner": "77"},
        {"imsi": "12345"},
        {"imsi": 1010123456780},
        {"serving_plmn": "1"},
        {"resync_rand": b64(15)},
        {"resync_auts": b64(13)},
        {"resync_auts": "no base64"},
        {"more": 1},
    ],
)
def test_what_is_no_need(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        decode_need(changed(encode_need(VECTOR_NEED), **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "other"},
        {"need": "left out"},
        {"owner": 1 << 28},
        {"rand": b64(15)},
        {"xres": b64(3)},
        {"xres": b64(17)},
        {"autn": b64(17)},
        {"k_asme": b64(31)},
        {"k_asme": "left out"},
        {"k_asme": "no base64"},
        {"more": 1},
    ],
)
def test_what_is_no_answer(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as raised:
        decode_answer(changed(encode_answer(VECTOR_NEED, VECTOR), **changes))
    assert base64.b64encode(b"k" * 32).decode() not in str(raised.value)


@pytest.mark.parametrize(
    "changes", [{"sgw_teid": 0}, {"sgw_teid": 1 << 32}, {"ipv4": b64(16)}, {"sgw_address": b64(16)}]
)
def test_what_is_no_session(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        decode_answer(changed(encode_answer(NEEDS[3], ANSWERS[2]), **changes))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@given(
    json_values | st.fixed_dictionaries({"kind": st.sampled_from(["vector", "session", "done"]), "need": json_values})
)
def test_any_json_is_an_answer_or_a_value_error(value: object) -> None:
    for decode in (decode_answer, decode_need):
        with pytest.raises(ValueError):
            decode(value)


def test_a_session_for_nobody_is_no_need() -> None:
    need = encode_need(NeedSession("n", 1, None, "sos", 1, 5, imei="353490069873300"))
    del need["imei"]
    with pytest.raises(ValueError, match="imsi or an imei"):
        decode_need(need)
