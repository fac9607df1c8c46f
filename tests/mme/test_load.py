"""Waits and decisions shared through a store: who writes when, who decides, and who is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from enb_app.overload import RadioAccess
from mme.lease_holder import LeaseHolder
from mme.load import DECISION, FUNCTIONS, LoadMeter, read_decision, read_samples
from mme.overload import DECISION_MS, Limits, Sample
from mme.overload_guard import LEASE, OverloadGuard
from mme.procedures.s1_management import overload
from mme.store.base import Store, Table
from mme.store.counting import CountingStore, measure
from mme.store.faulty import FaultConflict, FaultUnavailable, FaultyStore, on_load, on_save
from mme.store.opening import open_store
from mme.store.sqlite import SqliteStore
from tests.mme.apart import Apart, part_name


@dataclass
class Clock:
    now_s: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Enbs:
    """works: they take what they are told."""

    works: bool = True
    told: list[tuple[str, int]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)

    def __call__(self, item_id: str, percent: int, number: int) -> bool:
        self.told.append((item_id, percent))
        self.numbers.append(number)
        return self.works


@dataclass
class Site:
    store: FaultyStore
    clock: Clock
    enbs: Enbs = field(default_factory=Enbs)

    def meter(self) -> LoadMeter:
        return LoadMeter(self.store, "mme-initial-ue", clock=self.clock)

    def guard(self) -> OverloadGuard:
        holder = LeaseHolder(self.store, (LEASE,), clock=self.clock, stop_watch=self.clock)
        return OverloadGuard(self.store, holder, self.enbs, Limits(), clock=self.clock)

    def go(self, meter: LoadMeter, guards: list[OverloadGuard], waited_ms: float, seconds: float) -> None:
        for _ in range(int(seconds * 2)):
            self.clock.now_s += 0.5
            meter.began(1, waited_ms)
            for guard in guards:
                guard.holder.keep()
                guard.step()


@pytest.fixture(params=["sqlite", pytest.param("cassandra", marks=pytest.mark.cassandra)])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    clock = Clock()
    store: Store
    if request.param == "sqlite":
        store = SqliteStore(tmp_path / "store.db", clock=clock)
    else:
        store = Apart(open_store(request.getfixturevalue("cassandra_url")), clock, part_name())
    yield Site(FaultyStore(store), clock)
    store.close()


def test_a_process_writes_at_most_twice_a_second(site: Site) -> None:
    meter = LoadMeter(CountingStore(site.store), "mme-initial-ue", clock=site.clock)
    with measure() as tally:
        for _ in range(1000):
            site.clock.now_s += 0.005
            meter.began(1, 40)
    assert tally.conditional_writes == 10
    assert tally.writes == 0
    assert tally.reads == 20


def test_samples_of_several_processes_stand_side_by_side(site: Site) -> None:
    for waited in (100, 300):
        site.meter().began(2, waited)
    assert sorted((s.items, s.waited_ms) for s in read_samples(site.store)) == [(2, 200), (2, 600)]


def test_a_conflict_or_a_store_that_is_away_costs_a_sample_and_nothing_else(site: Site) -> None:
    meter = site.meter()
    site.store.plan = on_save(FaultConflict())
    meter.began(1, 100)
    assert read_samples(site.store) == []
    site.clock.now_s += 1
    site.store.plan = on_load(FaultUnavailable())
    meter.began(1, 100)
    site.clock.now_s += 1
    meter.began(1, 100)
    assert read_samples(site.store) == [Sample(int(site.clock.now_s * 1000), 1, 100)]


def test_every_function_that_enbs_call_is_looked_at(site: Site) -> None:
    for function in FUNCTIONS:
        LoadMeter(site.store, function, clock=site.clock).began(1, 7)
    assert len(read_samples(site.store)) == len(FUNCTIONS)


def test_long_waits_start_it_and_short_ones_end_it(site: Site) -> None:
    meter, guard = site.meter(), site.guard()
    site.go(meter, [guard], 20, 5)
    assert site.enbs.told == []
    site.go(meter, [guard], 1500, 10)
    assert site.enbs.told[0][1] > 0
    assert site.enbs.told[-1][1] == 90
    assert meter.refuses("e/ue/1", 5000.0)
    assert meter.told()[0] == 90
    site.go(meter, [guard], 20, 60)
    assert site.enbs.told[-1][1] == 0
    assert not meter.refuses("e/ue/1", 5000.0)
    assert meter.told()[0] == 0
    ids = [item_id for item_id, _ in site.enbs.told]
    assert len(set(ids)) == len(set(site.enbs.told)) == len(set(site.enbs.numbers))
    assert site.enbs.numbers == sorted(site.enbs.numbers), "a later decision has a higher number"


def test_what_was_taken_is_told_once_more_when_no_process_can_hold_the_decision_before(site: Site) -> None:
    """An eNB whose setup crossed the decision was told the one before, and was not listed yet."""
    meter, guard = site.meter(), site.guard()
    site.go(meter, [guard], 1500, 10)
    site.go(meter, [guard], 20, 60)
    last = site.enbs.told[-1]
    assert last[1] == 0
    assert site.enbs.told.count(last) == 2
    count = len(site.enbs.told)
    site.go(meter, [guard], 20, 3 * DECISION_MS / 1000)
    assert len(site.enbs.told) == count


def test_an_enb_that_was_told_late_of_what_is_over_hears_of_the_end(site: Site) -> None:
    """START and STOP are carried by two invocations at once, and the later overtakes."""
    meter, guard, radio = site.meter(), site.guard(), RadioAccess(Random(1))
    site.go(meter, [guard], 1500, 10)
    site.go(meter, [guard], 20, 20)
    told = list(zip(site.enbs.told, site.enbs.numbers, strict=True))
    assert told[-1][0][1] == 0
    for (_, percent), number in reversed(told):
        radio.hear(overload(percent), number)
    assert not radio.overloaded
    assert radio.overtaken > 0


def test_a_process_refuses_by_itself_without_a_decision(site: Site) -> None:
    """Nobody holds the lease, and the store is away: its own items' waits are enough."""
    meter = site.meter()
    site.go(meter, [], 5000, 2)
    site.store.plan = on_load(FaultUnavailable())
    assert meter.refuses("e/ue/1", 5000.0)
    assert not meter.refuses("e/ue/1", 100.0)


