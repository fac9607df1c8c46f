"""What the store holds when a run is over, as events of its history."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from ipaddress import IPv4Address

from chaos import wire
from chaos.history import Context, Event, HomeSqn
from chaos.recorder import guti_text
from mme.context import Connection, UeContext
from mme.enums import Step
from mme.hss.subscribers import decode
from mme.ids import Imsi
from mme.rows import context_of_imsi, load_enb, ue_context
from mme.store.base import Store, Table
from mme.store.bulk import BulkStore

PROCEDURE_TIMERS_LEAVE_OUT = ("mobile-reachable", "implicit-detach", "unused-session")
"""They run while nothing else does."""


def busy(store: Store) -> int:
    """How many contexts are in a procedure, have something to push, or are still to release another one."""
    found = 0
    for _, row in store.scan(Table.UE_CONTEXT):
        ctx = ue_context(row)
        under_way = ctx.timers.keys() - set(PROCEDURE_TIMERS_LEAVE_OUT)
        found += bool(_waits_for(ctx) or ctx.outbox or under_way)
    return found


def remains(store: BulkStore, numbers: Mapping[str, int], at_ms: float) -> list[Event]:
    """Every context, and the SQN of every subscriber of this run.  numbers: UE by the digits of its IMSI."""
    now_ms = int(time.time() * 1000)
    rows: dict[tuple[int, str, str], bool] = defaultdict(bool)
    for stored in store.timers():
        timer = stored.timer
        rows[int(timer.owner), timer.name, timer.token] = True
    events: list[Event] = []
    for _, row in store.scan(Table.UE_CONTEXT):
        ctx = ue_context(row)
        events.append(_context(store, ctx, numbers, at_ms=at_ms, now_ms=now_ms, rows=rows))
    for key, row in store.scan(Table.SUBSCRIBER):
        if key in numbers:
            events.append(HomeSqn(at_ms, numbers[key], decode(Imsi(key), row.value).sqn))
    return events


def _context(
    store: Store,
    ctx: UeContext,
    numbers: Mapping[str, int],
    *,
    at_ms: float,
    now_ms: int,
    rows: Mapping[tuple[int, str, str], bool],
) -> Context:
    security, bearer = ctx.security, ctx.bearer
    connection = _live(store, ctx)
    session = bearer.session if bearer is not None else None
    return Context(
        at_ms,
        numbers.get(ctx.imsi.digits, 0) if ctx.imsi is not None else 0,
        context=ctx.key,
        indexed=ctx.imsi is not None and context_of_imsi(store, ctx.imsi) == ctx.key,
        registered=ctx.stays_registered,
        waits_for=_waits_for(ctx),
        timers={name: timer.due_ms - now_ms for name, timer in ctx.timers.items()},
        rows=tuple(name for name, timer in ctx.timers.items() if rows[ctx.key, name, timer.token]),
        guti=guti_text(ctx.guti),
        old_guti=guti_text(ctx.old_guti),
        address=str(IPv4Address(session.ipv4)) if session is not None and session.ipv4 else "",
        key=wire.name_of(security.k_asme) if security is not None else "",
        uplink_count=security.ul_count if security is not None else 0,
        downlink_count=security.dl_count if security is not None else 0,
        enb=connection.enb if connection is not None else "",
        enb_ue_s1ap_id=connection.enb_ue_s1ap_id if connection is not None else 0,
    )


def _waits_for(ctx: UeContext) -> str:
    if ctx.step is not Step.NONE:
        return str(ctx.step.value)
    return "an answer" if ctx.waiting_for is not None else ""


def _live(store: Store, ctx: UeContext) -> Connection | None:
    """The connection, unless its association is over: then the UE is idle by definition."""
    connection = ctx.connection
    enb = load_enb(store, connection.enb) if connection is not None else None
    return (
        connection if connection is not None and enb is not None and enb.connection_epoch == connection.epoch else None
    )
