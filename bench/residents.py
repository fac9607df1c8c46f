"""Contexts of UEs that are there already: as the MME wrote them, under keys and identities of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from mme.context import UeContext
from mme.ids import Imsi
from mme.rows import pack, ue_context
from mme.store.base import Row, Store, Table
from mme.store.bulk import BulkStore, StoredRow

FIRST_KEY = 1 << 27
"""Half of the 28 bits: the attaches of a measurement meet few of them, and take another key where they do."""
FIRST_IMSI = 999_700_000_000_000
_PART = 10_000


def template(store: Store) -> UeContext:
    """The context of middle length among those that attaches left behind."""
    rows = sorted((row for _, row in store.scan(Table.UE_CONTEXT)), key=lambda row: len(row.value))
    if not rows:
        raise RuntimeError("no UE has attached yet")
    return ue_context(rows[len(rows) // 2])


def contexts(ctx: UeContext, numbers: range) -> Iterator[StoredRow]:
    """Rows of the UE contexts with those numbers."""
    for number in numbers:
        key = FIRST_KEY + number
        value = pack(replace(ctx, key=key, imsi=Imsi(str(FIRST_IMSI + number)), origin=f"resident/{number}/1"))
        yield StoredRow(str(key), Row(value, 6, "resident"))


def index(numbers: range) -> Iterator[StoredRow]:
    """Their rows in the IMSI's index."""
    for number in numbers:
        yield StoredRow(str(FIRST_IMSI + number), Row(pack((FIRST_KEY + number,)), 1, "resident"))


def load(store: BulkStore, ctx: UeContext, numbers: range, say: Callable[[str], None]) -> float:
    """Write contexts and index rows of those numbers; rows a second."""
    begin = time.monotonic()
    for first in range(numbers.start, numbers.stop, _PART):
        part = range(first, min(first + _PART, numbers.stop))
        store.put_rows(Table.UE_CONTEXT, contexts(ctx, part))
        store.put_rows(Table.IMSI, index(part))
        if part.stop % (5 * _PART) == 0 or part.stop == numbers.stop:
            say(f"{part.stop} contexts resident, {time.monotonic() - begin:.0f} s")
    return 2 * len(numbers) / max(time.monotonic() - begin, 1e-9)
