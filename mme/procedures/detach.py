"""Detach (TS 24.301 5.5.2): the UE leaves, or is told to."""

from __future__ import annotations

from mme.context import UeContext
from mme.enums import DetachType, EmmState, ItemResult, S1apCause, Step, TimerName
from mme.messages import DetachAccept, DetachRequestFromUe, DetachRequestToUe
from mme.outcome import Env, Outcome, StartTimer
from mme.procedures import paging
from mme.procedures.sending import deregister, nas, release
from mme.replacing import replace

REATTACH_REQUIRED = 1
REATTACH_NOT_REQUIRED = 2
_ABORTED = (TimerName.T3450, TimerName.T3460, TimerName.NEED)


def on_detach_request(ctx: UeContext, msg: DetachRequestFromUe, env: Env) -> Outcome:
    """Give the session back and release; DETACH ACCEPT first, unless the UE switches off.

    An IMSI detach is from non-EPS services only: accepted, the UE stays registered; one that came from idle for it
    alone goes back there.  An update or a GUTI reallocation that it crosses is over, both GUTIs stay valid; an
    authentication goes on.  (A security mode control it aborts: `security_mode.command_again`.)
    Source: 5.5.2.2.2, 5.5.2.2.3, 5.4.1.6; TS 23.401 5.3.8.2.
    """
    if msg.detach_type == DetachType.IMSI and ctx.stays_registered:
        accept = () if msg.switch_off else nas(ctx, DetachAccept())
        crossed = ctx.step in (Step.TAU_COMPLETE, Step.GUTI_REALLOCATION)
        here = replace(ctx, emm=EmmState.REGISTERED, step=Step.NONE, updating=None) if crossed else ctx
        free = here.step is Step.NONE and here.for_signalling_only
        after, command = release(here, S1apCause.DETACH) if free else (here, ())
        over = (TimerName.T3450,) if crossed else ()
        return Outcome(after, downlinks=accept + command, stop=over, label="IMSI detach")
    label = "detach, switched off" if msg.switch_off else "detach"
    return deregister(ctx, env, S1apCause.DETACH, label, last=None if msg.switch_off else DetachAccept())


def on_superseded(ctx: UeContext, env: Env) -> Outcome:
    """Another context has proven to be this subscriber: this one goes, without a word to the UE.

    Source: 5.5.1.2.7 f; TS 23.401 5.3.2.1 steps 7 and 10.
    """
    if ctx.emm is EmmState.DEREGISTERED and ctx.bearer is None and ctx.connection is None:
        return Outcome(replace(ctx, security=None), forget=True, label="superseded")
    gone = deregister(ctx, env, S1apCause.NORMAL_RELEASE, "superseded by a new attach")
    return replace(gone, ctx=replace(gone.ctx, security=None) if gone.ctx else None)


def start(ctx: UeContext, env: Env, *, reattach: bool) -> Outcome:
    """The network detaches a UE: DETACH REQUEST and T3422; an idle UE is paged first.

    A common procedure or an update that runs is aborted, both GUTIs and the keys in use stay as they are.  In the
    middle of a security mode control: `retry`, because nobody can say which keys the UE would check the request with.
    Source: 5.5.2.3.1; TS 23.401 5.3.8.3.
    """
    if not ctx.stays_registered:
        return Outcome(ctx, result=ItemResult.REJECTED, label="not registered")
    if ctx.connection is None or not env.association_alive:
        paged = paging.start(replace(ctx, detach_when_back=reattach), env)
        return replace(paged, ctx=ctx) if paged.result is ItemResult.REJECTED else paged
    if ctx.step is Step.SECURITY_MODE:
        return Outcome(ctx, result=ItemResult.RETRY, label="busy: security mode command")
    leaving = replace(
        ctx,
        emm=EmmState.DEREGISTERED_INITIATED,
        step=Step.DETACH,
        reattach_required=reattach,
        detach_when_back=None,
        updating=None,
        vector=None,
        waiting_for=None,
        resynchronised=False,
    )
    return Outcome(leaving, stop=_ABORTED).then(_request(leaving, env, 0))


def _request(ctx: UeContext, env: Env, expiries: int) -> Outcome:
    message = DetachRequestToUe(REATTACH_REQUIRED if ctx.reattach_required else REATTACH_NOT_REQUIRED)
    return Outcome(
        ctx,
        downlinks=nas(ctx, message),
        start=(StartTimer(TimerName.T3422, env.config.t3422_s, expiries),),
        label="detach request",
    )


def on_detach_accept(ctx: UeContext, env: Env) -> Outcome:
    """The UE has left.  Source: 5.5.2.3.2."""
    return deregister(ctx, env, S1apCause.DETACH, "detached by the network")


def on_t3422_expiry(ctx: UeContext, expiries: int, env: Env) -> Outcome:
    """Four times again; on the fifth expiry the UE is detached all the same.  Source: 5.5.2.3.4 a."""
    if expiries <= env.config.max_retransmissions:
        return _request(ctx, env, expiries)
    return deregister(ctx, env, S1apCause.DETACH, "T3422 expired: no Detach Accept")
