"""What a UE can do in security, taken from the capabilities that it sent."""

from __future__ import annotations


def ue_security_capability(ue_network_capability: bytes, ms_network_capability: bytes | None) -> bytes:
    """The UE security capability that SECURITY MODE COMMAND replays.

    ue_network_capability: 2 to 13 octets (EEA, EIA, then UEA, UIA where sent).  ms_network_capability: 2 to 8 octets.
    Out: 2 octets (EEA, EIA); 4 with UMTS algorithms (UEA, UIA); 5 with GPRS algorithms (GEA), where UEA and UIA are
    zeroes if the UE has none.
    Source: TS 24.301 9.9.3.34, 9.9.3.36; TS 24.008 10.5.5.12.
    """
    if len(ue_network_capability) < 2:
        raise ValueError("a UE network capability has at least 2 octets")
    eps = ue_network_capability[:2]
    umts = bytes((ue_network_capability[2], ue_network_capability[3] & 0x7F)) if len(ue_network_capability) > 3 else b""
    gprs = b""
    if ms_network_capability is not None and len(ms_network_capability) > 1:
        gprs = bytes(((ms_network_capability[0] >> 7) << 6 | (ms_network_capability[1] >> 1) & 0x3F,))
    if any(gprs):
        return eps + (umts or bytes(2)) + gprs
    return eps + umts if any(umts) else eps


def encryption_algorithms_16bit(ue_network_capability: bytes) -> int:
    """Encryption Algorithms of the UE Security Capabilities: 128-EEA1 is the leftmost of 16 bits, EEA0 has none.

    Source: TS 36.413 9.2.1.40.
    """
    return (ue_network_capability[0] & 0x7F) << 9


def integrity_algorithms_16bit(ue_network_capability: bytes) -> int:
    """Integrity Protection Algorithms: 128-EIA1 is the leftmost of 16 bits, EIA0 has none.  Source: as above."""
    return (ue_network_capability[1] & 0x7F) << 9


def supports_eea(ue_network_capability: bytes, algorithm: int) -> bool:
    """Whether the UE has EEA<algorithm>, 0 to 7.  Source: TS 24.301 9.9.3.34."""
    return bool(ue_network_capability[0] >> (7 - algorithm) & 1)


def supports_eia(ue_network_capability: bytes, algorithm: int) -> bool:
    """Whether the UE has EIA<algorithm>, 0 to 7.  Source: TS 24.301 9.9.3.34."""
    return bool(ue_network_capability[1] >> (7 - algorithm) & 1)
