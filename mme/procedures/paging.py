"""Paging (TS 24.301 5.6.2; TS 36.413 8.5): call an idle UE back."""

from __future__ import annotations

from mme.context import UeContext
from mme.enums import ItemResult, TimerName
from mme.ids import STmsi
from mme.messages import Paging
from mme.outcome import Env, Outcome, StartTimer


def start(ctx: UeContext, env: Env) -> Outcome:
    """PAGING in every area of the UE's TAI list, and T3413.

    Already reachable: nothing to do, whatever runs on its connection.  Not registered, or its mobile reachable timer
    has expired: refused.
    Source: 5.6.2.2.1; TS 23.401 5.3.4.3.
    """
    if not ctx.stays_registered or ctx.guti is None:
        return Outcome(ctx, result=ItemResult.REJECTED, label="not registered")
    if ctx.connection is not None and env.association_alive:
        return Outcome(ctx, label="already connected")
    if TimerName.IMPLICIT_DETACH.value in ctx.timers:
        return Outcome(ctx, result=ItemResult.REJECTED, label="not reachable")
    if TimerName.T3413.value in ctx.timers:
        return Outcome(ctx, label="paging already")
    return _page(ctx, env, 0)


def _page(ctx: UeContext, env: Env, expiries: int) -> Outcome:
    """Of two GUTIs that are valid, the old one first, then in turns.  A UE without an IMSI has UE_ID 0.

    The UE's own DRX cycle goes with it, where it has asked for one.
    Source: 5.4.1.6 a, b; TS 36.304 7.1; TS 23.401 5.13.
    """
    if ctx.guti is None:
        raise ValueError("paging needs a GUTI")
    guti = ctx.old_guti if ctx.old_guti is not None and expiries % 2 == 0 else ctx.guti
    message = Paging(
        ue_identity_index=int(ctx.imsi.digits) % 1024 if ctx.imsi is not None else 0,
        ue_paging_id=STmsi(guti.gummei.mme_code, guti.m_tmsi),
        tai_list=ctx.tai_list,
        paging_drx=ctx.paging_drx,
    )
    return Outcome(
        ctx,
        downlinks=(message,),
        start=(StartTimer(TimerName.T3413, env.config.t3413_s, expiries),),
        label="paging",
    )


def on_t3413_expiry(ctx: UeContext, expiries: int, env: Env) -> Outcome:
    """Page again as often as configured; then the UE did not answer.  Source: 5.6.2.2.1.2, 5.6.2.4 a."""
    if ctx.connection is not None and env.association_alive:
        return Outcome(ctx, label="paging answered")
    if not ctx.stays_registered:
        return Outcome(ctx, result=ItemResult.STALE, label="not registered")
    if expiries <= env.config.paging_retransmissions:
        return _page(ctx, env, expiries)
    return Outcome(ctx, label="paging failed: no answer")
