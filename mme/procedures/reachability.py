"""Is an idle UE still there?  Mobile reachable and implicit detach timers (TS 24.301 5.3.5; TS 23.401 4.3.5.2)."""

from __future__ import annotations

from mme.context import UeContext
from mme.enums import EcmState, EmmState, ItemResult, S1apCause, TimerName
from mme.outcome import Env, Outcome, StartTimer
from mme.procedures.sending import deregister


def watch(ctx: UeContext, env: Env) -> tuple[StartTimer, ...]:
    """The mobile reachable timer, longer than T3412 (by 4 minutes); T3412 deactivated (0): none.

    For a UE that is attached for emergency bearer services it equals T3412.
    """
    if not env.config.t3412_s:
        return ()
    margin_s = 0.0 if ctx.emergency else env.config.mobile_reachable_margin_s
    return (StartTimer(TimerName.MOBILE_REACHABLE, env.config.t3412_s + margin_s),)


def on_mobile_reachable_expiry(ctx: UeContext, _expiries: int, env: Env) -> Outcome:
    """The UE did not update its area in time: no paging any more, and after the implicit detach timer it is gone.

    One that is attached for emergency bearer services is detached at once.
    A UE with a live connection is reachable: look again later (the timer also runs there, because an association that
    is lost with 10,000 UEs is one write, and starts no timer of theirs).
    """
    if ctx.emm is not EmmState.REGISTERED:
        return Outcome(ctx, result=ItemResult.STALE, label="not registered")
    if ctx.ecm is EcmState.CONNECTED and env.association_alive:
        return Outcome(ctx, start=watch(ctx, env), label="reachable: connected")
    if ctx.emergency:
        return deregister(ctx, env, S1apCause.DETACH, "implicit detach")
    return Outcome(
        ctx,
        start=(StartTimer(TimerName.IMPLICIT_DETACH, env.config.implicit_detach_s),),
        label="not reachable",
    )


def on_implicit_detach_expiry(ctx: UeContext, _expiries: int, env: Env) -> Outcome:
    """Detached without a word; it will be told #10 when it comes back.  Source: 5.3.5, 5.5.2.1."""
    if ctx.emm is not EmmState.REGISTERED:
        return Outcome(ctx, result=ItemResult.STALE, label="not registered")
    if ctx.ecm is EcmState.CONNECTED and env.association_alive:
        return Outcome(ctx, start=watch(ctx, env), label="reachable: connected")
    return deregister(ctx, env, S1apCause.DETACH, "implicit detach")
