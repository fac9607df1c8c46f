"""Typed rows: contexts of UEs and eNBs and the IMSI index, and the one read-modify-write loop over them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from mme.context import SCHEMA, UeContext
from mme.enb_context import EnbContext
from mme.errors import NewerRowError, StoreContendedError
from mme.ids import Imsi, Tai
from mme.replacing import replace
from mme.store.base import Conflict, Row, Saved, Store, Table, save_resolved
from mme.upgrades import upgraded
from mme.work import CONFLICT_TRIES, Work

pack: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
_ue_context = msgspec.msgpack.Decoder(UeContext).decode
_enb_context = msgspec.msgpack.Decoder(EnbContext).decode
_names = msgspec.msgpack.Decoder(tuple[str, ...]).decode
_raw: Callable[[bytes], dict[str, Any]] = msgspec.msgpack.Decoder(dict[str, Any]).decode
_index = msgspec.msgpack.Decoder(tuple[int, ...]).decode

CLAIMS_KEPT = 4


class _Numbered(msgspec.Struct):
    schema: int


_numbered = msgspec.msgpack.Decoder(_Numbered).decode

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
    """The context in a row; one of an older schema as this program has it, so that the next write upgrades the row.

    Raises NewerRowError for one that a newer program wrote.
    """
    return ue_context_in(row.value)


def ue_context_in(value: bytes) -> UeContext:
    """As `ue_context`, from the row's value."""
    try:
        ctx = _ue_context(value)
    except msgspec.ValidationError:
        # Of another shape: only its number says whose.
        if _schema_of(value) == SCHEMA:
            raise
        return _of_another_schema(value)
    return ctx if ctx.schema == SCHEMA else _of_another_schema(value)


def _of_another_schema(value: bytes) -> UeContext:
    schema = _schema_of(value)
    if schema > SCHEMA:
        raise NewerRowError(
            f"a UE context has schema {schema}, this program knows {SCHEMA}: it was written by a newer program"
        )
    return _ue_context(pack(upgraded(_raw(value))))


def _schema_of(value: bytes) -> int:
    return _numbered(value).schema


def load_enb(store: Store, name: str) -> EnbContext | None:
    """The eNB with that name, None = no S1 Setup yet."""
    row = store.load(Table.ENB, name)
    return _enb_context(row.value) if row is not None else None


def set_up_enb(
    store: Store, name: str, enb: EnbContext, remember: Callable[[EnbContext], EnbContext | None], job: Work
) -> None:
    """Write the eNB's row; the same association keeps its count of resets.

    remember: adds the item to what the row remembers; None = leave everything as it is.
    """

    def put(old: bytes | None) -> tuple[bytes, int | None] | None:
        known = _enb_context(old) if old is not None else None
        new = enb
        if known is not None:
            new = replace(enb, recent=known.recent, last_reply=known.last_reply)
        if known is not None and known.epoch == enb.epoch:
            resets = max(known.resets, enb.resets)
            new = replace(new, resets=resets, voided=known.voided, id_resets=known.id_resets)
        changed = remember(new)
        return None if changed is None else (pack(changed), None)

    change_row(store, Table.ENB, name, put, job)


def list_enb(store: Store, name: str, enb: EnbContext, job: Work) -> None:
    """List an eNB in the rows of its tracking areas; nothing where it is as it should be."""
    for tai in _areas(enb):
        _list_in_tracking_area(store, tai, name, job)


def change_enb(
    store: Store, name: str, epoch: str, change: Callable[[EnbContext], EnbContext | None], job: Work
) -> None:
    """Change the row of an eNB whose association has that epoch; no row or another epoch: nothing."""
    areas: set[Tai] = set()

    def run(old: bytes | None) -> tuple[bytes, int | None] | None:
        enb = _enb_context(old) if old is not None else None
        changed = change(enb) if enb is not None and enb.epoch == epoch else None
        if changed is None:
            return None
        areas.clear()
        if enb is not None and changed.supported_tas != enb.supported_tas:
            areas.update(_areas(changed))
        return pack(changed), None

    change_row(store, Table.ENB, name, run, job)
    for tai in areas:
        _list_in_tracking_area(store, tai, name, job)


def lose_association(store: Store, name: str, epoch: str, job: Work) -> None:
    """The association of that epoch is lost: no UE has a live connection on it any more."""
    change_enb(store, name, epoch, lambda enb: replace(enb, epoch=""), job)


def _areas(enb: EnbContext) -> set[Tai]:
    return {Tai(plmn, ta.tac) for ta in enb.supported_tas for plmn in ta.plmns}


def _list_in_tracking_area(store: Store, tai: Tai, name: str, job: Work) -> None:
    def add(old: bytes | None) -> tuple[bytes, int | None] | None:
        names = _names(old) if old is not None else ()
        return None if name in names else (pack((*names, name)), None)

    change_row(store, Table.TRACKING_AREA, _key_of(tai), add, job)


def enbs_of(store: Store, tai_list: tuple[Tai, ...]) -> tuple[str, ...]:
    """Names of the eNBs that have announced one of these areas: a hint, each one's own row is what counts."""
    names: dict[str, None] = {}
    for tai in tai_list:
        row = store.load(Table.TRACKING_AREA, _key_of(tai))
        if row is not None:
            names.update(dict.fromkeys(_names(row.value)))
    return tuple(names)


def _key_of(tai: Tai) -> str:
    return f"{tai.plmn.digits}-{tai.tac}"


def context_of_imsi(store: Store, imsi: Imsi) -> int | None:
    """Key of the context that has proven that identity last, None = never seen."""
    row = store.load(Table.IMSI, imsi.digits)
    return _index(row.value)[0] if row is not None else None


def claim_imsi(store: Store, imsi: Imsi, key: int, job: Work) -> tuple[int, ...]:
    """Make the IMSI's index row point to the context `key`; out: the keys that it pointed to before, the latest first.

    The row keeps the last CLAIMS_KEPT keys.  A claim is written before its context: when that could not be saved, the
    same claim again has the same result, and the next context's claim still finds whom the lost one had superseded.
    """
    before: tuple[int, ...] = ()

    def point(old: bytes | None) -> tuple[bytes, int | None] | None:
        nonlocal before
        keys = _index(old) if old is not None else ()
        if keys and keys[0] == key:
            before = keys[1:]
            return None
        before = keys[: CLAIMS_KEPT - 1]
        return pack((key, *before)), None

    change_row(store, Table.IMSI, imsi.digits, point, job)
    return before
