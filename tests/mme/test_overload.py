"""Overload decision and admission against a queue of their own: one FIFO, so many workers, attaches of six messages."""

from __future__ import annotations

import heapq
import random
from collections import deque
from dataclasses import dataclass, field

import pytest

from mme.admission import IDLE_MS, STANDING_MS, Admission
from mme.overload import DECISION_MS, FRESH_MS, QUIET_MS, STEP_MS, Decision, Limits, Sample, decided, wait_ms

LIMITS = Limits()
MESSAGES, SERVICE_S, REFUSAL_S = 6, 0.010, 0.008
"""An attach, and what one message takes; a refusal is one message, cheap inside the function only."""


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
    admission: Admission = field(default_factory=lambda: Admission(LIMITS.shed_ms))

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
                elif message >= 0:
                    waiting.append((now, begun, message + 1))
            else:
                self._decide(now)
                at(now + STEP_MS / 1000, "decide", (0.0, 0))
            while waiting and busy < self.workers:
                put, begun, message = waiting.popleft()
                self.waits.append((now, (now - put) * 1000))
                draw, waited = rng.randrange(100), (now - put) * 1000
                if message == 0:
                    self.admission.saw(waited, int(now * 1000))
                    if self.admission.refuses(draw, waited, int(now * 1000)):
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
    assert [t for t in queue.refused if t > queue.told[-1][0]] == []


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


def test_an_old_decision_holds_no_more() -> None:
    decision = Decision(at_ms=1000, percent=50)
    assert decision.told_now(1000 + DECISION_MS) == 50
    assert decision.told_now(1001 + DECISION_MS) == 0


def standing(waited_ms: float, for_ms: int) -> Admission:
    """What is known after messages that waited so long came for that time."""
    admission = Admission(700)
    for now in range(0, for_ms + 1, 20):
        admission.saw(waited_ms, now)
    return admission


def test_a_burst_is_no_overload() -> None:
    admission = standing(5000, STANDING_MS - 20)
    assert not admission.refuses(0, 5000, STANDING_MS - 20)
    admission.saw(5000, STANDING_MS)
    assert admission.refuses(0, 5000, STANDING_MS)


@pytest.mark.parametrize(
    ("waited_ms", "refused"), [(700, 0), (875, 25), (1050, 50), (1225, 75), (1400, 100), (9999, 100)]
)
def test_the_longer_it_waited_the_more_are_refused(waited_ms: float, refused: int) -> None:
    admission = standing(701, 1000)
    assert sum(admission.refuses(draw, waited_ms, 1000) for draw in range(100)) == refused


def test_one_short_wait_shows_that_the_queue_is_no_more() -> None:
    admission = standing(1400, 2000)
    admission.saw(700, 2001)
    admission.saw(1400, 2002)
    assert not admission.refuses(0, 1400, 2002)
    assert admission.refuses(0, 1400, 2002 + STANDING_MS)


def test_what_was_seen_long_ago_says_nothing() -> None:
    admission = standing(1400, 2000)
    admission.saw(1400, 2001 + IDLE_MS)
    assert not admission.refuses(0, 1400, 2001 + IDLE_MS)


def test_an_attach_that_is_taken_can_be_finished_at_five_times_the_capacity() -> None:
    """T3410 is 15 s.  The refusals alone take two thirds of the workers' time."""
    queue = Queue(False, 1, offered=5.0, end_s=30).run(60)
    assert queue.took_s
    assert max(queue.took_s) < 15
