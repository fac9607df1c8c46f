"""Identification (TS 24.301 5.4.4): ask the UE who it is.  What the answer leads to is for the procedure that asked."""

from __future__ import annotations

from mme.context import UeContext
from mme.enums import EmmState, IdentityType, S1apCause, Step, TimerName
from mme.messages import IdentityRequest
from mme.outcome import Env, Outcome, StartTimer
from mme.procedures.sending import deregister, nas
from mme.replacing import replace


def start(ctx: UeContext, env: Env, identity_type: IdentityType) -> Outcome:
    """Send IDENTITY REQUEST and start T3470 (6 s).  Source: 5.4.4.2."""
    asking = replace(ctx, step=Step.IDENTITY, emm=EmmState.COMMON_PROCEDURE_INITIATED)
    return _request(asking, env, identity_type, 0)


def asked_for(ctx: UeContext) -> IdentityType:
    """What a UE in this procedure was asked for: its IMSI until it is admitted, and where a challenge has failed."""
    return IdentityType.IMEISV if ctx.admitted and ctx.vector is None else IdentityType.IMSI


def _request(ctx: UeContext, env: Env, identity_type: IdentityType, expiries: int) -> Outcome:
    return Outcome(
        ctx,
        downlinks=nas(ctx, IdentityRequest(identity_type)),
        start=(StartTimer(TimerName.T3470, env.config.t3470_s, expiries),),
        label="identity request",
    )


def on_t3470_expiry(ctx: UeContext, expiries: int, env: Env) -> Outcome:
    """Four times again; on the fifth expiry abort and release.  Source: 5.4.4.6 b."""
    if expiries <= env.config.max_retransmissions:
        return _request(ctx, env, asked_for(ctx), expiries)
    return deregister(ctx, env, S1apCause.NAS_UNSPECIFIED, "T3470 expired: no Identity Response")
