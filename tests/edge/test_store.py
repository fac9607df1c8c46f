"""`edge store`: what a backup holds comes back; what is damaged or does not fit is refused, nothing written."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import stat
import tracemalloc
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from durable.opening import open_store as open_journal
from edge.cli import main
from mme.backups import LastBackup
from mme.lease_holder import LeaseHolder
from mme.store.base import Conflict, Row, Saved, Table, TimerRow
from mme.store.bulk import BulkStore, StoredRow
from mme.store.opening import open_store
from placement import tables as placement_tables
from trust.errors import ConfigError

PASSING = (Table.LEASE, Table.LOAD)
KINDS = ["sqlite", pytest.param("cassandra", marks=pytest.mark.cassandra)]


def fresh_url(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> str:
    if kind == "sqlite":
        return f"sqlite:///{tmp_path / uuid.uuid4().hex}.db"
    return f"cassandra://{request.getfixturevalue('cassandra_hosts')}/edge_{uuid.uuid4().hex[:12]}"


def drop(url: str) -> None:
    store: Any = open_store(url)
    with store._session_without_keyspace() as session:
        session.execute(f"DROP KEYSPACE IF EXISTS {store.keyspace}", timeout=60)


@pytest.fixture(params=KINDS)
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Two stores without tables."""
    both = fresh_url(request, request.param, tmp_path), fresh_url(request, request.param, tmp_path)
    yield both
    if request.param == "cassandra":
        for url in both:
            drop(url)


@pytest.fixture
def cassandra_keyspace(cassandra_hosts: str) -> Iterator[str]:
    url = f"cassandra://{cassandra_hosts}/edge_{uuid.uuid4().hex[:12]}"
    yield url
    drop(url)


def edge(*arguments: str) -> None:
    assert main(["store", *arguments]) == 0


def fill(store: BulkStore) -> None:
    for table in Table:
        for number in range(3):
            key = f"{number}ü"
            assert store.save(table, key, b"old", expect=None, writer="w") == Saved(1)
            assert store.save(table, key, bytes((number,)) * 300, expect=1, writer=f"w{number}") == Saved(2)
    assert store.save(Table.UE_CONTEXT, "lasts an hour", b"stub", expect=None, writer="w", ttl_s=3600) == Saved(1)
    assert store.save(Table.ADDRESS, "gone", b"x", expect=None, writer="w") == Saved(1)
    assert store.save(Table.ADDRESS, "gone", None, expect=1, writer="w") == Saved(0)
    store.insert_timer(TimerRow(3, 1_900_000_000_123, "T3450", "token", "77"), ttl_s=3600)


