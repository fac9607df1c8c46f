from typing import Any

import pytest

from mme.crypto import nas_security
from mme.crypto.nas_security import CIPHERING, DOWNLINK, INTEGRITY, UPLINK, cipher, mac

Set = dict[str, Any]
KEY = bytes.fromhex("d3c5d592327fb11c4035c6680af8c6d1")
COUNT, BEARER = 0x398A59B4, 0x1A
DATA = bytes.fromhex("484583d5afe082ae")
"""TS 33.401 C.2.2."""


def octets(value: str | list[str]) -> bytes:
    return bytes.fromhex(value if isinstance(value, str) else "".join(value))


def first_bits(value: bytes, bits: int) -> int:
    return int.from_bytes(value, "big") >> (len(value) * 8 - bits)


def inputs(entry: Set) -> tuple[bytes, int, int, int]:
    return octets(entry["key"]), int(entry["count"], 16), entry["bearer"], entry["direction"]


def test_eea2(eea2_set: Set) -> None:
    plaintext, ciphertext, bits = octets(eea2_set["plaintext"]), octets(eea2_set["ciphertext"]), eea2_set["length_bits"]
    assert 0 <= len(plaintext) * 8 - bits < 8
    assert len(ciphertext) == len(plaintext)
    ciphered = cipher(2, *inputs(eea2_set), plaintext)
    assert first_bits(ciphered, bits) == first_bits(ciphertext, bits)
    assert first_bits(cipher(2, *inputs(eea2_set), ciphertext), bits) == first_bits(plaintext, bits)
    assert cipher(2, *inputs(eea2_set), ciphered) == plaintext


def test_eia2(eia2_set: Set) -> None:
    message = octets(eia2_set["message"])
    assert len(message) * 8 == eia2_set["length_bits"]
    assert mac(2, *inputs(eia2_set), message) == octets(eia2_set["mac"])


@pytest.mark.parametrize("bit", range(64))
def test_any_flipped_bit_of_the_message_changes_the_mac(bit: int) -> None:
    altered = (int.from_bytes(DATA, "big") ^ (1 << bit)).to_bytes(8, "big")
    assert mac(2, KEY, COUNT, BEARER, DOWNLINK, altered) != mac(2, KEY, COUNT, BEARER, DOWNLINK, DATA)


@pytest.mark.parametrize(
    ("count", "bearer", "direction"),
    [(COUNT ^ 1, BEARER, DOWNLINK), (COUNT, BEARER ^ 1, DOWNLINK), (COUNT, BEARER, UPLINK)],
)
def test_count_bearer_and_direction_each_change_cipher_and_mac(count: int, bearer: int, direction: int) -> None:
    assert mac(2, KEY, count, bearer, direction, DATA) != mac(2, KEY, COUNT, BEARER, DOWNLINK, DATA)
    assert cipher(2, KEY, count, bearer, direction, DATA) != cipher(2, KEY, COUNT, BEARER, DOWNLINK, DATA)


def test_null_algorithms_change_nothing_and_give_a_mac_of_zeros() -> None:
    assert cipher(0, KEY, COUNT, BEARER, DOWNLINK, DATA) == DATA
    assert mac(0, KEY, COUNT, BEARER, DOWNLINK, DATA) == bytes(4)


@pytest.mark.parametrize("algorithm", [0, 2])
def test_an_empty_message_is_allowed(algorithm: int) -> None:
    assert cipher(algorithm, KEY, 0, 0, UPLINK, b"") == b""
    assert len(mac(algorithm, KEY, 0, 0, UPLINK, b"")) == 4


@pytest.mark.parametrize("algorithm", [-1, 1, 3, 4, 7])
def test_an_algorithm_outside_the_table_is_refused(algorithm: int) -> None:
    with pytest.raises(ValueError, match=rf"^algorithm EEA{algorithm} is not supported$"):
        cipher(algorithm, KEY, 0, 0, UPLINK, DATA)
    with pytest.raises(ValueError, match=rf"^algorithm EIA{algorithm} is not supported$"):
        mac(algorithm, KEY, 0, 0, UPLINK, DATA)


def test_one_line_in_the_table_adds_an_algorithm(monkeypatch: pytest.MonkeyPatch) -> None:
    def reversing(key: bytes, count: int, bearer: int, direction: int, data: bytes) -> bytes:
        return data[::-1]

    monkeypatch.setattr(nas_security, "CIPHERING", {**CIPHERING, 1: reversing})
    assert cipher(1, KEY, 0, 0, UPLINK, DATA) == DATA[::-1]


@pytest.mark.parametrize("function", [cipher, mac])
@pytest.mark.parametrize("algorithm", [0, 2])
@pytest.mark.parametrize("key", [b"", b"\xab" * 15, b"\xab" * 17, b"\xab" * 24, b"\xab" * 32])
def test_a_key_of_wrong_size_is_named_and_not_shown(function: Any, algorithm: int, key: bytes) -> None:
    with pytest.raises(ValueError, match=rf"^key must be 16 octets, not {len(key)}$"):
        function(algorithm, key, 0, 0, UPLINK, DATA)


@pytest.mark.parametrize("function", [cipher, mac])
@pytest.mark.parametrize("algorithm", [0, 2])
@pytest.mark.parametrize(
    ("count", "bearer", "direction", "name"),
    [
        (-1, 0, 0, "count"),
        (1 << 32, 0, 0, "count"),
        (0, -1, 0, "bearer"),
        (0, 32, 0, "bearer"),
        (0, 0, -1, "direction"),
        (0, 0, 2, "direction"),
    ],
)
def test_a_number_out_of_range_is_named(  # noqa: PLR0917
    function: Any, algorithm: int, count: int, bearer: int, direction: int, name: str
) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must be from 0 to "):
        function(algorithm, KEY, count, bearer, direction, DATA)


def test_the_tables_cannot_be_changed_from_outside() -> None:
    with pytest.raises(TypeError):
        CIPHERING[1] = CIPHERING[0]  # type: ignore[index]
    with pytest.raises(TypeError):
        INTEGRITY[1] = INTEGRITY[0]  # type: ignore[index]
