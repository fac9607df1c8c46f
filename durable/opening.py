"""Open a family's journal by the same URL as the MME's store (setting store_url): its tables stand beside."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from durable.sqlite import SqliteStore
from durable.store import Store, Tables
from trust.errors import ConfigError
from trust.secrets import secrets_directory


def open_store(url: str, tables: Tables, *, create: bool = False) -> Store:
    """sqlite:///file.db, sqlite:////directory/file.db or cassandra://host1,host2:9042/keyspace
    (?dc=…&rf=…&user=…&password_file=FILE&ca_file=FILE); files without a directory are secrets' names.

    Nothing is connected before the first operation, unless `create` asks for Cassandra's tables.  Raises ConfigError.
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite" and not parts.netloc and len(parts.path) > 1:
        return SqliteStore(Path(unquote(parts.path[1:])), tables)
    keyspace = parts.path.strip("/")
    if parts.scheme != "cassandra" or not parts.netloc or not keyspace.isidentifier():
        raise ConfigError("store_url", "must be like sqlite:///file.db or cassandra://host1,host2/keyspace")
    from durable.cassandra import Access, CassandraStore  # noqa: PLC0415  the driver is heavy

    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    hosts, port = [], 9042
    for part in parts.netloc.split(","):
        host, _, number = part.partition(":")
        hosts.append(host)
        port = int(number) if number.isdecimal() else port
    access = Access(
        options.get("user"), _secret_file(options.get("password_file")), _secret_file(options.get("ca_file"))
    )
    if (access.user is None) != (access.password_file is None):
        raise ConfigError("store_url", "needs user and password_file together")
    store = CassandraStore(
        tuple(hosts), keyspace, tables, port=port, datacenter=options.get("dc", "datacenter1"), access=access
    )
    if create:
        store.create_schema(int(options.get("rf", "1")))
    return store


def _secret_file(name: str | None) -> Path | None:
    if name is None:
        return None
    return Path(name) if "/" in name else secrets_directory() / name
