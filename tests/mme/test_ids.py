"""3GPP identifiers (TS 23.003, TS 24.008)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mme.ids import GlobalEnbId, Imsi, Plmn, masked


@pytest.mark.parametrize(
    ("digits", "octets"),
    [
        ("00101", "00f110"),  # srsRAN and Open5GS
        ("20801", "02f810"),  # pycrate: Orange France
        ("41799", "14f799"),  # Open5GS
        ("302720", "030227"),  # TS 24.008 10.5.1.3: three digits of MNC, the third beside MCC digit 3
        ("310410", "130014"),
    ],
)
def test_a_plmn_is_three_octets_with_swapped_digits(digits: str, octets: str) -> None:
    assert Plmn(digits).octets().hex() == octets
    assert Plmn.from_octets(bytes.fromhex(octets)) == Plmn(digits)


@given(st.from_regex(r"[0-9]{5,6}", fullmatch=True))
def test_octets_lead_back_to_the_plmn(digits: str) -> None:
    plmn = Plmn(digits)
    assert Plmn.from_octets(plmn.octets()) == plmn
    assert (plmn.mcc, plmn.mnc) == (digits[:3], digits[3:])


@pytest.mark.parametrize("octets", ["00f1", "00f11000", "0af110", "a0f110", "00ff10", "00f1f0", "00e110"])
def test_octets_that_are_no_plmn_are_refused(octets: str) -> None:
    with pytest.raises(ValueError, match="PLMN"):
        Plmn.from_octets(bytes.fromhex(octets))


@pytest.mark.parametrize("digits", ["", "0010", "0010111", "00a01", "00101\n", " 00101", "+0101", "٠٠١٠١"])
def test_text_that_is_no_plmn_is_refused(digits: str) -> None:
    with pytest.raises(ValueError, match="PLMN"):
        Plmn(digits)


@pytest.mark.parametrize("digits", ["", "00101", "0010112345678901", "00101x", "001011\n", "٠٠١٠١٠"])
def test_text_that_is_no_imsi_is_refused_and_not_repeated(digits: str) -> None:
    with pytest.raises(ValueError, match="IMSI") as error:
        Imsi(digits)
    assert not digits.strip() or digits not in str(error.value)


@given(st.from_regex(r"[0-9]{10,15}", fullmatch=True))
def test_an_imsi_never_shows_whole(digits: str) -> None:
    imsi = Imsi(digits)
    for text in (str(imsi), repr(imsi), f"{imsi}", str((imsi,))):
        assert digits not in text
    assert str(imsi) == masked(digits)
    assert str(imsi).startswith(f"{digits[:5]}~")


def test_a_masked_imsi_is_the_same_each_time_and_another_for_each_subscriber() -> None:
    # First 8 hex digits of SHA-256("001010123456789"), by sha256sum.
    assert masked("001010123456789") == "00101~db59f9e0"
    assert masked("001010123456789") != masked("001010123456780")


@pytest.mark.parametrize(
    ("enb", "name"),
    [
        (GlobalEnbId(Plmn("00101"), 0x19B), "00101-0019b"),
        (GlobalEnbId(Plmn("310410"), 0xFFFFF), "310410-fffff"),
        (GlobalEnbId(Plmn("00101"), 0x19B, bits=28), "00101-000019b"),
    ],
)
def test_an_enb_has_a_name_of_plmn_and_hexadecimal_identity(enb: GlobalEnbId, name: str) -> None:
    assert str(enb) == name
