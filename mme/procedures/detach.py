"""Detach (TS 24.301 5.5.2): the UE leaves."""

from __future__ import annotations

from dataclasses import replace

from mme.context import UeContext
from mme.enums import DetachType, EmmState, S1apCause
from mme.messages import DetachAccept, DetachRequestFromUe
from mme.outcome import Env, Outcome
from mme.procedures.sending import deregister, nas


def on_detach_request(ctx: UeContext, msg: DetachRequestFromUe, env: Env) -> Outcome:
    """Give the session back and release; DETACH ACCEPT first, unless the UE switches off.

    An IMSI detach is from non-EPS services only: accepted, and nothing changes.
    Source: 5.5.2.2.2, 5.5.2.2.3; TS 23.401 5.3.8.2.
    """
    if msg.detach_type == DetachType.IMSI:
        return Outcome(ctx, downlinks=() if msg.switch_off else nas(ctx, DetachAccept()), label="IMSI detach")
    label = "detach, switched off" if msg.switch_off else "detach"
    return deregister(ctx, env, S1apCause.DETACH, label, last=None if msg.switch_off else DetachAccept())


def on_superseded(ctx: UeContext, env: Env) -> Outcome:
    """Another context has proven to be this subscriber: this one goes, without a word to the UE.

    Source: 5.5.1.2.7 f; TS 23.401 5.3.2.1 steps 7 and 10.
    """
    if ctx.emm is EmmState.DEREGISTERED and ctx.bearer is None and ctx.connection is None:
        return Outcome(ctx, forget=True, label="superseded")
    gone = deregister(ctx, env, S1apCause.NORMAL_RELEASE, "superseded by a new attach")
    return replace(gone, ctx=replace(gone.ctx, security=None) if gone.ctx else None)
