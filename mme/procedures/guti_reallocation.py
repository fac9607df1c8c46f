"""GUTI reallocation (TS 24.301 5.4.1), on its own or inside attach and tracking area update."""

from __future__ import annotations

from mme.context import UeContext
from mme.enums import EmmState, ItemResult, Step, TimerName
from mme.ids import Guti
from mme.m_tmsi import GENERATIONS, m_tmsi
from mme.messages import GutiReallocationCommand
from mme.outcome import Env, Outcome, StartTimer
from mme.procedures.sending import nas
from mme.replacing import replace


def with_new_guti(ctx: UeContext, env: Env) -> UeContext:
    """The context with its next GUTI; the one before stays valid until the UE has taken the new one."""
    generation = (ctx.generation + 1) % GENERATIONS
    guti = Guti(env.config.gummei, m_tmsi(env.config.m_tmsi_key, ctx.key, generation))
    return replace(ctx, generation=generation, guti=guti, old_guti=ctx.guti)


def as_used(ctx: UeContext, guti: Guti | None) -> UeContext:
    """The context after the UE has shown that it goes by `guti`: of two that are valid, the other one is void.

    Source: 5.4.1.6 a, b; 5.5.3.2.7 a, c.
    """
    if ctx.old_guti is None or guti not in (ctx.guti, ctx.old_guti):
        return ctx
    return replace(ctx, guti=guti, old_guti=None)


def as_shown(ctx: UeContext, m_tmsi: int) -> UeContext:
    """The context after a first message that named the UE by `m_tmsi`: the new GUTI in use voids the old one.

    The old one in use says nothing: the UE may have the new one all the same.  Source: 5.4.1.6 a, b.
    """
    new = ctx.guti is not None and ctx.guti.m_tmsi == m_tmsi
    return replace(ctx, old_guti=None) if new else ctx


def start(ctx: UeContext, env: Env) -> Outcome:
    """GUTI REALLOCATION COMMAND and T3450; nothing for a UE that is idle or busy.  Source: 5.4.1.2."""
    if ctx.connection is None or (ctx.emm, ctx.step) != (EmmState.REGISTERED, Step.NONE):
        return Outcome(ctx, result=ItemResult.REJECTED, label="the UE is idle or busy")
    renamed = replace(with_new_guti(ctx, env), step=Step.GUTI_REALLOCATION, emm=EmmState.COMMON_PROCEDURE_INITIATED)
    return _command(renamed, env, 0)


def _command(ctx: UeContext, env: Env, expiries: int) -> Outcome:
    if ctx.guti is None:
        raise ValueError("no GUTI to give")
    return Outcome(
        ctx,
        downlinks=nas(ctx, GutiReallocationCommand(ctx.guti)),
        start=(StartTimer(TimerName.T3450, env.config.t3450_s, expiries),),
        label="GUTI reallocation command",
    )


def on_guti_reallocation_complete(ctx: UeContext, _env: Env) -> Outcome:
    """The old GUTI is void.  Source: 5.4.1.4."""
    done = replace(ctx, old_guti=None, step=Step.NONE, emm=EmmState.REGISTERED)
    return Outcome(done, stop=(TimerName.T3450,), label="GUTI reallocated")


def on_t3450_expiry(ctx: UeContext, expiries: int, env: Env) -> Outcome:
    """Four times again; on the fifth expiry it is over, and both GUTIs stay valid.  Source: 5.4.1.6 b."""
    if expiries <= env.config.max_retransmissions:
        return _command(ctx, env, expiries)
    return Outcome(replace(ctx, step=Step.NONE, emm=EmmState.REGISTERED), label="T3450 expired: both GUTIs are valid")
