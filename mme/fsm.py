"""The table: which message is allowed in which state of the UE context (TS 24.301 5.1.3.4, 7.4).

A context's state is the pair (EmmState, Step): the main state of the specification, and what the running procedure
waits for.  The table says who may be processed; `procedures.dispatch` says by which function.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache

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
    ExtendedServiceRequest: UNKNOWN | REGISTERED | _in(Step.TAU_COMPLETE, Step.GUTI_REALLOCATION),
    TrackingAreaUpdateRequest: UNKNOWN
    | REGISTERED
    | _in(Step.ATTACH_COMPLETE, Step.TAU_COMPLETE, Step.GUTI_REALLOCATION),
    TrackingAreaUpdateComplete: _in(Step.TAU_COMPLETE),
    GutiReallocationComplete: _in(Step.GUTI_REALLOCATION),
}

ALLOWED_ESM: dict[type, frozenset[State]] = {
    EsmInformationResponse: _in(Step.ESM_INFORMATION),
    EsmStatus: EVERY,
}

CROSSED: dict[type[EmmMessage], frozenset[State]] = {
    # It aborts what it crosses (5.4.2.7, 5.4.3.7 c, 5.5.3.2.7 e).
    TrackingAreaUpdateRequest: _in(Step.VECTOR, Step.AUTHENTICATION, Step.SECURITY_MODE),
    # With an authentication both are progressed (5.4.2.7); a security mode control it aborts (5.4.3.7 c).
    ExtendedServiceRequest: _in(Step.VECTOR, Step.AUTHENTICATION, Step.SECURITY_MODE),
}
"""Common procedures in which a registered UE's message is taken: who attaches neither updates nor asks for service
(5.1.3.2)."""

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


# The network's detach goes on (5.5.2.3.4 c, d); an attach is progressed where re-attach is required.
IGNORED_WHILE_LEAVING = (AttachRequest, TrackingAreaUpdateRequest)


def verdict(ctx: UeContext, message: EmmMessage) -> Verdict:
    """What may be done with `message` in the context's state."""
    state = (ctx.emm, ctx.step)
    if isinstance(message, EsmContainer):
        allowed = ALLOWED_ESM.get(type(message.esm), frozenset())
    else:
        allowed = ALLOWED.get(type(message), frozenset())
    reattaches = isinstance(message, AttachRequest) and ctx.reattach_required
    if ctx.step is Step.DETACH and isinstance(message, IGNORED_WHILE_LEAVING) and not reattaches:
        return Verdict.IGNORE
    crosses = ctx.stays_registered and state in CROSSED.get(type(message), frozenset())
    if state in allowed or crosses:
        return Verdict.PROCESS
    late = isinstance(message.esm if isinstance(message, EsmContainer) else message, LATE_ANSWERS)
    return Verdict.IGNORE if late else Verdict.STATUS


@dataclass(frozen=True, slots=True)
class Edge:
    """One way from a state to another.

    inline: taken within the same item, when a port's answer comes in line.  emergency: for emergency bearer services.
    """

    before: State
    after: State
    event: str
    inline: bool = False
    emergency: bool = False


_NONE: State = (EmmState.DEREGISTERED, Step.NONE)
_HERE: State = (EmmState.REGISTERED, Step.NONE)
_LEAVING: State = (EmmState.DEREGISTERED_INITIATED, Step.DETACH)


def _c(step: Step) -> State:
    return (COMMON, step)


