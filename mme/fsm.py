"""The table: which message is allowed in which state of the UE context (TS 24.301 5.1.3.4, 7.4).

A context's state is the pair (EmmState, Step): the main state of the specification, and what the running procedure
waits for.  The table says who may be processed; `procedures.dispatch` says by which function.
"""

from __future__ import annotations

from enum import Enum

from mme.context import UeContext
from mme.enums import EmmState, Step
from mme.messages import (
    AttachComplete,
    AttachRequest,
    AuthenticationFailure,
    AuthenticationResponse,
    DetachAccept,
    DetachRequestFromUe,
    EmmMessage,
    EmmStatus,
    EsmContainer,
    EsmInformationResponse,
    EsmStatus,
    ExtendedServiceRequest,
    GutiReallocationComplete,
    IdentityResponse,
    SecurityModeComplete,
    SecurityModeReject,
    ServiceRequest,
    TrackingAreaUpdateComplete,
    TrackingAreaUpdateRequest,
)

State = tuple[EmmState, Step]

COMMON = EmmState.COMMON_PROCEDURE_INITIATED
STATES: tuple[State, ...] = (
    (EmmState.DEREGISTERED, Step.NONE),
    (COMMON, Step.VECTOR),
    (COMMON, Step.IDENTITY),
    (COMMON, Step.AUTHENTICATION),
    (COMMON, Step.SECURITY_MODE),
    (COMMON, Step.ESM_INFORMATION),
    (COMMON, Step.PROFILE),
    (COMMON, Step.SESSION),
    (COMMON, Step.ATTACH_COMPLETE),
    (COMMON, Step.TAU_COMPLETE),
    (COMMON, Step.GUTI_REALLOCATION),
    (EmmState.REGISTERED, Step.NONE),
    (EmmState.DEREGISTERED_INITIATED, Step.DETACH),
)
EVERY = frozenset(STATES)
ATTACHING = frozenset(state for state in STATES if state[0] is COMMON)
UNKNOWN = frozenset({(EmmState.DEREGISTERED, Step.NONE)})
REGISTERED = frozenset({(EmmState.REGISTERED, Step.NONE)})


def _in(*steps: Step) -> frozenset[State]:
    return frozenset((COMMON, step) for step in steps)


class Verdict(Enum):
    """PROCESS: by its procedure.  STATUS: answer EMM STATUS #98 and change nothing.  IGNORE: change nothing."""

    PROCESS = "process"
    STATUS = "status"
    IGNORE = "ignore"


ALLOWED: dict[type[EmmMessage], frozenset[State]] = {
    AttachRequest: EVERY,
    IdentityResponse: _in(Step.IDENTITY),
    AuthenticationResponse: _in(Step.AUTHENTICATION),
    AuthenticationFailure: _in(Step.AUTHENTICATION),
    SecurityModeComplete: _in(Step.SECURITY_MODE),
    SecurityModeReject: _in(Step.SECURITY_MODE),
    AttachComplete: _in(Step.ATTACH_COMPLETE),
    DetachRequestFromUe: EVERY,
    EmmStatus: EVERY,
    DetachAccept: frozenset({(EmmState.DEREGISTERED_INITIATED, Step.DETACH)}),
    ServiceRequest: UNKNOWN,
    ExtendedServiceRequest: UNKNOWN | REGISTERED,
    TrackingAreaUpdateRequest: UNKNOWN | REGISTERED | _in(Step.TAU_COMPLETE, Step.GUTI_REALLOCATION),
    TrackingAreaUpdateComplete: _in(Step.TAU_COMPLETE),
    GutiReallocationComplete: _in(Step.GUTI_REALLOCATION),
}

ALLOWED_ESM: dict[type, frozenset[State]] = {
    EsmInformationResponse: _in(Step.ESM_INFORMATION),
    EsmStatus: EVERY,
}

# A late answer to a challenge or command that was resent meets the next state; a STATUS would only confuse the UE.
LATE_ANSWERS = (
    IdentityResponse,
    AuthenticationResponse,
    AuthenticationFailure,
    SecurityModeComplete,
    AttachComplete,
    TrackingAreaUpdateComplete,
    GutiReallocationComplete,
    DetachAccept,
    EsmInformationResponse,
)


def verdict(ctx: UeContext, message: EmmMessage) -> Verdict:
    """What may be done with `message` in the context's state."""
    state = (ctx.emm, ctx.step)
    if isinstance(message, EsmContainer):
        allowed = ALLOWED_ESM.get(type(message.esm), frozenset())
    else:
        allowed = ALLOWED.get(type(message), frozenset())
    if state in allowed:
        return Verdict.PROCESS
    late = isinstance(message.esm if isinstance(message, EsmContainer) else message, LATE_ANSWERS)
    return Verdict.IGNORE if late else Verdict.STATUS
