import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mme.crypto import kdf, milenage
from mme.crypto.milenage import Accepted, MacFailure, SyncFailure

Set = dict[str, Any]
K, OPC, RAND, SQN, AMF, PLMN = (
    bytes.fromhex(text)
    for text in (
        "465b5ce8b199b49faa5f0a2ee238a6bc",
        "cd63cb71954a9f4e48a5994e37a02baf",
        "23553cbe9637a89d218ae64dae47bf35",
        "ff9bb4d0b607",
        "b9b9",
        "00f110",
    )
)
"""TS 35.208 test set 1."""


def octets(entry: Set, *names: str) -> list[bytes]:
    return [bytes.fromhex(entry[name]) for name in names]


def xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def flipped(value: bytes, bit: int) -> bytes:
    return xor(value, (1 << bit).to_bytes(len(value), "big"))


def lower(sqn: bytes, by: int = 1) -> bytes:
    return (int.from_bytes(sqn, "big") - by).to_bytes(6, "big")


def test_the_vector_file_holds_the_twenty_sets() -> None:
    file = Path(__file__).parents[2] / "vectors" / "crypto" / "milenage.json"
    sets = json.loads(file.read_text(encoding="utf-8"))["sets"]
    assert [entry["set"] for entry in sets] == list(range(1, 21))


def test_all_functions(milenage_set: Set) -> None:
    k, op, opc, rand, sqn, amf = octets(milenage_set, "k", "op", "opc", "rand", "sqn", "amf")
    computed = {
        "opc": milenage.opc_from_op(k, op),
        "f1": milenage.f1(k, opc, rand, sqn, amf),
        "f1_star": milenage.f1_star(k, opc, rand, sqn, amf),
        "f2": milenage.f2_f5(k, opc, rand)[0],
        "f3": milenage.f3(k, opc, rand),
        "f4": milenage.f4(k, opc, rand),
        "f5": milenage.f2_f5(k, opc, rand)[1],
        "f5_star": milenage.f5_star(k, opc, rand),
    }
    assert {name: value.hex() for name, value in computed.items()} == {name: milenage_set[name] for name in computed}


def autn_of(entry: Set) -> bytes:
    sqn, amf, mac_a, ak = octets(entry, "sqn", "amf", "f1", "f5")
    return xor(sqn, ak) + amf + mac_a


def test_usim_accepts_a_fresh_autn_of_the_published_values(milenage_set: Set) -> None:
    k, opc, rand, sqn, res, ck, ik = octets(milenage_set, "k", "opc", "rand", "sqn", "f2", "f3", "f4")
    answer = milenage.check_autn(k, opc, rand, autn_of(milenage_set), lower(sqn))
    assert answer == Accepted(res=res, ck=ck, ik=ik, sqn=sqn)


def test_auts_carries_sqn_ms_under_f5_star_and_f1_star_with_the_dummy_amf(milenage_set: Set) -> None:
    k, opc, rand, sqn, ak_star = octets(milenage_set, "k", "opc", "rand", "sqn", "f5_star")
    answer = milenage.check_autn(k, opc, rand, autn_of(milenage_set), sqn)  # SQN = SQN_MS: not fresh
    assert isinstance(answer, SyncFailure)
    assert answer.auts == xor(sqn, ak_star) + milenage.f1_star(k, opc, rand, sqn, bytes(2))
    assert milenage.verify_auts(k, opc, rand, answer.auts) == sqn


def test_auts_with_the_amf_of_the_set_instead_of_the_dummy_is_refused(milenage_set: Set) -> None:
    k, opc, rand, sqn, mac_s, ak_star = octets(milenage_set, "k", "opc", "rand", "sqn", "f1_star", "f5_star")
    assert milenage.verify_auts(k, opc, rand, xor(sqn, ak_star) + mac_s) is None


def test_auts_of_other_implementations(auts_entry: Set) -> None:
    k, opc, rand, auts, sqn_ms = octets(auts_entry, "k", "opc", "rand", "auts", "sqn_ms")
    assert milenage.verify_auts(k, opc, rand, auts) == sqn_ms
    autn = milenage.generate_eutran_vector(k, opc, rand, lower(sqn_ms), b"\x80\x00", PLMN).autn
    assert milenage.check_autn(k, opc, rand, autn, sqn_ms) == SyncFailure(auts)


def test_eutran_vector_of_another_implementation(eutran_entry: Set) -> None:
    k, op, opc, rand, sqn, amf, plmn = octets(eutran_entry, "k", "op", "opc", "rand", "sqn", "amf", "plmn_octets")
    assert milenage.opc_from_op(k, op) == opc
    vector = milenage.generate_eutran_vector(k, opc, rand, sqn, amf, plmn)
    assert [vector.rand, vector.xres, vector.autn, vector.k_asme] == octets(
        eutran_entry, "rand", "xres", "autn", "k_asme"
    )
    res, ck, ik = octets(eutran_entry, "xres", "ck", "ik")
    assert milenage.check_autn(k, opc, rand, vector.autn, bytes(6)) == Accepted(res=res, ck=ck, ik=ik, sqn=sqn)


def test_both_sides_derive_the_same_k_asme() -> None:
    vector = milenage.generate_eutran_vector(K, OPC, RAND, SQN, AMF, PLMN)
    answer = milenage.check_autn(K, OPC, RAND, vector.autn, bytes(6))
    assert isinstance(answer, Accepted)
    assert answer.res == vector.xres
    assert kdf.k_asme(answer.ck, answer.ik, PLMN, vector.autn[:6]) == vector.k_asme


