"""Derive the EPS key hierarchy below CK and IK.

Every key is HMAC-SHA-256(parent key, FC || P0 || L0 || P1 || L1 ...), L being 2 octets.
Source: TS 33.401 annex A; TS 33.220 B.2.
"""

from hmac import digest
from typing import Final

from mme.crypto import require_octets, require_range

NAS_ENC: Final = 0x01
"""Algorithm type distinguisher NAS-enc-alg (TS 33.401 table A.7-1)."""
NAS_INT: Final = 0x02
"""Algorithm type distinguisher NAS-int-alg (TS 33.401 table A.7-1)."""

_FC_K_ASME: Final = 0x10
_FC_K_ENB: Final = 0x11
_FC_NH: Final = 0x12
_FC_K_ENB_STAR: Final = 0x13
_FC_ALGORITHM_KEY: Final = 0x15

_HIGHEST_PCI: Final = 503
_HIGHEST_EARFCN_DL: Final = 262143


def _derive(key: bytes, fc: int, *parameters: bytes) -> bytes:
    """key: any size, fc: 1 octet, parameters: P0, P1 ... -> 32 octets.   Source: TS 33.220 B.2.0 and B.2.2."""
    s = bytearray((fc,))
    for parameter in parameters:
        s += parameter
        s += len(parameter).to_bytes(2, "big")
    return digest(key, s, "sha256")


def k_asme(ck: bytes, ik: bytes, plmn_octets: bytes, sqn_xor_ak: bytes) -> bytes:
    """Derive K_ASME.

    ck, ik: 16 octets, plmn_octets: 3 (serving network id as in TS 24.301: MCC2 MCC1, MNC3 MCC3, MNC2 MNC1),
    sqn_xor_ak: 6 (the first 6 octets of AUTN) -> 32 octets.   Source: TS 33.401 A.2.
    """
    require_octets("ck", ck, 16)
    require_octets("ik", ik, 16)
    require_octets("plmn_octets", plmn_octets, 3)
    require_octets("sqn_xor_ak", sqn_xor_ak, 6)
    return _derive(ck + ik, _FC_K_ASME, plmn_octets, sqn_xor_ak)


def nas_key(k_asme: bytes, distinguisher: int, algorithm_id: int) -> bytes:
    """Derive the key of one NAS algorithm.

    k_asme: 32 octets, distinguisher: NAS_ENC or NAS_INT, algorithm_id: 0-15 (0 null, 1 SNOW 3G, 2 AES, 3 ZUC)
    -> 16 octets, the least significant half of the KDF output.   Source: TS 33.401 A.7, 6.2.
    """
    require_octets("k_asme", k_asme, 32)
    if distinguisher not in (NAS_ENC, NAS_INT):
        raise ValueError("distinguisher must be NAS_ENC or NAS_INT")
    require_range("algorithm_id", algorithm_id, 15)
    return _derive(k_asme, _FC_ALGORITHM_KEY, bytes((distinguisher,)), bytes((algorithm_id,)))[16:]


def k_nas_enc(k_asme: bytes, algorithm_id: int) -> bytes:
    """Derive K_NASenc.   k_asme: 32 octets, algorithm_id: the EEA, 0-15 -> 16 octets.   Source: TS 33.401 A.7."""
    return nas_key(k_asme, NAS_ENC, algorithm_id)


def k_nas_int(k_asme: bytes, algorithm_id: int) -> bytes:
    """Derive K_NASint.   k_asme: 32 octets, algorithm_id: the EIA, 0-15 -> 16 octets.   Source: TS 33.401 A.7."""
    return nas_key(k_asme, NAS_INT, algorithm_id)


def k_enb(k_asme: bytes, uplink_nas_count: int) -> bytes:
    """Derive the initial K_eNB.

    k_asme: 32 octets, uplink_nas_count: 32 bits (the 24 bits of the NAS COUNT, padded with zeros in front)
    -> 32 octets.   Source: TS 33.401 A.3.
    """
    require_octets("k_asme", k_asme, 32)
    require_range("uplink_nas_count", uplink_nas_count, 0xFFFFFFFF)
    return _derive(k_asme, _FC_K_ENB, uplink_nas_count.to_bytes(4, "big"))


def nh(k_asme: bytes, sync_input: bytes) -> bytes:
    """Derive the next hop key.

    k_asme: 32 octets, sync_input: 32 (the initial K_eNB for the first NH, the previous NH after that) -> 32 octets.
    Source: TS 33.401 A.4.
    """
    require_octets("k_asme", k_asme, 32)
    require_octets("sync_input", sync_input, 32)
    return _derive(k_asme, _FC_NH, sync_input)


def k_enb_star(k_enb_or_nh: bytes, pci: int, earfcn_dl: int) -> bytes:
    """Derive K_eNB* for a handover target.

    k_enb_or_nh: 32 octets (horizontal: K_eNB; vertical: NH), pci: physical cell id, 0-503,
    earfcn_dl: 0-262143, coded in 2 octets up to 65535 and in 3 above -> 32 octets.   Source: TS 33.401 A.5.
    """
    require_octets("k_enb_or_nh", k_enb_or_nh, 32)
    require_range("pci", pci, _HIGHEST_PCI)
    require_range("earfcn_dl", earfcn_dl, _HIGHEST_EARFCN_DL)
    earfcn_octets = earfcn_dl.to_bytes(2 if earfcn_dl <= 0xFFFF else 3, "big")
    return _derive(k_enb_or_nh, _FC_K_ENB_STAR, pci.to_bytes(2, "big"), earfcn_octets)
