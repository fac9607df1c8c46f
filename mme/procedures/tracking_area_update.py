"""Tracking area update (TS 24.301 5.5.3): normal, periodic and combined; with GUTI reallocation and bearers."""

from __future__ import annotations

from dataclasses import replace

from mme.context import UeContext, Updating
from mme.enums import EmmCause, EmmState, ItemResult, S1apCause, Step, TimerName
from mme.ids import Tai
from mme.messages import TrackingAreaUpdateAccept, TrackingAreaUpdateReject, TrackingAreaUpdateRequest
from mme.outcome import Env, Outcome, StartTimer
from mme.procedures import guti_reallocation, reachability
from mme.procedures.sending import context_setup, deregister, nas, release

COMBINED = (1, 2)


def on_tracking_area_update_request(ctx: UeContext, msg: TrackingAreaUpdateRequest, tai: Tai, env: Env) -> Outcome:
    """Register the UE in the area where it is.

    ctx: registered, the request's MAC right.  tai: where it is.
    Out: TRACKING AREA UPDATE ACCEPT with a new GUTI (T3450) when the policy says so; with the active flag INITIAL
    CONTEXT SETUP REQUEST too; without it a UE that came from idle is released after its answer.
    TRACKING AREA UPDATE REJECT #12: the area is not served; #40: no bearer is left, here or on the UE's side.
    Either way the UE is deregistered.  Areas are not checked where it is attached for emergency bearer services.
    Again, with the same contents, before TRACKING AREA UPDATE COMPLETE: the same answer again.
    Combined: updated for EPS only, #18.  A GUTI reallocation that ran is over (5.4.1.6 c).
    Source: 5.5.3.2.4, 5.5.3.2.5, 5.5.3.2.7 d, 5.5.3.3.4; TS 23.401 5.3.3.
    """
    if not ctx.emergency and not env.config.serves(tai):
        return _reject(ctx, env, EmmCause.TRACKING_AREA_NOT_ALLOWED)
    bearer = ctx.bearer
    status = msg.eps_bearer_context_status
    if bearer is None or (status is not None and not status >> bearer.eps_bearer_identity & 1):
        return _reject(ctx, env, EmmCause.NO_EPS_BEARER_CONTEXT_ACTIVATED)
    updating = Updating(active=msg.active, combined=msg.update_type in COMBINED, status_told=status is not None)
    here = replace(
        ctx,
        ue_network_capability=msg.ue_network_capability or ctx.ue_network_capability,
        updating=updating,
        tai_list=env.config.tai_list(tai),
    )
    if ctx.step is Step.TAU_COMPLETE and here == ctx and msg.old_guti == ctx.old_guti:
        running = ctx.timers.get(TimerName.T3450.value)
        return _accept(ctx, env, running.expiries if running is not None else 0)
    here = guti_reallocation.as_used(here, msg.old_guti)
    if env.config.tau_reallocates_guti:
        renamed = replace(
            guti_reallocation.with_new_guti(here, env), step=Step.TAU_COMPLETE, emm=EmmState.COMMON_PROCEDURE_INITIATED
        )
        return _accept(renamed, env, 0).then(_bearers(renamed, env))
    over = Outcome(here, stop=(TimerName.T3450,))
    return over.then(_accept(here, env, None)).then(_bearers(here, env)).then(_finish(here, env))


def _accept(ctx: UeContext, env: Env, expiries: int | None) -> Outcome:
    """expiries None: no new GUTI, so no T3450."""
    updating, bearer = ctx.updating, ctx.bearer
    if updating is None:
        raise ValueError("no tracking area update is running")
    message = TrackingAreaUpdateAccept(
        update_result=0,
        t3412_s=env.config.t3412_s,
        guti=ctx.guti if expiries is not None else None,
        tai_list=ctx.tai_list,
        eps_bearer_context_status=(1 << bearer.eps_bearer_identity if bearer else 0) if updating.status_told else None,
        cause=EmmCause.CS_DOMAIN_NOT_AVAILABLE if updating.combined else None,
    )
    timer = () if expiries is None else (StartTimer(TimerName.T3450, env.config.t3450_s, expiries),)
    return Outcome(ctx, downlinks=nas(ctx, message), start=timer, label="tracking area update accept")


def _bearers(ctx: UeContext, env: Env) -> Outcome:
    """With the active flag, and no bearer on the radio yet: establish them."""
    label = "tracking area update accept"
    setup = None if ctx.on_the_radio or ctx.updating is None or not ctx.updating.active else context_setup(ctx)
    if setup is None:
        return Outcome(ctx, label=label)
    guard = StartTimer(TimerName.CONTEXT_SETUP, env.config.context_setup_s)
    return Outcome(ctx, downlinks=(setup,), start=(guard,), label=label)


def _finish(ctx: UeContext, env: Env) -> Outcome:
    """The update is over: registered; a UE that came from idle without the active flag goes back there."""
    updating = ctx.updating
    done = replace(ctx, step=Step.NONE, emm=EmmState.REGISTERED, updating=None)
    if ctx.on_the_radio or updating is None or updating.active:
        return Outcome(done, label="tracking area updated")
    idle, command = release(done, S1apCause.NORMAL_RELEASE)
    return Outcome(idle, downlinks=command, start=reachability.watch(idle, env), label="tracking area updated")


def on_tracking_area_update_complete(ctx: UeContext, env: Env) -> Outcome:
    """The UE has the new GUTI: the old one is void.  Source: 5.5.3.2.4."""
    settled = replace(ctx, old_guti=None)
    return Outcome(settled, stop=(TimerName.T3450,)).then(_finish(settled, env))


def on_t3450_expiry(ctx: UeContext, expiries: int, env: Env) -> Outcome:
    """Four times again; on the fifth expiry the update is over, and both GUTIs stay valid.  Source: 5.5.3.2.7 c."""
    if expiries <= env.config.max_retransmissions:
        return _accept(ctx, env, expiries)
    return _finish(ctx, env)


def _reject(ctx: UeContext, env: Env, cause: EmmCause) -> Outcome:
    """The UE has no place here: its context and its session go.  Source: 5.5.3.2.5."""
    label = f"tracking area update reject #{int(cause)}"
    gone = deregister(ctx, env, S1apCause.NAS_UNSPECIFIED, label, last=TrackingAreaUpdateReject(cause))
    return replace(gone, result=ItemResult.REJECTED)
