"""Milenage, the 3GPP authentication functions f1-f5*, and EPS AKA on them: home network side and USIM side.

Sizes everywhere: k, opc, op, rand: 16 octets, sqn, ak: 6, amf: 2, mac_a, mac_s, res: 8, ck, ik: 16, autn: 16, auts: 14.
The kernel is AES-128; each call makes one key schedule and takes two or three steps of the cipher.
Source: TS 35.206 4.1 (r1-r5, c1-c5 as given there); TS 33.102 6.3; vectors TS 35.208 4.3 sets 1-20.
"""

from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from mme.crypto import kdf, require_octets

_BLOCK_MASK: Final = (1 << 128) - 1
_ROTATION_BITS: Final = (64, 0, 32, 64, 96)
"""r1-r5: cyclic rotation towards the most significant bit (TS 35.206 4.1)."""
_CONSTANTS: Final = (0, 1, 2, 4, 8)
"""c1-c5 (TS 35.206 4.1)."""
_SEPARATION_BIT: Final = 0x80
"""AMF bit 0, the most significant: 1 in a vector for E-UTRAN (TS 33.102 annex H)."""
_RESYNC_AMF: Final = bytes(2)
"""AMF*, the dummy value in MAC-S (TS 33.102 6.3.3)."""


@dataclass(frozen=True, slots=True)
class EutranVector:
    """EPS authentication vector (TS 33.401 6.1.2)."""

    rand: bytes
    """16 octets."""
    xres: bytes = field(repr=False)
    """8 octets; compare with RES by hmac.compare_digest."""
    autn: bytes
    """16 octets: SQN xor AK (6) || AMF (2) || MAC-A (8)."""
    k_asme: bytes = field(repr=False)
    """32 octets."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The USIM holds AUTN for authentic and fresh; the caller stores sqn as its highest before it answers."""

    res: bytes = field(repr=False)
    """8 octets."""
    ck: bytes = field(repr=False)
    """16 octets."""
    ik: bytes = field(repr=False)
    """16 octets."""
    sqn: bytes = field(repr=False)
    """6 octets, higher than highest_sqn."""


@dataclass(frozen=True, slots=True)
class MacFailure:
    """MAC-A differs from XMAC-A: not from the home network, or altered (EMM cause 20)."""


@dataclass(frozen=True, slots=True)
class SyncFailure:
    """AUTN is authentic, its SQN not fresh (EMM cause 21)."""

    auts: bytes
    """14 octets: SQN_MS xor AK* (6) || MAC-S (8)."""


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(len(left), "big")


class _Kernel:
    """OUT1-OUT5 of TS 35.206 4.1 under one K, OPc and RAND: one AES key schedule."""

    __slots__ = ("_encrypt", "_opc", "_temp")

    def __init__(self, k: bytes, opc: bytes, rand: bytes) -> None:
        require_octets("k", k, 16)
        require_octets("opc", opc, 16)
        require_octets("rand", rand, 16)
        self._encrypt = Cipher(AES(k), ECB()).encryptor().update  # noqa: S305  the kernel is E[x] on single blocks
        self._opc = int.from_bytes(opc, "big")
        self._temp = int.from_bytes(self._encrypt(_xor(rand, opc)), "big")

    def _before_cipher(self, index: int, block: int) -> bytes:
        """rot(block xor OPc, r) xor c of OUT<index + 1>; 128 bits -> 16 octets."""
        block ^= self._opc
        rotation_bits = _ROTATION_BITS[index]
        rotated = ((block << rotation_bits) | (block >> (128 - rotation_bits))) & _BLOCK_MASK
        return (rotated ^ _CONSTANTS[index]).to_bytes(16, "big")

    def _after_cipher(self, block: bytes) -> bytes:
        return (int.from_bytes(block, "big") ^ self._opc).to_bytes(16, "big")

    def out1(self, sqn: bytes, amf: bytes) -> bytes:
        """sqn: 6 octets, amf: 2 -> 16 octets, MAC-A || MAC-S."""
        require_octets("sqn", sqn, 6)
        require_octets("amf", amf, 2)
        in1 = int.from_bytes((sqn + amf) * 2, "big")
        rotated = int.from_bytes(self._before_cipher(0, in1), "big")
        return self._after_cipher(self._encrypt((self._temp ^ rotated).to_bytes(16, "big")))

    def out(self, *numbers: int) -> tuple[bytes, ...]:
        """numbers: from 2 to 5 -> OUT of each, 16 octets; all of them pass the cipher in one call."""
        blocks = self._encrypt(b"".join([self._before_cipher(number - 1, self._temp) for number in numbers]))
        return tuple(self._after_cipher(blocks[at : at + 16]) for at in range(0, len(blocks), 16))


def opc_from_op(k: bytes, op: bytes) -> bytes:
    """k, op: 16 octets -> OPc: 16 octets.   Source: TS 35.206 4.1; TS 35.205 8.3."""
    require_octets("k", k, 16)
    require_octets("op", op, 16)
    return _xor(Cipher(AES(k), ECB()).encryptor().update(op), op)  # noqa: S305  one block


