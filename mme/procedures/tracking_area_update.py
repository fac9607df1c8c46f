"""Tracking area update (TS 24.301 5.5.3) once its request is taken: accept, GUTI reallocation, bearers, completion."""

from __future__ import annotations

from mme.context import UeContext
from mme.enums import EmmCause, EmmState, ItemResult, S1apCause, Step, TimerName
from mme.messages import TrackingAreaUpdateAccept, TrackingAreaUpdateReject
from mme.outcome import Env, Outcome, StartTimer
from mme.procedures import guti_reallocation, reachability
from mme.procedures.sending import context_setup, deregister, nas, release
from mme.replacing import replace


def go_on(ctx: UeContext, env: Env) -> Outcome:
    """TRACKING AREA UPDATE ACCEPT to a UE whose request was taken (ctx.updating), and what comes with it."""
    here = replace(ctx, emm=EmmState.REGISTERED, step=Step.NONE)
    if env.config.tau_reallocates_guti:
        renamed = replace(
            guti_reallocation.with_new_guti(here, env), step=Step.TAU_COMPLETE, emm=EmmState.COMMON_PROCEDURE_INITIATED
        )
        return accept(renamed, env, 0).then(_bearers(renamed, env))
    over = Outcome(here, stop=(TimerName.T3450,))
    return over.then(accept(here, env, None)).then(_bearers(here, env)).then(_finish(here, env))


def accept(ctx: UeContext, env: Env, expiries: int | None) -> Outcome:
    """TRACKING AREA UPDATE ACCEPT.  expiries None: no new GUTI, so no T3450."""
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
    """With the active flag, and no bearer on the radio or on its way there: establish them."""
    label = "tracking area update accept"
    wanted = ctx.for_signalling_only and ctx.updating is not None and ctx.updating.active
    setup = context_setup(ctx) if wanted else None
    if setup is None:
        return Outcome(ctx, label=label)
    guard = StartTimer(TimerName.CONTEXT_SETUP, env.config.context_setup_s)
    return Outcome(ctx, downlinks=(setup,), start=(guard,), label=label)


def _finish(ctx: UeContext, env: Env) -> Outcome:
    """The update is over: registered; a UE that came from idle without the active flag goes back there.

    Not one whose context the eNB is setting up for what it came for: the answer would meet no connection.
    """
    updating = ctx.updating
    done = replace(ctx, step=Step.NONE, emm=EmmState.REGISTERED, updating=None)
    if not ctx.for_signalling_only or updating is None or updating.active:
        return Outcome(done, label="tracking area updated")
    idle, command = release(done, S1apCause.NORMAL_RELEASE)
    return Outcome(idle, downlinks=command, start=reachability.watch(idle, env), label="tracking area updated")


def on_tracking_area_update_complete(ctx: UeContext, env: Env) -> Outcome:
    """The UE has the new GUTI: the old one is void.  Source: 5.5.3.2.4."""
    settled = replace(ctx, old_guti=None)
    return Outcome(settled, stop=(TimerName.T3450,)).then(_finish(settled, env))


def reject(ctx: UeContext, env: Env, cause: EmmCause) -> Outcome:
    """TRACKING AREA UPDATE REJECT: the UE has no place here, its context and its session go.  Source: 5.5.3.2.5."""
    label = f"tracking area update reject #{int(cause)}"
    gone = deregister(ctx, env, S1apCause.NAS_UNSPECIFIED, label, last=TrackingAreaUpdateReject(cause))
    return replace(gone, result=ItemResult.REJECTED)


def on_t3450_expiry(ctx: UeContext, expiries: int, env: Env) -> Outcome:
    """Four times again; on the fifth expiry the update is over, and both GUTIs stay valid.  Source: 5.5.3.2.7 c."""
    if expiries <= env.config.max_retransmissions:
        return accept(ctx, env, expiries)
    return _finish(ctx, env)
