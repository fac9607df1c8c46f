"""A home subscriber server inside the MME's own process, on the store's subscriber table.

Sequence numbers: SQN = SEQ (43 bits) || IND (5 bits), TS 33.102 C.1.1.1.  Each vector has SEQ of the one before plus 1
and IND of the one before plus 1 modulo 32 (C.1.2: array mechanism, IND in turn; C.3.2, profile 2, not time-based), by a
conditional write on the subscriber's row, so that no two vectors of a subscriber share an SQN and SQN strictly grows.
"""

from __future__ import annotations

import hashlib
import os
import random
import secrets
import time
from collections.abc import Callable
from typing import Final

from mme.crypto import milenage
from mme.errors import StoreContendedError, StoreUnavailableError
from mme.hss.subscribers import GivenVector, KeyCipher, Keys, Subscriber, decode, encode
from mme.ids import Imsi
from mme.needs import Answer, Need, NeedProfile, NeedVector, Pending, Refusal, Refused, Vector
from mme.replacing import replace
from mme.store.base import Conflict, Row, Saved, Store, Table, Unknown, save_resolved

IND_BITS: Final = 5
TRIES: Final = 12
"""Conditional writes of one need before StoreContendedError."""
_LONGEST_PAUSE_S: Final = 0.016
_RAND_OCTETS: Final = 16


def next_sqn(sqn: int) -> int | None:
    """The SQN after `sqn` (48 bits each); None: SEQ is used up, it never wraps (TS 33.102 C.1.1.1).

    Source: TS 33.102 C.1.1.1, C.1.2, C.3.2.
    """
    seq = (sqn >> IND_BITS) + 1
    ind = (sqn + 1) % (1 << IND_BITS)
    following = seq << IND_BITS | ind
    return following if following < 1 << 48 else None


def need_digest(need_id: str) -> bytes:
    """16 octets that stand for a need's id, whose length its sender chooses."""
    return hashlib.blake2b(need_id.encode(), digest_size=16).digest()


