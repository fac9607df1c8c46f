"""Encryption of what is stored: AES-256-GCM, under one key of several while a key is replaced."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_OCTETS = 12


class Seal:
    """key: 32 octets, what seals.  others: keys that open, too.  random: octets for the nonce."""

    def __init__(self, key: bytes, *others: bytes, random: Callable[[int], bytes] = os.urandom) -> None:
        self._ciphers = [AESGCM(octets) for octets in (key, *others)]
        self._random = random

    def seal(self, octets: bytes, bound_to: bytes) -> bytes:
        """-> nonce (12 octets), as many octets as were given, tag (16).  bound_to: has to be told again to open it."""
        nonce = self._random(_NONCE_OCTETS)
        return nonce + self._ciphers[0].encrypt(nonce, octets, bound_to)

    def open(self, sealed: bytes, bound_to: bytes) -> tuple[bytes, bool] | None:
        """-> the octets, and whether they are under a key of the others.

        None: altered, bound to something else, or under a key that is not here.
        """
        for cipher in self._ciphers:
            with contextlib.suppress(InvalidTag, ValueError):
                octets = cipher.decrypt(sealed[:_NONCE_OCTETS], sealed[_NONCE_OCTETS:], bound_to)
                return octets, cipher is not self._ciphers[0]
        return None
