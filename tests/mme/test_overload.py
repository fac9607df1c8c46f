"""The overload decision against a queue of its own: one FIFO, so many workers, attaches of six messages."""

from __future__ import annotations

import heapq
import random
from collections import deque
from dataclasses import dataclass, field, replace

import pytest

from mme.overload import DECISION_MS, FRESH_MS, QUIET_MS, STEP_MS, Decision, Limits, Sample, decided, wait_ms

LIMITS = Limits()
MESSAGES, SERVICE_S, REFUSAL_S = 6, 0.010, 0.005
"""An attach, and what one message takes; a refusal is two messages (the attach, the release) of half the work each."""


@dataclass
class Queue:
    """offered: multiple of what the workers can take, until end_s.  honours: eNBs do as they are told."""

    honours: bool
    workers: int = 1
    offered: float = 3.0
    end_s: float = 60.0
    seed: int = 1
    attached: list[float] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    waits: list[tuple[float, float]] = field(default_factory=list)
    told: list[tuple[float, int]] = field(default_factory=list)
    decision: Decision = field(default_factory=Decision)

    @property
    def capacity(self) -> float:
        return self.workers / (MESSAGES * SERVICE_S)

    def run(self, until_s: float) -> Queue:
        """Run the whole of it; ues: begun, message, when it was put in."""
        rng = random.Random(self.seed)
        events: list[tuple[float, int, str, tuple[float, int]]] = []
        waiting: deque[tuple[float, float, int]] = deque()
        count = busy = 0

        def at(when: float, what: str, ue: tuple[float, int]) -> None:
            nonlocal count
            count += 1
            heapq.heappush(events, (when, count, what, ue))

        rate = self.offered * self.capacity
        for n in range(int(self.end_s * rate)):
            at(n / rate, "asks", (n / rate, 0))
        at(STEP_MS / 1000, "decide", (0.0, 0))
        while events and events[0][0] <= until_s:
            now, _, what, (begun, message) = heapq.heappop(events)
            if what == "asks":
                if self.honours and rng.random() * 100 < self.decision.percent:
                    at(now + rng.uniform(1, 16), "asks", (begun, 0))
                else:
                    waiting.append((now, now, 0))
            elif what == "done":
                busy -= 1
                if message == MESSAGES - 1:
                    self.attached.append(now)
                    self.took_s.append(now - begun)
                elif message == -1:
                    self.refused.append(now)
                    waiting.append((now, begun, -2))
                elif message >= 0:
                    waiting.append((now, begun, message + 1))
            else:
                self._decide(now)
                at(now + STEP_MS / 1000, "decide", (0.0, 0))
            while waiting and busy < self.workers:
                put, begun, message = waiting.popleft()
                self.waits.append((now, (now - put) * 1000))
                draw, waited = rng.randrange(100), (now - put) * 1000
                if message == 0 and self.decision.refuses(draw, waited, int(now * 1000), LIMITS):
                    message = -1
                busy += 1
                at(now + (SERVICE_S if message >= 0 else REFUSAL_S), "done", (begun, message))
        return self

    def _decide(self, now: float) -> None:
        """Samples come as processes write them: of half a second, up to half a second old."""
        recent = [(t, w) for t, w in self.waits[-4000:] if now - 1.5 < t <= now - 0.25]
        samples = [Sample(int(now * 1000), 1, int(w)) for _, w in recent]
        before = self.decision
        self.decision = decided(before, wait_ms(samples, int(now * 1000)), int(now * 1000), LIMITS)
        if before.told != self.decision.told:
            self.told.append((now, self.decision.percent))

    def goodput(self, first_s: float = 15.0) -> float:
        """Attached in the steady part, of what the workers can take."""
        return sum(first_s < t < self.end_s for t in self.attached) / (self.end_s - first_s) / self.capacity


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize(("honours", "least"), [(True, 0.80), (False, 0.55)])
def test_goodput_at_three_times_the_capacity(honours: bool, least: float, workers: int) -> None:
    queue = Queue(honours, workers).run(60)
    assert queue.goodput() >= least


@pytest.mark.parametrize("honours", [True, False])
def test_what_was_begun_is_finished_in_time(honours: bool) -> None:
    """Well within T3410, 15 s: the UE would give up."""
    queue = Queue(honours, 2).run(75)
    assert max(queue.took_s) < 15


@pytest.mark.parametrize("offered", [0.3, 0.8])
def test_no_overload_is_seen_where_there_is_none(offered: float) -> None:
    queue = Queue(True, 2, offered=offered).run(60)
    assert queue.told == []
    assert queue.refused == []


@pytest.mark.parametrize("honours", [True, False])
def test_it_is_over_by_itself(honours: bool) -> None:
    queue = Queue(honours, 2, end_s=30).run(120)
    assert queue.told[-1][1] == 0
    assert queue.decision.shed == 0
    late = Queue(honours, 2, end_s=30)
    late.decision = replace(queue.decision, at_ms=0)
    late.offered = 0.5
    assert late.run(40).refused == []


def test_enbs_that_do_as_told_leave_little_to_refuse() -> None:
    """The functions' own valve is for those that do not: its aim is the longer wait."""
    honouring, ignoring = (Queue(honours, 2).run(60) for honours in (True, False))
    steady = [sum(t > 20 for t in queue.refused) / 40 / queue.capacity for queue in (honouring, ignoring)]
    assert steady[0] < steady[1] / 3


def test_start_is_not_taken_back_at_the_first_quiet_moment() -> None:
    decision = Decision(at_ms=0, reduction_sum=0.5, percent=50)
    now = 0
    ended = None
    for _ in range(100):
        now += STEP_MS
        decision = decided(decision, 0.0, now, LIMITS)
        if decision.percent == 0:
            ended = now
            break
    assert ended is not None
    assert ended >= QUIET_MS


def test_what_enbs_are_told_changes_in_steps_and_is_numbered() -> None:
    decision = Decision(at_ms=0)
    told = set()
    for step in range(1, 60):
        decision = decided(decision, 900.0, step * STEP_MS, LIMITS)
        told.add((decision.told, decision.percent))
    assert all(percent % 10 == 0 for _, percent in told)
    assert max(percent for _, percent in told) == 90
    assert sorted(number for number, _ in told) == list(range(1, len(told) + 1))


def test_only_fresh_samples_count_each_by_its_items() -> None:
    now = 100_000
    samples = [Sample(now - 100, 3, 300), Sample(now - 200, 1, 900), Sample(now - FRESH_MS, 50, 99_999)]
    assert wait_ms(samples, now) == 300
    assert wait_ms([], now) is None
    assert wait_ms(samples[2:], now) is None


def test_nobody_is_refused_without_an_overload_or_on_an_old_decision() -> None:
    none, some = Decision(at_ms=1000), Decision(at_ms=1000, percent=50, shed=0.4)
    assert not none.refuses(0, 60_000, 1000, LIMITS)
    assert some.refuses(39, 10, 1000, LIMITS)
    assert not some.refuses(40, 10, 1000, LIMITS)
    assert some.refuses(99, 2 * LIMITS.shed_ms + 1, 1000, LIMITS)
    assert not some.refuses(0, 60_000, 1001 + DECISION_MS, LIMITS)
