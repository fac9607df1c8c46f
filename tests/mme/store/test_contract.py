"""What every store must do, whatever it is made of."""

from __future__ import annotations

import time
import uuid

import pytest

from mme.store.base import Conflict, Row, Saved, Store, Table, TimerRow

UE = Table.UE_CONTEXT


def until_gone(store: Store, table: Table, key: str) -> None:
    """Read until the row has expired; fails after 10 s."""
    deadline = time.monotonic() + 10
    while store.load(table, key) is not None:
        assert time.monotonic() < deadline, "the row did not expire"
        time.sleep(0.05)


def test_a_row_that_is_not_there(store: Store, key: str) -> None:
    assert store.load(UE, key) is None
    assert store.load(UE, key, serial=True) is None


def test_insert_update_remove(store: Store, key: str) -> None:
    assert store.save(UE, key, b"one", expect=None, writer="w1") == Saved(1)
    assert store.load(UE, key) == Row(b"one", 1, "w1")
    assert store.save(UE, key, b"two", expect=1, writer="w2") == Saved(2)
    assert store.load(UE, key, serial=True) == Row(b"two", 2, "w2")
    assert store.save(UE, key, None, expect=2, writer="w3") == Saved(0)
    assert store.load(UE, key) is None
    assert store.save(UE, key, b"again", expect=None, writer="w4") == Saved(1)


@pytest.mark.parametrize("value", [b"", bytes(range(256)) * 40], ids=["empty", "10 kB"])
def test_octets_come_back_as_they_went(store: Store, key: str, value: bytes) -> None:
    store.save(UE, key, value, expect=None, writer="w")
    assert store.load(UE, key) == Row(value, 1, "w")


def test_an_insert_meets_a_row(store: Store, key: str) -> None:
    store.save(UE, key, b"one", expect=None, writer="w1")
    assert store.save(UE, key, b"two", expect=None, writer="w2") == Conflict(Row(b"one", 1, "w1"))
    assert store.load(UE, key) == Row(b"one", 1, "w1")


@pytest.mark.parametrize("expect", [1, 3])
@pytest.mark.parametrize("value", [b"new", None], ids=["update", "remove"])
def test_another_version_is_a_conflict(store: Store, key: str, value: bytes | None, expect: int) -> None:
    store.save(UE, key, b"one", expect=None, writer="w1")
    store.save(UE, key, b"two", expect=1, writer="w2")
    assert store.save(UE, key, value, expect=expect, writer="w3") == Conflict(Row(b"two", 2, "w2"))
    assert store.load(UE, key) == Row(b"two", 2, "w2")


@pytest.mark.parametrize("value", [b"new", None], ids=["update", "remove"])
def test_a_write_to_no_row_is_a_conflict(store: Store, key: str, value: bytes | None) -> None:
    assert store.save(UE, key, value, expect=1, writer="w") == Conflict(None)
    assert store.load(UE, key) is None


def test_a_removal_without_a_version_is_a_fault_of_the_caller(store: Store, key: str) -> None:
    with pytest.raises(ValueError, match="version"):
        store.save(UE, key, None, expect=None, writer="w")


def test_tables_are_apart(store: Store, key: str) -> None:
    for table in Table:
        assert store.save(table, key, table.value.encode(), expect=None, writer="w") == Saved(1)
    for table in Table:
        assert store.load(table, key) == Row(table.value.encode(), 1, "w")


def test_keys_are_text_and_no_query(store: Store, key: str) -> None:
    odd = key + "'; DROP TABLE ue_context; -- ü\n%"
    assert store.save(UE, odd, b"odd", expect=None, writer="w'\n") == Saved(1)
    assert store.load(UE, odd) == Row(b"odd", 1, "w'\n")


def test_a_row_with_a_time_to_live_vanishes_and_may_be_inserted_again(store: Store, key: str) -> None:
    store.save(UE, key, b"one", expect=None, writer="w1", ttl_s=1)
    until_gone(store, UE, key)
    assert store.save(UE, key, b"two", expect=1, writer="w2") == Conflict(None)
    assert store.save(UE, key, b"two", expect=None, writer="w3") == Saved(1)
    assert store.load(UE, key) == Row(b"two", 1, "w3")


