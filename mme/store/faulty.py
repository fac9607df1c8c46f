"""A store whose operations fail as planned, for tests of everything above it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from mme.errors import StoreUnavailableError
from mme.store.base import Conflict, Row, Store, Table, TimerRow, Unknown, WriteResult


class Operation(Enum):
    """What a fault waits for."""

    LOAD = "load"
    SAVE = "save"
    INSERT_TIMER = "insert_timer"
    DUE_TIMERS = "due_timers"
    NOW_MS = "now_ms"
    SCAN = "scan"


class Applied(Enum):
    """What became of a conditional write whose answer was lost.

    LATER: it is carried out after the next `load`, as a coordinator may that still had it in hand.
    AT_SERIAL: by the row's next read at SERIAL or conditional write, as a Paxos round that was left open; until then
    it is as if it never was.
    """

    YES = "yes"
    NO = "no"
    LATER = "later"
    AT_SERIAL = "at-serial"


@dataclass(frozen=True, slots=True)
class Pass:
    """No fault: this operation is carried out."""


@dataclass(frozen=True, slots=True)
class FaultConflict:
    """The write is refused as if somebody had come first, and nothing is changed."""


@dataclass(frozen=True, slots=True)
class FaultUnknown:
    """The answer of a write is lost."""

    applied: Applied


@dataclass(frozen=True, slots=True)
class FaultUnavailable:
    """Nothing is tried."""


@dataclass(frozen=True, slots=True)
class FaultDelay:
    """The operation is carried out after that many milliseconds."""

    ms: int


Effect = Pass | FaultConflict | FaultUnknown | FaultUnavailable | FaultDelay


@dataclass(frozen=True, slots=True)
class Fault:
    """One line of a plan: what happens to the next operation of that kind.  table: None = any."""

    operation: Operation
    effect: Effect
    table: Table | None = None


def on_save(*effects: Effect, table: Table | None = None) -> list[Fault]:
    """A plan for the next writes, in order."""
    return [Fault(Operation.SAVE, effect, table) for effect in effects]


def on_load(*effects: Effect, table: Table | None = None) -> list[Fault]:
    """A plan for the next reads, in order."""
    return [Fault(Operation.LOAD, effect, table) for effect in effects]


class FaultyStore:
    """A store with a plan: each operation takes the first line of the plan that fits it; without one it succeeds.

    sleep: waits that many seconds, for delays.
    """

    def __init__(
        self, store: Store, plan: Iterable[Fault] = (), *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._store = store
        self._sleep = sleep
        self._lock = threading.Lock()
        self._late: list[Callable[[], WriteResult]] = []
        self._open: dict[tuple[Table, str], Callable[[], WriteResult]] = {}
        self.plan = list(plan)

    def load(self, table: Table, key: str, *, serial: bool = False) -> Row | None:
        """See Store.load."""
        self._before(Operation.LOAD, table)
        if serial:
            self._complete(table, key)
        row = self._store.load(table, key, serial=serial)
        with self._lock:
            late, self._late = self._late, []
        for write in late:
            write()
        return row

    def save(
        self, table: Table, key: str, value: bytes | None, *, expect: int | None, writer: str, ttl_s: int | None = None
    ) -> WriteResult:
        """See Store.save."""

        def write() -> WriteResult:
            return self._store.save(table, key, value, expect=expect, writer=writer, ttl_s=ttl_s)

        effect = self._before(Operation.SAVE, table)
        self._complete(table, key)
        match effect:
            case FaultConflict():
                return Conflict(self._store.load(table, key))
            case FaultUnknown(applied=Applied.YES):
                write()
                return Unknown()
            case FaultUnknown(applied=Applied.NO):
                return Unknown()
            case FaultUnknown(applied=Applied.AT_SERIAL):
                with self._lock:
                    self._open[table, key] = write
                return Unknown()
            case FaultUnknown(applied=Applied.LATER):
                with self._lock:
                    self._late.append(write)
                return Unknown()
            case _:
                return write()

    def insert_timer(self, timer: TimerRow, *, ttl_s: int) -> None:
        """See Store.insert_timer."""
        self._before(Operation.INSERT_TIMER, None)
        self._store.insert_timer(timer, ttl_s=ttl_s)

    def due_timers(self, shard: int, second: int) -> list[TimerRow]:
        """See Store.due_timers."""
        self._before(Operation.DUE_TIMERS, None)
        return self._store.due_timers(shard, second)

    def now_ms(self) -> int:
        """See Store.now_ms."""
        self._before(Operation.NOW_MS, None)
        return self._store.now_ms()

    def scan(self, table: Table) -> list[tuple[str, Row]]:
        """See Store.scan."""
        self._before(Operation.SCAN, table)
        return self._store.scan(table)

    def close(self) -> None:
        """See Store.close."""
        self._store.close()

    def _complete(self, table: Table, key: str) -> None:
        """Carry out what was left open of that row, as whoever comes next with a Paxos round of its own does."""
        with self._lock:
            write = self._open.pop((table, key), None)
        if write is not None:
            write()

    def _before(self, operation: Operation, table: Table | None) -> Effect:
        effect = self._take(operation, table)
        match effect:
            case FaultUnavailable():
                raise StoreUnavailableError("unavailable by the fault plan")
            case FaultDelay(ms=ms):
                self._sleep(ms / 1000)
            case FaultConflict() | FaultUnknown() if operation is not Operation.SAVE:
                raise ValueError(f"{operation.value} has no conflict and no unknown outcome")
            case _:
                pass
        return effect

    def _take(self, operation: Operation, table: Table | None) -> Effect:
        with self._lock:
            for at, fault in enumerate(self.plan):
                if fault.operation is operation and fault.table in (None, table):
                    return self.plan.pop(at).effect
        return Pass()
