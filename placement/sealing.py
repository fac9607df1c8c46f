"""Requests are stored encrypted (AES-256-GCM): their values may hold secrets, and they must outlive a function."""

from __future__ import annotations

import base64
import contextlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from placement.errors import Code, PlacementError
from trust.signing import derive_key

_NONCE_OCTETS = 12


class Sealer:
    """master: the secret edge-signing-key, what seals; others: keys of it that open, too, while it is replaced.

    Every text is bound to the operation whose id goes with it.
    """

    def __init__(self, master: bytes, *others: bytes) -> None:
        self._ciphers = [AESGCM(derive_key(key, "placement/sealed-requests")) for key in (master, *others)]

    def seal(self, octets: bytes, operation: str) -> str:
        """Text to store."""
        nonce = os.urandom(_NONCE_OCTETS)
        return base64.b64encode(nonce + self._ciphers[0].encrypt(nonce, octets, operation.encode())).decode()

    def open(self, text: str, operation: str) -> bytes:
        """Raises PlacementError configuration: the key has changed."""
        sealed = base64.b64decode(text)
        for cipher in self._ciphers:
            with contextlib.suppress(InvalidTag):
                return cipher.decrypt(sealed[:_NONCE_OCTETS], sealed[_NONCE_OCTETS:], operation.encode())
        raise PlacementError(
            Code.CONFIGURATION, "The stored request cannot be opened: edge-signing-key has changed; call again."
        )
