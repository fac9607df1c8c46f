"""Open a store by its URL; a driver is imported only when its URL asks for it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from mme.errors import ConfigError
from mme.store.bulk import BulkStore
from mme.store.sqlite import DEFAULT_TIMEOUT_S, SqliteStore
from trust.secrets import secrets_directory

_KEY = "STORE_URL"


def open_store(url: str) -> BulkStore:
    """Open the store; nothing is connected before its first operation.

    url: "sqlite:///relative/file.db", "sqlite:////absolute/file.db" (?timeout_ms=2000), or
    "cassandra://host1,host2:9042/keyspace" (?rf=3&dc=datacenter1&user=edge&password_file=FILE&ca_file=FILE).  Files
    without a directory are secrets' names.  Raises ConfigError.
    """
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    match parts.scheme:
        case "sqlite":
            if parts.netloc or len(parts.path) < 2:
                raise ConfigError(_KEY, "must be like sqlite:///file.db or sqlite:////directory/file.db")
            timeout_ms = _number(options.pop("timeout_ms", str(int(DEFAULT_TIMEOUT_S * 1000))), "timeout_ms")
            _reject_rest(options)
            return SqliteStore(Path(unquote(parts.path[1:])), timeout_s=timeout_ms / 1000)
        case "cassandra":
            return _open_cassandra(parts.netloc, parts.path, options)
        case _:
            raise ConfigError(_KEY, "must begin with sqlite:/// or cassandra://")


def _open_cassandra(netloc: str, path: str, options: dict[str, str]) -> BulkStore:
    from mme.store.cassandra import Access, CassandraStore  # noqa: PLC0415  only when asked for: the driver is heavy

    keyspace = path.strip("/")
    if not netloc or not keyspace.isidentifier():
        raise ConfigError(_KEY, "must be like cassandra://host1,host2/keyspace")
    hosts, port = [], 9042
    for part in netloc.split(","):
        host, _, number = part.partition(":")
        hosts.append(host)
        port = _number(number, "port") if number else port
    replication = _number(options.pop("rf", "1"), "rf")
    datacenter = options.pop("dc", "datacenter1")
    access = Access(options.pop("user", None), _secret_file(options, "password_file"), _secret_file(options, "ca_file"))
    _reject_rest(options)
    if (access.user is None) != (access.password_file is None):
        raise ConfigError(_KEY, "needs user and password_file together")
    return CassandraStore(
        tuple(hosts), keyspace, port=port, replication=replication, datacenter=datacenter, access=access
    )


def _secret_file(options: dict[str, str], name: str) -> Path | None:
    text = options.pop(name, None)
    return None if text is None else secrets_directory() / text if "/" not in text else Path(text)


def _number(text: str, name: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) == 0:
        raise ConfigError(_KEY, f"{name} must be a positive number")
    return int(text)


def _reject_rest(options: dict[str, str]) -> None:
    if options:
        raise ConfigError(_KEY, f"unknown option {sorted(options)[0]!r}")
