"""Several tickers on one store: timers change hands, and none is missed or fired from two sides while leases hold."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mme.codec.envelope import Item
from mme.config import MmeConfig
from mme.context import RunningTimer, UeContext
from mme.errors import ClockOffError
from mme.lease_holder import LeaseHolder
from mme.store.base import Store, Table, TimerRow
from mme.store.sqlite import SqliteStore
from mme.ticker import BATCH, LOOK_BACK_S, PART_LIMIT_S, SHARD_LEASES, Ticker, leased, run
from tests.mme.runtime.pair import Clock
from trust.probes import Readiness


@dataclass
class Machine:
    """A ticker as its process makes it.  alive: it ticks; off_s: of its clock; read_s: how long each read takes."""

    store: Store
    clock: Clock
    off_s: float = 0.0
    alive: bool = True
    read_s: float = 0.0
    on_read: Callable[[], object] = lambda: None
    taken: list[Item] = field(default_factory=list)
    reads: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.holder = LeaseHolder(
            self.store, tuple(SHARD_LEASES), length_s=8, clock=self.now_s, stop_watch=lambda: self.clock.now_s
        )
        self.ticker = Ticker(self, self.fire, clock=self.now_s, shards=leased(self.holder))  # type: ignore[arg-type]
        self.holder.marks = lambda: {f"timer-{number}": mark for number, mark in self.ticker.marks().items()}

    def now_s(self) -> float:
        return self.clock.now_s + self.off_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def due_timers(self, shard: int, second: int) -> list[TimerRow]:
        self.reads.append((shard, second))
        self.clock.now_s += self.read_s
        self.on_read()
        return self.store.due_timers(shard, second)

    def fire(self, items: list[Item]) -> dict[str, str]:
        self.taken += items
        return {item.id: "done" for item in items}


@dataclass
class Site:
    store: Store
    clock: Clock
    machines: list[Machine] = field(default_factory=list)

    def start(self, off_s: float = 0.0) -> Machine:
        self.machines.append(Machine(self.store, self.clock, off_s))
        return self.machines[-1]

    def timers(self, count: int, in_s: float, name: str = "T3460") -> None:
        """So many UEs, each with a timer that its context waits for."""
        for owner in range(count):
            due_ms = int((self.clock.now_s + in_s) * 1000)
            row = TimerRow(owner % 16, due_ms, name, f"e/ue{owner}/{due_ms}", str(owner))
            self.store.insert_timer(row, ttl_s=600)
            old = self.store.load(Table.UE_CONTEXT, row.owner)
            ctx = UeContext(owner) if old is None else msgspec.msgpack.decode(old.value, type=UeContext)
            ctx = replace(ctx, timers=ctx.timers | {name: RunningTimer(row.token, due_ms)})
            version = None if old is None else old.version
            self.store.save(Table.UE_CONTEXT, row.owner, msgspec.msgpack.encode(ctx), expect=version, writer="test")

    def go(self, seconds: float) -> None:
        end = self.clock.now_s + seconds
        while self.clock.now_s < end:
            self.clock.now_s += 0.25
            for machine in self.machines:
                if machine.alive:
                    machine.ticker.tick()

    def owners(self) -> list[int]:
        return [item.timer.owner for machine in self.machines for item in machine.taken if item.timer is not None]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    clock = Clock()
    store = SqliteStore(tmp_path / "edge.db", clock=clock)
    yield Site(store, clock)
    store.close()


def just_after_a_proof(site: Site, machine: Machine) -> None:
    """As long as may be before it asks for the store's time again."""
    proof = machine.holder._proof
    while machine.holder._proof is proof:
        site.go(0.25)


def goes_on(site: Site, seconds: float) -> None:
    """As the process does, which says that its clock is off and tries again."""
    end = site.clock.now_s + seconds
    while site.clock.now_s < end:
        with contextlib.suppress(ClockOffError):
            site.go(0.25)


