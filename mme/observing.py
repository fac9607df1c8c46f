"""What a change of a UE context adds to the metrics: states left and entered, procedures ended, refusals.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mme.context import UeContext
from mme.enums import EmmState, Step
from mme.messages import (
    AttachReject,
    AttachRequest,
    AuthenticationReject,
    DetachRequestFromUe,
    ExtendedServiceRequest,
    S1apMessage,
    Secured,
    ServiceReject,
    ServiceRequest,
    TrackingAreaUpdateReject,
    TrackingAreaUpdateRequest,
)

ATTACH = "attach"
TRACKING_AREA_UPDATE = "tracking area update"
SERVICE_REQUEST = "service request"
DETACH = "detach"
GUTI_REALLOCATION = "GUTI reallocation"
AUTHENTICATION = "authentication"
PROCEDURES = (ATTACH, TRACKING_AREA_UPDATE, SERVICE_REQUEST, DETACH, GUTI_REALLOCATION, AUTHENTICATION)

COMPLETED = "completed"
REJECTED = "rejected"
ABANDONED = "abandoned"
RESULTS = (COMPLETED, REJECTED, ABANDONED)

REJECTS = (AttachReject, ServiceReject, TrackingAreaUpdateReject, AuthenticationReject)
_LAST_STEPS = (Step.ATTACH_COMPLETE, Step.TAU_COMPLETE, Step.GUTI_REALLOCATION)
_BY_STEP = {
    Step.DETACH: DETACH,
    Step.TAU_COMPLETE: TRACKING_AREA_UPDATE,
    Step.GUTI_REALLOCATION: GUTI_REALLOCATION,
}
_BY_MESSAGE = {
    AttachRequest.__name__: ATTACH,
    TrackingAreaUpdateRequest.__name__: TRACKING_AREA_UPDATE,
    ServiceRequest.__name__: SERVICE_REQUEST,
    ExtendedServiceRequest.__name__: SERVICE_REQUEST,
    DetachRequestFromUe.__name__: DETACH,
}


@dataclass(frozen=True, slots=True)
class Ended:
    """A procedure that has ended.  began_ms: Unix ms of its first item; None: it was that item alone."""

    procedure: str
    result: str
    began_ms: int | None = None


def states(ctx: UeContext | None) -> tuple[str, ...]:
    """EMM and ECM state of a UE that is counted: of one that is not EMM-DEREGISTERED.  None = no context."""
    if ctx is None or ctx.emm is EmmState.DEREGISTERED:
        return ()
    return (ctx.emm.value, ctx.ecm.value)


def begun_ms(before: UeContext, after: UeContext, now_ms: int) -> int:
    """When the procedure that runs in `after` began, in Unix ms; 0 = none runs."""
    if after.step is Step.NONE:
        return 0
    began_anew = before.step is Step.NONE or _procedure(before) != _procedure(after) or _replaced(before, after)
    return now_ms if began_anew else before.begun_ms


def ended(before: UeContext, after: UeContext | None, message: str, sent: Sequence[S1apMessage]) -> list[Ended]:
    """The procedures that a change has ended.  after None: the context is done with.  message: what arrived."""
    refused = any(rejects(sent))
    found = []
    ran = before.step is not Step.NONE
    over = (
        after is None or after.step is Step.NONE or _replaced(before, after) or _procedure(after) != _procedure(before)
    )
    if ran and over:
        result = REJECTED if refused else COMPLETED if _good(before, after) else ABANDONED
        found.append(Ended(_procedure(before), result, before.begun_ms or None))
    alone = _BY_MESSAGE.get(message)
    if alone is not None and (alone == DETACH or not ran) and (after is None or after.step is Step.NONE):
        found.append(Ended(alone, REJECTED if refused else COMPLETED))
    return found


def rejects(sent: Sequence[S1apMessage]) -> Iterator[tuple[str, str]]:
    """(message, EMM cause as "22 congestion", or "none") of each NAS message that refuses the UE something."""
    for downlink in sent:
        pdu = getattr(downlink, "nas_pdu", None)
        message = pdu.message if isinstance(pdu, Secured) else None
        if isinstance(message, REJECTS):
            cause = getattr(message, "cause", None)
            text = "none" if cause is None else f"{cause.value} {cause.name.lower().replace('_', ' ')}"
            yield type(message).__name__, text


def _procedure(ctx: UeContext) -> str:
    if ctx.step in _BY_STEP:
        return _BY_STEP[ctx.step]
    if ctx.attaching is not None:
        return ATTACH
    return TRACKING_AREA_UPDATE if ctx.updating is not None else AUTHENTICATION


def _replaced(before: UeContext, after: UeContext) -> bool:
    """Whether another ATTACH REQUEST is being answered now."""
    old, new = before.attaching, after.attaching
    return old is not None and new is not None and old.digest != new.digest


def _good(before: UeContext, after: UeContext | None) -> bool:
    if before.step is Step.DETACH:
        return after is None or after.emm is EmmState.DEREGISTERED
    if after is None or after.emm in (EmmState.DEREGISTERED, EmmState.DEREGISTERED_INITIATED):
        return False
    if _procedure(before) == AUTHENTICATION:
        return before.step is Step.SECURITY_MODE
    return before.step in _LAST_STEPS
