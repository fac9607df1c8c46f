"""Requests are stored encrypted (AES-256-GCM): their values may hold secrets, and they must outlive a function."""

from __future__ import annotations

import base64
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from placement.errors import Code, PlacementError
from trust.signing import derive_key

_NONCE_OCTETS = 12


class Sealer:
    """master: the secret edge-signing-key.  Every text is bound to the operation whose id goes with it."""

    def __init__(self, master: bytes) -> None:
        self._cipher = AESGCM(derive_key(master, "placement/sealed-requests"))

    def seal(self, octets: bytes, operation: str) -> str:
        """Text to store."""
        nonce = os.urandom(_NONCE_OCTETS)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, octets, operation.encode())).decode()

    def open(self, text: str, operation: str) -> bytes:
        """Raises PlacementError configuration: the key has changed."""
        sealed = base64.b64decode(text)
        try:
            return self._cipher.decrypt(sealed[:_NONCE_OCTETS], sealed[_NONCE_OCTETS:], operation.encode())
        except InvalidTag as e:
            raise PlacementError(
                Code.CONFIGURATION, "The stored request cannot be opened: edge-signing-key has changed; call again."
            ) from e
