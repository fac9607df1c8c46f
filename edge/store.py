"""`edge store`: migrate, status, backup, restore."""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any, Final, cast

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from durable.opening import open_store as open_journal
from durable.store import Store as JournalStore
from mme.backups import note
from mme.errors import ConfigError
from mme.lease_holder import forget_marks
from mme.store.base import Row, Table, TimerRow
from mme.store.bulk import LASTING, BulkStore, StoredRow, StoredTimer
from mme.store.opening import open_store
from mme.store.sqlite import SCHEMA as SQLITE_SCHEMA
from mme.store.sqlite import SqliteStore
from placement.tables import TABLES as PLACEMENT
from placement.tables import Table as PlacementTable
from reload.tables import TABLES as RELOAD

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
_TIMERS: Final = "timer"
_PLACED: Final = (PlacementTable.CLUSTER, PlacementTable.PLACEMENT)
"""What a backup holds of the placement.  Not its operations, nor reload's waits: those that were under way must not act
on clusters once more when an old store comes back."""
_LENGTH_OCTETS: Final = 4
_LONGEST_FRAME: Final = 16_000_000
_CHUNK: Final = 1 << 16

Record = tuple[Any, ...]
"""A row: key, version, writer, value, Unix second at which it expires or None.  A timer: shard, due_ms, name, token,
owner, that second."""


class Part(msgspec.Struct, frozen=True):
    """A file of a backup: its rows, and SHA-256 over it as hex text."""

    rows: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What a backup holds.  Written last: without it the backup is not whole.  made: Unix seconds."""

    format: int
    made: int
    parts: dict[str, Part]


@contextmanager
def _placed(url: str) -> Iterator[JournalStore]:
    store = open_journal(url, PLACEMENT)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _opened(url: str) -> Iterator[BulkStore]:
    store = open_store(url)
    try:
        yield store
    finally:
        store.close()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def migrate(args: argparse.Namespace) -> int:
    """`edge store migrate`."""
    with _opened(args.store) as store:
        if isinstance(store, SqliteStore):
            store.migrate()
            _say(f"the store has schema {SQLITE_SCHEMA}")
            return 0
        ran = cast(Any, store).migrate(_say)
    # The journals' tables stand beside the MME's in the same keyspace; in a file they make themselves.
    for tables in (PLACEMENT, RELOAD):
        open_journal(args.store, tables, create=True).close()
    _say(
        f"{len(ran)} migrations run; the store is up to date" if ran else "the store is up to date, nothing was changed"
    )
    return 0


def status(args: argparse.Namespace) -> int:
    """`edge store status`.  Exit 1: a migration or a journal's table is missing."""
    with _opened(args.store) as store:
        if isinstance(store, SqliteStore):
            file_schema = store.schema()
            _say(f"SQLite file, schema {file_schema or 'none yet'}; this program writes {SQLITE_SCHEMA}")
            return 0 if file_schema == SQLITE_SCHEMA else 1
        from mme.store import cassandra_schema  # noqa: PLC0415  the driver is heavy

        had = cast(Any, store).migrations_done()
    for migration in cassandra_schema.MIGRATIONS:
        _say(f"{migration.number:4}  {'done   ' if migration.number in had else 'MISSING'}  {migration.title}")
    for number in had:
        if number > cassandra_schema.NEWEST:
            _say(f"{number:4}  done     by a newer program than this")
    missing = [migration.title for migration in cassandra_schema.MIGRATIONS if migration.number not in had]
    for tables in (PLACEMENT, RELOAD) if had else ():
        with closing(open_journal(args.store, tables)) as journal:
            made = cast(Any, journal).has_schema()
        if not made:
            missing.append(tables.due)
            _say(f"   - MISSING  table {tables.due}")
    _say("run `edge store migrate`" if missing else "up to date")
    return 1 if missing else 0


def backup(args: argparse.Namespace) -> int:
    """`edge store backup`."""
    folder: Path = args.directory
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ConfigError(str(folder), "is not empty: name a new directory")
    made = int(time.time())
    parts: dict[str, Part] = {}
    with _cleared_on_failure(folder), _opened(args.store) as store, _progress() as bar:
        for table in LASTING:
            records: Iterator[Record] = (
                (s.key, s.row.version, s.row.writer, s.row.value, None if s.ttl_s is None else _now_s() + s.ttl_s)
                for s in store.rows(table)
            )
            parts[table.value] = _write(folder / table.value, records, bar(table.value, None))
        timers: Iterator[Record] = (
            (s.timer.shard, s.timer.due_ms, s.timer.name, s.timer.token, s.timer.owner, _now_s() + s.ttl_s)
            for s in store.timers()
        )
        parts[_TIMERS] = _write(folder / _TIMERS, timers, bar(_TIMERS, None))
        with _placed(args.store) as placed:
            for place in _PLACED:
                found = ((key, row.version, row.writer, row.value, None) for key, row in placed.scan(place))
                parts[place.value] = _write(folder / place.value, found, bar(place.value, None))
        with _private(folder / MANIFEST) as file:
            file.write(msgspec.json.format(msgspec.json.encode(Manifest(FORMAT, made, parts))) + b"\n")
    with _opened(args.store) as store:
        note(store, made)
    total = sum(part.rows for part in parts.values())
    _say(f"{total} rows to {folder}, which holds keys: keep it as safe as the store")
    return 0


