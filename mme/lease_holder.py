"""A process's part in a group of leases: keeps them in the store, and knows by its own stop watch when they have ended.

A lease that was written at a time counts here from before that time, so that it ends here no later than for others;
a process that was stopped longer than that finds nothing held when it goes on.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from mme import lease, logs
from mme.clock_offset import ClockOffset
from mme.errors import ClockOffError, StoreContendedError, StoreError
from mme.lease import Leases
from mme.rows import pack
from mme.store.base import Conflict, Saved, Store, Table, save_resolved

GROUP = "ticker"
LENGTH_S = 10.0
CLOCK_BOUND_MS = 200
_RENEWALS = 4
"""In the length of a lease."""
_TRIES = 8
_ASKS = 5
"""How often the store is asked for its time before its answers count as too slow."""

_leases = msgspec.msgpack.Decoder(Leases).decode


def awake_or_asleep_s() -> float:
    """Seconds that only grow, those that the machine was suspended too: leases run out meanwhile."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def member_name() -> str:
    """A name that no other process has: host, process id, and eight random digits."""
    return f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class _Proof:
    """What was known of the clocks, when the stop watch and this clock showed that."""

    offset: ClockOffset
    watch_s: float
    clock_s: float

    def later(self, watch_s: float, clock_s: float) -> ClockOffset:
        """What is left of it when they show this."""
        return self.offset.later(watch_s - self.watch_s, round((clock_s - self.clock_s) * 1000))


@dataclass(slots=True)
class LeaseHolder:
    """store: where the group's row is.  names: what the group divides.  marks: how far this process has got, by name.

    length_s: of a lease; whatever is done under one without asking again must be shorter.
    renewed: told each time that the store has taken them, four times in a lease's length.
    bound_ms: how far this clock may be off from the store's.  clock: Unix seconds.  stop_watch: seconds that only grow.
    """

    store: Store
    names: tuple[str, ...]
    marks: Callable[[], dict[str, int]] = dict
    renewed: Callable[[], None] = lambda: None
    group: str = GROUP
    me: str = field(default_factory=member_name)
    length_s: float = LENGTH_S
    bound_ms: int = CLOCK_BOUND_MS
    clock: Callable[[], float] = time.time
    stop_watch: Callable[[], float] = awake_or_asleep_s
    _seen: Leases = field(default_factory=Leases)
    _mine: frozenset[str] = frozenset()
    _ends_s: float = 0.0
    _next_s: float | None = None
    _proof: _Proof | None = None

    def held(self) -> frozenset[str]:
        """Names that are this process's at this moment; none, once the clock has been set off its last proof."""
        watch_s = self.stop_watch()
        if watch_s >= self._ends_s:
            return frozenset()
        if self._proof is not None and self._proof.later(watch_s, self.clock()).beyond(self.bound_ms):
            return frozenset()
        return self._mine

    def fence(self, name: str) -> int:
        """Of a lease that is held."""
        return self._seen.held[name].fence

    def mark(self, name: str) -> int:
        """How far a lease's holders had got when this process took it, or what it has told since; 0: never told."""
        return self._seen.held[name].mark

    def keep(self) -> None:
        """Prolong what is held and take this process's share, when it is time to.

        Raises ClockOffError: this clock is off, everything is given back.  Raises StoreError: the leases could not be
        prolonged, for lack of an answer or of one that proves the clock right, and last as long as they last.
        """
        now_s = self.stop_watch()
        if self._next_s is not None and now_s < self._next_s:
            return
        self._next_s = now_s + self.length_s / _RENEWALS
        try:
            now_ms = self._store_time()
        except ClockOffError:
            # Marks by that clock may lie ahead of the time, and what is before them would never be read.
            self._leave({})
            raise
        length_ms = int(self.length_s * 1000)
        written = self._write(lambda old: lease.renewed(old, self.me, self.names, self.marks(), now_ms, length_ms))
        self._mine = frozenset(name for name in self.names if written.holds(self.me, name, now_ms))
        self._ends_s = now_s + self.length_s
        self.renewed()

    def leave(self) -> None:
        """Give everything back, for others to take at once.  Raises StoreError: they wait until it has run out."""
        self._leave(self.marks())

    def _leave(self, marks: dict[str, int]) -> None:
        was_member = self._next_s is not None and self.me in self._seen.members
        self._mine = frozenset()
        if was_member:
            self._write(lambda old: lease.without(old, self.me, marks))

    def _store_time(self) -> int:
        """The store's time in Unix ms, once it is proven that this clock is right.

        An answer that took long proves little by itself: what earlier ones have proved still counts, as far as this
        clock has gone on evenly since; and the store is asked again, at once.  Raises ClockOffError where this clock is
        off, StoreContendedError where no answer tells.
        """
        begin_s = self.stop_watch()
        for asked in range(_ASKS):
            if asked and self.stop_watch() - begin_s >= self.length_s / _RENEWALS:
                break
            before_ms = int(self.clock() * 1000)
            store_ms = self.store.now_ms()
            clock_s, watch_s = self.clock(), self.stop_watch()
            offset = ClockOffset.seen(before_ms, store_ms, int(clock_s * 1000))
            if self._proof is not None:
                offset = offset.and_also(self._proof.later(watch_s, clock_s))
            if offset.beyond(self.bound_ms):
                self._proof = None
                raise ClockOffError(offset.at_least_ms, self.bound_ms)
            self._proof = _Proof(offset, watch_s, clock_s)
            if offset.within(self.bound_ms):
                return store_ms
        raise StoreContendedError("the store answers too slowly to prove that this machine's clock is right")

    def _write(self, change: Callable[[Leases], Leases]) -> Leases:
        """Change the group's row; again after each Conflict.  Raises StoreError."""
        row = self.store.load(Table.LEASE, self.group)
        for _ in range(_TRIES):
            changed = change(_leases(row.value) if row is not None else Leases())
            try:
                result = save_resolved(
                    self.store,
                    Table.LEASE,
                    self.group,
                    pack(changed),
                    expect=row.version if row is not None else None,
                    writer=f"{self.me}#{secrets.token_hex(6)}",
                )
            except StoreError:
                # It may have been written all the same.
                self._mine = frozenset(name for name in self._mine if changed.held[name].holder == self.me)
                raise
            if isinstance(result, Saved):
                self._seen = changed
                return changed
            if not isinstance(result, Conflict):
                # It may have been written: what it gave back may be another's by now.
                self._mine = frozenset(name for name in self._mine if changed.held[name].holder == self.me)
                break
            row = result.row
        logs.log("warning", "leases could not be written", group=self.group)
        raise StoreContendedError(f"the leases of {self.group} are contended")


def forget_marks(store: Store) -> bool:
    """Have the next holders begin as if nobody had got anywhere; False: a member is there, and nothing was changed.

    For a store that timers of an earlier moment come back to: nobody would read those that lie before a mark.
    """
    row = store.load(Table.LEASE, GROUP)
    if row is None:
        return True
    leases = _leases(row.value)
    now_ms = store.now_ms()
    if any(until_ms > now_ms for until_ms in leases.members.values()):
        return False
    value, writer = pack(lease.unmarked(leases)), f"{member_name()}#{secrets.token_hex(6)}"
    written = save_resolved(store, Table.LEASE, GROUP, value, expect=row.version, writer=writer)
    return isinstance(written, Saved)
