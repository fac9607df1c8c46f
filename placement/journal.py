"""Operations in the store: opened once per call id, taken by one runner at a time, changed by conditional writes."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import msgspec

from placement.errors import StoreError
from placement.operation import Operation, Phase
from placement.store.base import Conflict, Saved, Store, Table, save_resolved

KEEP_S = 24 * 3600
"""How long a finished operation answers its repeats."""
RUN_MS = 15_000
"""A step that has not come back by then was killed."""


@dataclass(frozen=True, slots=True)
class Held:
    """An operation and its row's version."""

    operation: Operation
    version: int


class Journal:
    """now_ms is given by the caller everywhere: Unix milliseconds."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def open(self, operation: Operation, *, due_ms: int) -> Held:
        """The operation under this key: the given one where it is new, else the one that is there already.

        The due entry is written first: a lost row leaves an entry that is dropped, never an operation without steps.
        """
        self._store.set_due(operation.key, due_ms)
        result = self._write(operation, expect=None)
        if isinstance(result, Saved):
            return Held(operation, result.version)
        if isinstance(result, Conflict) and result.row is not None:
            found = _decode(result.row.value)
            if found.phase is Phase.DONE:
                self._store.set_due(operation.key, None)
            return Held(found, result.row.version)
        raise StoreError("the operation could not be written")

    def first_under(self, name: str, key: str) -> str:
        """The key that was first given under this name, within KEEP_S: this one where none was."""
        writer = uuid.uuid4().hex
        octets = key.encode()
        result = save_resolved(self._store, Table.OPERATION, name, octets, expect=None, writer=writer, ttl_s=KEEP_S)
        if isinstance(result, Conflict) and result.row is not None:
            return result.row.value.decode()
        return key

    def load(self, key: str) -> Held | None:
        """None = no such operation, or it ended more than KEEP_S ago."""
        row = self._store.load(Table.OPERATION, key)
        return None if row is None else Held(_decode(row.value), row.version)

    def take(self, held: Held, now_ms: int) -> Held | None:
        """Mark it as being worked on; None = another runner has it."""
        if held.operation.until_ms > now_ms:
            return None
        taken = msgspec.structs.replace(held.operation, runner=uuid.uuid4().hex, until_ms=now_ms + RUN_MS)
        result = self._write(taken, expect=held.version)
        if not isinstance(result, Saved):
            return None
        self._store.set_due(taken.key, now_ms + RUN_MS)
        return Held(taken, result.version)

    def keep(self, held: Held, operation: Operation) -> Held | None:
        """Write the operation's next state, still as its runner; None = somebody else has it by now."""
        result = self._write(operation, expect=held.version)
        return Held(operation, result.version) if isinstance(result, Saved) else None

    def give_back(self, held: Held, operation: Operation, due_ms: int | None) -> Held | None:
        """Write the next state and let others go on.  due_ms: when the next step is due, None = no more."""
        free = msgspec.structs.replace(operation, runner="", until_ms=0)
        kept = self.keep(held, free)
        if kept is not None:
            self._store.set_due(operation.key, due_ms)
        return kept

    def due(self, now_ms: int) -> list[str]:
        """Keys of operations with a step due."""
        return self._store.due(now_ms)

    def drop(self, key: str) -> None:
        """Forget a due entry without an operation."""
        self._store.set_due(key, None)

    def _write(self, operation: Operation, *, expect: int | None) -> object:
        return save_resolved(
            self._store,
            Table.OPERATION,
            operation.key,
            msgspec.json.encode(operation),
            expect=expect,
            writer=uuid.uuid4().hex,
            ttl_s=KEEP_S if operation.phase is Phase.DONE else None,
        )


def _decode(octets: bytes) -> Operation:
    return msgspec.json.decode(octets, type=Operation)
