"""The state table, whole: every state, every message (TS 24.301 5.1.3.4, 7.4)."""

from __future__ import annotations

import inspect
from dataclasses import replace

import pytest

from mme import fsm, messages
from mme.context import UeContext, Updating
from mme.enums import EmmState, ItemResult, Step, TimerName
from mme.fsm import ALLOWED, ALLOWED_ESM, STATES, State, Verdict, verdict
from mme.messages import (
    AttachComplete,
    AttachRequest,
    AuthenticationFailure,
    AuthenticationResponse,
    DetachAccept,
    DetachRequestFromUe,
    DownlinkNasTransport,
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
from mme.procedures import dispatch
from mme.procedures.connection import brings_back, on_initial_message
from tests.mme.procedures import conftest as ue

COMMON = EmmState.COMMON_PROCEDURE_INITIATED
FRESH = (EmmState.DEREGISTERED, Step.NONE)
REGISTERED = (EmmState.REGISTERED, Step.NONE)
EVERYWHERE = set(STATES)

# What the specification and the design allow, written apart from the table that is tested.
EXPECTED: dict[type, set[State]] = {
    AttachRequest: EVERYWHERE,
    DetachRequestFromUe: EVERYWHERE,
    EmmStatus: EVERYWHERE,
    IdentityResponse: {(COMMON, Step.IDENTITY)},
    AuthenticationResponse: {(COMMON, Step.AUTHENTICATION)},
    AuthenticationFailure: {(COMMON, Step.AUTHENTICATION)},
    SecurityModeComplete: {(COMMON, Step.SECURITY_MODE)},
    SecurityModeReject: {(COMMON, Step.SECURITY_MODE)},
    AttachComplete: {(COMMON, Step.ATTACH_COMPLETE)},
    ServiceRequest: {FRESH},
    ExtendedServiceRequest: {
        FRESH,
        REGISTERED,
        (COMMON, Step.TAU_COMPLETE),  # 5.4.1.6: both are progressed
        (COMMON, Step.GUTI_REALLOCATION),
    },
    TrackingAreaUpdateRequest: {
        FRESH,
        REGISTERED,
        (COMMON, Step.ATTACH_COMPLETE),  # 5.5.1.2.7 g
        (COMMON, Step.TAU_COMPLETE),
        (COMMON, Step.GUTI_REALLOCATION),
    },
    TrackingAreaUpdateComplete: {(COMMON, Step.TAU_COMPLETE)},
    GutiReallocationComplete: {(COMMON, Step.GUTI_REALLOCATION)},
    DetachAccept: {(EmmState.DEREGISTERED_INITIATED, Step.DETACH)},
}
# Of a registered UE.
CROSSED: dict[type, set[State]] = {
    # 5.4.2.7, 5.4.3.7 c, 5.5.3.2.7 e
    TrackingAreaUpdateRequest: {(COMMON, step) for step in (Step.VECTOR, Step.AUTHENTICATION, Step.SECURITY_MODE)},
    # 5.4.2.7: both are progressed; 5.4.3.7 c
    ExtendedServiceRequest: {(COMMON, step) for step in (Step.VECTOR, Step.AUTHENTICATION, Step.SECURITY_MODE)},
}
EXPECTED_ESM: dict[type, set[State]] = {
    EsmInformationResponse: {(COMMON, Step.ESM_INFORMATION)},
    EsmStatus: EVERYWHERE,
}
# A timer had the request sent twice, and this is the second answer.
SILENT = {
    IdentityResponse,
    AuthenticationResponse,
    AuthenticationFailure,
    SecurityModeComplete,
    AttachComplete,
    EsmInformationResponse,
    TrackingAreaUpdateComplete,
    GutiReallocationComplete,
    DetachAccept,
}
UPLINK = set(ue.UPLINK) | set(ue.UPLINK_OF_OTHERS)
DOWNLINK = ue.DOWNLINK_ONLY | ue.DOWNLINK_OF_OTHERS
ALL = [*ue.UPLINK.values(), *ue.UPLINK_OF_OTHERS.values(), *(EsmContainer(esm) for esm in ue.UPLINK_ESM)]


CONTEXTS = [*(build() for build in ue.STATIONS.values()), *ue.STATIONS_OF_OTHERS]
STATIONS = {(ctx.emm, ctx.step): ctx for ctx in CONTEXTS}
# A registered UE on its way through the same steps: it attaches anew, or is authenticated, alone or within an update.
KNOWN = {
    **{f"attaches anew: {step.value}": ue.reattaching(step) for step in ue.REATTACHING_STEPS},
    **{f"is authenticated: {step.value}": ue.rekeying(step) for step in ue.REKEYING_STEPS},
    **{
        f"is authenticated and updates: {step.value}": ue.rekeying(
            step, bearer=ue.bearer(), updating=Updating(active=False)
        )
        for step in ue.REKEYING_STEPS
    },
}
BEFORE = {**{f"{emm.value}/{step.value}": ctx for (emm, step), ctx in STATIONS.items()}, **KNOWN}
in_every_context = pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE.keys())