def test_one_decides_and_another_goes_on_from_there_when_it_dies(site: Site) -> None:
    meter, first, second = site.meter(), site.guard(), site.guard()
    site.go(meter, [first, second], 1500, 10)
    count = len(site.enbs.told)
    decision, _ = read_decision(site.store)
    assert second.step() is None
    site.go(meter, [second], 1500, 12)
    after, _ = read_decision(site.store)
    assert after.fence == decision.fence + 1
    assert after.percent == 90
    assert len(site.enbs.told) > count
    assert first.step() is None


def test_a_holder_that_has_been_followed_cannot_overwrite(site: Site) -> None:
    """Its clock and its stop watch stood still: it does not know that its lease has run out."""
    meter, first, second = site.meter(), site.guard(), site.guard()
    site.go(meter, [first], 1500, 3)
    now_s = site.clock.now_s
    first.holder.stop_watch = first.holder.clock = lambda: now_s
    site.go(meter, [second], 1500, 12)
    before = site.store.load(Table.LOAD, DECISION)
    assert LEASE in first.holder.held()
    assert first.step() is None
    assert site.store.load(Table.LOAD, DECISION) == before


def test_enbs_that_did_not_take_it_are_told_again_under_the_same_id(site: Site) -> None:
    meter, guard = site.meter(), site.guard()
    site.enbs.works = False
    site.go(meter, [guard], 5000, 12)
    last = site.enbs.told[-1]
    assert site.enbs.told.count(last) > 1
    site.enbs.works = True
    site.go(meter, [guard], 5000, 5)
    count = len(site.enbs.told)
    site.go(meter, [guard], 5000, 5)
    assert len(site.enbs.told) == count
