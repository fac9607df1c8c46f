"""Authentication (TS 24.301 5.4.2): a vector from the HSS, the challenge, and what the UE makes of it."""

from __future__ import annotations

import hmac

from mme.context import UeContext
from mme.enums import EmmCause, EmmState, IdentityType, ItemResult, S1apCause, SecurityHeader, Step, TimerName
from mme.messages import (
    AuthenticationFailure,
    AuthenticationReject,
    AuthenticationRequest,
    AuthenticationResponse,
    ServiceRequest,
)
from mme.needs import NeedVector, Refusal, Refused, Vector
from mme.outcome import Env, Outcome, StartTimer
from mme.procedures import attach, emergency, identification, security_mode, service_request, tracking_area_update
from mme.procedures.release import end_connection
from mme.procedures.sending import deregister, nas
from mme.replacing import replace


def start(ctx: UeContext, env: Env, *, auts: bytes | None = None) -> Outcome:
    """Ask the HSS for a vector.  auts: 14 octets of a synch failure, with the RAND that it answers.

    Source: TS 33.401 6.1.2; TS 33.102 6.3.5 (resynchronisation).
    """
    if ctx.imsi is None:
        raise ValueError("authentication needs an IMSI")
    rand = ctx.vector.rand if auts is not None and ctx.vector is not None else None
    need = NeedVector(
        id=f"{env.item}/vector",
        owner=ctx.key,
        imsi=ctx.imsi,
        serving_plmn=env.config.plmn,
        resync_rand=rand,
        resync_auts=auts if rand is not None else None,
    )
    waiting = replace(ctx, step=Step.VECTOR, emm=EmmState.COMMON_PROCEDURE_INITIATED, vector=None, waiting_for=need.id)
    return Outcome(waiting, needs=(need,), label="waits for a vector")


def start_anew(ctx: UeContext, env: Env) -> Outcome:
    """Authenticate a registered, connected UE again, on the network's own wish.  Source: 5.4.2.1.

    Busy is also one whose context the eNB is setting up: new keys before its answer would need another setup.
    """
    free = (ctx.emm, ctx.step) == (EmmState.REGISTERED, Step.NONE) and not ctx.being_set_up
    if ctx.imsi is None or ctx.connection is None or not free:
        return Outcome(ctx, result=ItemResult.REJECTED, label="the UE is idle or busy")
    return start(ctx, env)


_CAUSE_OF_REFUSAL = {
    Refusal.UNKNOWN_SUBSCRIBER: EmmCause.EPS_SERVICES_AND_NON_EPS_SERVICES_NOT_ALLOWED,
    Refusal.NOT_ALLOWED: EmmCause.EPS_SERVICES_NOT_ALLOWED,
}


def on_vector(ctx: UeContext, answer: Vector | Refused, env: Env) -> Outcome:
    """Send the challenge, or reject the attach: unknown IMSI #8, HSS silent or failing #17.

    An emergency attach goes on without one, where the policy lets it.
    Source: TS 24.301 5.4.2.2, 5.5.1.2.5; TS 29.272 annex A; TS 23.401 5.3.2.1 step 5a.
    """
    if isinstance(answer, Refused):
        if answer.reason is Refusal.RESYNC_FAILED or emergency.needs_no_proof(ctx, env.config):
            return _failed(ctx, env, "resynchronisation failed")
        if ctx.attaching is None:
            return end_connection(ctx, env, S1apCause.NAS_UNSPECIFIED, f"no vector: {answer.reason.value}")
        cause = _CAUSE_OF_REFUSAL.get(answer.reason, EmmCause.NETWORK_FAILURE)
        return attach.reject(ctx, env, cause)
    used = ctx.security.ksi if ctx.security is not None else ctx.vector_ksi
    challenged = replace(
        ctx, step=Step.AUTHENTICATION, vector=answer, vector_ksi=(used + 1) % 7, waiting_for=None, security_new=None
    )
    return replace(_challenge(challenged, env, 0), stop=(TimerName.NEED,))


def _challenge(ctx: UeContext, env: Env, expiries: int) -> Outcome:
    if ctx.vector is None:
        raise ValueError("no vector to challenge with")
    message = AuthenticationRequest(ctx.vector_ksi, ctx.vector.rand, ctx.vector.autn)
    return Outcome(
        ctx,
        downlinks=nas(ctx, message),
        start=(StartTimer(TimerName.T3460, env.config.t3460_s, expiries),),
        label="authentication request",
    )


