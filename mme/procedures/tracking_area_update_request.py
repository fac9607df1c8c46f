"""TRACKING AREA UPDATE REQUEST (TS 24.301 5.5.3): normal, periodic and combined; what it is answered with."""

from __future__ import annotations

from mme.context import UeContext, Updating
from mme.enums import EmmCause, Step, TimerName
from mme.ids import Tai
from mme.messages import TrackingAreaUpdateRequest
from mme.outcome import Env, Outcome
from mme.paging_drx import paging_drx
from mme.procedures import authentication, guti_reallocation, security_mode, tracking_area_update
from mme.replacing import replace

COMBINED = (1, 2)


def on_tracking_area_update_request(ctx: UeContext, msg: TrackingAreaUpdateRequest, tai: Tai, env: Env) -> Outcome:
    """Register the UE in the area where it is.

    ctx: registered, the request's MAC right.  tai: where it is.
    Out: TRACKING AREA UPDATE ACCEPT with a new GUTI (T3450) when the policy says so; with the active flag INITIAL
    CONTEXT SETUP REQUEST too; without it a UE that came from idle is released after its answer.
    TRACKING AREA UPDATE REJECT #12: the area is not served; #40: no bearer is left, here or on the UE's side.
    Either way the UE is deregistered.  Areas are not checked where it is attached for emergency bearer services.
    Again, with the same contents: before the answer it is ignored and the first goes on; before TRACKING AREA UPDATE
    COMPLETE the same answer again.  With others: the first is aborted.
    An authentication that it crosses is aborted, as the UE does that updates in the middle of it.  A security mode
    control is aborted too, and the update begins with one of its own, under the same K_ASME: nobody can say which keys
    the UE would check an answer with, and SECURITY MODE COMMAND it takes under either.
    Combined: updated for EPS only, #18.  A GUTI reallocation that ran is over (5.4.1.6).
    A radio capability that has changed is deleted, so that the eNB asks for it anew with the next context setup; a DRX
    parameter replaces the one that is kept, as do the UE's and the MS network capability, octet for octet.
    NAS COUNT almost used up: a new key set first, and then the answer (TS 33.401 6.5); but not while the eNB sets its
    context up, which new keys would make it do again.
    Source: 5.5.3.2.4, 5.5.3.2.5, 5.5.3.2.7 d, e, 5.5.3.3.4, 5.4.2.7, 5.4.3.7 c; TS 23.401 5.3.3, 5.11.2, 5.13.
    """
    if not ctx.emergency and not env.config.serves(tai):
        return tracking_area_update.reject(ctx, env, EmmCause.TRACKING_AREA_NOT_ALLOWED)
    bearer = ctx.bearer
    status = msg.eps_bearer_context_status
    if bearer is None or (status is not None and not status >> bearer.eps_bearer_identity & 1):
        return tracking_area_update.reject(ctx, env, EmmCause.NO_EPS_BEARER_CONTEXT_ACTIVATED)
    updating = Updating(
        active=msg.active,
        combined=msg.update_type in COMBINED,
        status_told=status is not None,
        radio_capability_changed=msg.radio_capability_changed,
    )
    here = replace(
        ctx,
        ue_network_capability=msg.ue_network_capability or ctx.ue_network_capability,
        ms_network_capability=msg.ms_network_capability or ctx.ms_network_capability,
        paging_drx=paging_drx(msg.drx_parameter) if msg.drx_parameter is not None else ctx.paging_drx,
        updating=updating,
        tai_list=env.config.tai_list(tai),
    )
    if ctx.step is not Step.NONE and here == ctx and msg.old_guti == (ctx.old_guti or ctx.guti):
        return _again(ctx, env)
    here = guti_reallocation.as_used(here, msg.old_guti)
    if msg.radio_capability_changed:
        here = replace(here, ue_radio_capability=None)
    if here.step is Step.SECURITY_MODE:
        return security_mode.command_again(here, env)
    here = replace(here, vector=None, waiting_for=None, resynchronised=False)
    aborted = Outcome(here, stop=(TimerName.T3450, TimerName.T3460, TimerName.NEED))
    if here.worn_out and not here.being_set_up:
        return aborted.then(authentication.start(here, env))
    return aborted.then(tracking_area_update.go_on(here, env))


def _again(ctx: UeContext, env: Env) -> Outcome:
    """The request that is being worked off, once more.  Source: 5.5.3.2.7 d, e."""
    if ctx.step is not Step.TAU_COMPLETE:
        return Outcome(ctx, label="equal tracking area update request ignored")
    running = ctx.timers.get(TimerName.T3450.value)
    return tracking_area_update.accept(ctx, env, running.expiries if running is not None else 0)


def refuse_while_attaching(ctx: UeContext, msg: TrackingAreaUpdateRequest, env: Env) -> Outcome:
    """An update before ATTACH COMPLETE: the attach is over, its GUTI is valid, and the UE is told to attach again, #10.

    The UE is deregistered, T3450 stopped.  It may hold the GUTI of before as well, unless it shows the new one.
    Source: 5.5.1.2.7 g, 5.5.3.2.5.
    """
    shown = ctx if msg.old_guti is None else guti_reallocation.as_shown(ctx, msg.old_guti.m_tmsi)
    return tracking_area_update.reject(shown, env, EmmCause.IMPLICITLY_DETACHED)
