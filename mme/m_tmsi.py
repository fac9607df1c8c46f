"""M-TMSI as a keyed permutation of (context key, generation): no index row, no extra read, unlinkable from outside.

A Feistel network of four rounds over two 16-bit halves (Luby and Rackoff 1988: a strong pseudorandom permutation for
an observer who sees few pairs), round function HMAC-SHA256.
"""

from __future__ import annotations

import hmac

KEY_BITS = 28
GENERATIONS = 16
_ROUNDS = 4


def _round(secret: bytes, number: int, half: int) -> int:
    return int.from_bytes(hmac.digest(secret, bytes((number,)) + half.to_bytes(2, "big"), "sha256")[:2], "big")


def m_tmsi(secret: bytes, key: int, generation: int) -> int:
    """M-TMSI (32 bits) of a context.  key: 28 bits, generation: 4 bits, secret: 32 octets."""
    if not (0 <= key < 1 << KEY_BITS and 0 <= generation < GENERATIONS):
        raise ValueError("key is 28 bits and generation is 4 bits")
    value = key << 4 | generation
    left, right = value >> 16, value & 0xFFFF
    for number in range(_ROUNDS):
        left, right = right, left ^ _round(secret, number, right)
    return left << 16 | right


def context_of(secret: bytes, tmsi: int) -> tuple[int, int]:
    """(key, generation) of an M-TMSI (32 bits); whether such a context exists is for the reader to check."""
    left, right = tmsi >> 16, tmsi & 0xFFFF
    for number in reversed(range(_ROUNDS)):
        left, right = right ^ _round(secret, number, left), left
    value = left << 16 | right
    return value >> 4, value & 0xF


def pending_key(secret: bytes, enb: str, item: str, attempt: int) -> int:
    """Key (28 bits) of the context that an InitialUEMessage makes: a duplicate of the item meets its own row.

    attempt: 0, or more when the rows before it belong to others.
    """
    text = f"pending\n{enb}\n{item}\n{attempt}".encode()
    return int.from_bytes(hmac.digest(secret, text, "sha256")[:4], "big") >> (32 - KEY_BITS)
