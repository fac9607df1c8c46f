"""The subscriber's row: identity, keys encrypted at rest, sequence number, profile, the vectors given last.

K and OPc are one AES-256-GCM sealed value under the key of secret `subscriber-key`, bound to the IMSI, so that a sealed
value moved to another subscriber's row does not open.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from mme.errors import ConfigError
from mme.ids import Imsi
from mme.needs import ApnConfiguration, Profile
from trust.sealing import Seal

SUBSCRIBER_KEY: Final = "subscriber-key"
"""Name of the secret."""
RECENT_VECTORS: Final = 8
"""Vectors remembered by their need's id: more than a UE can have under way."""
SCHEMA: Final = 1
DEFAULT_AMF: Final = bytes.fromhex("8000")
"""Separation bit set: for E-UTRAN (TS 33.102 annex H)."""
DEFAULT_PROFILE: Final = Profile(
    ue_ambr_dl_bps=100_000_000,
    ue_ambr_ul_bps=50_000_000,
    apns=(ApnConfiguration("internet", 9, 8, 100_000_000, 50_000_000, (1, 2, 3)),),
)


@dataclass(frozen=True, slots=True)
class Keys:
    """k, opc: 16 octets (TS 35.206)."""

    k: bytes = field(repr=False)
    opc: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.k) != 16 or len(self.opc) != 16:
            raise ValueError("K and OPc are 16 octets each")


@dataclass(frozen=True, slots=True)
class GivenVector:
    """A vector that was given out, enough to make it again.  need: 16 octets of a digest of the need's id."""

    need: bytes
    sqn: int
    rand: bytes


@dataclass(frozen=True, slots=True)
class Subscriber:
    """One row of the subscriber table.

    sealed: nonce (12 octets), K and OPc under AES-GCM, tag.  amf: 2 octets.  sqn: SQN_HE, 48 bits, of the vector given
    last (0: none yet).  recent: the vectors given last, the oldest first.
    """

    imsi: Imsi
    sealed: bytes = field(repr=False)
    amf: bytes = DEFAULT_AMF
    sqn: int = 0
    profile: Profile = DEFAULT_PROFILE
    recent: tuple[GivenVector, ...] = ()

    def __post_init__(self) -> None:
        if len(self.amf) != 2 or not self.amf[0] & 0x80:
            raise ValueError("AMF is 2 octets with the separation bit (8000) set")
        if not 0 <= self.sqn < 1 << 48:
            raise ValueError("SQN is 48 bits")
        if not self.profile.apns:
            raise ValueError("a subscription has one APN or more")

    def given(self, need: bytes) -> GivenVector | None:
        """The vector that was given for this need, if it is still remembered."""
        return next((vector for vector in self.recent if vector.need == need), None)

    def with_vector(self, vector: GivenVector) -> Subscriber:
        """This row after that vector was given."""
        return replace(self, sqn=vector.sqn, recent=(*self.recent, vector)[-RECENT_VECTORS:])


class KeyCipher:
    """Seals and opens K and OPc.  key: 32 octets of secret `subscriber-key`, what seals; random: octets for the nonce.

    others: keys of that secret that open, too, while it is replaced.
    """

    def __init__(self, key: bytes, *others: bytes, random: Callable[[int], bytes] = os.urandom) -> None:
        for octets in (key, *others):
            if len(octets) != 32:
                raise ConfigError(SUBSCRIBER_KEY, f"must be 32 octets, not {len(octets)}")
        self._seal = Seal(key, *others, random=random)

    def seal(self, imsi: Imsi, keys: Keys) -> bytes:
        """-> nonce (12 octets), 32 octets, tag (16 octets)."""
        return self._seal.seal(keys.k + keys.opc, self._bound_to(imsi))

    def open(self, subscriber: Subscriber) -> Keys:
        """Raises ConfigError: the row was sealed under another key, or altered."""
        return self._opened(subscriber)[0]

    def resealed(self, subscriber: Subscriber) -> Subscriber | None:
        """The row under the key that seals; None: it is so already.  Raises ConfigError as `open`."""
        keys, is_old = self._opened(subscriber)
        return replace(subscriber, sealed=self.seal(subscriber.imsi, keys)) if is_old else None

    def _opened(self, subscriber: Subscriber) -> tuple[Keys, bool]:
        """The keys, and whether a key of the others opened them."""
        opened = self._seal.open(subscriber.sealed, self._bound_to(subscriber.imsi))
        if opened is None:
            raise ConfigError(
                SUBSCRIBER_KEY, f"does not open the keys of {subscriber.imsi}: provisioned under another secret?"
            )
        plain, is_old = opened
        return Keys(plain[:16], plain[16:]), is_old

    @staticmethod
    def _bound_to(imsi: Imsi) -> bytes:
        return b"telco-edge subscriber keys v1\n" + imsi.digits.encode()


class _Given(msgspec.Struct, frozen=True):
    need: bytes
    sqn: int
    rand: bytes


class _Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    sealed: bytes
    amf: bytes
    sqn: int
    profile: Profile
    recent: list[_Given]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Stored).decode


def encode(subscriber: Subscriber) -> bytes:
    """The row's value; the IMSI is its key."""
    return _encode(
        _Stored(
            schema=SCHEMA,
            sealed=subscriber.sealed,
            amf=subscriber.amf,
            sqn=subscriber.sqn,
            profile=subscriber.profile,
            recent=[_Given(v.need, v.sqn, v.rand) for v in subscriber.recent],
        )
    )


def decode(imsi: Imsi, value: bytes) -> Subscriber:
    """The subscriber of a row.  Raises ConfigError for a row of another schema."""
    try:
        stored = _decode(value)
    except msgspec.DecodeError as e:
        raise ConfigError("subscriber", f"the row of {imsi} cannot be read: {e}") from e
    if stored.schema != SCHEMA:
        raise ConfigError("subscriber", f"the row of {imsi} has schema {stored.schema}, this program knows {SCHEMA}")
    return Subscriber(
        imsi=imsi,
        sealed=stored.sealed,
        amf=stored.amf,
        sqn=stored.sqn,
        profile=stored.profile,
        recent=tuple(GivenVector(v.need, v.sqn, v.rand) for v in stored.recent),
    )
