"""The subscriber's row: sealing, sizes, what it shows and what not."""

from __future__ import annotations

import dataclasses

import pytest

from mme.errors import ConfigError
from mme.hss.embedded import provision
from mme.hss.subscribers import (
    RECENT_VECTORS,
    GivenVector,
    KeyCipher,
    Keys,
    Subscriber,
    decode,
    encode,
)
from mme.ids import Imsi
from mme.needs import Profile
from mme.store.base import Table
from mme.store.sqlite import SqliteStore

KEY = bytes(range(32))
IMSI = Imsi("001010123456780")
KEYS = Keys(bytes.fromhex("465b5ce8b199b49faa5f0a2ee238a6bc"), bytes.fromhex("cd63cb71954a9f4e48a5994e37a02baf"))


def sealed(key: bytes = KEY) -> Subscriber:
    return Subscriber(IMSI, KeyCipher(key).seal(IMSI, KEYS))


def test_sealed_keys_open_again() -> None:
    assert KeyCipher(KEY).open(sealed()) == KEYS


def test_two_seals_differ() -> None:
    assert sealed().sealed != sealed().sealed


@pytest.mark.parametrize("other", ["another key", "another subscriber", "altered", "cut off", "empty"])
def test_what_does_not_open(other: str) -> None:
    subscriber = sealed()
    cipher = KeyCipher(bytes(32)) if other == "another key" else KeyCipher(KEY)
    flipped = subscriber.sealed[:-1] + bytes((subscriber.sealed[-1] ^ 1,))
    subscriber = {
        "another key": subscriber,
        "another subscriber": dataclasses.replace(subscriber, imsi=Imsi("001010123456781")),
        "altered": dataclasses.replace(subscriber, sealed=flipped),
        "cut off": dataclasses.replace(subscriber, sealed=subscriber.sealed[:20]),
        "empty": dataclasses.replace(subscriber, sealed=b""),
    }[other]
    with pytest.raises(ConfigError, match="subscriber-key") as raised:
        cipher.open(subscriber)
    assert IMSI.digits not in str(raised.value)


def test_a_cipher_key_of_the_wrong_size() -> None:
    with pytest.raises(ConfigError, match="32 octets, not 16"):
        KeyCipher(bytes(16))


def test_row_there_and_back() -> None:
    subscriber = dataclasses.replace(sealed(), sqn=(1 << 48) - 1, recent=(GivenVector(b"n" * 16, 33, b"r" * 16),))
    assert decode(IMSI, encode(subscriber)) == subscriber


@pytest.mark.parametrize("value", [b"", b"{}", b'{"schema": 1}', b"\x80pickle"])
def test_a_row_that_is_none(value: bytes) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        decode(IMSI, value)


def test_a_row_of_a_newer_program() -> None:
    newer = encode(sealed()).replace(b'"schema":1', b'"schema":2')
    with pytest.raises(ConfigError, match="schema 2"):
        decode(IMSI, newer)


def test_only_the_last_vectors_are_remembered() -> None:
    subscriber = sealed()
    for number in range(RECENT_VECTORS + 3):
        subscriber = subscriber.with_vector(GivenVector(bytes((number,)) * 16, number + 1, bytes(16)))
    assert len(subscriber.recent) == RECENT_VECTORS
    assert subscriber.given(b"\x02" * 16) is None
    assert subscriber.given(b"\x03" * 16) == GivenVector(b"\x03" * 16, 4, bytes(16))
    assert subscriber.sqn == RECENT_VECTORS + 3


def test_values_that_no_subscriber_has() -> None:
    with pytest.raises(ValueError, match="separation bit"):
        Subscriber(IMSI, b"", amf=b"\x00\x00")
    with pytest.raises(ValueError, match="48 bits"):
        Subscriber(IMSI, b"", sqn=1 << 48)
    with pytest.raises(ValueError, match="16 octets"):
        Keys(bytes(15), bytes(16))
    with pytest.raises(ValueError, match="one APN"):
        Subscriber(IMSI, b"", profile=Profile(1, 1, ()))


def test_provisioning_twice_changes_nothing(store: SqliteStore) -> None:
    before = store.load(Table.SUBSCRIBER, IMSI.digits)
    assert not provision(store, KeyCipher(KEY), Subscriber(IMSI, b"", sqn=77), Keys(bytes(16), bytes(16)))
    assert store.load(Table.SUBSCRIBER, IMSI.digits) == before


def test_no_key_is_shown_or_stored_in_clear(store: SqliteStore) -> None:
    store.close()
    in_file = b"".join(path.read_bytes() for path in store._path.parent.iterdir())
    shown = (repr(sealed()) + repr(KEYS) + str(KEYS)).encode()
    for key in (KEYS.k, KEYS.opc):
        for form in (key, key.hex().encode(), key.hex().upper().encode(), repr(key)[2:-1].encode()):
            assert form not in in_file
            assert form not in shown
    assert IMSI.digits.encode() in in_file, "the file that was searched is the store's"
