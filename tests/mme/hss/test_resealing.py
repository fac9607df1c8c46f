"""The key that K and OPc are sealed under is replaced while vectors are given."""

from __future__ import annotations

import pytest

from mme.errors import ConfigError
from mme.hss.embedded import EmbeddedHss, reseal
from mme.hss.subscribers import KeyCipher, Subscriber, decode
from mme.ids import Imsi, Plmn
from mme.needs import NeedVector, Vector
from mme.store.base import Table
from mme.store.faulty import FaultDelay, FaultyStore, on_save
from mme.store.sqlite import SqliteStore
from tests.mme.hss.conftest import CIPHER_KEY, IMSI, KEYS

NEW_KEY = bytes(range(32, 64))
BOTH = KeyCipher(NEW_KEY, CIPHER_KEY)


def stored(store: SqliteStore) -> Subscriber:
    row = store.load(Table.SUBSCRIBER, IMSI.digits)
    assert row is not None
    return decode(IMSI, row.value)


def vector(hss: EmbeddedHss, need: str) -> Vector:
    answer = hss.ask(NeedVector(need, 1, IMSI, Plmn("00101")))
    assert isinstance(answer, Vector)
    return answer


def test_keys_under_either_open_and_new_ones_are_sealed_under_the_first() -> None:
    old = Subscriber(IMSI, KeyCipher(CIPHER_KEY).seal(IMSI, KEYS))
    assert BOTH.open(old) == KEYS
    assert KeyCipher(NEW_KEY).open(Subscriber(IMSI, BOTH.seal(IMSI, KEYS))) == KEYS
    with pytest.raises(ConfigError, match="subscriber-key"):
        KeyCipher(NEW_KEY, bytes(32)).open(old)
    with pytest.raises(ConfigError, match="32 octets, not 16"):
        KeyCipher(NEW_KEY, bytes(16))


def test_a_subscriber_is_resealed_once_and_keeps_its_sqn_and_its_vectors(store: SqliteStore) -> None:
    given = vector(EmbeddedHss(store, CIPHER_KEY), "first")
    before = stored(store)
    assert reseal(store, BOTH, IMSI)
    after = stored(store)
    assert (after.sqn, after.recent, after.profile) == (before.sqn, before.recent, before.profile)
    assert KeyCipher(NEW_KEY).open(after) == KEYS
    assert not reseal(store, BOTH, IMSI), "nothing is written a second time"
    assert vector(EmbeddedHss(store, NEW_KEY), "first") == given, "asked again, the same vector"
    assert vector(EmbeddedHss(store, NEW_KEY), "second") != given


def test_a_vector_that_is_given_meanwhile_is_not_forgotten(store: SqliteStore) -> None:
    """Else one SQN were given out twice (TS 33.102 C.3.2)."""

    hss = EmbeddedHss(store, CIPHER_KEY)
    overtaken = FaultyStore(store, on_save(FaultDelay(1)), sleep=lambda _s: given.append(vector(hss, "meanwhile")))
    given: list[Vector] = []
    assert reseal(overtaken, BOTH, IMSI)
    assert len(given) == 1
    assert KeyCipher(NEW_KEY).open(stored(store)) == KEYS
    assert len(stored(store).recent) == 1
    assert stored(store).sqn > 0


def test_a_subscriber_that_is_gone_is_none(store: SqliteStore) -> None:
    assert not reseal(store, BOTH, Imsi("001010000000009"))
