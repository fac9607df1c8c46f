"""Which procedure takes which message, answer and timer; what nothing waits for changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from mme.context import RunningTimer, UeContext
from mme.enums import CauseGroup, EmmCause, EmmState, EsmCause, ItemResult, Step, TimerName
from mme.messages import (
    ActivateDefaultEpsBearerContextAccept,
    AttachComplete,
    AttachReject,
    AuthenticationFailure,
    AuthenticationResponse,
    Cause,
    DetachRequestFromUe,
    DownlinkNasTransport,
    EmmMessage,
    EmmStatus,
    ErabSetup,
    ErrorIndication,
    EsmContainer,
    EsmInformationResponse,
    EsmStatus,
    IdentityResponse,
    InitialContextSetupFailure,
    InitialContextSetupResponse,
    PdnConnectivityReject,
    S1apMessage,
    SecurityModeComplete,
    SecurityModeReject,
    ServiceRequest,
    TrackingAreaUpdateRequest,
    UeCapabilityInfoIndication,
    UeContextReleaseComplete,
    UeContextReleaseRequest,
    UndecodableEsm,
    UnhandledS1ap,
)
from mme.needs import Answer, DeleteSession, Done, NeedProfile, Refusal, Refused
from mme.outcome import Outcome, StartTimer
from mme.procedures import dispatch
from tests.mme.procedures import conftest as ue

COMMON = EmmState.COMMON_PROCEDURE_INITIATED
IDS = (ue.MME_UE_S1AP_ID, ue.ENB_UE_S1AP_ID)
Build = Callable[[], UeContext]


def on_nas(ctx: UeContext, message: EmmMessage, digest: bytes = ue.DIGEST) -> Outcome:
    return dispatch.on_nas(ctx, message, digest, ue.TAI, ue.env())


# --------------------------------------------------------------------------- NAS messages


@pytest.mark.parametrize(
    ("build", "message", "label"),
    [
        (ue.fresh, ue.attach_request(), "waits for a vector"),
        (ue.challenged, ue.attach_request(), "equal attach request ignored"),
        (ue.asked_for_identity, IdentityResponse(ue.IMSI), "waits for a vector"),
        (ue.challenged, AuthenticationResponse(ue.XRES), "security mode command"),
        (ue.challenged, AuthenticationFailure(21, ue.AUTS), "waits for a vector"),
        (ue.commanded, SecurityModeComplete(), "waits for a profile"),
        (ue.commanded, SecurityModeReject(24), "security mode reject #24"),
        (
            ue.asked_for_esm_information,
            EsmContainer(EsmInformationResponse(0, ue.PTI)),
            "waits for a profile",
        ),
        (ue.accepted, AttachComplete(ActivateDefaultEpsBearerContextAccept(5, 0)), "attach complete"),
        (ue.registered, DetachRequestFromUe(1, False, 1, ue.GUTI), "detach"),
        (ue.fresh, DetachRequestFromUe(1, True, 1, ue.GUTI), "detach, switched off"),
        (ue.fresh, ServiceRequest(1, 0, b"ab"), "no context"),
        (ue.fresh, TrackingAreaUpdateRequest(0, False, 1, ue.GUTI), "no context"),
        (ue.registered, EmmStatus(97), "UE sent EMM status #97"),
        (ue.registered, EsmContainer(EsmStatus(5, 0, 111)), "UE sent ESM status #111"),
    ],
)
def test_a_message_in_its_state_goes_to_its_procedure(build: Build, message: EmmMessage, label: str) -> None:
    assert on_nas(build(), message).label == label


def test_another_attach_request_while_one_runs_restarts_the_attach() -> None:
    outcome = on_nas(ue.challenged(), ue.attach_request(identity=ue.OTHER_IMSI), ue.OTHER_DIGEST)
    assert (ue.context(outcome).imsi, ue.context(outcome).step) == (ue.OTHER_IMSI, Step.VECTOR)
    assert set(outcome.stop) == set(TimerName)


def test_a_late_answer_is_discarded_in_silence() -> None:
    before = ue.commanded()
    outcome = on_nas(before, AuthenticationResponse(ue.XRES))
    assert outcome == Outcome(before, result=ItemResult.DISCARDED, label="late AuthenticationResponse")


def test_what_does_not_fit_the_state_is_answered_by_emm_status_98() -> None:
    before = ue.registered()
    outcome = on_nas(before, ServiceRequest(1, 0, b"ab"))
    assert ue.said(ue.only(outcome.downlinks, DownlinkNasTransport))[0] == EmmStatus(98)
    assert (outcome.ctx, outcome.result) == (before, ItemResult.DISCARDED)


def test_an_esm_message_that_is_not_implemented_is_answered_by_esm_status_97() -> None:
    """7.4: message type not defined or not implemented by the receiver."""
    before = ue.registered()
    outcome = on_nas(before, EsmContainer(ue.pdn_connectivity_request(pti=9)))
    assert ue.said(ue.only(outcome.downlinks, DownlinkNasTransport))[0] == EsmContainer(EsmStatus(0, 9, 97))
    assert outcome.ctx == before


@pytest.mark.parametrize("cause", [EsmCause.INVALID_MANDATORY_INFORMATION, EsmCause.MESSAGE_TYPE_NON_EXISTENT])
def test_an_esm_message_that_cannot_be_decoded_is_answered_by_its_own_cause(cause: EsmCause) -> None:
    """7.5.1: a mandatory IE that is missing or wrong is ESM cause #96, not #97."""
    outcome = on_nas(ue.registered(), EsmContainer(UndecodableEsm(0, 9, cause)))
    assert ue.said(ue.only(outcome.downlinks, DownlinkNasTransport))[0] == EsmContainer(EsmStatus(0, 9, int(cause)))


