"""When the store was last backed up, as it is noted and told."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from edge.cli import main as edge
from mme import metrics
from mme.backups import AGAIN_S, LastBackup, note
from mme.errors import StoreContendedError, StoreUnavailableError
from mme.store.base import Saved, Table
from mme.store.faulty import Applied, FaultConflict, FaultUnavailable, FaultUnknown, FaultyStore, on_load, on_save
from mme.store.sqlite import SqliteStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / "edge.db")) as made:
        metrics.LAST_BACKUP.set(math.nan)
        yield made
    metrics.LAST_BACKUP.set(math.nan)


def told() -> float | None:
    return REGISTRY.get_sample_value("mme_last_backup_timestamp_seconds")


def looked_up(store: SqliteStore) -> float | None:
    LastBackup(store).look()
    return told()


def test_the_one_that_was_begun_last_is_told_and_0_where_there_was_none(store: SqliteStore) -> None:
    said = told()
    assert said is not None
    assert math.isnan(said)
    assert looked_up(store) == 0
    for begun_s, last_s in ((1_000, 1_000), (3_000, 3_000), (2_000, 3_000)):
        note(store, begun_s)
        assert looked_up(store) == last_s


def test_a_write_whose_answer_is_lost_or_that_meets_another_is_noted_all_the_same(store: SqliteStore) -> None:
    note(FaultyStore(store, on_save(FaultUnknown(Applied.YES))), 1_000)
    assert looked_up(store) == 1_000
    note(FaultyStore(store, on_save(FaultUnknown(Applied.NO), FaultConflict())), 2_000)
    assert looked_up(store) == 2_000
    with pytest.raises(StoreContendedError):
        note(FaultyStore(store, on_save(*[FaultConflict()] * 100)), 3_000)


def test_it_is_looked_up_once_a_minute_and_what_was_known_stays_while_the_store_is_away(store: SqliteStore) -> None:
    now_s = 0.0
    last = LastBackup(FaultyStore(store, on_load(FaultUnavailable())), lambda: now_s)
    with pytest.raises(StoreUnavailableError):
        last.look()
    note(store, 1_000)
    now_s = AGAIN_S - 1
    last.look()
    said = told()
    assert said is not None
    assert math.isnan(said)
    now_s = AGAIN_S
    last.look()
    assert told() == 1_000


def test_a_backup_is_noted_when_it_is_whole_and_only_then(store: SqliteStore, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'edge.db'}"
    assert store.save(Table.IMSI, "001010000000001", b"x", expect=None, writer="w") == Saved(1)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/something").touch()
    assert edge(["store", "backup", str(tmp_path / "taken"), "--store", url]) != 0
    assert looked_up(store) == 0
    assert edge(["store", "backup", str(tmp_path / "one"), "--store", url]) == 0
    assert looked_up(store) == pytest.approx((tmp_path / "one/manifest.json").stat().st_mtime, abs=60)
    # What comes back has had none.
    assert edge(["store", "restore", str(tmp_path / "one"), "--store", f"sqlite:///{tmp_path / 'other.db'}"]) == 0
    with closing(SqliteStore(tmp_path / "other.db")) as other:
        assert looked_up(other) == 0
