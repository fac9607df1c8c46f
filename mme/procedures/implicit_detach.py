"""A UE that gives no sign of life: not reachable, and then gone (TS 24.301 5.3.5, 5.5.2.1; TS 23.401 4.3.5.2)."""

from __future__ import annotations

from mme.context import UeContext
from mme.enums import ItemResult, S1apCause, TimerName
from mme.outcome import Env, Outcome, StartTimer
from mme.procedures.reachability import watch
from mme.procedures.release import connection_lost
from mme.procedures.sending import deregister


def on_mobile_reachable_expiry(ctx: UeContext, _expiries: int, env: Env) -> Outcome:
    """The UE did not update its area in time: no paging any more, and after the implicit detach timer it is gone.

    One that is attached for emergency bearer services is detached at once.
    """
    over = _not_idle_so_long(ctx, env)
    if over is not None:
        return over
    if ctx.emergency:
        return deregister(ctx, env, S1apCause.DETACH, "implicit detach")
    return Outcome(
        ctx,
        start=(StartTimer(TimerName.IMPLICIT_DETACH, env.config.implicit_detach_s),),
        label="not reachable",
    )


def on_implicit_detach_expiry(ctx: UeContext, _expiries: int, env: Env) -> Outcome:
    """Detached without a word; it will be told #10 when it comes back.  Source: 5.3.5, 5.5.2.1."""
    over = _not_idle_so_long(ctx, env)
    return over if over is not None else deregister(ctx, env, S1apCause.DETACH, "implicit detach")


def _not_idle_so_long(ctx: UeContext, env: Env) -> Outcome | None:
    """What else an expiry finds than a UE that has been idle since its timer was started; None = just that.

    A UE with a live connection is reachable: look again later.  The timer also runs there, because an association that
    is lost with 10,000 UEs is one write and starts no timer of theirs.  So nobody knows when such a UE became idle, nor
    when its T3412 began: at the expiry that finds the association gone, at the latest, and from there it has its time
    in full.
    """
    if not ctx.stays_registered:
        return Outcome(ctx, result=ItemResult.STALE, label="not registered")
    if ctx.connection is None:
        return None
    if env.association_alive:
        return Outcome(ctx, start=watch(ctx, env), label="reachable: connected")
    return connection_lost(ctx, env, "idle: its association is lost")
