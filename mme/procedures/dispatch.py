"""From message, answer or timer to the procedure that takes it."""

from __future__ import annotations

from mme.context import RunningTimer, UeContext
from mme.enums import DetachType, EmmCause, EmmState, EsmCause, ItemResult, Owed, Step, TimerName
from mme.fsm import Verdict, verdict
from mme.ids import Tai
from mme.messages import (
    AttachComplete,
    AttachRequest,
    AuthenticationFailure,
    AuthenticationResponse,
    DetachAccept,
    DetachRequestFromUe,
    EmmMessage,
    EmmStatus,
    ErrorIndication,
    EsmContainer,
    EsmInformationResponse,
    EsmStatus,
    ExtendedServiceRequest,
    GutiReallocationComplete,
    IdentityResponse,
    InitialContextSetupFailure,
    InitialContextSetupResponse,
    S1apMessage,
    SecurityModeComplete,
    SecurityModeReject,
    ServiceReject,
    ServiceRequest,
    TrackingAreaUpdateComplete,
    TrackingAreaUpdateReject,
    TrackingAreaUpdateRequest,
    UeCapabilityInfoIndication,
    UeContextModificationFailure,
    UeContextModificationResponse,
    UeContextReleaseComplete,
    UeContextReleaseRequest,
    UndecodableEsm,
)
from mme.needs import Answer, Profile, Refusal, Refused, Session, Vector
from mme.outcome import Env, Outcome
from mme.procedures import (
    attach,
    attach_request,
    authentication,
    detach,
    guti_reallocation,
    initial_context,
    security_mode,
    service_request,
    status,
    tracking_area_update,
    tracking_area_update_request,
)
from mme.procedures.expiry import EXPIRY, EXPIRY_IN_STEP
from mme.replacing import replace


def on_nas(ctx: UeContext, message: EmmMessage, digest: bytes, tai: Tai, env: Env) -> Outcome:
    """Take a NAS message, its protection already checked.  digest: SHA-256 of its octets.  tai: where the UE is.

    A connected UE with nothing else to do whose NAS COUNT is almost used up is authenticated (TS 33.401 6.5).
    """
    outcome = _taken(ctx, message, digest, tai, env)
    after = outcome.ctx
    free = after is not None and (after.emm, after.step) == (EmmState.REGISTERED, Step.NONE) and after.on_the_radio
    if after is None or not free or not after.worn_out or after.connection is None:
        return outcome
    return outcome.then(replace(authentication.start(after, env), result=outcome.result, label=outcome.label))


