"""Requests are stored encrypted: their values may hold secrets, and they must outlive a function."""

from __future__ import annotations

import base64

from placement.errors import Code, PlacementError
from trust.sealing import Seal
from trust.signing import derive_key


class Sealer:
    """master: the secret edge-signing-key, what seals; others: keys of it that open, too, while it is replaced.

    Every text is bound to the operation whose id goes with it.
    """

    def __init__(self, master: bytes, *others: bytes) -> None:
        self._seal = Seal(*(derive_key(key, "placement/sealed-requests") for key in (master, *others)))

    def seal(self, octets: bytes, operation: str) -> str:
        """Text to store."""
        return base64.b64encode(self._seal.seal(octets, operation.encode())).decode()

    def open(self, text: str, operation: str) -> bytes:
        """Raises PlacementError configuration: the key has changed."""
        opened = self._seal.open(base64.b64decode(text), operation.encode())
        if opened is None:
            raise PlacementError(
                Code.CONFIGURATION, "The stored request cannot be opened: edge-signing-key has changed; call again."
            )
        return opened[0]
