from collections.abc import Callable
from hashlib import sha256
from hmac import new
from typing import Any

import pytest

from mme.crypto import kdf

Entry = dict[str, Any]


def octets(entry: Entry, *names: str) -> list[bytes]:
    return [bytes.fromhex(entry[name]) for name in names]


def test_k_asme(k_asme_entry: Entry) -> None:
    *arguments, expected = octets(k_asme_entry, "ck", "ik", "plmn_octets", "sqn_xor_ak", "k_asme")
    assert kdf.k_asme(*arguments) == expected


def test_nas_keys_are_the_low_half_of_the_derived_octets(nas_key_entry: Entry) -> None:
    (k_asme,) = octets(nas_key_entry, "k_asme")
    algorithm_id = nas_key_entry["algorithm_id"]
    keys = {
        "enc_32": (kdf.NAS_ENC, kdf.k_nas_enc(k_asme, algorithm_id)),
        "int_32": (kdf.NAS_INT, kdf.k_nas_int(k_asme, algorithm_id)),
    }
    present = [name for name in keys if name in nas_key_entry]
    assert present
    for name in present:
        distinguisher, key = keys[name]
        assert key == kdf.nas_key(k_asme, distinguisher, algorithm_id)
        assert key.hex() == nas_key_entry[name][32:]


def test_k_enb(k_enb_entry: Entry) -> None:
    k_asme, expected = octets(k_enb_entry, "k_asme", "k_enb")
    assert kdf.k_enb(k_asme, int(k_enb_entry["uplink_nas_count"], 16)) == expected


def test_nh(nh_entry: Entry) -> None:
    k_asme, sync_input, expected = octets(nh_entry, "k_asme", "sync_input", "nh")
    assert kdf.nh(k_asme, sync_input) == expected


def test_k_enb_star(k_enb_star_entry: Entry) -> None:
    k_enb_or_nh, expected = octets(k_enb_star_entry, "k_enb_or_nh", "k_enb_star")
    assert kdf.k_enb_star(k_enb_or_nh, k_enb_star_entry["pci"], k_enb_star_entry["earfcn_dl"]) == expected


@pytest.mark.parametrize(
    ("earfcn_dl", "s_hex"),
    [
        (65535, "13 01f7 0002 ffff 0002"),
        (65536, "13 01f7 0002 010000 0003"),
        (262143, "13 01f7 0002 03ffff 0003"),
    ],
)
def test_k_enb_star_codes_a_high_earfcn_in_three_octets(earfcn_dl: int, s_hex: str) -> None:
    """No outside value is known for three octets: S is written out from TS 33.401 A.5."""
    key = bytes(range(32))
    assert kdf.k_enb_star(key, 503, earfcn_dl) == new(key, bytes.fromhex(s_hex), sha256).digest()


SIZES: list[tuple[Callable[..., bytes], dict[str, Any], str, int]] = [
    (kdf.k_asme, {"ck": bytes(16), "ik": bytes(16), "plmn_octets": bytes(3), "sqn_xor_ak": bytes(6)}, name, size)
    for name, size in (("ck", 16), ("ik", 16), ("plmn_octets", 3), ("sqn_xor_ak", 6))
] + [
    (kdf.nas_key, {"k_asme": bytes(32), "distinguisher": 1, "algorithm_id": 2}, "k_asme", 32),
    (kdf.k_nas_enc, {"k_asme": bytes(32), "algorithm_id": 2}, "k_asme", 32),
    (kdf.k_nas_int, {"k_asme": bytes(32), "algorithm_id": 2}, "k_asme", 32),
    (kdf.k_enb, {"k_asme": bytes(32), "uplink_nas_count": 0}, "k_asme", 32),
    (kdf.nh, {"k_asme": bytes(32), "sync_input": bytes(32)}, "k_asme", 32),
    (kdf.nh, {"k_asme": bytes(32), "sync_input": bytes(32)}, "sync_input", 32),
    (kdf.k_enb_star, {"k_enb_or_nh": bytes(32), "pci": 0, "earfcn_dl": 0}, "k_enb_or_nh", 32),
]


@pytest.mark.parametrize(("function", "arguments", "name", "size"), SIZES)
@pytest.mark.parametrize("by", [-1, 1])
def test_a_wrong_size_names_the_argument_and_not_its_value(
    function: Callable[..., bytes], arguments: dict[str, Any], name: str, size: int, by: int
) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must be {size} octets, not {size + by}$"):
        function(**{**arguments, name: b"\xab" * (size + by)})


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (kdf.nas_key, {"k_asme": bytes(32), "distinguisher": 0, "algorithm_id": 2}, "distinguisher"),
        (kdf.nas_key, {"k_asme": bytes(32), "distinguisher": 3, "algorithm_id": 2}, "distinguisher"),
        (kdf.nas_key, {"k_asme": bytes(32), "distinguisher": 1, "algorithm_id": 16}, "algorithm_id"),
        (kdf.k_nas_enc, {"k_asme": bytes(32), "algorithm_id": -1}, "algorithm_id"),
        (kdf.k_enb, {"k_asme": bytes(32), "uplink_nas_count": 1 << 32}, "uplink_nas_count"),
        (kdf.k_enb, {"k_asme": bytes(32), "uplink_nas_count": -1}, "uplink_nas_count"),
        (kdf.k_enb_star, {"k_enb_or_nh": bytes(32), "pci": 504, "earfcn_dl": 0}, "pci"),
        (kdf.k_enb_star, {"k_enb_or_nh": bytes(32), "pci": 0, "earfcn_dl": 262144}, "earfcn_dl"),
    ],
)
def test_a_number_out_of_range_names_the_argument(
    function: Callable[..., bytes], arguments: dict[str, Any], name: str
) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must be "):
        function(**arguments)