@pytest.mark.parametrize("recovers", [True, False])
def test_a_clock_that_was_ahead_for_a_while_leaves_no_timer_unread(site: Site, recovers: bool) -> None:
    """Marks of a time that is still to come would have whoever reads on from them pass over what is due meanwhile."""
    a = site.start()
    site.go(30)
    just_after_a_proof(site, a)
    a.off_s = 100
    goes_on(site, 3)
    assert not a.holder.held()
    site.timers(16, in_s=6)
    goes_on(site, 17)
    assert site.owners() == []
    if recovers:
        a.off_s = 0
    else:
        a.alive = False
        site.start()
    goes_on(site, 60)
    assert sorted(site.owners()) == list(range(16))


def test_a_clock_that_is_set_ahead_fires_nothing_early_until_it_is_found_out(site: Site) -> None:
    a = site.start()
    site.go(30)
    site.timers(16, in_s=20)
    just_after_a_proof(site, a)
    a.off_s = 30
    goes_on(site, 5)
    assert site.owners() == []
    a.off_s = 0
    goes_on(site, 30)
    assert sorted(site.owners()) == list(range(16))


def test_two_divide_the_timers_and_fire_each_once(site: Site) -> None:
    a, b = site.start(), site.start()
    site.go(5)
    site.timers(32, in_s=1)
    site.go(3)
    assert sorted(site.owners()) == list(range(32))
    assert len(a.taken) == len(b.taken) == 16


def test_the_timers_of_a_killed_one_are_fired_by_the_other_once_its_lease_has_run_out(site: Site) -> None:
    a, b = site.start(), site.start()
    site.go(5)
    a.alive = False
    site.timers(32, in_s=0.5)
    site.go(3)
    assert len(site.owners()) == 16
    site.go(6)
    assert sorted(site.owners()) == list(range(32))
    assert len(b.taken) == 32


def test_a_paused_one_gets_its_share_back_and_fires_nothing_of_what_it_had_read(site: Site) -> None:
    a, b = site.start(), site.start()
    site.go(5)
    site.timers(32, in_s=2)
    site.go(1)
    a.alive = False
    site.go(12)
    assert sorted(site.owners()) == list(range(32))
    a.alive = True
    site.go(6)
    assert sorted(site.owners()) == list(range(32))
    site.timers(32, in_s=1)
    site.go(3)
    assert len(a.taken) == 16
    assert len(b.taken) == 48


def test_who_takes_over_reads_from_where_the_other_had_got(site: Site) -> None:
    """And not the whole of the longest look back."""
    a = site.start()
    site.go(5)
    site.timers(16, in_s=30)
    site.go(3)
    a.alive = False
    site.go(40)
    killed_s = int(site.clock.now_s) - 40
    b = site.start()
    site.go(0.25)
    assert sorted(site.owners()) == list(range(16))
    assert min(second for _, second in b.reads) >= killed_s - 12
    assert min(second for _, second in b.reads) > site.clock.now_s - LOOK_BACK_S


def test_a_timer_that_is_tried_again_is_handed_on(site: Site) -> None:
    """The mark stays at what still waits, however long ago it was due."""
    a = site.start()
    a.ticker.fire = lambda _items: {}
    site.go(3)
    site.timers(1, in_s=0.5)
    site.go(20)
    a.alive = False
    b = site.start()
    site.go(9)
    assert [item.timer.owner for item in b.taken if item.timer is not None] == [0]


def test_a_lease_that_ends_between_two_batches_stops_the_second(site: Site) -> None:
    """The function is slow: who holds the shards meanwhile fires the rest."""
    a = site.start()
    site.go(3)
    fire = a.fire

    def slow(items: list[Item]) -> dict[str, str]:
        site.clock.now_s += 9
        b.ticker.tick()
        return fire(items)

    b = site.start()
    a.ticker.fire = slow
    b.ticker.tick()
    site.machines = [a]
    site.timers(2 * BATCH, in_s=0.1)
    site.go(0.25)
    assert len(a.taken) == BATCH
    site.machines = [a, b]
    a.alive = False
    site.go(12)
    assert set(site.owners()) == set(range(2 * BATCH))


