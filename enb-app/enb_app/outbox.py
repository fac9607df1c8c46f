"""What is posted when: batches, resends and silence.  Time is an argument; nothing here sleeps or posts."""

from __future__ import annotations

import contextlib
import heapq
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from random import Random

from enb_app import metrics
from mme.codec.envelope import Item

BODY_LIMIT = 180_000
"""Octets of S1AP in one batch, far enough below the 256,000 of an asynchronous body once in base64 and JSON."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How often and when the same item is sent again; seconds.

    tries: sendings in all, and none after give_up_s.  The wait after a failure doubles from first_wait_s to
    longest_wait_s; the half of it is random.  An answer is missed after a time that follows what answers took so far
    (RFC 6298), within the bounds.  batch: most items in one call.  linger_s: how long an item may wait for others.
    calls: under way at once for one function while batching, so that what waits meanwhile travels together.
    Once something is refused for congestion, for crowd_s: the same function gets up to crowd items in one call, each
    waiting for others for crowd_linger_s at most, and an answer is not missed before longest_silence_s.
    """

    tries: int = 8
    give_up_s: float = 20.0
    first_wait_s: float = 0.1
    longest_wait_s: float = 3.0
    first_silence_s: float = 5.0
    least_silence_s: float = 4.0
    longest_silence_s: float = 12.0
    batch: int = 1
    linger_s: float = 0.003
    calls: int = 2
    crowd: int = 32
    crowd_linger_s: float = 0.5
    crowd_s: float = 5.0


@dataclass(slots=True)
class Entry:
    """An item on its way.  run: its UE's.  call: the one it is in, None while it waits.

    added: when it was handed over; since: when it began to wait to be sent (again).
    """

    item: Item
    function: str
    run: str
    added: float
    since: float
    tries: int = 0
    call: str | None = None
    first_posted: float = 0.0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request to be made."""

    id: str
    enb: str
    function: str
    items: tuple[Item, ...]
    posted: float
    tries: int


@dataclass(slots=True)
class _Queue:
    """crowded_until: so long what waits travels together, because there was congestion."""

    waiting: deque[Entry] = field(default_factory=deque)
    under_way: int = 0
    crowded_until: float = 0.0


def run_of(item_id: str) -> str:
    """The first two parts of an item's id: eNB and run of the UE."""
    return item_id.rpartition("/")[0]