def f1(k: bytes, opc: bytes, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
    """k, opc, rand: 16 octets, sqn: 6, amf: 2 -> mac_a: 8.   Source: TS 35.206 4.1."""
    return _Kernel(k, opc, rand).out1(sqn, amf)[:8]


def f1_star(k: bytes, opc: bytes, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
    """k, opc, rand: 16 octets, sqn: 6, amf: 2 -> mac_s: 8.   Source: TS 35.206 4.1."""
    return _Kernel(k, opc, rand).out1(sqn, amf)[8:]


def f2_f5(k: bytes, opc: bytes, rand: bytes) -> tuple[bytes, bytes]:
    """k, opc, rand: 16 octets -> (res: 8, ak: 6).   Source: TS 35.206 4.1."""
    (out2,) = _Kernel(k, opc, rand).out(2)
    return out2[8:], out2[:6]


def f3(k: bytes, opc: bytes, rand: bytes) -> bytes:
    """k, opc, rand: 16 octets -> ck: 16.   Source: TS 35.206 4.1."""
    return _Kernel(k, opc, rand).out(3)[0]


def f4(k: bytes, opc: bytes, rand: bytes) -> bytes:
    """k, opc, rand: 16 octets -> ik: 16.   Source: TS 35.206 4.1."""
    return _Kernel(k, opc, rand).out(4)[0]


def f5_star(k: bytes, opc: bytes, rand: bytes) -> bytes:
    """k, opc, rand: 16 octets -> ak_star: 6.   Source: TS 35.206 4.1."""
    return _Kernel(k, opc, rand).out(5)[0][:6]


def generate_eutran_vector(  # noqa: PLR0917
    k: bytes, opc: bytes, rand: bytes, sqn: bytes, amf: bytes, plmn_octets: bytes
) -> EutranVector:
    """Generate an EPS authentication vector on the home network side.

    k, opc, rand: 16 octets, sqn: 6, used for no other vector of this subscriber, amf: 2, with the separation bit
    (0x8000), plmn_octets: 3, the serving network as in TS 24.301.
    Raises: ValueError, also for an amf without the separation bit: no UE accepts it on E-UTRAN (EMM cause 26).
    Source: TS 33.102 6.3.2, annex H; TS 33.401 6.1.1-2, A.2.
    """
    require_octets("amf", amf, 2)
    if not amf[0] & _SEPARATION_BIT:
        raise ValueError("amf must have the separation bit set for E-UTRAN")
    kernel = _Kernel(k, opc, rand)
    mac_a = kernel.out1(sqn, amf)[:8]
    out2, ck, ik = kernel.out(2, 3, 4)
    sqn_xor_ak = _xor(sqn, out2[:6])
    return EutranVector(
        rand=rand,
        xres=out2[8:],
        autn=sqn_xor_ak + amf + mac_a,
        k_asme=kdf.k_asme(ck, ik, plmn_octets, sqn_xor_ak),
    )


def check_autn(
    k: bytes, opc: bytes, rand: bytes, autn: bytes, highest_sqn: bytes
) -> Accepted | MacFailure | SyncFailure:
    """Check an authentication token on the USIM side: MAC-A first, then freshness.

    k, opc, rand, autn: 16 octets, highest_sqn: 6, SQN_MS, the highest one accepted so far.
    Fresh is SQN > SQN_MS: the scheme of TS 33.102 C.2 with an index of zero bits and no limit on jumps.
    The separation bit is the terminal's check, not the USIM's: autn[6] & 0x80 (TS 33.401 6.1.1, EMM cause 26).
    Source: TS 33.102 6.3.3, C.2.2.
    """
    require_octets("autn", autn, 16)
    require_octets("highest_sqn", highest_sqn, 6)
    kernel = _Kernel(k, opc, rand)
    out2, ck, ik, out5 = kernel.out(2, 3, 4, 5)
    sqn = _xor(autn[:6], out2[:6])
    if not compare_digest(kernel.out1(sqn, autn[6:8])[:8], autn[8:]):
        return MacFailure()
    if sqn <= highest_sqn:  # octet strings of one size compare as big-endian numbers
        return SyncFailure(_xor(highest_sqn, out5[:6]) + kernel.out1(highest_sqn, _RESYNC_AMF)[8:])
    return Accepted(res=out2[8:], ck=ck, ik=ik, sqn=sqn)


def verify_auts(k: bytes, opc: bytes, rand: bytes, auts: bytes) -> bytes | None:
    """Verify a resynchronisation token on the home network side.

    k, opc: 16 octets, rand: 16, of the challenge the UE answered, auts: 14 -> sqn_ms: 6, or None for a wrong MAC-S.
    Source: TS 33.102 6.3.3, 6.3.5.
    """
    require_octets("auts", auts, 14)
    kernel = _Kernel(k, opc, rand)
    sqn_ms = _xor(auts[:6], kernel.out(5)[0][:6])
    if not compare_digest(kernel.out1(sqn_ms, _RESYNC_AMF)[8:], auts[6:]):
        return None
    return sqn_ms