def test_reading_that_takes_longer_than_a_lease_does_not_end_it(site: Site) -> None:
    """Of a slow store, by a ticker that knows nothing yet: RECENT_S of 16 shards are 17 s here, a lease is 8 s."""
    a = site.start()
    a.read_s = 0.1
    held: set[int] = set()
    a.on_read = lambda: held.add(len(a.holder.held()))
    site.timers(16, in_s=0)
    a.ticker.tick()
    assert held == {16}
    assert sorted(site.owners()) == list(range(16))
    assert len(a.reads) == len(set(a.reads))


def test_a_shard_that_goes_while_it_is_read_is_read_no_further(site: Site) -> None:
    """The store stands still for longer than a lease: who has the shard then reads all of it."""
    a, b = site.start(), site.start()
    site.timers(16, in_s=0)

    def stall() -> None:
        a.on_read = lambda: None
        site.clock.now_s += 9
        b.ticker.tick()

    a.on_read = stall
    a.ticker.tick()
    assert sorted(site.owners()) == list(range(16))
    assert len(a.reads) == 1
    site.go(10)
    assert sorted(site.owners()) == list(range(16))


def test_one_whose_clock_is_off_fires_nothing(site: Site) -> None:
    wrong = site.start(off_s=0.3)
    site.timers(16, in_s=0.5)
    site.clock.now_s += 2
    with pytest.raises(ClockOffError, match="300 ms ahead"):
        wrong.ticker.tick()
    assert wrong.taken == []
    site.machines = []
    site.start()
    site.go(0.5)
    assert sorted(site.owners()) == list(range(16))


@dataclass
class Turns(threading.Event):
    """Set after so many waits, by which the clock moves and nobody else waits."""

    clock: Clock
    left: int

    def wait(self, timeout: float | None = None) -> bool:
        self.clock.now_s += timeout or 0.0
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize(
    ("off_s", "answer_s", "why"),
    [
        (0.3, 0.0, "this machine's clock is 300 ms ahead of the store's"),
        (0.0, 1.0, "the store answers too slowly to prove that this machine's clock is right"),
    ],
)
def test_one_that_may_not_fire_is_not_ready_for_the_reason_that_there_is(
    site: Site, monkeypatch: pytest.MonkeyPatch, off_s: float, answer_s: float, why: str
) -> None:
    """Of a store that does answer."""
    machine = site.start(off_s=off_s)
    readiness = Readiness(clock=site.clock)
    machine.holder.renewed = readiness.answered
    now_ms = site.store.now_ms

    def slow_ms() -> int:
        site.clock.now_s += answer_s
        return now_ms()

    with monkeypatch.context() as patch:
        patch.setattr(site.store, "now_ms", slow_ms)
        run(machine.ticker, machine.holder, Turns(site.clock, 20), readiness)
    assert readiness.why_not().startswith(f"no look at the store has gone well yet: {why}")
    machine.off_s = 0.0
    run(machine.ticker, machine.holder, Turns(site.clock, 20), readiness)
    assert readiness.why_not() == ""


def test_none_is_fired_earlier_than_due_minus_the_bound(site: Site) -> None:
    """By the store's clock; a ticker that is 200 ms ahead is just within the bound."""
    site.start(off_s=0.2)
    due_ms = int(site.clock.now_s * 1000) + 2000
    site.timers(16, in_s=2)
    fired_ms: list[int] = []
    machine = site.machines[0]
    fire = machine.fire
    machine.ticker.fire = lambda items: (fired_ms.append(int(site.clock.now_s * 1000)), fire(items))[1]
    site.go(4)
    assert len(machine.taken) == 16
    assert min(fired_ms) >= due_ms - 200


class KilledError(Exception):
    """In the middle of a read."""