@pytest.mark.parametrize("build", [ue.waiting_for_profile, ue.waiting_for_session, ue.accepted, ue.registered])
def test_a_second_esm_information_response_is_discarded_in_silence(build: Build) -> None:
    """T3489 may have asked twice.  ESM STATUS #97 makes the UE abort its procedure of that PTI (6.7): its attach."""
    before = build()
    outcome = on_nas(before, EsmContainer(EsmInformationResponse(0, ue.PTI)))
    assert (outcome.ctx, outcome.downlinks, outcome.result) == (before, (), ItemResult.DISCARDED)


# --------------------------------------------------------------------------- S1AP messages


@pytest.mark.parametrize(
    ("build", "message", "label"),
    [
        (
            lambda: ue.being_set_up(ue.accepted()),
            InitialContextSetupResponse(*IDS, (ErabSetup(5, ue.ENB_ADDRESS, ue.ENB_TEID),)),
            "context set up",
        ),
        (
            lambda: ue.being_set_up(ue.accepted()),
            InitialContextSetupFailure(*IDS, ue.RADIO_LOST),
            "context setup failed: radio-connection-with-ue-lost",
        ),
        (ue.registered, UeCapabilityInfoIndication(*IDS, b"radio"), "radio capability kept"),
        (
            ue.registered,
            UeContextReleaseRequest(*IDS, ue.RADIO_LOST),
            "release asked for: radio-connection-with-ue-lost",
        ),
        (
            lambda: ue.registered(connections=(replace(ue.CONNECTION, releasing=True),)),
            UeContextReleaseComplete(*IDS),
            "connection released",
        ),
        (
            ue.registered,
            ErrorIndication(*IDS, Cause(CauseGroup.PROTOCOL, "semantic-error")),
            "error indication: semantic-error",
        ),
    ],
)
def test_an_s1ap_message_goes_to_its_procedure(build: Build, message: S1apMessage, label: str) -> None:
    assert dispatch.on_s1ap(build(), message, ue.env()).label == label


def test_an_s1ap_message_without_a_procedure_changes_nothing() -> None:
    before = ue.registered()
    outcome = dispatch.on_s1ap(before, UnhandledS1ap(99, "initiating-message", "ignore"), ue.env())
    assert outcome == Outcome(before, result=ItemResult.DISCARDED, label="nothing to do for UnhandledS1ap")


# --------------------------------------------------------------------------- answers

ANSWERS: dict[Step, tuple[Answer, str]] = {
    Step.VECTOR: (ue.VECTOR, "authentication request"),
    Step.PROFILE: (ue.PROFILE, "waits for a session"),
    Step.SESSION: (ue.SESSION, "attach accept"),
}


@pytest.mark.parametrize(("state", "step"), list(ue.STATIONS), ids=[step.value for _, step in ue.STATIONS])
@pytest.mark.parametrize(
    "answer",
    [ue.VECTOR, ue.PROFILE, ue.SESSION, Done(), Refused(Refusal.REJECTED)],
    ids=lambda a: type(a).__name__,
)
def test_an_answer_is_taken_where_it_is_waited_for_and_is_stale_everywhere_else(
    state: EmmState, step: Step, answer: Answer
) -> None:
    before = ue.STATIONS[state, step]()
    outcome = dispatch.on_answer(before, answer, ue.env())
    expected = ANSWERS.get(step)
    if expected is not None and answer == expected[0]:
        assert outcome.label == expected[1]
    elif expected is not None and isinstance(answer, Refused):
        assert outcome.result is ItemResult.REJECTED
    else:
        assert outcome == Outcome(before, result=ItemResult.STALE, label="answer to nothing")


