"""The stores of tests/mme/store, for all tests of the MME."""

from __future__ import annotations

from tests.mme.store.conftest import cassandra_url, key, store, store_url

__all__ = ["cassandra_url", "key", "store", "store_url"]
