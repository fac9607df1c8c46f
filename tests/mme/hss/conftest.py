"""A store with one subscriber."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mme.hss.embedded import EmbeddedHss, provision
from mme.hss.subscribers import KeyCipher, Keys, Subscriber
from mme.ids import Imsi
from mme.store.sqlite import SqliteStore

CIPHER_KEY = bytes(range(32))
IMSI = Imsi("001010123456780")
KEYS = Keys(bytes.fromhex("465b5ce8b199b49faa5f0a2ee238a6bc"), bytes.fromhex("cd63cb71954a9f4e48a5994e37a02baf"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.db")
    assert provision(opened, KeyCipher(CIPHER_KEY), Subscriber(IMSI, b""), KEYS)
    yield opened
    opened.close()


@pytest.fixture
def hss(store: SqliteStore) -> EmbeddedHss:
    return EmbeddedHss(store, CIPHER_KEY, pause=lambda _: None)