@pytest.mark.parametrize("bit", range(128))
def test_any_flipped_bit_of_autn_is_a_mac_failure(bit: int) -> None:
    autn = milenage.generate_eutran_vector(K, OPC, RAND, SQN, AMF, PLMN).autn
    assert milenage.check_autn(K, OPC, RAND, flipped(autn, bit), bytes(6)) == MacFailure()


def test_a_stale_autn_with_a_wrong_mac_is_a_mac_failure_not_a_sync_failure() -> None:
    autn = milenage.generate_eutran_vector(K, OPC, RAND, SQN, AMF, PLMN).autn
    assert milenage.check_autn(K, OPC, RAND, flipped(autn, 0), b"\xff" * 6) == MacFailure()


@pytest.mark.parametrize(
    ("sqn", "highest_sqn", "fresh"),
    [
        ("000000000001", "000000000000", True),
        ("000000000000", "000000000000", False),
        ("000000000100", "0000000000ff", True),
        ("0000000000ff", "000000000100", False),
        ("800000000000", "7fffffffffff", True),
        ("7fffffffffff", "800000000000", False),
        ("ffffffffffff", "ffffffffffff", False),
    ],
)
def test_fresh_is_a_higher_sqn_only(sqn: str, highest_sqn: str, fresh: bool) -> None:
    autn = milenage.generate_eutran_vector(K, OPC, RAND, bytes.fromhex(sqn), AMF, PLMN).autn
    answer = milenage.check_autn(K, OPC, RAND, autn, bytes.fromhex(highest_sqn))
    if fresh:
        assert isinstance(answer, Accepted)
        assert answer.sqn.hex() == sqn
    else:
        assert isinstance(answer, SyncFailure)
        assert milenage.verify_auts(K, OPC, RAND, answer.auts) == bytes.fromhex(highest_sqn)


@pytest.mark.parametrize("bit", range(112))
def test_any_flipped_bit_of_auts_is_refused(bit: int) -> None:
    autn = milenage.generate_eutran_vector(K, OPC, RAND, SQN, AMF, PLMN).autn
    answer = milenage.check_autn(K, OPC, RAND, autn, SQN)
    assert isinstance(answer, SyncFailure)
    assert milenage.verify_auts(K, OPC, RAND, flipped(answer.auts, bit)) is None


def test_auts_for_another_challenge_is_refused() -> None:
    autn = milenage.generate_eutran_vector(K, OPC, RAND, SQN, AMF, PLMN).autn
    answer = milenage.check_autn(K, OPC, RAND, autn, SQN)
    assert isinstance(answer, SyncFailure)
    assert milenage.verify_auts(K, OPC, flipped(RAND, 7), answer.auts) is None


def test_a_vector_without_the_separation_bit_is_not_made() -> None:
    with pytest.raises(ValueError, match=r"^amf must have the separation bit"):
        milenage.generate_eutran_vector(K, OPC, RAND, SQN, b"\x7f\xff", PLMN)


FUNCTIONS: list[tuple[Callable[..., object], dict[str, bytes]]] = [
    (milenage.opc_from_op, {"k": K, "op": OPC}),
    (milenage.f1, {"k": K, "opc": OPC, "rand": RAND, "sqn": SQN, "amf": AMF}),
    (milenage.f1_star, {"k": K, "opc": OPC, "rand": RAND, "sqn": SQN, "amf": AMF}),
    (milenage.f2_f5, {"k": K, "opc": OPC, "rand": RAND}),
    (milenage.f3, {"k": K, "opc": OPC, "rand": RAND}),
    (milenage.f4, {"k": K, "opc": OPC, "rand": RAND}),
    (milenage.f5_star, {"k": K, "opc": OPC, "rand": RAND}),
    (
        milenage.generate_eutran_vector,
        {"k": K, "opc": OPC, "rand": RAND, "sqn": SQN, "amf": AMF, "plmn_octets": PLMN},
    ),
    (milenage.check_autn, {"k": K, "opc": OPC, "rand": RAND, "autn": bytes(16), "highest_sqn": SQN}),
    (milenage.verify_auts, {"k": K, "opc": OPC, "rand": RAND, "auts": bytes(14)}),
]


@pytest.mark.parametrize("change", ["short", "long", "empty"])
@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        pytest.param(function, arguments, name, id=f"{function.__name__}-{name}")
        for function, arguments in FUNCTIONS
        for name in arguments
    ],
)
def test_a_wrong_size_names_the_argument_and_not_its_value(
    function: Callable[..., object], arguments: dict[str, bytes], name: str, change: str
) -> None:
    right = arguments[name]
    wrong = {"short": b"\xab" * (len(right) - 1), "long": b"\xab" * (len(right) + 1), "empty": b""}[change]
    with pytest.raises(ValueError, match=rf"^{re.escape(name)} must be {len(right)} octets, not {len(wrong)}$"):
        function(**{**arguments, name: wrong})


def test_keys_do_not_show_in_reprs() -> None:
    vector = milenage.generate_eutran_vector(K, OPC, RAND, SQN, AMF, PLMN)
    answer = milenage.check_autn(K, OPC, RAND, vector.autn, bytes(6))
    assert isinstance(answer, Accepted)
    assert repr(answer) == "Accepted()"
    assert repr(vector) == f"EutranVector(rand={vector.rand!r}, autn={vector.autn!r})"