class Outbox:
    """Items in, calls out; every item ends by `answered` or in a list of those given up."""

    def __init__(self, policy: Policy, random: Random) -> None:
        self.policy = policy
        self.resends = 0
        self.silences = 0
        self._random = random
        self._entries: dict[str, Entry] = {}
        self._queues: OrderedDict[tuple[str, str], _Queue] = OrderedDict()
        self._calls: dict[str, tuple[Call, set[str]]] = {}
        self._alarms: list[tuple[float, int, str, str]] = []
        self._number = 0
        self._srtt: float | None = None
        self._rttvar = 0.0
        self._patient_until = 0.0

    def congested(self, enb: str, function: str, now: float) -> None:
        """Something was refused for congestion: fewer calls for the same items, and more patience."""
        until = now + self.policy.crowd_s
        self._queues.setdefault((enb, function), _Queue()).crowded_until = until
        self._patient_until = until

    def add(self, item: Item, function: str, now: float) -> None:
        """Take an item to be sent; its id must be new."""
        if item.id in self._entries:
            raise ValueError("an item id is used twice")
        entry = Entry(item, function, run_of(item.id), now, now)
        self._entries[item.id] = entry
        self._wait(entry, now)

    def take(self, now: float) -> list[Call]:
        """The calls to be made now."""
        calls: list[Call] = []
        for key, queue in self._queues.items():
            while queue.waiting and self._may_go(queue, now):
                calls.append(self._call(key, queue, now))
        return calls

    def entry(self, item_id: str) -> Entry | None:
        """None: nobody waits for that item (any more)."""
        return self._entries.get(item_id)

    def answered(self, item_id: str, now: float) -> Entry | None:
        """An item has its answer; None when it had one already."""
        entry = self._entries.pop(item_id, None)
        if entry is None:
            return None
        if entry.call is None:  # sent before, answered late, while it waited to be sent again
            with contextlib.suppress(ValueError):
                self._queues[entry.item.enb, entry.function].waiting.remove(entry)
        else:
            if entry.tries == 1:  # Karn: a resend's time says nothing
                self._learn(now - entry.first_posted)
            self._leave_call(entry)
        return entry

    def call_failed(self, call_id: str, why: str, now: float) -> list[Entry]:
        """All of a call that is still unanswered waits to be sent again -> what is given up instead."""
        _, items = self._calls.get(call_id, (None, set[str]()))
        return [given_up for item_id in sorted(items) if (given_up := self.item_failed(item_id, why, now))]

    def item_failed(self, item_id: str, why: str, now: float) -> Entry | None:
        """One item is to be sent again; it is returned when it has had all its tries."""
        entry = self._entries.get(item_id)
        if entry is None or entry.call is None:
            return None
        self._leave_call(entry)
        entry.why = why
        policy = self.policy
        if entry.tries >= policy.tries or now - entry.added >= policy.give_up_s:
            del self._entries[item_id]
            return entry
        wait = min(policy.longest_wait_s, policy.first_wait_s * (1 << entry.tries - 1))
        self._alarm(now + wait * self._random.uniform(0.5, 1.0), "send", item_id)
        return None

    def refused(self, call_id: str) -> list[Entry]:
        """A call that would be refused again: its items are given up at once."""
        _, items = self._calls.get(call_id, (None, set[str]()))
        entries = [self._entries.pop(item_id) for item_id in sorted(items)]
        for entry in entries:
            self._leave_call(entry)
        return entries

    def expire(self, now: float) -> list[Entry]:
        """Work off what is due -> items given up.  Call it at next_due()."""
        given_up: list[Entry] = []
        while self._alarms and self._alarms[0][0] <= now:
            _, _, kind, subject = heapq.heappop(self._alarms)
            if kind == "send":
                entry = self._entries.get(subject)
                if entry is not None and entry.call is None:
                    self._wait(entry, now)
            elif kind == "silence" and subject in self._calls:
                call, _ = self._calls[subject]
                deadline = call.posted + self._silence_s(call.tries, now)
                if deadline > now:
                    self._alarm(deadline, "silence", subject)
                else:
                    self.silences += 1
                    given_up += self.call_failed(subject, "no answer", now)
        return given_up

    def next_due(self) -> float | None:
        """When expire and take are to be called next, if nothing happens before."""
        return self._alarms[0][0] if self._alarms else None

    def close(self) -> None:
        """Nobody waits for the calls that are under way any more."""
        for call, _ in self._calls.values():
            metrics.UNANSWERED.labels(call.function).dec()
        self._calls.clear()
        self._entries.clear()
        self._queues.clear()

    def call_of(self, call_id: str) -> Call | None:
        found = self._calls.get(call_id)
        return found[0] if found else None

    # ------------------------------------------------------------------ inside

    def _wait(self, entry: Entry, now: float) -> None:
        entry.since = now
        queue = self._queues.setdefault((entry.item.enb, entry.function), _Queue())
        queue.waiting.append(entry)
        batch, linger_s = self._together(queue, now)
        if batch > 1:
            self._alarm(now + linger_s, "linger", "")

    def _together(self, queue: _Queue, now: float) -> tuple[int, float]:
        """(most items of one call, seconds that an item waits for others)."""
        policy = self.policy
        if now < queue.crowded_until:
            return max(policy.batch, policy.crowd), policy.crowd_linger_s
        return policy.batch, policy.linger_s

    def _may_go(self, queue: _Queue, now: float) -> bool:
        policy = self.policy
        batch, linger_s = self._together(queue, now)
        if batch == 1:
            return True
        # What waits here is not seen to wait there: in a crowd calls are not held back.
        if policy.batch > 1 and now >= queue.crowded_until and queue.under_way >= policy.calls:
            return False
        # The alarm for this very moment was computed by the same sum, so the comparison is exact.
        return len(queue.waiting) >= batch or now >= queue.waiting[0].since + linger_s

    def _call(self, key: tuple[str, str], queue: _Queue, now: float) -> Call:
        """Take from the queue's front: at most one item of a UE, in order; the others keep their places."""
        taken: list[Entry] = []
        runs: set[str] = set()
        left: deque[Entry] = deque()
        size = 0
        batch, _ = self._together(queue, now)
        while queue.waiting and len(taken) < batch:
            entry = queue.waiting.popleft()
            octets = len(entry.item.s1ap or b"")
            if entry.run in runs or (taken and size + octets > BODY_LIMIT):
                left.append(entry)
                continue
            taken.append(entry)
            runs.add(entry.run)
            size += octets
        queue.waiting.extendleft(reversed(left))
        queue.under_way += 1
        self._number += 1
        call_id = f"{key[0]}.{self._random.getrandbits(64):016x}.{self._number}"
        for entry in taken:
            if entry.tries:
                self.resends += 1
            else:
                entry.first_posted = now
            entry.tries += 1
            entry.call = call_id
        tries = max(entry.tries for entry in taken)
        call = Call(call_id, *key, tuple(entry.item for entry in taken), now, tries)
        self._calls[call_id] = (call, {entry.item.id for entry in taken})
        metrics.CALLS.labels(call.function).inc()
        metrics.UNANSWERED.labels(call.function).inc()
        self._alarm(now + self._silence_s(tries, now), "silence", call_id)
        return call

    def _leave_call(self, entry: Entry) -> None:
        if entry.call is None:
            return
        call, items = self._calls[entry.call]
        items.discard(entry.item.id)
        if not items:
            del self._calls[entry.call]
            metrics.UNANSWERED.labels(call.function).dec()
            self._queues[call.enb, call.function].under_way -= 1
        entry.call = None

    def _alarm(self, at: float, kind: str, subject: str) -> None:
        self._number += 1
        heapq.heappush(self._alarms, (at, self._number, kind, subject))

    def _learn(self, took_s: float) -> None:
        if self._srtt is None:
            self._srtt, self._rttvar = took_s, took_s / 2
            return
        self._rttvar += (abs(self._srtt - took_s) - self._rttvar) / 4
        self._srtt += (took_s - self._srtt) / 8

    def _silence_s(self, tries: int, now: float) -> float:
        policy = self.policy
        if now < self._patient_until:
            return policy.longest_silence_s
        usual = policy.first_silence_s if self._srtt is None else self._srtt + 4 * self._rttvar
        return min(policy.longest_silence_s, max(policy.least_silence_s, usual) * (1 << tries - 1))