def on_authentication_response(ctx: UeContext, msg: AuthenticationResponse, env: Env) -> Outcome:
    """RES equal to XRES: go on to security mode.  Otherwise AUTHENTICATION REJECT and release.

    When the UE had shown a GUTI, the identity may be wrong: the IMSI is asked for first.  Source: 5.4.2.4, 5.4.2.5.
    """
    if ctx.vector is None:
        return Outcome(ctx, result=ItemResult.DISCARDED, label="no challenge outstanding")
    if hmac.compare_digest(msg.res, ctx.vector.xres):
        return security_mode.start(ctx, env)
    if ctx.attaching is not None and not ctx.attaching.identity_was_imsi and not ctx.attaching.identity_checked:
        return replace(identification.start(ctx, env, IdentityType.IMSI), stop=(TimerName.T3460,))
    return _failed(ctx, env, "RES is not XRES")


def on_authentication_failure(ctx: UeContext, msg: AuthenticationFailure, env: Env) -> Outcome:
    """#20: check the identity, then challenge anew or reject.  #21: resynchronise once.  #26 and others: reject.

    Source: 5.4.2.6, 5.4.2.7 c to e.
    """
    attaching = ctx.attaching
    if ctx.vector is None:
        return Outcome(ctx, result=ItemResult.DISCARDED, label="no challenge outstanding")
    if msg.cause == EmmCause.SYNCH_FAILURE and msg.auts is not None and not ctx.resynchronised:
        again = replace(ctx, resynchronised=True)
        return replace(start(again, env, auts=msg.auts), stop=(TimerName.T3460,))
    if msg.cause == EmmCause.MAC_FAILURE and attaching is not None and not attaching.identity_checked:
        return replace(identification.start(ctx, env, IdentityType.IMSI), stop=(TimerName.T3460,))
    return _failed(ctx, env, f"authentication failure #{msg.cause}")


def reject_after_identity_check(ctx: UeContext, env: Env) -> Outcome:
    """The identity was right, so the UE is not the subscriber (or the network not the home's).  Source: 5.4.2.7 c."""
    return _failed(ctx, env, "authentication failed with the right identity")


def _failed(ctx: UeContext, env: Env, why: str) -> Outcome:
    """AUTHENTICATION REJECT.  For emergency bearer services, where the policy wants no proof, the UE is served on:
    under the keys that it has, or else under null algorithms.

    Source: 5.4.2.5, 5.4.2.7; TS 33.401 15.2.2.2.
    """
    if not emergency.needs_no_proof(ctx, env.config):
        return _reject(ctx, env, why)
    if not ctx.secured:
        return security_mode.start_unauthenticated(ctx, env)
    kept = replace(ctx, vector=None, waiting_for=None, resynchronised=False)
    over = Outcome(kept, stop=(TimerName.T3460, TimerName.T3470, TimerName.NEED), label="goes on unauthenticated")
    if kept.attaching is not None:
        return over.then(attach.on_authenticated(kept, env))
    if kept.updating is not None:
        return over.then(tracking_area_update.go_on(kept, env))
    back = replace(kept, emm=EmmState.REGISTERED, step=Step.NONE)
    return over.then(
        Outcome(back, label="goes on under the old keys")
        if back.on_the_radio
        else service_request.on_service_request(back, ServiceRequest(0, 0, b""), env)
    )


def _reject(ctx: UeContext, env: Env, why: str) -> Outcome:
    """The UE's GUTI goes with its keys, on both sides.  Source: 5.4.2.5."""
    return replace(
        deregister(
            replace(ctx, guti=None, old_guti=None),
            env,
            S1apCause.AUTHENTICATION_FAILURE,
            f"authentication reject: {why}",
            last=AuthenticationReject(),
            last_header=None if ctx.secured else SecurityHeader.PLAIN,
        ),
        result=ItemResult.REJECTED,
    )


def on_t3460_expiry(ctx: UeContext, expiries: int, env: Env) -> Outcome:
    """Four times the same challenge again; on the fifth expiry abort and release.  Source: 5.4.2.7 b."""
    if expiries <= env.config.max_retransmissions:
        return _challenge(ctx, env, expiries)
    return end_connection(ctx, env, S1apCause.AUTHENTICATION_FAILURE, "T3460 expired: no Authentication Response")
