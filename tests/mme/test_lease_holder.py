"""Leases in a store: several processes' holders side by side, each with a stop watch and a clock of its own."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from mme.errors import ClockOffError, StoreError
from mme.lease_holder import LeaseHolder, member_name
from mme.store.base import Store
from mme.store.faulty import Applied, FaultUnavailable, FaultUnknown, FaultyStore, Pass, on_load, on_save

NAMES = tuple(f"timer-{n}" for n in range(4))


@dataclass
class Time:
    """The store's clock, which passes for everybody alike.  off_ms: of one machine's clock."""

    now_ms: int = 1_700_000_000_000
    watch_s: float = 100.0

    def go(self, seconds: float) -> None:
        self.now_ms += int(seconds * 1000)
        self.watch_s += seconds


class TimedStore:
    """A store whose clock the test moves."""

    def __init__(self, store: Store, time: Time) -> None:
        self._store = store
        self._time = time

    def now_ms(self) -> int:
        return self._time.now_ms

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


@dataclass
class Process:
    """A holder and what is wrong with its machine."""

    group: str
    time: Time
    store: Store
    off_ms: int = 0
    names: tuple[str, ...] = NAMES
    marks: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.holder = LeaseHolder(
            self.store,
            self.names,
            marks=lambda: self.marks,
            group=self.group,
            length_s=10,
            bound_ms=200,
            clock=lambda: (self.time.now_ms + self.off_ms) / 1000,
            stop_watch=lambda: self.time.watch_s,
        )

    def keep(self) -> frozenset[str]:
        self.holder.keep()
        return self.holder.held()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def faulty(store: Store, time: Time) -> FaultyStore:
    return FaultyStore(TimedStore(store, time))  # type: ignore[arg-type]


def test_names_of_members_differ() -> None:
    assert member_name() != member_name()


def test_two_divide_and_a_third_of_the_length_suffices(faulty: FaultyStore, time: Time, key: str) -> None:
    a, b = Process(key, time, faulty), Process(key, time, faulty)
    assert a.keep() == set(NAMES)
    assert b.keep() == frozenset()
    time.go(2.5)
    assert len(a.keep()) == 2
    assert a.keep() | b.keep() == set(NAMES)
    assert not a.holder.held() & b.holder.held()


def test_the_store_is_asked_only_when_it_is_time(faulty: FaultyStore, time: Time, key: str) -> None:
    a = Process(key, time, faulty)
    a.keep()
    time.go(2.4)
    faulty.plan = on_load(FaultUnavailable())
    assert a.keep() == set(NAMES)
    assert len(faulty.plan) == 1
    time.go(0.1)
    with pytest.raises(StoreError):
        a.keep()


def test_a_killed_ones_names_are_taken_after_the_length(faulty: FaultyStore, time: Time, key: str) -> None:
    a, b = Process(key, time, faulty), Process(key, time, faulty)
    a.keep()
    time.go(1)
    fence = a.holder.fence("timer-0")
    assert b.keep() == frozenset()
    for _ in range(3):
        time.go(2.5)
        assert b.keep() == frozenset()
    time.go(2.5)
    assert b.keep() == set(NAMES)
    assert b.holder.fence("timer-0") == fence + 1


def test_a_paused_one_holds_nothing_when_it_goes_on(faulty: FaultyStore, time: Time, key: str) -> None:
    a, b = Process(key, time, faulty), Process(key, time, faulty)
    a.keep()
    time.go(10)
    assert a.holder.held() == frozenset()
    b.keep()
    assert b.holder.held() == set(NAMES)
    assert a.keep() == frozenset()
    time.go(2.5)
    b.keep()
    time.go(2.5)
    assert len(a.keep()) == 2


def test_a_lease_ends_here_no_later_than_in_the_store(faulty: FaultyStore, time: Time, key: str) -> None:
    """An answer that takes three seconds does not make the lease longer."""
    a = Process(key, time, faulty)
    a.keep()
    time.go(2.5)

    def slow() -> int:
        now_ms = time.now_ms
        time.go(3)
        return now_ms

    faulty.now_ms = slow  # type: ignore[method-assign]
    a.keep()
    time.go(6.9)
    assert a.holder.held() == set(NAMES)
    time.go(0.2)
    assert a.holder.held() == frozenset()


@pytest.mark.parametrize(("off_ms", "words"), [(201, "201 ms ahead of"), (-350, "350 ms behind")])
def test_a_clock_that_is_off_gets_no_lease_and_gives_back_what_it_has(
    faulty: FaultyStore, time: Time, key: str, off_ms: int, words: str
) -> None:
    a, b = Process(key, time, faulty), Process(key, time, faulty)
    a.keep()
    a.off_ms = off_ms
    time.go(2.5)
    with pytest.raises(ClockOffError, match=words) as caught:
        a.keep()
    assert "clock_bound_ms" in str(caught.value)
    assert "synchronise" in str(caught.value)
    assert a.holder.held() == frozenset()
    assert b.keep() == set(NAMES)
    time.go(2.5)
    with pytest.raises(ClockOffError):
        a.keep()
    a.off_ms = 0
    time.go(2.5)
    a.keep()
    b.keep()
    time.go(2.5)
    assert len(a.keep()) == 2


@pytest.mark.parametrize("off_ms", [200, -200])
def test_a_clock_within_the_bound_gets_its_lease(faulty: FaultyStore, time: Time, key: str, off_ms: int) -> None:
    assert Process(key, time, faulty, off_ms).keep() == set(NAMES)


def test_leaving_hands_over_at_once_with_the_marks(faulty: FaultyStore, time: Time, key: str) -> None:
    a = Process(key, time, faulty, marks={"timer-1": 42})
    b = Process(key, time, faulty)
    a.keep()
    a.holder.leave()
    assert a.holder.held() == frozenset()
    assert b.keep() == set(NAMES)
    assert b.holder.mark("timer-1") == 42


def test_a_store_that_is_away_lets_leases_run_out_and_no_longer(faulty: FaultyStore, time: Time, key: str) -> None:
    a = Process(key, time, faulty)
    a.keep()
    for _ in range(3):
        time.go(2.5)
        faulty.plan = on_load(FaultUnavailable())
        with pytest.raises(StoreError):
            a.keep()
        assert a.holder.held() == set(NAMES)
    time.go(2.5)
    assert a.holder.held() == frozenset()


@pytest.mark.parametrize("applied", [Applied.YES, Applied.NO, Applied.LATER])
def test_a_write_whose_answer_is_lost_is_found_out(faulty: FaultyStore, time: Time, key: str, applied: Applied) -> None:
    a, b = Process(key, time, faulty), Process(key, time, faulty)
    faulty.plan = on_save(FaultUnknown(applied))
    assert a.keep() == set(NAMES)
    assert b.keep() == frozenset()


def test_what_may_have_been_given_back_is_no_longer_held(faulty: FaultyStore, time: Time, key: str) -> None:
    a, b = Process(key, time, faulty), Process(key, time, faulty)
    a.keep()
    b.keep()
    time.go(2.5)
    faulty.plan = on_save(*[FaultUnknown(Applied.NO)] * 4)
    with pytest.raises(StoreError):
        a.keep()
    assert len(a.holder.held()) == 2


def test_groups_are_apart(faulty: FaultyStore, time: Time, key: str) -> None:
    assert Process(key, time, faulty).keep() == set(NAMES)
    assert Process(key + "x", time, faulty).keep() == set(NAMES)


# ------------------------------------------------------------------ a store whose answers take long


@dataclass
class Answers:
    """A store whose answer on the time takes so long, there and back, by all clocks; then as the first ones go."""

    store: Store
    time: Time
    took_s: list[tuple[float, float]]
    asked: int = 0

    def now_ms(self) -> int:
        self.asked += 1
        there_s, back_s = self.took_s.pop(0) if len(self.took_s) > 1 else self.took_s[0]
        self.time.go(there_s)
        now_ms = self.time.now_ms
        self.time.go(back_s)
        return now_ms

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)


def slow(
    store: Store, time: Time, key: str, took_s: list[tuple[float, float]], off_ms: int = 0
) -> tuple[Process, Answers]:
    answers = Answers(store, time, took_s)
    return Process(key, time, answers, off_ms=off_ms), answers  # type: ignore[arg-type]


@pytest.mark.parametrize("off_ms", [0, 300, -300])
def test_an_answer_that_proves_nothing_gives_no_lease(store: Store, time: Time, key: str, off_ms: int) -> None:
    """Between the readings of this clock lies more than its bound: it may be off by as much."""
    a, answers = slow(store, time, key, [(0.35, 0.35)], off_ms)
    with pytest.raises(StoreError, match="too slowly"):
        a.keep()
    assert a.holder.held() == frozenset()
    assert 2 <= answers.asked <= 5


@pytest.mark.parametrize("off_ms", [0, 300, -300])
def test_a_store_that_hangs_is_not_asked_longer_than_a_lease_can_wait(
    store: Store, time: Time, key: str, off_ms: int
) -> None:
    a, answers = slow(store, time, key, [(2.0, 2.0)], off_ms)
    with pytest.raises(StoreError, match="too slowly"):
        a.keep()
    assert answers.asked == 1


def test_a_slow_answer_is_followed_by_a_question_that_a_quick_one_settles(store: Store, time: Time, key: str) -> None:
    a, answers = slow(store, time, key, [(0.4, 0.4), (0.01, 0.01)])
    assert a.keep() == set(NAMES)
    assert answers.asked == 2


def test_two_slow_answers_prove_together_what_neither_does(store: Store, time: Time, key: str) -> None:
    """One was slow there, the other back."""
    a, answers = slow(store, time, key, [(0.6, 0.05), (0.05, 0.6)])
    assert a.keep() == set(NAMES)
    assert answers.asked == 2


def test_a_clock_that_is_off_is_found_out_behind_slow_answers(store: Store, time: Time, key: str) -> None:
    a, answers = slow(store, time, key, [(0.4, 0.4), (0.4, 0.4), (0.01, 0.01)], 300)
    with pytest.raises(ClockOffError, match="ahead"):
        a.keep()
    assert answers.asked == 3
    assert a.holder.held() == frozenset()


def test_a_ticker_that_has_proven_its_clock_goes_on_while_the_store_is_slow(store: Store, time: Time, key: str) -> None:
    """For minutes: what was proved wears off by the drift of clocks."""
    a, _ = slow(store, time, key, [(0.01, 0.01), (0.7, 0.7)])
    assert a.keep() == set(NAMES)
    for _ in range(60):
        time.go(2.5)
        assert a.keep() == set(NAMES)
    time.go(3600)
    with pytest.raises(StoreError, match="too slowly"):
        a.keep()


@pytest.mark.parametrize("off_ms", [300, -300])
def test_a_clock_that_is_set_wrong_while_the_store_is_slow_is_found_out(
    store: Store, time: Time, key: str, off_ms: int
) -> None:
    """It has gone on otherwise than the stop watch: everything is given back, for others to take."""
    a, answers = slow(store, time, key, [(0.01, 0.01), (0.7, 0.7)])
    assert a.keep() == set(NAMES)
    time.go(2.5)
    a.off_ms = off_ms
    with pytest.raises(ClockOffError):
        a.keep()
    assert a.holder.held() == frozenset()
    answers.took_s = [(0.01, 0.01)]
    b = Process(key, time, answers)  # type: ignore[arg-type]
    assert b.keep() == set(NAMES)


def test_what_was_given_back_by_a_write_that_nobody_could_look_up_is_not_held(
    faulty: FaultyStore, time: Time, key: str
) -> None:
    """The write has taken effect, its answer is lost, and the store is away when it is to say what became of it."""
    a, b = Process(key, time, faulty), Process(key, time, faulty)
    a.keep()
    b.keep()
    time.go(2.5)
    faulty.plan = on_save(FaultUnknown(Applied.YES)) + on_load(Pass(), FaultUnavailable())
    with pytest.raises(StoreError):
        a.keep()
    faulty.plan.clear()
    assert b.keep()
    assert not a.holder.held() & b.holder.held()
