"""A call is opened once, worked on by one runner at a time, and gone on from where a killed one left it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
import pytest

from durable.errors import StoreError
from durable.journal import KEEP_S, RUN_MS, SETTLED_S, TAKEN_S, Call, Hand, Journal, Next, TakenError
from durable.rows import Conflict, Row, Saved, Unknown, WriteResult
from durable.sqlite import SqliteStore
from durable.store import Tables


class Table(Enum):
    ERRAND = "errand"


TABLES = Tables(Table, due="errand_due")


class Errand(Call, frozen=True, kw_only=True):
    steps: int = 2
    notes: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        return self.steps == 0


class Lossy(SqliteStore):
    """Loses the answers to writes, as `lose` says: before or after they are applied.

    meanwhile: what happens before the next write is applied.
    """

    def __init__(self, path: Path) -> None:
        self.now_s = 1_000_000.0
        super().__init__(path, TABLES, clock=lambda: self.now_s)
        self.lose: list[str] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self.late: Callable[[], object] = lambda: None

    def save(
        self, table: Enum, key: str, value: bytes | None, *, expect: int | None, writer: str, ttl_s: int | None = None
    ) -> WriteResult:
        lost = self.lose.pop(0) if self.lose else ""
        act, self.meanwhile = self.meanwhile, lambda: None
        act()
        if lost == "before":
            return Unknown()
        result = super().save(table, key, value, expect=expect, writer=writer, ttl_s=ttl_s)
        return Unknown() if lost == "after" else result


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Lossy]:
    made = Lossy(tmp_path / "edge.db")
    yield made
    made.close()


@pytest.fixture
def journal(store: Lossy) -> Journal[Errand]:
    return Journal(store, Table.ERRAND, Errand)


def now(store: Lossy) -> int:
    return int(store.now_s * 1000)


def step(hand: Hand[Errand]) -> Next[Errand]:
    return Next(msgspec.structs.replace(hand.call, steps=hand.call.steps - 1), 3.0)


def test_a_call_goes_through_its_steps_and_answers_its_repeats_for_a_day(
    store: Lossy, journal: Journal[Errand]
) -> None:
    journal.open(Errand(key="a"), due_ms=now(store))
    assert journal.due(now(store)) == ["a"]
    assert journal.advance("a", lambda: now(store), step) == 3.0
    assert journal.due(now(store)) == []
    assert journal.due(now(store) + 3000) == ["a"]
    assert journal.advance("a", lambda: now(store), step) is None
    assert journal.due(now(store) + 10**9) == []
    repeated = journal.open(Errand(key="a", steps=9), due_ms=now(store))
    assert repeated.call.steps == 0
    assert journal.due(now(store) + 10**9) == []
    store.now_s += KEEP_S + 1
    assert journal.load("a") is None


def test_a_call_that_is_not_over_is_kept_for_longer_than_a_day(store: Lossy, journal: Journal[Errand]) -> None:
    journal.open(Errand(key="a"), due_ms=now(store))
    journal.advance("a", lambda: now(store), step)
    store.now_s += 2 * KEEP_S
    assert journal.due(now(store)) == ["a"]
    held = journal.load("a")
    assert held is not None
    assert held.call.steps == 1


def test_a_step_that_writes_in_its_middle_is_given_back_at_its_end(store: Lossy, journal: Journal[Errand]) -> None:
    journal.open(Errand(key="a"), due_ms=now(store))

    def noted(hand: Hand[Errand]) -> Next[Errand]:
        for note in ("begun", "half"):
            hand.keep(msgspec.structs.replace(hand.call, notes=(*hand.call.notes, note)))
            held = journal.load("a")
            assert held is not None
            assert held.call == hand.call
        return step(hand)

    assert journal.advance("a", lambda: now(store), noted) == 3.0
    held = journal.load("a")
    assert held is not None
    assert (held.call.notes, held.call.steps, held.call.until_ms) == (("begun", "half"), 1, 0)
    assert journal.due(now(store) + 3000) == ["a"]


def test_while_a_runner_has_a_call_it_is_not_due(store: Lossy, journal: Journal[Errand]) -> None:
    journal.open(Errand(key="a"), due_ms=now(store))

    def looked(hand: Hand[Errand]) -> Next[Errand]:
        assert journal.due(now(store) + RUN_MS - 1) == []
        assert journal.due(now(store) + RUN_MS) == ["a"]
        return step(hand)

    journal.advance("a", lambda: now(store), looked)


def test_two_runners_never_work_on_one_call(store: Lossy, journal: Journal[Errand]) -> None:
    journal.open(Errand(key="a"), due_ms=now(store))

    def meanwhile(hand: Hand[Errand]) -> Next[Errand]:
        assert journal.advance("a", lambda: now(store), step) == TAKEN_S
        return step(hand)

    assert journal.advance("a", lambda: now(store), meanwhile) == 3.0
    held = journal.load("a")
    assert held is not None
    assert held.call.steps == 1


def test_a_runner_that_was_thought_dead_may_write_nothing_any_more(store: Lossy, journal: Journal[Errand]) -> None:
    journal.open(Errand(key="a", steps=5), due_ms=now(store))

    def slow(hand: Hand[Errand]) -> Next[Errand]:
        store.now_s += RUN_MS / 1000 + 1
        assert journal.due(now(store)) == ["a"]  # it is due again by itself
        assert journal.advance("a", lambda: now(store), step) == 3.0
        with pytest.raises(TakenError):
            hand.keep(msgspec.structs.replace(hand.call, notes=("late",)))
        return Next(msgspec.structs.replace(hand.call, steps=0))

    journal.advance("a", lambda: now(store), slow)
    held = journal.load("a")
    assert held is not None
    assert (held.call.steps, held.call.notes) == (4, ())
    assert journal.due(now(store) + 3000) == ["a"]


@pytest.mark.parametrize("lost", [["before"], ["after"], ["before", "after"], ["before", "before", "before"]])
def test_answers_that_are_lost_change_nothing(store: Lossy, journal: Journal[Errand], lost: list[str]) -> None:
    store.lose = list(lost)
    assert journal.open(Errand(key="a"), due_ms=now(store)).version == 1
    store.lose = list(lost)
    assert journal.advance("a", lambda: now(store), step) == 3.0
    held = journal.load("a")
    assert held is not None
    assert held.call.steps == 1


def test_a_store_that_never_answers_is_an_error_and_the_step_stays_due(store: Lossy, journal: Journal[Errand]) -> None:
    store.lose = ["before"] * 4
    with pytest.raises(StoreError):
        journal.open(Errand(key="a"), due_ms=now(store))
    assert journal.due(now(store)) == []  # its write may still come to pass
    settled_ms = now(store) + int(SETTLED_S * 1000)
    assert journal.due(settled_ms) == ["a"]
    assert journal.advance("a", lambda: settled_ms, step) is None  # there is no such call: forgotten
    assert journal.due(settled_ms) == []


@pytest.mark.parametrize("seconds", [1, 36])
def test_a_ticker_that_comes_before_the_calls_row_is_written_forgets_nothing(
    store: Lossy, journal: Journal[Errand], seconds: float
) -> None:
    """The write takes long."""

    def ticks() -> None:
        for _ in range(10):
            store.now_s += seconds / 10
            for key in journal.due(now(store)):
                journal.advance(key, lambda: now(store), step)

    store.meanwhile = ticks
    journal.open(Errand(key="a"), due_ms=now(store))
    assert journal.due(now(store)) == ["a"]
    assert journal.advance("a", lambda: now(store), step) == 3.0


def test_a_write_that_outlives_its_killed_opener_is_gone_on_with(store: Lossy, journal: Journal[Errand]) -> None:
    """The database had it in hand, and applies it when a ticker has been there."""
    save = store.save

    def dies(table: Enum, key: str, value: bytes | None, **how: Any) -> WriteResult:
        store.late = lambda: save(table, key, value, **how)
        raise StoreError("killed")

    store.save = dies  # type: ignore[assignment]
    with pytest.raises(StoreError):
        journal.open(Errand(key="a"), due_ms=now(store))
    store.save = save  # type: ignore[method-assign]
    for _ in range(4):
        store.now_s += 1
        for key in journal.due(now(store)):
            journal.advance(key, lambda: now(store), step)
    store.late()
    store.now_s += SETTLED_S
    assert journal.due(now(store)) == ["a"]
    assert journal.advance("a", lambda: now(store), step) == 3.0


def test_a_call_whose_opener_was_killed_is_gone_on_with(store: Lossy, journal: Journal[Errand]) -> None:
    """Between the row's write and the entry that has it worked on at once."""
    set_due, entries = store.set_due, []

    def dies(call: str, due_ms: int | None) -> None:
        entries.append(due_ms)
        if len(entries) == 2:
            raise StoreError("killed")
        set_due(call, due_ms)

    store.set_due = dies  # type: ignore[method-assign]
    with pytest.raises(StoreError):
        journal.open(Errand(key="a"), due_ms=now(store))
    store.set_due = set_due  # type: ignore[method-assign]
    store.now_s += SETTLED_S
    assert journal.due(now(store)) == ["a"]
    assert journal.advance("a", lambda: now(store), step) == 3.0