def test_a_backup_comes_back_with_versions_writers_and_times_to_live(urls: tuple[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    for url in urls:
        edge("migrate", "--store", url)
        edge("status", "--store", url)
    first, second = open_store(urls[0]), open_store(urls[1])
    try:
        fill(first)
        edge("backup", str(folder), "--store", urls[0])
        assert not any((folder / table.value).exists() for table in PASSING)
        made = json.loads((folder / "manifest.json").read_text())["made"]
        LastBackup(first).look()
        assert REGISTRY.get_sample_value("mme_last_backup_timestamp_seconds") == made
        edge("restore", str(folder), "--store", urls[1])
        for table in Table:
            assert second.scan(table) == ([] if table in PASSING else first.scan(table))
        assert second.load(Table.IMSI, "2ü", serial=True) == Row(b"\2" * 300, 2, "w2")
        assert "gone" not in dict(second.scan(Table.ADDRESS))
        [lasting] = [row for row in second.rows(Table.UE_CONTEXT) if row.key == "lasts an hour"]
        assert lasting.ttl_s is not None
        assert 3000 < lasting.ttl_s <= 3600
        assert second.due_timers(3, 1_900_000_000) == [TimerRow(3, 1_900_000_000_123, "T3450", "token", "77")]
        # Conditional writes win over restored rows.
        assert second.save(Table.IMSI, "2ü", b"new", expect=2, writer="w3") == Saved(3)
        assert second.load(Table.IMSI, "2ü") == Row(b"new", 3, "w3")
    finally:
        first.close()
        second.close()
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in folder.iterdir())


def test_leases_of_an_earlier_programs_backup_stay_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mark of how far tickers had got would hide the timers that contexts of an earlier moment wait for."""
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("first", "second")]
    first, second = map(open_store, urls)
    try:
        fill(first)
        with monkeypatch.context() as earlier:
            earlier.setattr("edge.store.LASTING", tuple(Table))
            edge("backup", str(tmp_path / "backup"), "--store", urls[0])
        assert (tmp_path / "backup/lease").stat().st_size > 0
        edge("restore", str(tmp_path / "backup"), "--store", urls[1])
        assert second.scan(Table.LEASE) == second.scan(Table.LOAD) == []
        assert second.scan(Table.ENB) == first.scan(Table.ENB)
    finally:
        first.close()
        second.close()


def test_clusters_and_inventory_come_back_and_nothing_that_would_act_again(
    urls: tuple[str, str], tmp_path: Path
) -> None:
    kinds = placement_tables.Table
    for url in urls:
        edge("migrate", "--store", url)
    first, second = (open_journal(url, placement_tables.TABLES) for url in urls)
    try:
        for kind in kinds:
            assert first.save(kind, "a", b"old", expect=None, writer="v") == Saved(1)
            assert first.save(kind, "a", kind.value.encode(), expect=1, writer="w") == Saved(2)
        first.set_due("a", 1)
        edge("backup", str(tmp_path / "backup"), "--store", urls[0])
        edge("restore", str(tmp_path / "backup"), "--store", urls[1])
        for kind in (kinds.CLUSTER, kinds.PLACEMENT):
            assert [(key, row.value) for key, row in second.scan(kind)] == [("a", kind.value.encode())]
        assert second.scan(kinds.OPERATION) == []
        assert second.due(2) == []
        assert main(["store", "restore", str(tmp_path / "backup"), "--store", urls[1]]) == 1
    finally:
        first.close()
        second.close()


def test_a_store_that_is_not_empty_is_left_alone(
    urls: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "backup")
    edge("migrate", "--store", urls[0])
    store = open_store(urls[0])
    store.save(Table.TRACKING_AREA, "1", b"x", expect=None, writer="w")
    edge("backup", folder, "--store", urls[0])
    store.save(Table.TRACKING_AREA, "1", b"y", expect=1, writer="w")
    assert main(["store", "restore", folder, "--store", urls[0]]) == 1
    assert "is not empty" in capsys.readouterr().err
    assert store.load(Table.TRACKING_AREA, "1") == Row(b"y", 2, "w")
    store.close()


def test_what_tickers_leave_is_no_reason_to_refuse_and_their_marks_are_forgotten(
    urls: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A new cluster's tickers run as soon as its tables are made; timers that come back may lie before their marks."""
    folder = str(tmp_path / "backup")
    for url in urls:
        edge("migrate", "--store", url)
    first, second = open_store(urls[0]), open_store(urls[1])
    try:
        first.save(Table.SUBSCRIBER, "1", b"x", expect=None, writer="w")
        edge("backup", folder, "--store", urls[0])
        ticker = LeaseHolder(
            second, ("timer-0",), marks=lambda: {"timer-0": 1_900_000_000}, bound_ms=60_000, length_s=600
        )
        ticker.keep()
        second.save(Table.LOAD, "decision", b"x", expect=None, writer="w")
        assert main(["store", "restore", folder, "--store", urls[1]]) == 1
        assert "has tickers: stop them" in capsys.readouterr().err
        assert second.is_empty()
        ticker.leave()
        edge("restore", folder, "--store", urls[1])
        assert second.load(Table.SUBSCRIBER, "1") == Row(b"x", 1, "w")
        following = LeaseHolder(second, ("timer-0",), bound_ms=60_000)
        following.keep()
        assert following.held() == {"timer-0"}
        assert (following.mark("timer-0"), following.fence("timer-0")) == (0, 2)
    finally:
        first.close()
        second.close()


def test_a_backup_of_an_empty_store_is_not_restored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A night may have passed between a loss and its restore: what was backed up then is the newest."""
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("first", "second")]
    edge("migrate", "--store", urls[0])
    edge("backup", str(tmp_path / "backup"), "--store", urls[0])
    assert main(["store", "restore", str(tmp_path / "backup"), "--store", urls[1]]) == 1
    assert "is an empty store's backup" in capsys.readouterr().err


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    url = f"sqlite:///{tmp_path}/first.db"
    store = open_store(url)
    store.save(Table.IMSI, "1", b"x", expect=None, writer="w")
    store.close()
    edge("backup", str(tmp_path / "backup"), "--store", url)
    return tmp_path / "backup"


@pytest.mark.parametrize(
    ("name", "damage", "say"),
    [
        ("imsi", lambda old: old[:-1] + bytes((old[-1] ^ 1,)), "its checksum differs"),
        ("imsi", lambda old: old[:-5], "its checksum differs"),
        ("manifest.json", lambda old: old[:-9], "is damaged"),
        ("manifest.json", lambda old: old.replace(b'"format": 1', b'"format": 2'), "newer than 1 of this program"),
        ("manifest.json", lambda old: old.replace(b'"session"', b'"slices"'), "'slices', which this program"),
        ("manifest.json", None, "cut short"),
    ],
)
def test_what_is_damaged_or_newer_is_refused(
    backup: Path, name: str, damage: Any, say: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = backup / name
    if damage is None:
        file.unlink()
    else:
        changed = damage(file.read_bytes())
        assert changed != file.read_bytes()
        file.write_bytes(changed)
    url = f"sqlite:///{backup.parent}/second.db"
    assert main(["store", "restore", str(backup), "--store", url]) == 1
    assert say in capsys.readouterr().err
    assert open_store(url).is_empty()


def test_a_backup_is_never_laid_over_another(backup: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["store", "backup", str(backup), "--store", f"sqlite:///{backup.parent}/first.db"]) == 1
    assert "is not empty" in capsys.readouterr().err


def test_after_a_backup_that_failed_one_can_be_made_there(backup: Path, tmp_path: Path) -> None:
    broken, folder = tmp_path / "broken.db", tmp_path / "again"
    broken.write_bytes((tmp_path / "first.db").read_bytes())
    with sqlite3.connect(broken) as file:
        file.execute("DROP TABLE timer")
    with contextlib.suppress(sqlite3.OperationalError):
        assert main(["store", "backup", str(folder), "--store", f"sqlite:///{broken}"]) == 1
    assert list(folder.iterdir()) == []
    edge("backup", str(folder), "--store", f"sqlite:///{tmp_path}/first.db")
    assert {path.name for path in folder.iterdir()} == {path.name for path in backup.iterdir()}


def test_memory_does_not_grow_with_the_store(tmp_path: Path) -> None:
    peaks = []
    for count in (1_000, 20_000):
        urls = [f"sqlite:///{tmp_path}/{name}{count}.db" for name in ("a", "b")]
        rows = (StoredRow(str(number), Row(b"x" * 400, 1, "w")) for number in range(count))
        store = open_store(urls[0])
        store.put_rows(Table.UE_CONTEXT, rows)
        store.close()
        tracemalloc.start()
        edge("backup", str(tmp_path / f"backup{count}"), "--store", urls[0])
        edge("restore", str(tmp_path / f"backup{count}"), "--store", urls[1])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        store = open_store(urls[1])
        assert sum(1 for _ in store.rows(Table.UE_CONTEXT)) == count
        store.close()
    assert peaks[1] < 2 * peaks[0], "20 times the rows: 8 MB more if they were kept"


def test_a_file_of_a_newer_schema_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    assert main(["store", "status", "--store", url]) == 1
    edge("migrate", "--store", url)
    edge("migrate", "--store", url)
    edge("status", "--store", url)
    connection = sqlite3.connect(tmp_path / "x.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    capsys.readouterr()
    assert main(["store", "migrate", "--store", url]) == 1
    assert "schema 99" in capsys.readouterr().err


@pytest.mark.cassandra
def test_several_migrators_at_once_run_each_migration_once(cassandra_keyspace: str) -> None:
    def migrate(_: int) -> list[int]:
        store: Any = open_store(cassandra_keyspace)
        return list(store.migrate())

    with ThreadPoolExecutor(4) as pool:
        ran = list(pool.map(migrate, range(4)))
    store: Any = open_store(cassandra_keyspace)
    assert sorted(number for part in ran for number in part) == store.migrations_done()
    assert store.migrations_done() == [1, 2, 3]


@pytest.mark.cassandra
def test_a_keyspace_without_its_tables_says_what_to_do(
    cassandra_keyspace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["subscribers", "list", "--store", cassandra_keyspace]) == 1
    assert "run `edge store migrate`" in capsys.readouterr().err
    for command in (["clusters", "list"], ["placements"]):
        assert main([*command, "--store", cassandra_keyspace]) == 1
        assert "`edge store status` tells whether a table is missing" in capsys.readouterr().err
    edge("migrate", "--store", cassandra_keyspace)
    store: Any = open_store(cassandra_keyspace)
    with store._session_without_keyspace() as session:
        session.execute(f"DELETE FROM {store.keyspace}.migration WHERE number = 3")  # noqa: S608
    assert main(["store", "status", "--store", cassandra_keyspace]) == 1
    assert main(["subscribers", "list", "--store", cassandra_keyspace]) == 1
    assert "has schema 2, 3 is needed" in capsys.readouterr().err
    edge("migrate", "--store", cassandra_keyspace)
    edge("status", "--store", cassandra_keyspace)


@pytest.mark.cassandra
def test_a_keyspace_that_a_newer_program_migrated_is_not_migrated(
    cassandra_keyspace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    edge("migrate", "--store", cassandra_keyspace)
    store: Any = open_store(cassandra_keyspace)
    with store._session_without_keyspace() as session:
        session.execute(f"INSERT INTO {store.keyspace}.migration (number, title) VALUES (99, 'later')")  # noqa: S608
    assert main(["store", "migrate", "--store", cassandra_keyspace]) == 1
    assert "schema 99, this program knows 3: use a newer program" in capsys.readouterr().err
    # By which the chart's job sees that nothing is to be done.
    edge("status", "--store", cassandra_keyspace)
    assert "99  done     by a newer program than this" in capsys.readouterr().out


@pytest.mark.cassandra
def test_status_tells_that_a_journals_table_is_missing(
    cassandra_keyspace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where an older program migrated, or a migration broke off."""
    store: Any = open_store(cassandra_keyspace)
    store.migrate()
    store.close()
    due = placement_tables.TABLES.due
    assert main(["store", "status", "--store", cassandra_keyspace]) == 1
    said = capsys.readouterr().out
    assert f"MISSING  table {due}" in said
    assert "run `edge store migrate`" in said
    edge("migrate", "--store", cassandra_keyspace)
    edge("status", "--store", cassandra_keyspace)


@pytest.mark.cassandra
def test_migrate_makes_the_placements_tables_too(cassandra_keyspace: str) -> None:
    edge("migrate", "--store", cassandra_keyspace)
    store = open_journal(cassandra_keyspace, placement_tables.TABLES)
    try:
        assert store.due(0) == []
        for table in placement_tables.Table:
            assert store.scan(table) == []
        table = placement_tables.Table.CLUSTER
        assert store.save(table, "a", b"1", expect=None, writer="w") == Saved(1)
        there = Row(b"1", 1, "w")
        assert store.save(table, "a", b"2", expect=None, writer="x") == Conflict(there)
        assert store.save(table, "a", b"2", expect=1, writer="y", ttl_s=600) == Saved(2)
        assert store.save(table, "a", b"3", expect=1, writer="z") == Conflict(store.load(table, "a"))
        assert store.scan(table) == [("a", Row(b"2", 2, "y"))]
        store.set_due("one", 5)
        store.set_due("two", 50)
        assert (store.due(4), store.due(5), store.due(99)) == ([], ["one"], ["one", "two"])
        store.set_due("one", None)
        assert store.due(99) == ["two"]
        assert store.save(table, "a", None, expect=2, writer="v") == Saved(0)
        assert store.load(table, "a") is None
    finally:
        store.close()


def test_migrate_of_a_file_leaves_the_placement_what_it_needs(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'edge.db'}"
    edge("migrate", "--store", url)
    store = open_journal(url, placement_tables.TABLES)
    assert store.due(0) == []
    store.close()


def test_a_user_without_a_password_file_is_refused() -> None:
    with pytest.raises(ConfigError, match="together"):
        open_journal("cassandra://host/edge?user=edge", placement_tables.TABLES)
