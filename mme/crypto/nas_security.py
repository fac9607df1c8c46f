"""Cipher and integrity-protect NAS messages.

Algorithms are two tables, EEA and EIA number -> function: a further algorithm is one function and one line.
Messages are whole octets, as NAS messages are; the specification counts bits.
Source: TS 33.401 annex B; vectors TS 33.401 C.1 sets 1-6 and the octet-aligned C.2 sets 2, 5 and 8.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.cmac import CMAC

from mme.crypto import require_octets, require_range

UPLINK: Final = 0
"""DIRECTION from the UE to the network (TS 33.401 B.1.1, B.2.1)."""
DOWNLINK: Final = 1
"""DIRECTION from the network to the UE (TS 33.401 B.1.1, B.2.1)."""

Algorithm = Callable[[bytes, int, int, int, bytes], bytes]
"""(key, count, bearer, direction, data), sizes already checked -> ciphered data, or a MAC of 4 octets."""


def _eea0(key: bytes, count: int, bearer: int, direction: int, data: bytes) -> bytes:
    """Null ciphering: a key stream of zeros.   Source: TS 33.401 B.0."""
    del key, count, bearer, direction
    return bytes(data)


def _eia0(key: bytes, count: int, bearer: int, direction: int, data: bytes) -> bytes:
    """Null integrity: a MAC of zeros.   Source: TS 33.401 B.0."""
    del key, count, bearer, direction, data
    return bytes(4)


def _first_block_half(count: int, bearer: int, direction: int) -> bytes:
    """COUNT (32 bits) || BEARER (5) || DIRECTION (1) || 26 zeros -> 8 octets.   Source: TS 33.401 B.1.3, B.2.3."""
    return ((count << 32) | (bearer << 27) | (direction << 26)).to_bytes(8, "big")


def _eea2(key: bytes, count: int, bearer: int, direction: int, data: bytes) -> bytes:
    """AES-128 in CTR mode, first counter block = the half above || 64 zeros.   Source: TS 33.401 B.1.3."""
    encryptor = Cipher(AES(key), CTR(_first_block_half(count, bearer, direction) + bytes(8))).encryptor()
    return encryptor.update(data)


def _eia2(key: bytes, count: int, bearer: int, direction: int, data: bytes) -> bytes:
    """AES-128 CMAC over the half above || message, cut to its first 4 octets.   Source: TS 33.401 B.2.3."""
    cmac = CMAC(AES(key))
    cmac.update(_first_block_half(count, bearer, direction))
    cmac.update(data)
    return cmac.finalize()[:4]


CIPHERING: Final[Mapping[int, Algorithm]] = MappingProxyType({0: _eea0, 2: _eea2})
"""EEA number (TS 24.301 9.9.3.23) -> function."""
INTEGRITY: Final[Mapping[int, Algorithm]] = MappingProxyType({0: _eia0, 2: _eia2})
"""EIA number (TS 24.301 9.9.3.23) -> function."""


def _require(key: bytes, count: int, bearer: int, direction: int) -> None:
    require_octets("key", key, 16)
    require_range("count", count, 0xFFFFFFFF)
    require_range("bearer", bearer, 31)
    require_range("direction", direction, 1)


def cipher(algorithm: int, key: bytes, count: int, bearer: int, direction: int, data: bytes) -> bytes:  # noqa: PLR0917
    """Cipher or decipher a NAS message: the same operation.

    algorithm: EEA number, see CIPHERING, key: 16 octets, count: 32 bits (0x00 || NAS OVERFLOW || NAS SQN),
    bearer: 5 bits (0 for NAS), direction: UPLINK or DOWNLINK, data: any size, may be empty -> same size as data.
    Raises: ValueError, also for an algorithm not in CIPHERING.   Source: TS 33.401 B.1; TS 24.301 4.4.3, 4.4.5.
    """
    if algorithm not in CIPHERING:
        raise ValueError(f"algorithm EEA{algorithm} is not supported")
    _require(key, count, bearer, direction)
    return CIPHERING[algorithm](key, count, bearer, direction, data)


def mac(algorithm: int, key: bytes, count: int, bearer: int, direction: int, data: bytes) -> bytes:  # noqa: PLR0917
    """Compute the message authentication code of a NAS message; compare it by hmac.compare_digest.

    algorithm: EIA number, see INTEGRITY, key: 16 octets, count: 32 bits (0x00 || NAS OVERFLOW || NAS SQN),
    bearer: 5 bits (0 for NAS), direction: UPLINK or DOWNLINK, data: any size, the sequence number octet included
    -> 4 octets.
    Raises: ValueError, also for an algorithm not in INTEGRITY.   Source: TS 33.401 B.2; TS 24.301 4.4.3, 9.5.
    """
    if algorithm not in INTEGRITY:
        raise ValueError(f"algorithm EIA{algorithm} is not supported")
    _require(key, count, bearer, direction)
    return INTEGRITY[algorithm](key, count, bearer, direction, data)