class EmbeddedHss:
    """`mme.needs.Port` for NeedVector (1 read, 1 conditional write) and NeedProfile (1 read).

    cipher_key, other_keys: those of KeyCipher.
    random_octets: source of RAND.  pause: waits that many seconds after a conflict.
    Raises StoreContendedError after 12 conflicts, StoreUnavailableError when the row's outcome stays unknown (a
    repetition under the same need id is harmless either way).
    """

    def __init__(
        self,
        store: Store,
        cipher_key: bytes,
        *other_keys: bytes,
        random_octets: Callable[[int], bytes] = os.urandom,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._cipher = KeyCipher(cipher_key, *other_keys)
        self._random_octets = random_octets
        self._pause = pause

    def ask(self, need: Need) -> Answer | Pending:
        """Answer at once."""
        match need:
            case NeedVector():
                return self._vector(need)
            case NeedProfile():
                row = self._store.load(Table.SUBSCRIBER, need.imsi.digits)
                if row is None:
                    return Refused(Refusal.UNKNOWN_SUBSCRIBER)
                return decode(need.imsi, row.value).profile
            case _:
                raise TypeError(f"an HSS has no answer to {type(need).__name__}")

    def _vector(self, need: NeedVector) -> Answer:
        """Give the next vector, or the one given under this id.   Source: TS 33.102 6.3.2, 6.3.5; TS 29.272 5.2.3."""
        digest = need_digest(need.id)
        row = self._store.load(Table.SUBSCRIBER, need.imsi.digits)
        for attempt in range(TRIES):
            if row is None:
                return Refused(Refusal.UNKNOWN_SUBSCRIBER)
            subscriber = decode(need.imsi, row.value)
            keys = self._cipher.open(subscriber)
            given = subscriber.given(digest)
            if given is not None:
                return _make(keys, subscriber, given, need)
            base = self._resynchronised(subscriber, keys, need)
            if base is None:
                return Refused(Refusal.RESYNC_FAILED)
            sqn = next_sqn(base)
            if sqn is None:
                return Refused(Refusal.REJECTED)
            given = GivenVector(digest, sqn, self._random_octets(_RAND_OCTETS))
            outcome = self._save(subscriber.with_vector(given), row, digest)
            if outcome is None:
                return _make(keys, subscriber, given, need)
            row = outcome.row
            self._pause(random.uniform(0, min(_LONGEST_PAUSE_S, 0.001 * 2**attempt)))
        raise StoreContendedError(f"the subscriber's row changed {TRIES} times")

    def _save(self, subscriber: Subscriber, row: Row, digest: bytes) -> Conflict | None:
        """None: saved.  The writer is unique to this attempt, so that a lost answer is never taken for another's."""
        result = save_resolved(
            self._store,
            Table.SUBSCRIBER,
            subscriber.imsi.digits,
            encode(subscriber),
            expect=row.version,
            writer=f"{digest.hex()}/{secrets.token_hex(16)}",
        )
        match result:
            case Saved():
                return None
            case Conflict():
                return result
            case Unknown():
                raise StoreUnavailableError("a write to the subscriber's row timed out and cannot be found out")

    def _resynchronised(self, subscriber: Subscriber, keys: Keys, need: NeedVector) -> int | None:
        """SQN_HE to go on from; None: AUTS is not the USIM's.   Source: TS 33.102 6.3.5.

        DEVIATES: TS 33.102 6.3.5 because SQN_HE is never set back, also where SQN_MS lies lower: SQN strictly grows.
        """
        if need.resync_rand is None or need.resync_auts is None:
            return subscriber.sqn
        if len(need.resync_rand) != 16 or len(need.resync_auts) != 14:
            return None
        sqn_ms = milenage.verify_auts(keys.k, keys.opc, need.resync_rand, need.resync_auts)
        return None if sqn_ms is None else max(subscriber.sqn, int.from_bytes(sqn_ms, "big"))


def _make(keys: Keys, subscriber: Subscriber, given: GivenVector, need: NeedVector) -> Vector:
    vector = milenage.generate_eutran_vector(
        keys.k, keys.opc, given.rand, given.sqn.to_bytes(6, "big"), subscriber.amf, need.serving_plmn.octets()
    )
    return Vector(rand=vector.rand, xres=vector.xres, autn=vector.autn, k_asme=vector.k_asme)


def provision(store: Store, cipher: KeyCipher, subscriber: Subscriber, keys: Keys) -> bool:
    """Write a new subscriber's row, its keys sealed.  False: there is one already, unchanged.

    subscriber.sealed is not used.  Raises StoreUnavailableError.
    """
    sealed = replace(subscriber, sealed=cipher.seal(subscriber.imsi, keys))
    result = save_resolved(
        store,
        Table.SUBSCRIBER,
        sealed.imsi.digits,
        encode(sealed),
        expect=None,
        writer=f"provision/{secrets.token_hex(16)}",
    )
    match result:
        case Saved():
            return True
        case Conflict():
            return False
        case Unknown():
            raise StoreUnavailableError("a write to the subscriber's row timed out and cannot be found out")


def reseal(store: Store, cipher: KeyCipher, imsi: Imsi) -> bool:
    """Seal a subscriber's keys under the key that the cipher seals with; False: they are, or the row is gone.

    SQN and the vectors given stay: a conditional write, again when a vector was given meanwhile.
    Raises StoreContendedError, StoreUnavailableError, ConfigError: no key of the cipher opens them.
    """
    row = store.load(Table.SUBSCRIBER, imsi.digits)
    for _ in range(TRIES):
        changed = None if row is None else cipher.resealed(decode(imsi, row.value))
        if row is None or changed is None:
            return False
        writer = f"reseal/{secrets.token_hex(16)}"
        match save_resolved(store, Table.SUBSCRIBER, imsi.digits, encode(changed), expect=row.version, writer=writer):
            case Saved():
                return True
            case Conflict(row=now):
                row = now
            case Unknown():
                raise StoreUnavailableError("a write to the subscriber's row timed out and cannot be found out")
    raise StoreContendedError(f"the subscriber's row changed {TRIES} times")