def test_an_update_gives_a_lasting_row_a_time_to_live(store: Store, key: str) -> None:
    store.save(UE, key, b"one", expect=None, writer="w1")
    store.save(UE, key, b"stub", expect=1, writer="w2", ttl_s=1)
    until_gone(store, UE, key)
    assert store.load(UE, key, serial=True) is None
    assert key not in dict(store.scan(UE))
    assert store.save(UE, key, b"new", expect=None, writer="w3") == Saved(1)
    assert store.load(UE, key) == Row(b"new", 1, "w3")


def test_an_update_takes_the_time_to_live_away(store: Store, key: str) -> None:
    other = key + "/clock"
    store.save(UE, key, b"one", expect=None, writer="w1", ttl_s=1)
    store.save(UE, key, b"lasting", expect=1, writer="w2")
    store.save(UE, other, b"", expect=None, writer="w", ttl_s=1)
    until_gone(store, UE, other)
    assert store.load(UE, key) == Row(b"lasting", 2, "w2")


def test_scan_shows_all_rows_of_one_table(store: Store, key: str) -> None:
    for number in range(5):
        store.save(UE, f"{key}/{number}", bytes((number,)), expect=None, writer="w")
    store.save(Table.IMSI, f"{key}/9", b"other table", expect=None, writer="w")
    mine = {k: row for k, row in store.scan(UE) if k.startswith(key)}
    assert mine == {f"{key}/{number}": Row(bytes((number,)), 1, "w") for number in range(5)}


def test_timers_by_shard_and_second(store: Store) -> None:
    shard = uuid.uuid4().int % 2**31
    second = 1_800_000_000
    early = TimerRow(shard, second * 1000, "T3450", "token 1", "77")
    late = TimerRow(shard, second * 1000 + 999, "T3460", "token 2", "77")
    next_second = TimerRow(shard, second * 1000 + 1000, "T3450", "token 3", "77")
    other_shard = TimerRow(shard - 1, second * 1000, "T3450", "token 4", "78")
    for timer in (early, late, next_second, other_shard):
        store.insert_timer(timer, ttl_s=60)
    assert sorted(store.due_timers(shard, second), key=lambda t: t.due_ms) == [early, late]
    assert store.due_timers(shard, second + 1) == [next_second]
    assert store.due_timers(shard - 1, second) == [other_shard]
    assert store.due_timers(shard, second - 1) == []


def test_a_timer_written_twice_is_one_timer(store: Store) -> None:
    shard = uuid.uuid4().int % 2**31
    timer = TimerRow(shard, 1_800_000_000_500, "T3450", "token", "77")
    other_token = TimerRow(shard, 1_800_000_000_500, "T3450", "other token", "77")
    other_owner = TimerRow(shard, 1_800_000_000_500, "T3450", "token", "78")
    for row in (timer, timer, other_token, other_owner):
        store.insert_timer(row, ttl_s=60)
    assert set(store.due_timers(shard, 1_800_000_000)) == {timer, other_token, other_owner}
    assert len(store.due_timers(shard, 1_800_000_000)) == 3


def test_a_timer_vanishes_after_its_time_to_live(store: Store) -> None:
    shard = uuid.uuid4().int % 2**31
    store.insert_timer(TimerRow(shard, 1_800_000_000_000, "T3450", "token", "77"), ttl_s=1)
    deadline = time.monotonic() + 10
    while store.due_timers(shard, 1_800_000_000):
        assert time.monotonic() < deadline, "the timer did not expire"
        time.sleep(0.05)


def test_the_store_has_a_clock(store: Store) -> None:
    """Milliseconds since 1970, and going on; on one machine the store's clock is this one."""
    before = time.time() * 1000
    first = store.now_ms()
    assert abs(first - before) < 60_000
    deadline = time.monotonic() + 10
    while (second := store.now_ms()) == first:
        assert time.monotonic() < deadline, "the store's clock stands still"
    assert first < second <= time.time() * 1000 + 1000
