"""UE context at the eNB (TS 36.413 8.3, 8.4, 8.9): set up, capability, release, loss."""

from __future__ import annotations

from mme.context import UeContext
from mme.crypto import kdf
from mme.enums import EmmState, ItemResult, S1apCause, TimerName
from mme.messages import (
    ErrorIndication,
    InitialContextSetupFailure,
    InitialContextSetupResponse,
    UeCapabilityInfoIndication,
    UeContextModificationFailure,
    UeContextModificationRequest,
    UeContextModificationResponse,
    UeContextReleaseComplete,
    UeContextReleaseRequest,
)
from mme.outcome import Env, Outcome
from mme.procedures import attach
from mme.procedures.release import connection_lost, end_connection
from mme.procedures.sending import deregister, s1ap_cause
from mme.replacing import replace

_NOT_ASKED_FOR = "answer to no context setup"


def on_initial_context_setup_response(ctx: UeContext, msg: InitialContextSetupResponse, env: Env) -> Outcome:
    """The eNB has set up the context and the default bearer; without the bearer the attach ends.

    The gateway is told the eNB's end, of an attach after ATTACH COMPLETE.  One that nobody waits for changes nothing
    and is not answered.  Source: 8.3.1.2, 10.4; TS 23.401 5.3.2.1 step 23.
    """
    bearer = ctx.bearer
    if bearer is None or not ctx.being_set_up:
        return Outcome(ctx, result=ItemResult.STALE, label=_NOT_ASKED_FOR)
    erab = next((e for e in msg.e_rabs if e.e_rab_id == bearer.eps_bearer_identity), None)
    if erab is None:
        return deregister(ctx, env, S1apCause.NAS_UNSPECIFIED, "the eNB could not set up the default bearer")
    connected = replace(ctx, bearer=replace(bearer, enb_address=erab.transport_layer_address, enb_teid=erab.gtp_teid))
    done = Outcome(connected, stop=(TimerName.CONTEXT_SETUP,), label="context set up")
    if ctx.attaching is not None or connected.bearer == bearer:
        return done
    return done.then(attach.modify_session(connected, env, label=done.label))


def on_initial_context_setup_failure(ctx: UeContext, msg: InitialContextSetupFailure, env: Env) -> Outcome:
    """The eNB could not: the attach ends; a registered UE becomes ECM-IDLE.  Nobody waits for it: nothing.

    Source: 8.3.1.3, 10.4; TS 23.401 5.3.2.1.
    """
    if not ctx.being_set_up:
        return Outcome(ctx, result=ItemResult.STALE, label=_NOT_ASKED_FOR)
    return end_connection(ctx, env, S1apCause.NAS_UNSPECIFIED, f"context setup failed: {msg.cause.value}")


def on_context_setup_expiry(ctx: UeContext, _expiries: int, env: Env) -> Outcome:
    """No answer of the eNB to INITIAL CONTEXT SETUP REQUEST in time: as a failure (our own guard)."""
    return end_connection(ctx, env, S1apCause.NAS_UNSPECIFIED, "no context setup response")


def on_ue_capability_info(ctx: UeContext, msg: UeCapabilityInfoIndication, _env: Env) -> Outcome:
    """Keep the radio capability, opaque, for later context setups.  Source: 8.9.2; TS 23.401 5.11.2."""
    return Outcome(replace(ctx, ue_radio_capability=msg.ue_radio_capability), label="radio capability kept")


def on_release_request(ctx: UeContext, msg: UeContextReleaseRequest, env: Env) -> Outcome:
    """The eNB wants the connection gone: the UE becomes ECM-IDLE, or its attach ends.

    Source: 8.3.2; TS 23.401 5.3.5.
    """
    return end_connection(
        ctx, env, S1apCause.RELEASE_DUE_TO_EUTRAN_GENERATED_REASON, f"release asked for: {msg.cause.value}"
    )


