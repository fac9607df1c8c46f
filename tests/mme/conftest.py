"""The stores of tests/mme/store for all tests of the MME, and one MME with one eNB for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mme.store.opening import open_store
from tests.mme.runtime.pair import Network
from tests.mme.store.conftest import cassandra_url, key, store, store_url

__all__ = ["cassandra_url", "key", "network", "store", "store_url"]

ON_CASSANDRA_TOO = ("test_duplicates", "test_duplicates_everywhere", "test_killed", "test_outbox", "test_settling")
"""Modules whose MME is run on a real Cassandra as well: what they are about is what a store remembers."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "network" in metafunc.fixturenames and metafunc.module.__name__.rpartition(".")[2] in ON_CASSANDRA_TOO:
        kinds = ["sqlite", pytest.param("cassandra", marks=pytest.mark.cassandra)]
        metafunc.parametrize("network", kinds, indirect=True)


@pytest.fixture
def network(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Network]:
    url = request.getfixturevalue("cassandra_url") if getattr(request, "param", "sqlite") == "cassandra" else None
    made = Network(tmp_path, shared=(url, open_store(url)) if url is not None else None)
    yield made
    made.close()
