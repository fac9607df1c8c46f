"""UE security capabilities, against what networks replayed and signalled in captures (tests/vectors)."""

from __future__ import annotations

import pytest

from mme.ue_capability import encryption_algorithms_16bit, integrity_algorithms_16bit, ue_security_capability


@pytest.mark.parametrize(
    ("ue_network_capability", "ms_network_capability", "expected"),
    [
        # Orange France: ATTACH REQUEST and SECURITY MODE COMMAND in pycrate's test_mobile.py.
        ("e060c040", "e5e034", "e060c04070"),
        # The iPhone of pcapr.net: frame 0 and frame 3.
        ("e060c04019", "e5e03e", "e060c04070"),
        # srsRAN: no UMTS, no GPRS.
        ("f070", None, "f070"),
        # 9.9.3.36: GPRS but no UMTS algorithms: octets 5 and 6 are there, and zero.
        ("f070000010", "e5e034", "f070000070"),
        ("f070", "e5e034", "f070000070"),
        ("f070000010", None, "f070"),
        ("f070000010", "650034", "f070"),
        # Bit 8 of octet 6 is UCS2 in the capability and spare in what is replayed.
        ("f070c0c01f", None, "f070c040"),
        ("f070c0", None, "f070"),
    ],
)
def test_what_security_mode_command_replays(
    ue_network_capability: str, ms_network_capability: str | None, expected: str
) -> None:
    ms = None if ms_network_capability is None else bytes.fromhex(ms_network_capability)
    assert ue_security_capability(bytes.fromhex(ue_network_capability), ms).hex() == expected


def test_a_capability_of_one_octet_is_refused() -> None:
    with pytest.raises(ValueError, match="2 octets"):
        ue_security_capability(b"\xf0", None)


def test_sixteen_bits_leave_out_the_null_algorithms() -> None:
    capability = bytes.fromhex("e060c04019")
    assert encryption_algorithms_16bit(capability) == 0xC000
    assert integrity_algorithms_16bit(capability) == 0xC000
    assert encryption_algorithms_16bit(bytes.fromhex("8000")) == 0
    assert encryption_algorithms_16bit(bytes.fromhex("f070")) == 0xE000