def lives_half_a_minute(
    site: Site,
    read_s: float,
    look_back_s: int = MmeConfig().timer_rows_s,
    answers: Callable[[], bool] = lambda: True,
) -> None:
    """A ticker that is killed after it, 10 s before whatever comes next.  answers: whether `mme-timer` does."""
    machine = site.start()
    machine.ticker.look_back_s = look_back_s
    machine.read_s = read_s
    fire = machine.fire
    machine.ticker.fire = lambda items: fire(items) if answers() else {}
    ends_s = site.clock.now_s + 30

    def dies() -> None:
        if site.clock.now_s > ends_s:
            raise KilledError

    machine.on_read = dies
    with pytest.raises(KilledError):
        while site.clock.now_s <= ends_s + 1:
            site.clock.now_s += 0.25
            machine.ticker.tick()
    machine.alive = False
    site.clock.now_s += 10


@pytest.mark.parametrize("look_back_s", [LOOK_BACK_S, MmeConfig().timer_rows_s])
def test_tickers_that_are_killed_one_after_the_other_beside_a_slow_store_fire_all(site: Site, look_back_s: int) -> None:
    """None lives as long as reading all that may be due would take: `make chaos` has them live for half a minute."""
    site.timers(16, in_s=20)
    for _ in range(6):
        lives_half_a_minute(site, read_s=0.03, look_back_s=look_back_s)
    assert set(site.owners()) == set(range(16))


def test_tickers_that_are_killed_every_half_minute_reach_what_was_due_long_ago(site: Site) -> None:
    """Each reads some of the earliest, too, so that its mark leaves less to the next one."""
    a = site.start()
    site.go(6)
    a.alive = False
    site.timers(16, in_s=5)
    site.clock.now_s += 200
    for _ in range(20):
        lives_half_a_minute(site, read_s=0.01)
        if len(set(site.owners())) == 16:
            return
    raise AssertionError("not all were fired within a quarter of an hour")


def test_tickers_that_are_killed_while_the_function_is_away_fire_all_afterwards(site: Site) -> None:
    begin_s = site.clock.now_s
    site.timers(16, in_s=12)
    for _ in range(20):
        lives_half_a_minute(site, read_s=0.008, answers=lambda: site.clock.now_s - begin_s > 100)
        if len(set(site.owners())) == 16:
            return
    raise AssertionError("not all were fired within a quarter of an hour")


def test_judging_that_takes_longer_than_a_lease_does_not_end_it(site: Site) -> None:
    """1,000 rows that contexts may not know yet, due at once, and a store of 8 ms: 16 s, where a lease is 8 s."""
    a = site.start()
    site.go(6)
    site.timers(1000, in_s=0.1)
    site.timers(1000, in_s=0.2)
    held: set[int] = set()
    judged = 0

    def load(table: Table, key: str, *, serial: bool = False) -> object:
        nonlocal judged
        if table is Table.UE_CONTEXT:
            judged += 1
            site.clock.now_s += 0.008
            held.add(len(a.holder.held()))
        return site.store.load(table, key, serial=serial)

    a.load = load  # type: ignore[attr-defined]
    while judged < 2000:
        begin_s = site.clock.now_s
        site.go(0.25)
        assert site.clock.now_s - begin_s < 2 * PART_LIMIT_S
    assert held == {16}
    site.go(30)
    assert sorted(site.owners()) == list(range(1000))


def test_what_is_judged_is_fired_while_the_rest_is(site: Site) -> None:
    a = site.start()
    site.go(6)
    site.timers(1000, in_s=0.1)
    judged = 0
    fired_after: list[int] = []
    fire = a.fire

    def load(table: Table, key: str, *, serial: bool = False) -> object:
        nonlocal judged
        judged += table is Table.UE_CONTEXT
        return site.store.load(table, key, serial=serial)

    def fired(items: list[Item]) -> dict[str, str]:
        fired_after.append(judged)
        return fire(items)

    a.load = load  # type: ignore[attr-defined]
    a.ticker.fire = fired
    site.go(0.25)
    assert fired_after == [BATCH * n for n in range(1, 1000 // BATCH + 1)]
