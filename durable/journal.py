"""Calls that last longer than an invocation: opened once per call id, worked off in steps, one runner at a time.

A step is an invocation of at most about 5 s and leaves a row from which any replica goes on.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

import msgspec

from durable.errors import StoreError
from durable.rows import Conflict, Row, Saved, save_resolved
from durable.store import Store

KEEP_S = 24 * 3600
"""How long a call that is over answers its repeats."""
RUN_MS = 15_000
"""A step that has not come back by then was killed."""
SETTLED_S = 60.0
"""A row's first write is applied by then, or a read at SERIAL applies it, or it never will be.

`save_resolved` asks at most 8 times, 4.5 s each.
"""
TAKEN_S = 1.0
"""When to ask again for a call that another runner has."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What every call's row holds.

    key: of its caller and id.  runner, until_ms: whose step runs, and until when it is left alone.
    """

    key: str
    runner: str = ""
    until_ms: int = 0

    @property
    def is_over(self) -> bool:
        """Whether no step is left."""
        raise NotImplementedError


C = TypeVar("C", bound=Call)


def key_of(caller: str, call_id: str) -> str:
    """Call ids of different callers never meet."""
    return f"{caller}\n{call_id}"


@dataclass(frozen=True)  # with slots a generic alias of it cannot be called in Python 3.11
class Held(Generic[C]):
    """A call and its row's version."""

    call: C
    version: int


@dataclass(frozen=True)
class Next(Generic[C]):
    """What a step came to: the call's next state, and in how many seconds its next step is due."""

    call: C
    after_s: float = 0.0


class TakenError(Exception):
    """Another runner has the call by now: this one was too slow and must touch nothing."""


class Hand(Generic[C]):
    """The call in hand and its row's version, through a step that writes in its middle."""

    def __init__(self, journal: Journal[C], held: Held[C]) -> None:
        self._journal = journal
        self.held = held

    @property
    def call(self) -> C:
        """As it was written last."""
        return self.held.call

    def keep(self, call: C) -> None:
        """Write it, still as its runner.  Raises TakenError."""
        kept = self._journal.keep(self.held, call)
        if kept is None:
            raise TakenError
        self.held = kept


class Journal(Generic[C]):
    """The calls of one family.  kind: what their rows hold.  now_ms is given by the caller: Unix milliseconds."""

    def __init__(self, store: Store, table: Enum, kind: type[C]) -> None:
        self._store = store
        self._table = table
        self._kind = kind

    def open(self, call: C, *, due_ms: int) -> Held[C]:
        """The call under this key: the given one where it is new, else the one that is there already.

        A due entry is written first: a lost row leaves an entry that is dropped, never a call without steps.  It lies
        so far ahead that whoever meets it and finds no row knows that none will come.
        """
        self._store.set_due(call.key, due_ms + int(SETTLED_S * 1000))
        result = self._write(call, expect=None)
        if isinstance(result, Saved):
            self._store.set_due(call.key, due_ms)
            return Held(call, result.version)
        if isinstance(result, Conflict) and result.row is not None:
            found = self._held(result.row)
            self._store.set_due(call.key, None if found.call.is_over else due_ms)
            return found
        raise StoreError("the call could not be written")

    def first_under(self, name: str, text: str) -> str:
        """The text that was first given under this name, within KEEP_S: this one where none was.  Raises StoreError."""
        writer = uuid.uuid4().hex
        result = save_resolved(self._store, self._table, name, text.encode(), expect=None, writer=writer, ttl_s=KEEP_S)
        if isinstance(result, Conflict) and result.row is not None:
            return result.row.value.decode()
        if isinstance(result, Saved):
            return text
        raise StoreError("the call's name could not be written")

    def load(self, key: str) -> Held[C] | None:
        """None = no such call, or it ended more than KEEP_S ago."""
        row = self._store.load(self._table, key)
        return None if row is None else self._held(row)

    def advance(self, key: str, now_ms: Callable[[], int], step: Callable[[Hand[C]], Next[C]]) -> float | None:
        """One step.  In how many seconds the next is due; None = there is none.

        step: raises nothing but StoreError, after which the call is left to the next runner.
        """
        held = self.load(key)
        if held is None or held.call.is_over:
            self._store.set_due(key, None)
            return None
        taken = self.take(held, now_ms())
        if taken is None:
            return TAKEN_S
        hand = Hand(self, taken)
        done = step(hand)
        due_ms = None if done.call.is_over else now_ms() + int(done.after_s * 1000)
        self.give_back(hand.held, done.call, due_ms)
        return None if done.call.is_over else done.after_s

    def take(self, held: Held[C], now_ms: int) -> Held[C] | None:
        """Mark it as being worked on; None = another runner has it."""
        if held.call.until_ms > now_ms:
            return None
        taken = msgspec.structs.replace(held.call, runner=uuid.uuid4().hex, until_ms=now_ms + RUN_MS)
        kept = self.keep(held, taken)
        if kept is not None:
            self._store.set_due(taken.key, now_ms + RUN_MS)
        return kept

    def keep(self, held: Held[C], call: C) -> Held[C] | None:
        """Write the call's next state, still as its runner; None = somebody else has it by now."""
        result = self._write(call, expect=held.version)
        return Held(call, result.version) if isinstance(result, Saved) else None

    def give_back(self, held: Held[C], call: C, due_ms: int | None) -> Held[C] | None:
        """Write the next state and let others go on.  due_ms: when the next step is due, None = no more."""
        kept = self.keep(held, msgspec.structs.replace(call, runner="", until_ms=0))
        if kept is not None:
            self._store.set_due(call.key, due_ms)
        return kept

    def due(self, now_ms: int) -> list[str]:
        """Keys of calls with a step due."""
        return self._store.due(now_ms)

    def _write(self, call: C, *, expect: int | None) -> object:
        return save_resolved(
            self._store,
            self._table,
            call.key,
            msgspec.json.encode(call),
            expect=expect,
            writer=uuid.uuid4().hex,
            ttl_s=KEEP_S if call.is_over else None,
        )

    def _held(self, row: Row) -> Held[C]:
        return Held(msgspec.json.decode(row.value, type=self._kind), row.version)
