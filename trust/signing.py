"""Who may speak: HMAC-SHA256 signatures of requests, replies and pushes.

Each eNB, port and operator has a name and a key of its own, derived from one master key (secret `edge-signing-key`),
so that the functions need no table of keys.  The name "00101-0019b" is an eNB's (GlobalEnbId), "port/hss", "port/sgw",
"ticker" and "operator/<who>" are others'.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from enum import Enum

KEY_HEADER = "X-Edge-Key"
TIMESTAMP_HEADER = "X-Edge-Timestamp"
SIGNATURE_HEADER = "X-Edge-Signature"


class Way(Enum):
    """Direction: a signed reply is no request."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Signed:
    """What a signature covers.

    timestamp: Unix seconds as decimal text, with three decimals or none.  url: the X-Callback-Url of a request, ""
    without one; the URL that a push or an answer goes to, "" for a reply.  function: the OpenFaaS function's name.
    """

    key_name: str
    timestamp: str
    way: Way
    function: str
    url: str
    body: bytes

    def octets(self) -> bytes:
        """The text under the HMAC, one field a line; no field but the body may hold a line feed."""
        fields = (self.key_name, self.timestamp, self.way.value, self.function, self.url)
        if any("\n" in text for text in fields):
            raise ValueError("a signed field holds a line feed")
        return "\n".join(("edge-v1", *fields, hashlib.sha256(self.body).hexdigest())).encode()


def derive_key(master: bytes, name: str) -> bytes:
    """Key (32 octets) of the party with that name.  master: 32 octets or more."""
    if len(master) < 32:
        raise ValueError("the signing master key is shorter than 32 octets")
    return hmac.digest(master, b"telco-edge signing key v1\n" + name.encode(), "sha256")


def sign(key: bytes, signed: Signed) -> str:
    """The signature: 64 hex digits."""
    return hmac.digest(key, signed.octets(), "sha256").hex()


def verify(key: bytes, signed: Signed, signature: str) -> bool:
    """True when the signature is the key's; compared in constant time."""
    try:
        return hmac.compare_digest(sign(key, signed).encode(), signature.encode())
    except ValueError:
        return False


def headers(key: bytes, signed: Signed) -> dict[str, str]:
    """The three headers that carry a signature."""
    return {
        KEY_HEADER: signed.key_name,
        TIMESTAMP_HEADER: signed.timestamp,
        SIGNATURE_HEADER: sign(key, signed),
    }
