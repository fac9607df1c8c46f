"""What the UE says it can, and what SECURITY MODE COMMAND must repeat of it (TS 24.301 9.9.3.34, 9.9.3.36)."""

from __future__ import annotations

SRSUE_NETWORK_CAPABILITY = bytes.fromhex("f070")
"""EEA0-3 and EIA1-3, as in the captured Attach Request."""

WITH_NULL_INTEGRITY = bytes.fromhex("f0f0")
"""The same and EIA0, as a UE has it that can call for help without being authenticated (TS 24.301 9.9.3.34)."""


def replayed(ue_network_capability: bytes, ms_network_capability: bytes | None) -> bytes:
    """The UE security capability that belongs to the two: EEA, EIA, and where sent UEA, UIA and GEA octets.

    The first bit of the UIA octet is UCS2 in the one, spare in the other.  GEA1 is the first bit of the MS network
    capability, GEA2 to GEA7 stand in its second octet (TS 24.008 10.5.5.12).
    """
    octets = bytearray(ue_network_capability[:2])
    umts = ue_network_capability[2:4]
    if len(umts) == 2:
        octets += bytes((umts[0], umts[1] & 0x7F))
    if ms_network_capability:
        if len(octets) == 2:
            octets += bytes(2)
        gea1 = (ms_network_capability[0] >> 7) << 6
        octets.append(gea1 | (ms_network_capability[1] >> 1 & 0x3F))
    return bytes(octets)


def supports(mask: int, algorithm: int) -> bool:
    """mask: the EEA or the EIA octet; its first bit is algorithm 0."""
    return bool(mask >> (7 - algorithm) & 1)