EDGES: tuple[Edge, ...] = (
    Edge(_NONE, _c(Step.VECTOR), "Attach Request, IMSI"),
    Edge(_NONE, _c(Step.IDENTITY), "Attach Request, GUTI"),
    Edge(_c(Step.IDENTITY), _c(Step.VECTOR), "Identity Response, IMSI"),
    Edge(_c(Step.IDENTITY), _c(Step.ESM_INFORMATION), "Identity Response, IMEISV"),
    Edge(_c(Step.IDENTITY), _c(Step.PROFILE), "Identity Response, IMEISV"),
    Edge(_NONE, _c(Step.SECURITY_MODE), "Emergency Attach Request, IMEI", emergency=True),
    Edge(_c(Step.IDENTITY), _c(Step.SECURITY_MODE), "Identity Response without IMSI, emergency", emergency=True),
    Edge(_c(Step.VECTOR), _c(Step.AUTHENTICATION), "vector", inline=True),
    Edge(_c(Step.VECTOR), _c(Step.SECURITY_MODE), "no vector, emergency", inline=True, emergency=True),
    Edge(_c(Step.AUTHENTICATION), _c(Step.SECURITY_MODE), "RES is XRES; not, emergency"),
    Edge(_c(Step.AUTHENTICATION), _c(Step.IDENTITY), "MAC failure, or RES wrong under a GUTI"),
    Edge(_c(Step.AUTHENTICATION), _c(Step.VECTOR), "synch failure"),
    Edge(_c(Step.SECURITY_MODE), _c(Step.IDENTITY), "Security Mode Complete without IMEISV"),
    Edge(_c(Step.SECURITY_MODE), _c(Step.ESM_INFORMATION), "Security Mode Complete, ESM information held back"),
    Edge(_c(Step.SECURITY_MODE), _c(Step.PROFILE), "Security Mode Complete"),
    Edge(_c(Step.SECURITY_MODE), _c(Step.SESSION), "Security Mode Complete, emergency", emergency=True),
    Edge(_c(Step.IDENTITY), _c(Step.SESSION), "Identity Response, IMEISV, emergency", emergency=True),
    Edge(_c(Step.SECURITY_MODE), _HERE, "Security Mode Complete of a registered UE"),
    Edge(_c(Step.SECURITY_MODE), _c(Step.TAU_COMPLETE), "Security Mode Complete of a UE that updates"),
    Edge(_c(Step.ESM_INFORMATION), _c(Step.PROFILE), "ESM Information Response"),
    Edge(_c(Step.PROFILE), _c(Step.SESSION), "subscription data", inline=True),
    Edge(_c(Step.SESSION), _c(Step.ATTACH_COMPLETE), "session", inline=True),
    Edge(_c(Step.ATTACH_COMPLETE), _HERE, "Attach Complete, or use of the new GUTI"),
    Edge(_HERE, _c(Step.VECTOR), "authentication on the network's wish, or by policy"),
    Edge(_HERE, _c(Step.ESM_INFORMATION), "Attach Request of a known UE"),
    Edge(_HERE, _c(Step.PROFILE), "Attach Request of a known UE"),
    Edge(_HERE, _c(Step.SESSION), "Emergency Attach Request of a known UE", emergency=True),
    Edge(_HERE, _c(Step.TAU_COMPLETE), "Tracking Area Update Request"),
    Edge(_c(Step.VECTOR), _c(Step.TAU_COMPLETE), "Tracking Area Update Request of a registered UE"),
    Edge(_c(Step.AUTHENTICATION), _c(Step.TAU_COMPLETE), "Tracking Area Update Request of a registered UE"),
    Edge(_c(Step.TAU_COMPLETE), _HERE, "Tracking Area Update Complete, T3450 for the 5th time"),
    Edge(_HERE, _c(Step.GUTI_REALLOCATION), "GUTI reallocation"),
    Edge(_c(Step.GUTI_REALLOCATION), _HERE, "GUTI Reallocation Complete, T3450 for the 5th time"),
    Edge(_HERE, _LEAVING, "detach by the network"),
    Edge(_c(Step.VECTOR), _LEAVING, "detach by the network of a registered UE"),
    Edge(_c(Step.AUTHENTICATION), _LEAVING, "detach by the network of a registered UE"),
    Edge(_c(Step.TAU_COMPLETE), _LEAVING, "detach by the network"),
    Edge(_c(Step.GUTI_REALLOCATION), _LEAVING, "detach by the network"),
    Edge(_LEAVING, _NONE, "Detach Accept, T3422 for the 5th time"),
)
# From every state: a new connection of a proven UE (to REGISTERED, and on from there), another ATTACH REQUEST (as from
# EMM-DEREGISTERED), and the end (detach, rejection, superseded, connection lost while attaching).
FROM_EVERY_STATE: tuple[State, ...] = (_NONE, _HERE)


@cache
def may_follow(before: State, after: State, *, emergency: bool = False) -> bool:
    """Whether one item may take a context from `before` to `after`: one edge, then edges taken inline.

    A new connection or a new attach begins at REGISTERED or DEREGISTERED.  emergency: what the context is for.
    """
    edges = [edge for edge in EDGES if emergency or not edge.emergency]
    starts = {before, *FROM_EVERY_STATE}
    reached = starts | {edge.after for edge in edges if edge.before in starts}
    while True:
        more = {edge.after for edge in edges if edge.inline and edge.before in reached} - reached
        if not more:
            return after in reached
        reached |= more
