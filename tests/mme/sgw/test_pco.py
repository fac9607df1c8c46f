"""Protocol configuration options: answered where asked, ignored where broken."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mme.sgw import pco

IPV4 = bytes((10, 45, 0, 9))
DNS = (IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2"))
UE_OF_SRSUE = bytes.fromhex("80000d00000300001000")
"""DNS IPv4, DNS IPv6, MTU."""


def answer(asked: str | bytes, ipv4: bytes | None = IPV4, dns: tuple[IPv4Address, ...] = DNS) -> str | None:
    value = pco.answer(bytes.fromhex(asked) if isinstance(asked, str) else asked, ipv4, dns, 1400)
    return None if value is None else value.hex()


def test_dns_and_mtu_where_asked() -> None:
    assert answer(UE_OF_SRSUE) == "80" + "000d04c0000201" + "000d04c0000202" + "0010020578"
    assert answer("80000d00") == "80" + "000d04c0000201" + "000d04c0000202"
    assert answer("80001000") == "80" + "0010020578"
    assert answer("80000d00", dns=()) is None


def test_nothing_that_was_not_asked() -> None:
    assert pco.answer(None, IPV4, DNS, 1400) is None
    assert answer("") is None
    assert answer("80") is None
    assert answer("80000a00" + "000c00" + "000300") is None


def test_asked_twice_answered_once() -> None:
    assert answer("80001000001000") == answer("80001000")


def test_no_ipv4_options_without_an_address() -> None:
    assert answer(UE_OF_SRSUE, ipv4=None) is None


@pytest.mark.parametrize(
    ("request_packet", "expected"),
    [
        # Configure-Request id 1: primary and secondary DNS 0.0.0.0 -> Nak with both.
        ("01010010" + "810600000000" + "830600000000", "03010010" + "8106c0000201" + "8306c0000202"),
        # The first right already: only the other one in the Nak.
        ("01020010" + "8106c0000201" + "830600000000", "0302000a" + "8306c0000202"),
        # Both right: Ack, octet for octet.
        ("01030010" + "8106c0000201" + "8306c0000202", "02030010" + "8106c0000201" + "8306c0000202"),
        # The UE's own address.
        ("0104000a" + "030600000000", "0304000a" + "03060a2d0009"),
        # A name server for NetBIOS beside one for DNS: the value is given, the other passed over.
        ("01050010" + "820600000000" + "810600000000", "0305000a" + "8106c0000201"),
        # Nothing that we know: Reject.
        ("0106000a" + "820600000000", "0406000a" + "820600000000"),
        ("01070004", "02070004"),
    ],
)
def test_ipcp(request_packet: str, expected: str) -> None:
    packet = bytes.fromhex(request_packet)
    value = answer(b"\x80\x80\x21" + bytes((len(packet),)) + packet)
    assert value is not None
    assert value[:8] == f"808021{len(expected) // 2:02x}"
    assert value[8:] == expected


@pytest.mark.parametrize(
    "packet",
    [
        "",
        "01",
        "02010004",
        "0101",
        "01010003",
        "010100ff",
        "01010006" + "81",
        "01010006" + "8101",
        "01010007" + "810600",
    ],
)
def test_ipcp_that_is_none_is_not_answered(packet: str) -> None:
    octets = bytes.fromhex(packet)
    assert answer(b"\x80\x80\x21" + bytes((len(octets),)) + octets) is None


@pytest.mark.parametrize("asked", ["00000d00", "81000d00", "80000d", "8000", "80000d0500"])
def test_options_that_are_none(asked: str) -> None:
    assert answer(asked) is None


def test_what_stands_before_a_broken_unit_counts() -> None:
    assert answer("80001000" + "000dff00") == answer("80001000")


@given(st.binary(max_size=300))
def test_any_octets(asked: bytes) -> None:
    value = pco.answer(b"\x80" + asked, IPV4, DNS, 1400)
    assert value is None or (value[0] == 0x80 and len(value) <= 250)