def on_release_complete(ctx: UeContext, msg: UeContextReleaseComplete, env: Env) -> Outcome:
    """The connection is gone.  A deregistered context has nothing left to wait for.

    Without a command before, the eNB has dropped a UE that we thought was there: as a release.  Source: 8.3.3.2, 10.4.
    """
    live = ctx.connection
    if live is not None and live.mme_ue_s1ap_id == msg.mme_ue_s1ap_id:
        return connection_lost(ctx, env, "release complete without a command")
    rest = tuple(c for c in ctx.connections if c.mme_ue_s1ap_id != msg.mme_ue_s1ap_id)
    gone = replace(ctx, connections=rest)
    return Outcome(gone, forget=ctx.emm is EmmState.DEREGISTERED, label="connection released")


def on_error_indication(ctx: UeContext, msg: ErrorIndication, env: Env) -> Outcome:
    """The eNB does not know the UE (any more), or found our message wrong.  Unknown ids end the connection.

    Source: 8.7.2, 10.6.
    """
    cause = msg.cause.value if msg.cause is not None else "none"
    if cause in ("unknown-enb-ue-s1ap-id", "unknown-mme-ue-s1ap-id", "unknown-pair-ue-s1ap-id"):
        return connection_lost(ctx, env, f"error indication: {cause}")
    return Outcome(ctx, label=f"error indication: {cause}")


def on_wrong_pair(ctx: UeContext, mme_ue_s1ap_id: int, enb_ue_s1ap_id: int, env: Env) -> Outcome:
    """A message under the MME's id of the UE's live connection and another id of the eNB: the two sides do not agree
    on whose the connection is.  ERROR INDICATION with the ids as they came, and the connection is released locally.

    It is no late message of an older connection: that has its own MME-UE-S1AP-ID, one of 16 in turn.  A connection that
    has the received eNB's id beside another MME's is not looked for: the eNB, told both ids, gives it up on its side.
    Source: TS 36.413 10.6.
    """
    told = ErrorIndication(mme_ue_s1ap_id, enb_ue_s1ap_id, s1ap_cause(S1apCause.UNKNOWN_PAIR_UE_S1AP_ID))
    lost = connection_lost(ctx, env, "wrong pair of ids")
    return replace(lost, downlinks=(told,), result=ItemResult.STALE)


def on_given_up(ctx: UeContext, env: Env) -> Outcome:
    """The eNB's side gave up on this UE (event `release-ue`): as a release request."""
    return end_connection(ctx, env, S1apCause.RADIO_CONNECTION_WITH_UE_LOST, "given up by the eNB")


def on_reset_of_ue(ctx: UeContext, env: Env) -> Outcome:
    """The eNB has dropped the UE (RESET): as a release, without a command.  Source: TS 36.413 8.7.1.3."""
    return connection_lost(ctx, env, "reset by the eNB")


def rekey(ctx: UeContext) -> Outcome:
    """UE CONTEXT MODIFICATION REQUEST with the K_eNB of the new key set.

    Source: TS 36.413 8.3.4; TS 33.401 7.2.9.3.
    """
    connection, security = ctx.connection, ctx.security
    if connection is None or security is None:
        return Outcome(ctx, label="new key set in use")
    message = UeContextModificationRequest(
        connection.mme_ue_s1ap_id, connection.enb_ue_s1ap_id, k_enb=kdf.k_enb(security.k_asme, ctx.k_enb_count)
    )
    return Outcome(ctx, downlinks=(message,), label="UE context modification")


def on_modification_answer(
    ctx: UeContext, msg: UeContextModificationResponse | UeContextModificationFailure, env: Env
) -> Outcome:
    """Taken, or not: then the radio link goes on under the old key, and the UE is sent to idle to get the new one.

    Source: TS 36.413 8.3.4.2, 8.3.4.3.
    """
    if isinstance(msg, UeContextModificationResponse):
        return Outcome(ctx, label="UE context modified")
    return end_connection(ctx, env, S1apCause.NAS_UNSPECIFIED, f"context modification failed: {msg.cause.value}")