def name(value: object) -> str:
    if isinstance(value, tuple):
        return f"{value[0].value}/{value[1].value}"
    return type(value.esm if isinstance(value, EsmContainer) else value).__name__


def expected(state: State, message: EmmMessage, *, attaches: bool) -> Verdict:
    inner = message.esm if isinstance(message, EsmContainer) else message
    leaving = state == (EmmState.DEREGISTERED_INITIATED, Step.DETACH)
    if leaving and isinstance(inner, AttachRequest | TrackingAreaUpdateRequest):
        return Verdict.IGNORE  # 5.5.2.3.4 c, d; STATIONS has the detach without re-attach
    if state in CROSSED.get(type(inner), set()) and not attaches:
        return Verdict.PROCESS
    if state in (EXPECTED | EXPECTED_ESM).get(type(inner), set()):
        return Verdict.PROCESS
    return Verdict.IGNORE if type(inner) in SILENT else Verdict.STATUS


def in_state(state: State) -> UeContext:
    return STATIONS[state]


def test_the_builders_of_these_tests_reach_every_state_of_the_table() -> None:
    assert set(STATIONS) == EVERYWHERE
    assert len(STATES) == len(EVERYWHERE)


def test_every_emm_message_is_known_here_as_one_of_the_ue_or_of_the_network_alone() -> None:
    known = {
        kind
        for _, kind in inspect.getmembers(messages, inspect.isclass)
        if issubclass(kind, EmmMessage) and kind is not EmmMessage
    }
    assert known == UPLINK | DOWNLINK


def test_no_row_of_the_table_is_about_a_message_that_no_ue_sends() -> None:
    assert set(ALLOWED) <= UPLINK
    assert set(ALLOWED_ESM) <= {type(esm) for esm in ue.UPLINK_ESM}


def test_every_row_of_the_table_is_about_states_that_there_are() -> None:
    for states in (*ALLOWED.values(), *ALLOWED_ESM.values()):
        assert states <= EVERYWHERE
    assert {s for s in EVERYWHERE if s[0] is COMMON} == fsm.ATTACHING


@in_every_context
@pytest.mark.parametrize("message", ALL, ids=name)
def test_the_verdict_is_that_of_the_specification(before: UeContext, message: EmmMessage) -> None:
    assert verdict(before, message) is expected(
        (before.emm, before.step), message, attaches=before.attaching is not None
    )