# --------------------------------------------------------------------------- timers


def expired(ctx: UeContext, name: TimerName, times: int) -> Outcome:
    """The timer has expired for the times-th time."""
    return dispatch.on_timer(ctx, name, RunningTimer("item", ue.NOW_MS, times - 1), ue.env())


@pytest.mark.parametrize(
    ("build", "name", "resends", "last"),
    [
        (ue.asked_for_identity, TimerName.T3470, 4, "T3470 expired: no Identity Response"),
        (ue.challenged, TimerName.T3460, 4, "T3460 expired: no Authentication Response"),
        (ue.commanded, TimerName.T3460, 4, "T3460 expired: no Security Mode Complete"),
        (ue.asked_for_esm_information, TimerName.T3489, 2, "attach reject #19 ESM #53"),
        (ue.accepted, TimerName.T3450, 4, "T3450 expired: no Attach Complete"),
        (ue.accepted, TimerName.CONTEXT_SETUP, 0, "no context setup response"),
    ],
)
def test_a_timer_resends_as_often_as_it_may_and_then_ends_the_attach(
    build: Build, name: TimerName, resends: int, last: str
) -> None:
    before = build()
    for times in range(1, resends + 1):
        outcome = expired(before, name, times)
        assert [(s.name, s.expiries) for s in outcome.start] == [(name, times)]
        assert len(outcome.downlinks) == 1
        assert outcome.ctx == before
    outcome = expired(before, name, resends + 1)
    assert (outcome.label, outcome.forget, outcome.start) == (last, True, ())
    assert ue.context(outcome).emm is EmmState.DEREGISTERED


@pytest.mark.parametrize(
    ("build", "reject"),
    [
        (ue.waiting_for_vector, AttachReject(EmmCause.NETWORK_FAILURE)),
        (ue.waiting_for_profile, AttachReject(EmmCause.NETWORK_FAILURE)),
        (
            ue.waiting_for_session,
            AttachReject(EmmCause.ESM_FAILURE, PdnConnectivityReject(0, ue.PTI, EsmCause.NETWORK_FAILURE)),
        ),
    ],
    ids=["vector", "profile", "session"],
)
def test_a_port_that_stays_silent_is_a_reject_17_or_19_with_esm_38(build: Build, reject: AttachReject) -> None:
    outcome = expired(build(), TimerName.NEED, 1)
    assert ue.said(outcome.downlinks[0])[0] == reject
    assert outcome.forget


def test_a_timer_that_no_procedure_waits_on_changes_nothing() -> None:
    before = ue.registered()
    outcome = expired(before, TimerName.RELEASE, 1)
    assert outcome == Outcome(before, result=ItemResult.STALE, label="no procedure waits on release")


# --------------------------------------------------------------------------- outcomes one after the other


def test_an_outcome_followed_by_another_keeps_what_both_ask_for() -> None:
    t3470, t3460 = StartTimer(TimerName.T3470, 6.0), StartTimer(TimerName.T3460, 6.0)
    delete, profile = DeleteSession("a", ue.KEY, "session1"), NeedProfile("b", ue.KEY, ue.IMSI)
    one, other = UeContextReleaseComplete(1, 1), UeContextReleaseComplete(2, 2)
    first = Outcome(
        ue.fresh(), (one,), (t3470,), (TimerName.T3450,), (delete,), claim=ue.IMSI, forget=True, label="first"
    )
    later = Outcome(
        ue.registered(), (other,), (t3460,), (TimerName.NEED,), (profile,), result=ItemResult.REJECTED, label="later"
    )
    assert first.then(later) == Outcome(
        ue.registered(),
        (one, other),
        (t3470, t3460),
        (TimerName.T3450, TimerName.NEED),
        (delete, profile),
        claim=ue.IMSI,
        forget=True,
        result=ItemResult.REJECTED,
        label="later",
    )


def test_a_timer_started_by_an_outcome_and_stopped_by_the_next_does_not_run() -> None:
    first = dispatch.on_nas(ue.fresh(), ue.attach_request(identity=ue.GUTI), ue.DIGEST, ue.TAI, ue.env())
    assert first.start
    assert first.then(Outcome(first.ctx, stop=(TimerName.T3470,))).start == ()
