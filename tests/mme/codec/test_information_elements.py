"""Value parts of NAS IEs, by the tables of TS 24.301 and TS 24.008."""

from __future__ import annotations

import pytest

from mme.codec import information_elements as ies
from mme.ids import Plmn, Tai

TEST = Plmn("00101")


@pytest.mark.parametrize(
    ("octet", "seconds"),
    [(0x01, 2), (0x1F, 62), (0x22, 120), (0x3F, 1860), (0x49, 3240), (0x5F, 11160), (0xE0, 0)],
)
def test_gprs_timer(octet: int, seconds: int) -> None:
    """TS 24.008 10.5.7.3: 2 s, 1 minute, 6 minutes, deactivated."""
    assert ies.gprs_timer_s(octet) == seconds
    assert ies.gprs_timer_octet(seconds) == octet


@pytest.mark.parametrize(("octet", "seconds"), [(0x00, 0), (0xFF, 0), (0x61, 60), (0x86, 360)])
def test_gprs_timer_read_only(octet: int, seconds: int) -> None:
    """Zero and every deactivated value are 0; units not defined count as minutes."""
    assert ies.gprs_timer_s(octet) == seconds


@pytest.mark.parametrize("seconds", [1, 3, 63, 64, 119, 121, 1920, 2881, 11520, -2])
def test_what_no_gprs_timer_carries(seconds: int) -> None:
    """The same list as in Open5GS' tests/unit/nas-message-test.c."""
    with pytest.raises(ValueError, match="GPRS timer"):
        ies.gprs_timer_octet(seconds)


@pytest.mark.parametrize(
    ("octets", "dl_kbps", "ul_kbps"),
    [
        ("ffff", 0, 0),
        ("0101", 1, 1),
        ("3f40", 63, 64),
        ("7f80", 568, 576),
        ("fefe", 8_640, 8_640),
        ("fefe0100", 8_700, 8_640),
        ("fefe4a4b", 16_000, 17_000),
        ("fefebabb", 128_000, 130_000),
        ("fefefafa", 256_000, 256_000),
        ("fefefafa0100", 512_000, 256_000),
        ("fefedddd1010", 4_294_000, 4_294_000),  # captured; "Total APN-AMBR" of tshark
        ("fefe5e6c0303", 804_000, 818_000),
        ("fefefafafefe", 65_280_000, 65_280_000),
    ],
)
def test_apn_ambr(octets: str, dl_kbps: int, ul_kbps: int) -> None:
    """TS 24.301 9.9.4.2, every edge of the table."""
    assert ies.apn_ambr(bytes.fromhex(octets)) == (dl_kbps * 1000, ul_kbps * 1000)
    assert ies.apn_ambr_octets(dl_kbps * 1000, ul_kbps * 1000).hex() == octets


@pytest.mark.parametrize(
    ("bps", "sent_bps"),
    [
        (999, 0),
        (71_999, 64_000),
        (8_699_000, 8_640_000),
        (16_999_999, 16_000_000),
        (129_000_000, 128_000_000),
        (100_000_000_000, 65_280_000_000),
    ],
)
def test_a_rate_between_two_steps_is_rounded_down(bps: int, sent_bps: int) -> None:
    assert ies.apn_ambr(ies.apn_ambr_octets(bps, bps)) == (sent_bps, sent_bps)


@pytest.mark.parametrize("octets", ["", "01", "0001", "fefefb01", "fefe0101ff01"])
def test_a_reserved_rate_is_refused(octets: str) -> None:
    with pytest.raises(ValueError, match=r"APN-AMBR|reserved"):
        ies.apn_ambr(bytes.fromhex(octets))


def tais(*tacs: int) -> tuple[Tai, ...]:
    return tuple(Tai(TEST, tac) for tac in tacs)


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        ("0000f1100007", tais(7)),
        ("0200f110000700010009", tais(7, 1, 9)),
        ("2200f1100007", tais(7, 8, 9)),
        ("4100f110000702f8100007", (Tai(TEST, 7), Tai(Plmn("20801"), 7))),
    ],
)
def test_tai_list(octets: str, expected: tuple[Tai, ...]) -> None:
    assert ies.tai_list(bytes.fromhex(octets)) == expected
    assert ies.tai_list_octets(expected).hex() == octets


def test_partial_lists_follow_each_other() -> None:
    assert ies.tai_list(bytes.fromhex("2100f11000070000f1100001")) == tais(7, 8, 1)


@pytest.mark.parametrize("octets", ["", "00", "0000f110", "6000f1100007", "4100f1100007", "2f00f11000072f00f1100107"])
def test_a_tai_list_that_is_none(octets: str) -> None:
    with pytest.raises(ValueError, match="tracking area"):
        ies.tai_list(bytes.fromhex(octets))


def test_access_point_name() -> None:
    octets = b"\x08internet\x06mnc001\x06mcc001\x04gprs"
    assert ies.access_point_name(octets) == "internet.mnc001.mcc001.gprs"
    assert ies.access_point_name_octets("internet.mnc001.mcc001.gprs") == octets


@pytest.mark.parametrize("octets", [b"", b"\0", b"\x08intern", b"\x01a\0", b"\x03a.b", b"\x01\xff"])
def test_an_access_point_name_that_is_none(octets: bytes) -> None:
    with pytest.raises(ValueError, match=r"APN|ascii"):
        ies.access_point_name(octets)


@pytest.mark.parametrize("text", ["", ".", "a..b", "x" * 64, ".".join(["abcdefghi"] * 11), "é"])
def test_an_access_point_name_that_does_not_fit(text: str) -> None:
    with pytest.raises(ValueError, match=r"APN|ascii"):
        ies.access_point_name_octets(text)


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (
            "85e8329bfd06",
            "hello",
        ),  # packed from the low bit on (TS 23.038 6.1.2.1.1); 5 bits of the last octet are spare
        ("814d", "M"),
        ("8100", "@"),
        ("804f79d87d2e838c", "Orange F"),  # captured, but for the extension bit
        ("9000410416", "AЖ"),
    ],
)
def test_network_name(octets: str, text: str) -> None:
    assert ies.network_name_octets(text).hex() == octets
    assert ies.network_name(bytes.fromhex(octets)) == text


def test_a_network_name_with_an_escape_is_read() -> None:
    assert ies.network_name(bytes.fromhex("829b32")) == "€"


def test_universal_time() -> None:
    octets = bytes.fromhex("71019190616180")  # captured; tshark: Oct 19, 2017 09:16:16
    assert ies.universal_time_s(octets) == 1508404576
    assert ies.universal_time_octets(1508404576) == octets[:6] + b"\0"
    with pytest.raises(ValueError, match="month"):
        ies.universal_time_s(bytes.fromhex("71319190616180"))
