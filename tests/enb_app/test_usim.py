"""The USIM against TS 35.208 and against runs of other implementations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from enb_app.usim import Authenticated, MacFailure, NoSeparationBit, Subscriber, SynchFailure, Usim
from mme.crypto import milenage
from mme.ids import Imsi, Plmn

VECTORS = Path(__file__).parents[1] / "vectors" / "crypto"
SETS: list[dict[str, Any]] = json.loads((VECTORS / "milenage.json").read_text())["sets"]
AKA: dict[str, Any] = json.loads((VECTORS / "aka.json").read_text())
IMSI = Imsi("001010000000001")
PLMN = Plmn("00101")


def octets(values: dict[str, Any], *names: str) -> list[bytes]:
    return [bytes.fromhex(values[name]) for name in names]


def autn_of(values: dict[str, Any]) -> bytes:
    sqn, ak, amf, mac = octets(values, "sqn", "f5", "amf", "f1")
    return bytes(a ^ b for a, b in zip(sqn, ak, strict=True)) + amf + mac


def usim_of(values: dict[str, Any], highest: bytes = bytes(6)) -> Usim:
    k, opc = octets(values, "k", "opc")
    return Usim(Subscriber(IMSI, k, opc), highest)


@pytest.mark.parametrize("values", SETS, ids=lambda values: f"set {values['set']}")
def test_answers_as_ts_35_208_says(values: dict[str, Any]) -> None:
    usim = usim_of(values)
    rand, res, sqn, amf = octets(values, "rand", "f2", "sqn", "amf")
    answer = usim.authenticate(rand, autn_of(values), PLMN)
    if amf[0] & 0x80:
        assert isinstance(answer, Authenticated)
        assert answer.res == res
        assert usim.highest_sqn == sqn
    else:
        assert answer == NoSeparationBit()
        assert usim.highest_sqn == bytes(6)


@pytest.mark.parametrize("values", AKA["eutran_vector"], ids=lambda values: values["source"][:30])
def test_k_asme_is_the_one_of_another_implementation(values: dict[str, Any]) -> None:
    k, opc, rand, autn, xres, k_asme, plmn = octets(values, "k", "opc", "rand", "autn", "xres", "k_asme", "plmn_octets")
    answer = Usim(Subscriber(IMSI, k, opc)).authenticate(rand, autn, Plmn.from_octets(plmn))
    assert answer == Authenticated(xres, k_asme)


def test_a_stale_sqn_is_a_synch_failure_whose_auts_the_network_can_read() -> None:
    values = SETS[0]
    k, opc, rand, sqn = octets(values, "k", "opc", "rand", "sqn")
    usim = usim_of(values, highest=sqn)
    answer = usim.authenticate(rand, autn_of(values), PLMN)
    assert isinstance(answer, SynchFailure)
    assert milenage.verify_auts(k, opc, rand, answer.auts) == sqn


@pytest.mark.parametrize("at", [0, 6, 8, 15])
def test_any_changed_octet_of_autn_is_a_mac_failure(at: int) -> None:
    values = SETS[0]
    autn = bytearray(autn_of(values))
    autn[at] ^= 1
    usim = usim_of(values)
    (rand,) = octets(values, "rand")
    assert usim.authenticate(rand, bytes(autn), PLMN) == MacFailure()
    assert usim.highest_sqn == bytes(6)


def test_keys_are_in_no_repr() -> None:
    values = SETS[0]
    subscriber = Subscriber(IMSI, *octets(values, "k", "opc"))
    assert values["k"] not in repr(subscriber)
    assert subscriber.k not in repr(subscriber).encode()
    assert IMSI.digits not in repr(subscriber)