def restore(args: argparse.Namespace) -> int:
    """`edge store restore`."""
    folder: Path = args.directory
    manifest = _manifest(folder)
    if not any(part.rows for part in manifest.parts.values()):
        raise ConfigError(str(folder), "holds no row: it is an empty store's backup; nothing was restored")
    for name, part in manifest.parts.items():
        if _digest(folder / name) != part.sha256:
            raise ConfigError(str(folder / name), "is damaged: its checksum differs; nothing was restored")
    with _opened(args.store) as store, _placed(args.store) as placed, _progress() as bar:
        if not store.is_empty() or any(placed.scan(place) for place in _PLACED):
            raise ConfigError("store", "is not empty: restore into a new keyspace or file, nothing was changed")
        if not forget_marks(store):
            raise ConfigError(
                "store", "has tickers: stop them, wait 10 s, start them when all is restored; nothing was changed"
            )
        for table in LASTING:
            if table.value in manifest.parts:
                rows = manifest.parts[table.value].rows
                store.put_rows(table, _rows(_read(folder / table.value, bar(table.value, rows))))
        if _TIMERS in manifest.parts:
            store.put_timers(_timers(_read(folder / _TIMERS, bar(_TIMERS, manifest.parts[_TIMERS].rows))))
        for place in _PLACED:
            if place.value in manifest.parts:
                for key, _, writer, value, _ in _read(
                    folder / place.value, bar(place.value, manifest.parts[place.value].rows)
                ):
                    placed.save(place, key, value, expect=None, writer=writer)
    _say(f"{sum(part.rows for part in manifest.parts.values())} rows restored, less those that have expired since")
    return 0


def _now_s() -> int:
    return int(time.time())


def _manifest(folder: Path) -> Manifest:
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise ConfigError(str(folder), f"has no {MANIFEST}: it is no backup, or one that was cut short") from None
    except msgspec.MsgspecError:
        raise ConfigError(str(folder / MANIFEST), "is damaged; nothing was restored") from None
    if manifest.format > FORMAT:
        raise ConfigError(str(folder), f"is a backup of format {manifest.format}, newer than {FORMAT} of this program")
    known = {table.value for table in Table} | {place.value for place in _PLACED} | {_TIMERS}
    unknown = set(manifest.parts) - known
    if unknown:
        raise ConfigError(
            str(folder), f"holds {sorted(unknown)[0]!r}, which this program does not know: use a newer one"
        )
    return manifest


def _rows(records: Iterable[Record]) -> Iterator[StoredRow]:
    for key, version, writer, value, expires_s in records:
        ttl_s = None if expires_s is None else expires_s - _now_s()
        if ttl_s is None or ttl_s > 0:
            yield StoredRow(key, Row(value, version, writer), ttl_s)


def _timers(records: Iterable[Record]) -> Iterator[StoredTimer]:
    for shard, due_ms, name, token, owner, expires_s in records:
        ttl_s = expires_s - _now_s()
        if ttl_s > 0:
            yield StoredTimer(TimerRow(shard, due_ms, name, token, owner), ttl_s)


@contextmanager
def _cleared_on_failure(folder: Path) -> Iterator[None]:
    """Leave a folder that was empty as empty as it was, so that the same command can be given again."""
    try:
        yield
    except BaseException:
        for path in folder.iterdir():
            path.unlink()
        raise


def _private(path: Path) -> IO[bytes]:
    """A new file that only its owner may read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _write(path: Path, records: Iterable[Record], advance: Callable[[], None]) -> Part:
    """Each record as its length and msgpack, compressed."""
    rows = 0
    with _private(path) as file, gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1, mtime=0) as stream:
        for record in records:
            octets = msgspec.msgpack.encode(record)
            stream.write(len(octets).to_bytes(_LENGTH_OCTETS, "big") + octets)
            rows += 1
            advance()
    return Part(rows, _digest(path))


def _read(path: Path, advance: Callable[[], None]) -> Iterator[Record]:
    with gzip.open(path, "rb") as stream:
        while head := stream.read(_LENGTH_OCTETS):
            length = int.from_bytes(head, "big")
            if length > _LONGEST_FRAME:
                raise ConfigError(str(path), "is damaged")
            yield msgspec.msgpack.decode(stream.read(length), type=tuple)
            advance()


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def _progress() -> Iterator[Callable[[str, int | None], Callable[[], None]]]:
    """Bars on a terminal's standard error.  Yields: begin a part (name, rows or None) -> one row is done."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:>14}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:

        def begin(name: str, total: int | None) -> Callable[[], None]:
            task = progress.add_task(name, total=total)
            return lambda: progress.advance(task)

        yield begin
