"""The fault plan, and that `save_resolved` comes to the truth through it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mme.errors import StoreUnavailableError
from mme.store.base import RESOLVE_TRIES, Conflict, Row, Saved, Store, Table, TimerRow, Unknown, save_resolved
from mme.store.faulty import (
    Applied,
    Fault,
    FaultConflict,
    FaultDelay,
    FaultUnavailable,
    FaultUnknown,
    FaultyStore,
    Operation,
    Pass,
    on_load,
    on_save,
)
from mme.store.opening import open_store

UE = Table.UE_CONTEXT
LOST = FaultUnknown(Applied.NO)
APPLIED = FaultUnknown(Applied.YES)
LATER = FaultUnknown(Applied.LATER)


@pytest.fixture
def faulty(store_url: str) -> Iterator[FaultyStore]:
    store = FaultyStore(open_store(store_url.removeprefix("faulty+")))
    yield store
    store.close()


def resolved(store: Store, key: str, value: bytes | None, expect: int | None, writer: str = "me") -> object:
    return save_resolved(store, UE, key, value, expect=expect, writer=writer)


@pytest.mark.parametrize("fault", [APPLIED, LOST, LATER])
def test_an_insert_whose_answer_was_lost_is_saved_once(faulty: FaultyStore, key: str, fault: FaultUnknown) -> None:
    faulty.plan = on_save(fault)
    assert resolved(faulty, key, b"mine", None) == Saved(1)
    assert faulty.load(UE, key) == Row(b"mine", 1, "me")


@pytest.mark.parametrize("fault", [APPLIED, LOST, LATER])
def test_an_update_whose_answer_was_lost_is_saved_once(faulty: FaultyStore, key: str, fault: FaultUnknown) -> None:
    faulty.save(UE, key, b"old", expect=None, writer="other")
    faulty.plan = on_save(fault)
    assert resolved(faulty, key, b"mine", 1) == Saved(2)
    assert faulty.load(UE, key) == Row(b"mine", 2, "me")


@pytest.mark.parametrize("fault", [APPLIED, LOST])
def test_a_removal_whose_answer_was_lost(faulty: FaultyStore, key: str, fault: FaultUnknown) -> None:
    faulty.save(UE, key, b"old", expect=None, writer="other")
    faulty.plan = on_save(fault)
    assert resolved(faulty, key, None, 1) == Saved(0)
    assert faulty.load(UE, key) is None


def test_a_lost_write_that_somebody_else_overtook_is_a_conflict(faulty: FaultyStore, key: str) -> None:
    faulty.save(UE, key, b"old", expect=None, writer="other")
    theirs = Row(b"theirs", 2, "other")
    faulty.plan = on_save(LOST)

    class Overtaken(FaultyStore):
        def load(self, table: Table, key: str, *, serial: bool = False) -> Row | None:
            faulty.save(table, key, theirs.value, expect=1, writer=theirs.writer)
            return super().load(table, key, serial=serial)

    assert resolved(Overtaken(faulty), key, b"mine", 1) == Conflict(theirs)
    assert faulty.load(UE, key) == theirs


def test_unknown_remains_when_every_answer_is_lost(faulty: FaultyStore, key: str) -> None:
    faulty.plan = on_save(*[LOST] * (RESOLVE_TRIES + 1))
    assert resolved(faulty, key, b"mine", None) == Unknown()
    assert faulty.plan == []


def test_a_planned_conflict_changes_nothing(faulty: FaultyStore, key: str) -> None:
    faulty.save(UE, key, b"old", expect=None, writer="other")
    faulty.plan = on_save(FaultConflict())
    assert faulty.save(UE, key, b"new", expect=1, writer="me") == Conflict(Row(b"old", 1, "other"))
    assert faulty.save(UE, key, b"new", expect=1, writer="me") == Saved(2)


def test_unavailable_tries_nothing(faulty: FaultyStore, key: str) -> None:
    timer = TimerRow(0, 0, "T3450", key, "1")
    faulty.plan = [Fault(operation, FaultUnavailable()) for operation in Operation]
    for call in (
        lambda: faulty.load(UE, key),
        lambda: faulty.save(UE, key, b"new", expect=None, writer="me"),
        lambda: faulty.insert_timer(timer, ttl_s=60),
        lambda: faulty.due_timers(0, 0),
        lambda: faulty.scan(UE),
        faulty.now_ms,
    ):
        with pytest.raises(StoreUnavailableError):
            call()
    assert faulty.plan == []
    assert faulty.load(UE, key) is None


def test_a_delay_passes_through_the_given_sleep(store: Store, key: str) -> None:
    slept: list[float] = []
    slow = FaultyStore(store, on_load(FaultDelay(250)), sleep=slept.append)
    slow.load(UE, key)
    slow.load(UE, key)
    assert slept == [0.25]


def test_lines_wait_for_their_own_table(faulty: FaultyStore, key: str) -> None:
    faulty.plan = on_save(Pass(), LOST, table=Table.IMSI)
    assert faulty.save(UE, key, b"", expect=None, writer="w") == Saved(1)
    assert faulty.save(Table.IMSI, key, b"", expect=None, writer="w") == Saved(1)
    assert faulty.save(Table.IMSI, key, b"", expect=1, writer="w") == Unknown()
    assert faulty.plan == []


def test_a_plan_that_makes_no_sense_is_refused(faulty: FaultyStore, key: str) -> None:
    faulty.plan = on_load(LOST)
    with pytest.raises(ValueError, match="load"):
        faulty.load(UE, key)