def _taken(ctx: UeContext, message: EmmMessage, digest: bytes, tai: Tai, env: Env) -> Outcome:
    match verdict(ctx, message):
        case Verdict.IGNORE:
            return Outcome(ctx, result=ItemResult.DISCARDED, label=f"late {type(message).__name__}")
        case Verdict.STATUS if isinstance(message, EsmContainer):
            esm = message.esm
            cause = esm.cause if isinstance(esm, UndecodableEsm) else EsmCause.MESSAGE_TYPE_NON_EXISTENT
            return status.esm_status(ctx, esm, cause)
        case Verdict.STATUS:
            return status.emm_status(ctx, EmmCause.MESSAGE_TYPE_NOT_COMPATIBLE_WITH_STATE)
    match message:
        case AttachRequest():
            fresh = ctx.attaching is None and ctx.security is None
            begin = attach_request.on_attach_request if fresh else attach_request.on_attach_request_again
            return begin(ctx, message, digest, tai, env)
        case IdentityResponse():
            return attach_request.on_identity_response(ctx, message, env)
        case AuthenticationResponse():
            return authentication.on_authentication_response(ctx, message, env)
        case AuthenticationFailure():
            return authentication.on_authentication_failure(ctx, message, env)
        case SecurityModeComplete():
            return security_mode.on_security_mode_complete(ctx, message, env)
        case SecurityModeReject():
            return security_mode.on_security_mode_reject(ctx, message, env)
        case AttachComplete():
            return attach.on_attach_complete(ctx, message, env)
        case DetachRequestFromUe(detach_type=DetachType.IMSI, switch_off=False) if _commanded(ctx):
            return security_mode.command_again(replace(ctx, updating=None), env, Owed.DETACH_ACCEPT)
        case DetachRequestFromUe():
            return detach.on_detach_request(ctx, message, env)
        case DetachAccept():
            return detach.on_detach_accept(ctx, env)
        case TrackingAreaUpdateRequest() if ctx.attaching is not None:
            return tracking_area_update_request.refuse_while_attaching(ctx, message, env)
        case TrackingAreaUpdateRequest() if ctx.admitted:
            return tracking_area_update_request.on_tracking_area_update_request(ctx, message, tai, env)
        case TrackingAreaUpdateRequest():
            return status.refuse_without_context(ctx, TrackingAreaUpdateReject(env.no_context_cause), env)
        case TrackingAreaUpdateComplete():
            return tracking_area_update.on_tracking_area_update_complete(ctx, env)
        case GutiReallocationComplete():
            return guti_reallocation.on_guti_reallocation_complete(ctx, env)
        case ExtendedServiceRequest() if _commanded(ctx):
            return security_mode.command_again(ctx, env, Owed.SERVICE_REJECT)
        case ExtendedServiceRequest() if ctx.admitted:
            return service_request.on_extended_service_request(ctx, message, env)
        case ServiceRequest() | ExtendedServiceRequest():
            return status.refuse_without_context(ctx, ServiceReject(env.no_context_cause), env)
        case EmmStatus():
            return status.on_emm_status(ctx, message, env)
        case EsmContainer(esm=EsmInformationResponse() as esm):
            return attach.on_esm_information_response(ctx, esm, env)
        case EsmContainer(esm=EsmStatus() as esm):
            refused = ctx.step is Step.ESM_INFORMATION and esm.cause in status.ENDS_THE_PROCEDURE
            return attach.on_esm_information_refused(ctx, esm, env) if refused else status.on_esm_status(ctx, esm, env)
    raise TypeError(f"the state table allows {type(message).__name__}, which has no procedure")


def _commanded(ctx: UeContext) -> bool:
    """Whether a security mode control of a registered UE runs: what the UE asks for now aborts it (5.4.3.7 c)."""
    return ctx.step is Step.SECURITY_MODE and ctx.stays_registered


def on_s1ap(ctx: UeContext, message: S1apMessage, env: Env) -> Outcome:
    """Take a UE-associated S1AP message other than a NAS transport."""
    match message:
        case InitialContextSetupResponse():
            return initial_context.on_initial_context_setup_response(ctx, message, env)
        case InitialContextSetupFailure():
            return initial_context.on_initial_context_setup_failure(ctx, message, env)
        case UeCapabilityInfoIndication():
            return initial_context.on_ue_capability_info(ctx, message, env)
        case UeContextModificationResponse() | UeContextModificationFailure():
            return initial_context.on_modification_answer(ctx, message, env)
        case UeContextReleaseRequest():
            return initial_context.on_release_request(ctx, message, env)
        case UeContextReleaseComplete():
            return initial_context.on_release_complete(ctx, message, env)
        case ErrorIndication():
            return initial_context.on_error_indication(ctx, message, env)
    return Outcome(ctx, result=ItemResult.DISCARDED, label=f"nothing to do for {type(message).__name__}")


def on_answer(ctx: UeContext, answer: Answer, env: Env) -> Outcome:
    """Take the answer to the need that the context waits for; the caller has compared the ids."""
    match ctx.step, answer:
        case Step.VECTOR, Vector() | Refused():
            return authentication.on_vector(ctx, answer, env)
        case Step.PROFILE, Profile() | Refused():
            return attach.on_profile(ctx, answer, env)
        case Step.SESSION, Session() | Refused():
            return attach.on_session(ctx, answer, env)
    return Outcome(ctx, result=ItemResult.STALE, label="answer to nothing")


def on_timer(ctx: UeContext, name: TimerName, running: RunningTimer, env: Env) -> Outcome:
    """Take a timer that has expired for the (running.expiries + 1)th time."""
    expiries = running.expiries + 1
    if name is TimerName.NEED:
        return on_answer(ctx, Refused(Refusal.UNREACHABLE), env)
    expiry = EXPIRY_IN_STEP.get((name, ctx.step)) or EXPIRY.get(name)
    if expiry is None:
        return Outcome(ctx, result=ItemResult.STALE, label=f"no procedure waits on {name.value}")
    return expiry(ctx, expiries, env)
