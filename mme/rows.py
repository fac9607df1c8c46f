"""Typed rows: contexts of UEs and eNBs and the IMSI index, and the one read-modify-write loop over them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec

from mme.context import SCHEMA, UeContext
from mme.enb_context import EnbContext
from mme.errors import StoreContendedError, StoreUnavailableError
from mme.ids import Imsi
from mme.store.base import Conflict, Row, Saved, Store, Table, save_resolved
from mme.work import CONFLICT_TRIES, Work

pack: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
_ue_context = msgspec.msgpack.Decoder(UeContext).decode
_enb_context = msgspec.msgpack.Decoder(EnbContext).decode
_index = msgspec.msgpack.Decoder(tuple[int, int | None]).decode

Change = Callable[[bytes | None], tuple[bytes, int | None] | None]
"""Old value (None: no row) to (new value, TTL in seconds or None); None = leave the row as it is."""


def change_row(store: Store, table: Table, key: str, change: Change, job: Work) -> None:
    """Read, change and write a row, again after each Conflict.  Raises StoreContendedError beyond the bound."""
    row = store.load(table, key)
    for _ in range(CONFLICT_TRIES):
        changed = change(row.value if row is not None else None)
        if changed is None:
            return
        value, ttl_s = changed
        expect = row.version if row is not None else None
        result = save_resolved(store, table, key, value, expect=expect, writer=job.writer(), ttl_s=ttl_s)
        if isinstance(result, Saved):
            return
        row = result.row if isinstance(result, Conflict) else store.load(table, key, serial=True)
    raise StoreContendedError(f"a row of {table.value} is contended")


def ue_context(row: Row) -> UeContext:
    """The context in a row.  Raises StoreUnavailableError for one that a newer version wrote."""
    return ue_context_in(row.value)


def ue_context_in(value: bytes) -> UeContext:
    """As `ue_context`, from the row's value."""
    ctx = _ue_context(value)
    if ctx.schema > SCHEMA:
        raise StoreUnavailableError(f"a context of schema {ctx.schema} was written by a newer version than this")
    return ctx


def load_enb(store: Store, name: str) -> EnbContext | None:
    """The eNB with that name, None = no S1 Setup yet."""
    row = store.load(Table.ENB, name)
    return _enb_context(row.value) if row is not None else None


def set_up_enb(store: Store, name: str, enb: EnbContext, job: Work) -> None:
    """Write the eNB's row; nothing where it is as it should be."""
    value = pack(enb)
    change_row(store, Table.ENB, name, lambda old: None if old == value else (value, None), job)


def lose_association(store: Store, name: str, epoch: str, job: Work) -> None:
    """The association of that epoch is lost: no UE has a live connection on it any more."""

    def lose(old: bytes | None) -> tuple[bytes, int | None] | None:
        enb = _enb_context(old) if old is not None else None
        if enb is None or enb.epoch != epoch:
            return None
        return pack(replace(enb, epoch="")), None

    change_row(store, Table.ENB, name, lose, job)


def claim_imsi(store: Store, imsi: Imsi, key: int, job: Work) -> int | None:
    """Make the IMSI's index row point to the context `key`; out: the key that it pointed to before.

    The row keeps the one before too, so that a claim whose context could not be saved is repeated with the same result.
    """
    superseded: int | None = None

    def point(old: bytes | None) -> tuple[bytes, int | None] | None:
        nonlocal superseded
        current, before = _index(old) if old is not None else (None, None)
        if current == key:
            superseded = before
            return None
        superseded = current
        return pack((key, current)), None

    change_row(store, Table.IMSI, imsi.digits, point, job)
    return superseded
