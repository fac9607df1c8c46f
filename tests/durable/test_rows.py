"""What became of a conditional write whose answer was lost, as far as reading can tell.

A write that timed out may be applied later: Apache Cassandra's documentation, "Guarantees" (lightweight transactions),
and the driver's `WriteType.CAS`.
"""

from __future__ import annotations

from enum import Enum

import pytest

from durable.rows import RESOLVE_TRIES, Conflict, Row, Saved, Unknown, WriteResult, save_resolved

OURS, OTHERS = Row(b"new", 3, "ours"), Row(b"other", 3, "others")
OLD = Row(b"old", 2, "before")


class Table(Enum):
    ROW = "row"


class Scripted:
    """A store that answers writes and reads by a list each."""

    def __init__(self, writes: list[WriteResult], reads: list[Row | None]) -> None:
        self.writes, self.reads = writes, reads
        self.given: set[tuple[bytes | None, int | None, str, int | None]] = set()

    def load(self, table: Table, key: str, *, serial: bool = False) -> Row | None:
        assert (table, key, serial) == (Table.ROW, "k", True)
        return self.reads.pop(0)

    def save(
        self, table: Table, key: str, value: bytes | None, *, expect: int | None, writer: str, ttl_s: int | None = None
    ) -> WriteResult:
        assert (table, key) == (Table.ROW, "k")
        self.given.add((value, expect, writer, ttl_s))
        return self.writes.pop(0)


@pytest.mark.parametrize(
    ("value", "writes", "reads", "wanted"),
    [
        (b"new", [Saved(3)], [], Saved(3)),
        (b"new", [Conflict(OTHERS)], [], Conflict(OTHERS)),
        # somebody has removed it
        (b"new", [Conflict(None)], [], Conflict(None)),
        # it was applied, and its answer lost
        (b"new", [Unknown()], [OURS], Saved(3)),
        # somebody else's was applied
        (b"new", [Unknown()], [OTHERS], Conflict(OTHERS)),
        # neither: the same write again
        (b"new", [Unknown(), Saved(3)], [OLD], Saved(3)),
        # ... which meets the first one, applied late
        (b"new", [Unknown(), Conflict(OURS)], [OLD], Saved(3)),
        (b"new", [Unknown(), Conflict(OTHERS)], [OLD], Conflict(OTHERS)),
        (b"new", [Unknown(), Unknown()], [OLD, OURS], Saved(3)),
        # a removal leaves no row to tell
        (None, [Unknown()], [None], Saved(0)),
        (None, [Unknown()], [OTHERS], Conflict(OTHERS)),
        (None, [Unknown(), Saved(0)], [OLD], Saved(0)),
        # nobody knows
        (b"new", [Unknown()] * (RESOLVE_TRIES + 1), [OLD] * RESOLVE_TRIES, Unknown()),
    ],
)
def test_what_became_of_a_write(
    value: bytes | None, writes: list[WriteResult], reads: list[Row | None], wanted: WriteResult
) -> None:
    store = Scripted(list(writes), list(reads))
    assert save_resolved(store, Table.ROW, "k", value, expect=2, writer="ours", ttl_s=7) == wanted
    assert (store.writes, store.reads) == ([], [])
    assert store.given == {(value, 2, "ours", 7)}


def test_a_row_that_is_not_there_is_made_again() -> None:
    store = Scripted([Unknown(), Conflict(Row(b"new", 1, "ours"))], [None])
    assert save_resolved(store, Table.ROW, "k", b"new", expect=None, writer="ours") == Saved(1)