@in_every_context
@pytest.mark.parametrize("message", ALL, ids=name)
@pytest.mark.parametrize("digest", [ue.DIGEST, ue.OTHER_DIGEST], ids=["same octets", "other octets"])
def test_no_message_in_any_state_raises_and_what_is_not_processed_changes_nothing(
    before: UeContext, message: EmmMessage, digest: bytes
) -> None:
    outcome = dispatch.on_nas(before, message, digest, ue.TAI, ue.env())
    assert outcome.ctx is not None
    assert (outcome.ctx.emm, outcome.ctx.step) in EVERYWHERE
    judged = verdict(before, message)
    if judged is Verdict.PROCESS:
        return
    assert outcome.ctx == before
    assert (outcome.start, outcome.stop, outcome.needs, outcome.claim) == ((), (), (), None)
    assert (outcome.forget, outcome.result) == (False, ItemResult.DISCARDED)
    if judged is Verdict.IGNORE:
        assert outcome.downlinks == ()
    else:
        answer, _ = ue.said(ue.only(outcome.downlinks, DownlinkNasTransport))
        if isinstance(message, EsmContainer):
            assert isinstance(answer, EsmContainer)
            assert isinstance(answer.esm, EsmStatus)
        else:
            assert answer == EmmStatus(98)


@pytest.mark.parametrize("kind", sorted(DOWNLINK, key=repr), ids=repr)
def test_a_message_of_the_network_coming_from_a_ue_is_never_processed(kind: type[EmmMessage]) -> None:
    message = object.__new__(kind)
    assert {verdict(in_state(state), message) for state in STATES} == {Verdict.STATUS}


# Contexts that a known UE can come back to: it has a GUTI and a security context.
RETURNING = {name: ctx for name, ctx in BEFORE.items() if ctx.guti is not None}


def test_a_ue_can_come_back_in_every_state_but_those_of_a_stranger() -> None:
    states = {(ctx.emm, ctx.step) for ctx in RETURNING.values()}
    assert states == EVERYWHERE - {FRESH}
    assert all(ctx.security is not None for ctx in RETURNING.values())


@pytest.mark.parametrize("known", RETURNING.values(), ids=RETURNING.keys())
@pytest.mark.parametrize("message", ALL, ids=name)
@pytest.mark.parametrize("waiting", [None, True], ids=["", "to be detached"])
def test_no_first_message_on_a_new_connection_raises_in_any_state(
    known: UeContext, message: EmmMessage, waiting: bool | None
) -> None:
    before = replace(known, detach_when_back=waiting)
    outcome = on_initial_message(before, ue.NEW_CONNECTION, message, ue.DIGEST, ue.env())
    assert outcome.ctx is not None
    assert (outcome.ctx.emm, outcome.ctx.step) in EVERYWHERE
    assert outcome.ctx.listed(ue.NEW_CONNECTION.mme_ue_s1ap_id) is not None
    started = [start.name for start in outcome.start]
    assert len(started) == len(set(started))
    assert len([c for c in outcome.ctx.connections if not c.releasing]) <= 1


@pytest.mark.parametrize("message", ALL, ids=name)
def test_of_a_deregistered_ue_that_has_its_keys_an_attach_alone_is_taken(message: EmmMessage) -> None:
    gone = ue.idle(emm=EmmState.DEREGISTERED, bearer=None)
    assert brings_back(gone, message, ue.env()) is isinstance(message, AttachRequest)
    assert all(brings_back(known, message, ue.env()) for known in RETURNING.values())


@in_every_context
@pytest.mark.parametrize("timer", list(TimerName), ids=lambda t: t.value)
@pytest.mark.parametrize("expired", [0, 4, 9])
@pytest.mark.parametrize("alive", [True, False])
def test_no_timer_in_any_state_raises_and_none_runs_for_ever(
    before: UeContext, timer: TimerName, expired: int, alive: bool
) -> None:
    """A late row finds another state; after 9 expiries nothing but the watch starts itself anew."""
    running = ue.running(timer, expired)[timer.value]
    outcome = dispatch.on_timer(before, timer, running, ue.env(alive=alive))
    assert outcome.ctx is not None
    assert (outcome.ctx.emm, outcome.ctx.step) in EVERYWHERE
    if expired == 9 and timer is not TimerName.MOBILE_REACHABLE:
        assert timer not in {start.name for start in outcome.start}


def test_the_verdict_on_every_pair_is_one_of_three() -> None:
    judged = {verdict(in_state(state), message) for state in STATES for message in ALL}
    assert judged == set(Verdict)
