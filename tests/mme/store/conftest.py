"""The stores that the contract is tested on."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from mme.store.base import Store
from mme.store.faulty import FaultyStore
from mme.store.opening import open_store
from mme.store.sqlite import SqliteStore


@pytest.fixture(scope="session")
def cassandra_url(cassandra_hosts: str) -> str:
    """URL of a keyspace for this test run."""
    from mme.store.cassandra import CassandraStore  # noqa: PLC0415  the driver is heavy

    url = f"cassandra://{cassandra_hosts}/edge_contract?rf=1"
    store = open_store(url)
    assert isinstance(store, CassandraStore)
    store.migrate()
    store.close()
    return url


STORES = ["sqlite", "faulty", pytest.param("cassandra", marks=pytest.mark.cassandra)]


@pytest.fixture(params=STORES)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store's URL, each kind in turn ("faulty+" before it: to be wrapped)."""
    if request.param == "cassandra":
        return str(request.getfixturevalue("cassandra_url"))
    return ("faulty+" if request.param == "faulty" else "") + f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = open_store(store_url.removeprefix("faulty+"))
    wrapped = FaultyStore(opened) if store_url.startswith("faulty+") else opened
    yield wrapped
    wrapped.close()


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.db")
    yield opened
    opened.close()


@pytest.fixture
def key() -> str:
    """A key that no other test uses: the Cassandra keyspace is shared."""
    return uuid.uuid4().hex