def test_a_repeat_of_a_call_that_runs_has_it_worked_on_at_once(store: Lossy, journal: Journal[Errand]) -> None:
    journal.open(Errand(key="a"), due_ms=now(store))
    journal.open(Errand(key="a"), due_ms=now(store))
    assert journal.due(now(store)) == ["a"]


def test_a_name_stands_for_the_key_that_was_first_given(store: Lossy, journal: Journal[Errand]) -> None:
    assert journal.first_under("signature", "one") == "one"
    store.lose = ["after"]
    assert journal.first_under("signature", "two") == "one"
    assert store.load(Table.ERRAND, "signature") == Row(b"one", 1, store.load(Table.ERRAND, "signature").writer)  # type: ignore[union-attr]


def test_a_name_is_remembered_for_a_day(store: Lossy, journal: Journal[Errand]) -> None:
    assert journal.first_under("signature", "one") == "one"
    store.now_s += KEEP_S - 1
    assert journal.first_under("signature", "two") == "one"
    store.now_s += 2
    assert journal.first_under("signature", "two") == "two"


def test_rows_are_written_only_by_who_saw_the_last_one(store: Lossy) -> None:
    assert store.save(Table.ERRAND, "a", b"1", expect=None, writer="x") == Saved(1)
    assert store.save(Table.ERRAND, "a", b"2", expect=None, writer="y") == Conflict(Row(b"1", 1, "x"))
    assert store.save(Table.ERRAND, "a", b"2", expect=1, writer="y") == Saved(2)
    assert store.save(Table.ERRAND, "a", None, expect=1, writer="z") == Conflict(Row(b"2", 2, "y"))
    assert store.save(Table.ERRAND, "a", None, expect=2, writer="z") == Saved(0)
    assert store.load(Table.ERRAND, "a") is None
