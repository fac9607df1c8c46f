"""The ticker on its own: what it reads, when it fires, what it takes for done, and what it gives up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from mme.codec.envelope import Item
from mme.config import MmeConfig
from mme.context import Remembered, RunningTimer, UeContext
from mme.enums import EmmState
from mme.errors import StoreUnavailableError
from mme.settling import LATE_S, SETTLED_S
from mme.store.base import Row, Table, TimerRow
from mme.store.faulty import Fault, FaultUnavailable, FaultyStore, Operation
from mme.store.sqlite import SqliteStore
from mme.ticker import BATCH, CATCH_UP_S, TRIES, Ticker
from mme.timer_shard import STEP_S, item_id
from tests.mme.runtime.pair import Clock, Network

TOKEN = "00101-0019b/ue1/2"


@dataclass
class Bench:
    """A ticker whose function answers as the test says.  answers: result by timer name; None = no answer."""

    clock: Clock
    store: FaultyStore
    answers: dict[str, str | None] = field(default_factory=dict)
    batches: list[list[Item]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ticker = Ticker(self.store, self.fire, clock=self.clock)

    def fire(self, items: list[Item]) -> dict[str, str]:
        self.batches.append(items)
        results = {}
        for item in items:
            assert item.timer is not None
            result = self.answers.get(item.timer.name, "done")
            if result is not None:
                results[item.id] = result
        return results

    def row(
        self, name: str = "T3460", in_s: float = 1.0, owner: int = 17, token: str = TOKEN, ttl_s: int = 300
    ) -> TimerRow:
        """A timer that its context waits for."""
        row = TimerRow(owner % 16, int((self.clock.now_s + in_s) * 1000), name, token, str(owner))
        self.store.insert_timer(row, ttl_s=ttl_s)
        self.runs(row)
        return row

    def runs(self, row: TimerRow) -> None:
        """The context holds that timer, in place of an earlier one of its name."""
        old = self.store.load(Table.UE_CONTEXT, row.owner)
        ctx = UeContext(int(row.owner)) if old is None else msgspec.msgpack.decode(old.value, type=UeContext)
        ctx = replace(ctx, timers=ctx.timers | {row.name: RunningTimer(row.token, row.due_ms)})
        version = None if old is None else old.version
        value = msgspec.msgpack.encode(ctx)
        self.store.save(Table.UE_CONTEXT, row.owner, value, expect=version, writer="test")

    @property
    def fired(self) -> list[Item]:
        return [item for batch in self.batches for item in batch]

    def go(self, seconds: float, step_s: float = 0.25) -> None:
        end = self.clock.now_s + seconds
        while self.clock.now_s < end:
            self.clock.now_s += step_s
            self.ticker.tick()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    clock = Clock()
    store = SqliteStore(tmp_path / "edge.db", clock=clock)
    yield Bench(clock, FaultyStore(store))
    store.close()


def test_fires_when_due_and_once(bench: Bench) -> None:
    row = bench.row(in_s=1.0)
    bench.go(0.75)
    assert bench.fired == []
    bench.go(0.5)
    [item] = bench.fired
    assert item.timer is not None
    assert (item.timer.owner, item.timer.name, item.timer.token, item.timer.due_ms) == (17, "T3460", TOKEN, row.due_ms)
    assert item.id.startswith("00101-0019b/ue1/")
    bench.go(30)
    assert len(bench.fired) == 1


def test_two_timers_that_one_item_started_for_two_contexts_both_fire(bench: Bench) -> None:
    """As an item does that supersedes two contexts."""
    first = bench.row(owner=1)
    second = replace(first, owner="17")
    assert second.shard == first.shard
    bench.store.insert_timer(second, ttl_s=300)
    bench.runs(second)
    bench.go(30)
    assert sorted(item.timer.owner for item in bench.fired if item.timer is not None) == [1, 17]


@pytest.mark.parametrize("result", ["done", "stale", "duplicate", "rejected", "discarded"])
def test_any_judgement_but_retry_ends_it(bench: Bench, result: str) -> None:
    bench.answers["T3460"] = result
    bench.row()
    bench.go(30)
    assert len(bench.fired) == 1


@pytest.mark.parametrize("result", ["retry", None])
def test_no_answer_is_tried_again_at_growing_distances_while_the_row_lives(
    bench: Bench, result: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """A store or a function that is away for longer than a few tries loses no timer."""
    bench.ticker.look_back_s = 300
    bench.answers["T3460"] = result
    row = bench.row(ttl_s=900)
    at: list[float] = []
    fire = bench.ticker.fire
    bench.ticker.fire = lambda items: (at.append(bench.clock.now_s), fire(items))[1]
    bench.go(290, step_s=1)
    assert bench.ticker.dead == 0
    assert len(at) > TRIES
    gaps = [b - a for a, b in pairwise(at)]
    assert gaps == sorted(gaps)
    assert gaps[-1] > 4 * gaps[0]
    assert gaps[-1] <= 66
    bench.go(80, step_s=1)
    assert bench.ticker.dead == 1
    count = len(at)
    bench.go(100, step_s=1)
    assert len(at) == count
    lines = [json.loads(text) for text in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["timer is overdue", "timer is dead"]
    assert {(line["level"], line["trace"]) for line in lines} == {("error", "00101-0019b/ue1")}
    assert row.token == TOKEN


def test_after_an_outage_of_almost_an_hour_every_timer_is_fired_and_new_ones_do_not_wait(bench: Bench) -> None:
    """Rows live that long (mme.config: timer_outage_s); the past is read in slices, the present at once."""
    bench.ticker.look_back_s = MmeConfig().timer_rows_s
    for owner in range(32):
        bench.row(in_s=1 + owner, owner=owner, token=f"e/ue{owner}/1", ttl_s=3700)
    bench.clock.now_s += 3500
    bench.row("T3450", in_s=0.25, owner=99, token="e/ue99/1")
    reads: list[int] = []
    due_timers = bench.store.due_timers
    bench.store.due_timers = lambda shard, second: (reads.append(second), due_timers(shard, second))[1]  # type: ignore[method-assign]
    ticks = []
    for _ in range(80):
        bench.clock.now_s += 0.25
        bench.ticker.tick()
        ticks.append(len(reads))
        reads.clear()
        if len(ticks) == 2:
            assert [item.timer.owner for item in bench.fired if item.timer is not None] == [99]
    assert {item.timer.owner for item in bench.fired if item.timer is not None} == {*range(32), 99}
    assert len(bench.fired) == 33
    assert max(ticks[1:]) <= 16 * (CATCH_UP_S + 2 * LATE_S)
    assert ticks[-1] <= 16 * 2 * LATE_S


def test_the_mark_passes_nothing_that_was_not_read(bench: Bench) -> None:
    """Whoever takes over in the middle of catching up reads what was left; both ends of it are read by turns."""
    bench.ticker.look_back_s = 900
    first = int(bench.clock.now_s) - 900
    left = {(shard, second) for shard in range(16) for second in range(first + 1, int(bench.clock.now_s) - LATE_S)}
    due_timers = bench.store.due_timers

    def due(shard: int, second: int) -> list[TimerRow]:
        left.discard((shard, second))
        return due_timers(shard, second)

    bench.store.due_timers = due  # type: ignore[method-assign]
    before = dict.fromkeys(range(16), first)
    ticks = 0
    while left:
        bench.go(0.25)
        ticks += 1
        marks = bench.ticker.marks()
        assert all(marks[shard] <= second for shard, second in left)
        assert all(marks[shard] > before[shard] for shard in marks)
        before = marks
        assert ticks < 20
    bench.go(1)
    assert min(bench.ticker.marks().values()) >= int(bench.clock.now_s) - LATE_S - 1


def test_tried_again_until_it_is_taken(bench: Bench) -> None:
    bench.answers["T3460"] = "retry"
    bench.row()
    bench.go(3)
    bench.answers["T3460"] = "done"
    bench.go(10)
    assert bench.ticker.dead == 0
    count = len(bench.fired)
    bench.go(30)
    assert len(bench.fired) == count


def test_one_bad_timer_does_not_hold_the_others_of_its_batch(bench: Bench) -> None:
    bench.answers["T3450"] = "retry"
    for owner in range(4):
        bench.row("T3450" if owner == 0 else "T3460", owner=owner, token=f"e/ue{owner}/1")
    bench.go(3)
    names = [item.timer.name for item in bench.fired if item.timer is not None]
    assert names.count("T3460") == 3
    assert names.count("T3450") > 1


def test_batches_of_at_most_fifty(bench: Bench) -> None:
    """design.md: batches of at most 50."""
    assert BATCH == 50
    for owner in range(120):
        bench.row(owner=owner, token=f"e/ue{owner}/1")
    bench.go(1.5)
    assert [len(batch) for batch in bench.batches] == [50, 50, 20]
    assert len({item.id for item in bench.fired}) == 120


def test_a_row_written_late_is_still_found(bench: Bench) -> None:
    """A closed second is read again for as long as a late write may appear."""
    bench.go(3)
    bench.row(in_s=-(LATE_S - 1))
    bench.go(0.5)
    assert len(bench.fired) == 1


def test_with_nothing_due_closed_seconds_are_read_every_other_time(bench: Bench) -> None:
    bench.go(LATE_S)
    reads: list[int] = []
    due_timers = bench.store.due_timers
    bench.store.due_timers = lambda shard, second: (reads.append(second), due_timers(shard, second))[1]  # type: ignore[method-assign]
    begun_s = int(bench.clock.now_s)
    bench.go(4)
    # In each second twice all, the first time with the second that has just been closed, and twice the second of now.
    assert len(reads) == 16 * 4 * (2 * (LATE_S + 1) + 1 + 2)
    assert all(reads.count(second) >= 4 * 16 for second in range(begun_s, begun_s + 3))


def test_a_store_that_was_away_hides_no_timer(bench: Bench) -> None:
    bench.go(1)
    bench.row(in_s=1)
    bench.row("T3470", in_s=12)
    for _ in range(20):
        bench.store.plan = [Fault(Operation.DUE_TIMERS, FaultUnavailable())] * 16
        bench.clock.now_s += 1
        with pytest.raises(StoreUnavailableError):
            bench.ticker.tick()
        assert bench.store.plan == []
    bench.go(1)
    assert sorted(item.timer.name for item in bench.fired if item.timer is not None) == ["T3460", "T3470"]


def test_a_tick_beside_a_store_that_is_away_ends_after_two_seconds(bench: Bench) -> None:
    """Each try lasts until a timeout: 16 of them would be longer than a lease."""
    due_timers = bench.store.due_timers
    tried = []

    def away(shard: int, second: int) -> list[TimerRow]:
        bench.clock.now_s += 1.5
        tried.append(shard)
        raise StoreUnavailableError(f"{second}")

    bench.store.due_timers = away  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailableError):
        bench.ticker.tick()
    assert len(tried) == 2
    bench.store.due_timers = due_timers  # type: ignore[method-assign]
    bench.row()
    bench.go(3)
    assert len(bench.fired) == 1


def test_one_shard_that_cannot_be_read_holds_the_others_back_by_one_try(bench: Bench) -> None:
    """Each try lasts until a timeout; so it is the last in each tick, and the past of the others is read on, too."""
    bench.ticker.look_back_s = 600
    bench.row("T3470", in_s=-100, owner=2, token="e/ue2/1")
    for owner in (3, 5):
        bench.row(owner=owner, in_s=7, token=f"e/ue{owner}/1")
    due_timers = bench.store.due_timers
    read: list[int] = []

    def due(shard: int, second: int) -> list[TimerRow]:
        read.append(shard)
        if shard == 3:
            bench.clock.now_s += 3
            raise StoreUnavailableError("no quorum")
        return due_timers(shard, second)

    bench.store.due_timers = due  # type: ignore[method-assign]
    for _ in range(6):
        bench.clock.now_s += 0.25
        with pytest.raises(StoreUnavailableError, match="no quorum"):
            bench.ticker.tick()
        assert read.count(3) == 1
        read.clear()
    assert sorted(item.timer.owner for item in bench.fired if item.timer is not None) == [2, 5]
    assert bench.ticker.marks()[3] < bench.clock.now_s - 600
    bench.store.due_timers = due_timers  # type: ignore[method-assign]
    bench.go(15)
    assert sorted(item.timer.owner for item in bench.fired if item.timer is not None) == [2, 3, 5]


def test_one_context_that_cannot_be_read_holds_no_other_timer_back(bench: Bench) -> None:
    """It comes last, once more where the tick has read on in the past: a try lasts until a timeout."""
    for owner in (1, 2):
        bench.row(owner=owner, token=f"e/ue{owner}/1", in_s=owner)
    load = bench.store.load
    tries = 0

    def away(table: Table, key: str, *, serial: bool = False) -> Row | None:
        nonlocal tries
        if table is Table.UE_CONTEXT and key == "1":
            tries += 1
            bench.clock.now_s += 3
            raise StoreUnavailableError("no quorum")
        return load(table, key, serial=serial)

    bench.store.load = away  # type: ignore[method-assign]
    bench.clock.now_s += 1
    for _ in range(3):
        bench.clock.now_s += 0.25
        with pytest.raises(StoreUnavailableError, match="no quorum"):
            bench.ticker.tick()
    assert [item.timer.owner for item in bench.fired if item.timer is not None] == [2]
    assert tries <= 2 * 3
    bench.store.load = load  # type: ignore[method-assign]
    bench.go(1)
    assert [item.timer.owner for item in bench.fired if item.timer is not None] == [2, 1]


def slow(bench: Bench, read_s: float) -> None:
    """A store of which each read takes so long."""
    due_timers = bench.store.due_timers

    def due(shard: int, second: int) -> list[TimerRow]:
        bench.clock.now_s += read_s
        return due_timers(shard, second)

    bench.store.due_timers = due  # type: ignore[method-assign]


def test_beside_a_slow_store_every_shard_moves_on_in_its_past(bench: Bench) -> None:
    """At 25 ms a read 8 steps are two seconds: in the next tick the other eight shards come first."""
    bench.ticker.look_back_s = 3600
    told = dict.fromkeys(range(16), int(bench.clock.now_s) - 1800)
    bench.ticker.shards = lambda: told
    slow(bench, 0.025)
    bench.ticker.tick()
    before = bench.ticker.marks()
    bench.go(300)
    moved = [mark - before[shard] for shard, mark in bench.ticker.marks().items()]
    assert min(moved) > 0
    assert max(moved) - min(moved) <= 2 * STEP_S


def test_beside_a_slow_store_an_outage_of_an_hour_loses_no_timer(bench: Bench) -> None:
    """timer_outage_s, no mark, and 12 ms a read: the rows live until they are reached, in each shard."""
    lives_s = MmeConfig().timer_rows_s
    bench.ticker.look_back_s = lives_s
    for owner in range(16 * 12):
        in_s = 1 + owner // 16 * 300
        bench.row(in_s=in_s, owner=owner, token=f"e/ue{owner}/1", ttl_s=in_s + lives_s)
    bench.clock.now_s += 3600
    slow(bench, 0.012)
    begin_s = bench.clock.now_s
    while len(bench.fired) < 16 * 12 and bench.clock.now_s < begin_s + 3600:
        bench.go(0.25)
    assert {item.timer.owner for item in bench.fired if item.timer is not None} == set(range(16 * 12))


def test_what_a_shard_missed_while_it_could_not_be_read_is_one_range(bench: Bench) -> None:
    """Or catching up would read it a second at a time."""
    bench.go(1)
    due_timers = bench.store.due_timers

    def away(shard: int, second: int) -> list[TimerRow]:
        if shard == 3:
            raise StoreUnavailableError("no quorum")
        return due_timers(shard, second)

    bench.store.due_timers = away  # type: ignore[method-assign]
    for _ in range(400):
        bench.clock.now_s += 0.25
        with pytest.raises(StoreUnavailableError):
            bench.ticker.tick()
    assert len(bench.ticker._shards[3].past) == 1
    bench.row(in_s=-50, owner=3)
    bench.store.due_timers = due_timers  # type: ignore[method-assign]
    bench.go(0.5)
    assert len(bench.fired) == 1


def test_what_has_expired_is_not_read(bench: Bench) -> None:
    """A ticker that is behind would read one expired second after the other, and never get ahead of the time."""
    bench.ticker.look_back_s = 600
    slow(bench, 0.2)
    late: list[float] = []
    due_timers = bench.store.due_timers

    def due(shard: int, second: int) -> list[TimerRow]:
        late.append(bench.clock.now_s - second)
        return due_timers(shard, second)

    bench.store.due_timers = due  # type: ignore[method-assign]
    bench.go(2400)
    assert max(late) < 600 + 60


def test_a_function_that_hangs_does_not_keep_the_ticker_from_reading(bench: Bench) -> None:
    """4 s a batch: 2,000 due at once would be one tick of 160 s, and what becomes due meanwhile that late."""
    for owner in range(2000):
        bench.row(owner=owner, token=f"e/ue{owner}/1")
    fire = bench.ticker.fire
    longest_s = begin_s = 0.0

    def hangs(_items: list[Item]) -> dict[str, str]:
        bench.clock.now_s += 4
        return {}

    bench.ticker.fire = hangs
    bench.clock.now_s += 1
    for _ in range(10):
        begin_s = bench.clock.now_s
        bench.clock.now_s += 0.25
        bench.ticker.tick()
        longest_s = max(longest_s, bench.clock.now_s - begin_s)
    assert longest_s < 10
    bench.ticker.fire = fire
    bench.row("T3450", owner=2000, token="e/ue2000/1", in_s=0.25)
    bench.go(1)
    assert "T3450" in {item.timer.name for item in bench.fired if item.timer is not None}


def test_what_was_due_long_ago_does_not_hold_back_what_is_due_now(bench: Bench) -> None:
    """5,000 rows of the past, and a store of 4 ms: 20 s of judging."""
    for owner in range(5000):
        bench.row(owner=owner, token=f"e/ue{owner}/1", in_s=-60)
    load = bench.store.load

    def takes(table: Table, key: str, *, serial: bool = False) -> Row | None:
        bench.clock.now_s += 0.004
        return load(table, key, serial=serial)

    bench.store.load = takes  # type: ignore[method-assign]
    late_s = []
    for number in range(5000, 5010):
        row = bench.row("T3450", owner=number, token=f"e/ue{number}/1", in_s=0.1)
        bench.go(0.25)
        while not any(item.timer.owner == number for item in bench.fired if item.timer is not None):
            bench.go(0.25)
        late_s.append(bench.clock.now_s - row.due_ms / 1000)
    assert max(late_s) < 6
    bench.go(60)
    assert len(bench.fired) == 5010


def test_one_context_that_cannot_be_understood_is_the_functions_to_judge(bench: Bench) -> None:
    """A row of other octets ends no ticker; the function answers for that one alone."""
    bench.answers["T3470"] = "retry"
    bench.row("T3470", owner=1, token="e/ue1/1")
    row = bench.store.load(Table.UE_CONTEXT, "1")
    assert row is not None
    bench.store.save(Table.UE_CONTEXT, "1", b"\xc1", expect=row.version, writer="test")
    bench.row(owner=2, token="e/ue2/1")
    bench.go(2)
    assert {item.timer.owner for item in bench.fired if item.timer is not None} == {1, 2}


def test_a_ticker_that_was_away_hides_no_timer(bench: Bench) -> None:
    """A new ticker process after a minute: rows live three times ack_wait beyond their time, none may be missing."""
    bench.row(in_s=1)
    bench.clock.now_s += 60
    bench.go(1)
    assert len(bench.fired) == 1


def test_clock_set_back(bench: Bench) -> None:
    bench.go(5)
    bench.clock.now_s -= 3
    bench.row(in_s=1)
    bench.go(3)
    assert len(bench.fired) == 1


@pytest.mark.parametrize("running", ["e/ue1/1", "e/ue1/2"])
def test_two_timers_of_one_name_and_millisecond(bench: Bench, running: str) -> None:
    """T3460 of challenge and command may be due in one millisecond: replicas' clocks differ."""
    first = bench.row(token="e/ue1/1")
    second = replace(first, token="e/ue1/2")
    bench.store.insert_timer(second, ttl_s=300)
    bench.runs(first if running == first.token else second)
    assert item_id(first) != item_id(second)
    bench.go(3)
    assert running in {item.timer.token for item in bench.fired if item.timer is not None}


