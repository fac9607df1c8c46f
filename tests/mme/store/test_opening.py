"""URLs of stores."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mme.errors import ConfigError, StoreUnavailableError
from mme.store.base import Table
from mme.store.opening import open_store
from mme.store.sqlite import SqliteStore


def test_absolute_and_relative_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url, name in (
        (f"sqlite:///{tmp_path}/one%20file.db", "one file.db"),
        ("sqlite:///two.db?timeout_ms=50", "two.db"),
    ):
        store = open_store(url)
        assert not (tmp_path / name).exists(), "opened by the first operation"
        store.load(Table.UE_CONTEXT, "key")
        assert (tmp_path / name).exists()
        store.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "store.db",
        "sqlite://",
        "sqlite:///",
        "sqlite://host/store.db",
        "sqlite:///store.db?timeout_ms=soon",
        "sqlite:///store.db?timeout=1",
        "postgres://host/db",
        "cassandra:///keyspace",
        "cassandra://host",
        "cassandra://host/key space",
        "cassandra://host/keyspace?rf=0",
        "cassandra://host:port/keyspace",
    ],
)
def test_bad_urls_are_refused_by_the_settings_name(url: str) -> None:
    with pytest.raises(ConfigError, match="STORE_URL"):
        open_store(url)


def test_the_driver_is_imported_only_when_asked_for(tmp_path: Path) -> None:
    program = (
        "import sys; from mme.store.opening import open_store; "
        f"open_store('sqlite:///{tmp_path}/x.db'); assert 'cassandra' not in sys.modules; "
        "open_store('cassandra://host/ks'); assert 'cassandra' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_cassandra_that_is_not_there() -> None:
    """The port is one that nothing listens on: refused at once, nothing was tried."""
    store = open_store("cassandra://127.0.0.1:1/keyspace")
    with pytest.raises(StoreUnavailableError, match="NoHostAvailable"):
        store.load(Table.UE_CONTEXT, "key")
    with pytest.raises(StoreUnavailableError, match="NoHostAvailable"):
        store.save(Table.UE_CONTEXT, "key", b"", expect=None, writer="w")
    store.close()


def test_a_sqlite_store_has_the_timeout_of_its_url(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/x.db?timeout_ms=1500")
    assert isinstance(store, SqliteStore)
    assert store._timeout_s == 1.5