def test_a_row_that_nothing_waits_for_is_not_fired(bench: Bench) -> None:
    """Dropped by one read of the context: no context, no such timer there, another token, another due time."""
    row = bench.row()
    strays = [
        replace(row, owner="18", shard=2),
        replace(row, name="T3450"),
        replace(row, token="e/ue9/1"),
        replace(row, due_ms=row.due_ms + 7),
    ]
    for stray in strays:
        bench.store.insert_timer(stray, ttl_s=300)
    bench.runs(row)
    bench.store.insert_timer(row, ttl_s=300)
    bench.go(5)
    assert [item.timer.token for item in bench.fired if item.timer is not None] == [TOKEN]
    assert bench.ticker.dead == 0


def test_no_ue_hangs_when_two_steps_fall_into_one_millisecond(tmp_path: Path) -> None:
    network = Network(tmp_path)
    talk = network.ue(network.subscribe())
    now_s = network.clock.now_s
    for _ in range(2):
        network.clock.now_s = now_s
        talk.step()
    talk.queue.clear()
    for _ in range(40):
        network.wait(1)
        talk.queue.clear()
    assert network.context(talk).emm is EmmState.DEREGISTERED
    network.close()


def test_no_ue_is_left_in_a_procedure_by_an_outage_of_the_ticker(tmp_path: Path) -> None:
    """As long as is promised: `timer_outage_s`."""
    network = Network(tmp_path)
    network.ticker.look_back_s = network.config.timer_rows_s
    talk = network.ue(network.subscribe())
    talk.step()
    talk.queue.clear()
    network.clock.now_s += network.config.timer_outage_s
    for _ in range(90):
        network.wait(1)
        talk.queue.clear()
    assert network.context(talk).emm is EmmState.DEREGISTERED
    assert network.context(talk).timers == {}
    network.close()


def test_items_fit_what_functions_take(bench: Bench) -> None:
    """The longest id that an eNB may use still makes a timer id that is taken (160 characters)."""
    token = "00101-0019b/" + "r" * 120 + "/" + "9" * 20
    bench.row("mobile-reachable", token=token)
    bench.go(2)
    [item] = bench.fired
    assert len(item.id) <= 160


def test_a_row_without_a_context_is_looked_at_until_that_is_settled(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    """A few times only, and at SERIAL; a ticker that takes over meanwhile reads the row again; nobody is alarmed."""
    row = TimerRow(1, int((bench.clock.now_s + 1) * 1000), "T3460", TOKEN, "17")
    bench.store.insert_timer(row, ttl_s=300)
    looks: list[float] = []
    load = bench.store.load

    def counted(table: Table, key: str, *, serial: bool = False) -> Row | None:
        if serial:
            looks.append(bench.clock.now_s - row.due_ms / 1000)
        return load(table, key, serial=serial)

    bench.store.load = counted  # type: ignore[method-assign]
    bench.go(SETTLED_S)
    assert min(bench.ticker.marks().values()) <= row.due_ms // 1000
    bench.go(5)
    assert looks[0] == pytest.approx(0, abs=0.25)
    assert looks[-1] == pytest.approx(SETTLED_S, abs=0.25)
    assert 5 <= len(looks) <= 9
    assert min(bench.ticker.marks().values()) > row.due_ms // 1000
    assert bench.fired == []
    assert capsys.readouterr().err == ""


def test_most_rows_cost_one_read(bench: Bench) -> None:
    """Their timers were stopped in time: the context knows their item, or was written long after by a later one."""
    begun_s = bench.clock.now_s
    short = bench.row(token="e/ue1/1")
    long = TimerRow(1, int((begun_s + MmeConfig().t3412_s + 240) * 1000), "mobile-reachable", "e/ue1/2", "17")
    bench.store.insert_timer(long, ttl_s=4000)
    later_ms = int((begun_s + 240 + SETTLED_S) * 1000)
    recent = (Remembered("e/ue1/1", b"", 1), Remembered("e/ue1/9", b"", later_ms))
    value = msgspec.msgpack.encode(UeContext(17, recent=recent))
    bench.store.save(Table.UE_CONTEXT, "17", value, expect=1, writer="test")
    loads: list[bool] = []
    load = bench.store.load

    def counted(table: Table, key: str, *, serial: bool = False) -> Row | None:
        loads.append(serial)
        return load(table, key, serial=serial)

    bench.store.load = counted  # type: ignore[method-assign]
    bench.go(5)
    assert loads == [False]
    bench.clock.now_s = long.due_ms / 1000 - 1
    bench.go(5)
    assert loads == [False, False]
    assert bench.fired == []
    assert short.owner == long.owner
