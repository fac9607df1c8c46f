"""The UE's context at the eNB (TS 36.413 8.3, 8.7.2, 8.9): set up, not set up, released, lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from mme.context import UeContext
from mme.enums import CauseGroup, EmmState, ItemResult, Step, TimerName
from mme.messages import (
    Cause,
    ErabFailed,
    ErabSetup,
    ErrorIndication,
    InitialContextSetupFailure,
    InitialContextSetupResponse,
    UeCapabilityInfoIndication,
    UeContextReleaseComplete,
    UeContextReleaseRequest,
)
from mme.needs import DeleteSession, ModifySession
from mme.outcome import Outcome
from mme.procedures import dispatch, initial_context
from tests.mme.procedures import conftest as ue

IDS = (ue.MME_UE_S1AP_ID, ue.ENB_UE_S1AP_ID)
UNKNOWN_IDS = ("unknown-enb-ue-s1ap-id", "unknown-mme-ue-s1ap-id", "unknown-pair-ue-s1ap-id")
PROCEDURE_TIMERS = {
    TimerName.T3422,
    TimerName.T3450,
    TimerName.T3460,
    TimerName.T3470,
    TimerName.T3489,
    TimerName.NEED,
    TimerName.CONTEXT_SETUP,
}
# TS 24.301 5.3.5: the mobile reachable timer is 4 minutes longer than T3412.
REACHABLE = {TimerName.MOBILE_REACHABLE: (ue.CONFIG.t3412_s + 240, 0)}
DELETED = (DeleteSession(f"{ue.ITEM}/delete-session", ue.KEY, "session1"),)

Ending = Callable[[UeContext], Outcome]
ENDINGS: dict[str, tuple[Ending, str, str]] = {
    "failure": (
        lambda ctx: initial_context.on_initial_context_setup_failure(
            ctx, InitialContextSetupFailure(*IDS, ue.RADIO_LOST), ue.env()
        ),
        "unspecified",
        "context setup failed: radio-connection-with-ue-lost",
    ),
    "guard": (
        lambda ctx: initial_context.on_context_setup_expiry(ctx, 1, ue.env()),
        "unspecified",
        "no context setup response",
    ),
    "release request": (
        lambda ctx: initial_context.on_release_request(
            ctx, UeContextReleaseRequest(*IDS, Cause(CauseGroup.RADIO_NETWORK, "user-inactivity")), ue.env()
        ),
        "release-due-to-eutran-generated-reason",
        "release asked for: user-inactivity",
    ),
    "given up": (
        lambda ctx: initial_context.on_given_up(ctx, ue.env()),
        "radio-connection-with-ue-lost",
        "given up by the eNB",
    ),
}

# --------------------------------------------------------------------------- set up


def test_a_response_keeps_the_enbs_end_and_stops_the_guard() -> None:
    response = InitialContextSetupResponse(*IDS, (ErabSetup(5, ue.ENB_ADDRESS, ue.ENB_TEID),))
    outcome = initial_context.on_initial_context_setup_response(ue.being_set_up(ue.accepted()), response, ue.env())
    after = ue.context(outcome)
    assert after.bearer == ue.bearer(enb_address=ue.ENB_ADDRESS, enb_teid=ue.ENB_TEID)
    assert after.attaching == ue.attaching(access_point_name="internet")
    assert (after.emm, after.step) == (EmmState.COMMON_PROCEDURE_INITIATED, Step.ATTACH_COMPLETE)
    assert ue.timers(outcome) == ({}, {TimerName.CONTEXT_SETUP})
    assert (outcome.downlinks, outcome.needs, outcome.label) == ((), (), "context set up")


def test_of_several_e_rabs_the_default_bearers_is_taken() -> None:
    e_rabs = (ErabSetup(6, bytes(4), 1), ErabSetup(5, ue.ENB_ADDRESS, ue.ENB_TEID))
    outcome = initial_context.on_initial_context_setup_response(
        ue.being_set_up(ue.accepted()), InitialContextSetupResponse(*IDS, e_rabs), ue.env()
    )
    assert ue.context(outcome).bearer == ue.bearer(enb_address=ue.ENB_ADDRESS, enb_teid=ue.ENB_TEID)


@pytest.mark.parametrize(
    "response",
    [
        InitialContextSetupResponse(*IDS, (), (ErabFailed(5, ue.RADIO_LOST),)),
        InitialContextSetupResponse(*IDS, (ErabSetup(6, ue.ENB_ADDRESS, ue.ENB_TEID),)),
    ],
    ids=["failed", "another one"],
)
def test_a_response_without_the_default_bearer_ends_the_attach(response: InitialContextSetupResponse) -> None:
    before = ue.being_set_up(ue.accepted())
    outcome = initial_context.on_initial_context_setup_response(before, response, ue.env())
    assert [ue.released(m) for m in outcome.downlinks] == ["unspecified"]
    assert outcome.needs == DELETED
    assert outcome.label == "the eNB could not set up the default bearer"
    ue.assert_gone(outcome, before, needs=1)


@pytest.mark.parametrize(
    "answer",
    [
        InitialContextSetupResponse(*IDS, (ErabSetup(5, bytes(4), 1),)),
        InitialContextSetupResponse(*IDS, (), (ErabFailed(5, ue.RADIO_LOST),)),
        InitialContextSetupFailure(*IDS, ue.RADIO_LOST),
    ],
    ids=["response", "response without the bearer", "failure"],
)
@pytest.mark.parametrize(
    "build",
    [
        ue.waiting_for_session,
        ue.accepted,
        ue.registered,
        lambda: ue.registered(bearer=ue.bearer()),
        ue.idle,
    ],
    ids=["no bearer yet", "attaching", "set up", "back for signalling", "idle"],
)
def test_an_answer_to_no_context_setup_changes_nothing_and_gets_no_answer(
    build: Callable[[], UeContext], answer: InitialContextSetupResponse | InitialContextSetupFailure
) -> None:
    """TS 36.413 10.4, class 1, a response with a logical error: the procedure has ended, handled locally."""
    before = build()
    assert dispatch.on_s1ap(before, answer, ue.env()) == Outcome(
        before, result=ItemResult.STALE, label="answer to no context setup"
    )


# --------------------------------------------------------------------------- the end of a connection


@pytest.mark.parametrize("name", ENDINGS)
def test_the_end_of_the_connection_of_a_registered_ue_makes_it_idle_and_keeps_its_session(name: str) -> None:
    end, cause, label = ENDINGS[name]
    before = ue.being_set_up(ue.registered())
    outcome = end(before)
    assert [ue.released(m) for m in outcome.downlinks] == [cause]
    assert outcome.needs == (ModifySession(f"{ue.ITEM}/release-access", ue.KEY, "session1", None, None),)
    # TS 24.301 5.3.5: the mobile reachable timer is 4 minutes longer than T3412 (54 minutes here).
    assert ue.timers(outcome) == ({TimerName.MOBILE_REACHABLE: (3480, 0)}, PROCEDURE_TIMERS)
    assert (outcome.forget, outcome.claim, outcome.label) == (False, None, label)
    after = ue.context(outcome)
    assert after == replace(
        before,
        connections=(replace(ue.CONNECTION, releasing=True),),
        secured=False,
        bearer=ue.bearer(),
    )
    assert after.connection is None


@pytest.mark.parametrize("name", ENDINGS)
@pytest.mark.parametrize(
    "station", [name for name, (state, _) in enumerate(ue.STATIONS) if state is EmmState.COMMON_PROCEDURE_INITIATED]
)
def test_the_end_of_the_connection_ends_an_attach_that_is_not_complete(name: str, station: int) -> None:
    """5.5.1.2.7 a: lower layer failure before ATTACH COMPLETE."""
    end, cause, label = ENDINGS[name]
    before = ue.being_set_up(list(ue.STATIONS.values())[station]())
    outcome = end(before)
    assert [ue.released(m) for m in outcome.downlinks] == [cause]
    assert outcome.needs == (DELETED if before.bearer else ())
    assert outcome.label == label
    ue.assert_gone(outcome, before, needs=len(outcome.needs))


def test_a_ue_that_is_complete_but_not_set_up_at_the_enb_stays_registered() -> None:
    """ATTACH COMPLETE came, the INITIAL CONTEXT SETUP RESPONSE did not: the guard makes the UE idle."""
    before = ue.registered(bearer=ue.bearer())
    outcome = initial_context.on_context_setup_expiry(before, 1, ue.env())
    after = ue.context(outcome)
    assert (after.emm, after.attaching, after.connection) == (EmmState.REGISTERED, None, None)
    assert not outcome.forget


@pytest.mark.parametrize("build", [ue.registered, ue.accepted])
def test_release_complete_takes_its_connection_and_no_other(build: Callable[[], UeContext]) -> None:
    old = replace(ue.CONNECTION, mme_ue_s1ap_id=ue.MME_UE_S1AP_ID + 1, releasing=True)
    before = replace(build(), connections=(old, ue.CONNECTION))
    complete = UeContextReleaseComplete(ue.MME_UE_S1AP_ID + 1, ue.ENB_UE_S1AP_ID)
    outcome = initial_context.on_release_complete(before, complete, ue.env())
    assert outcome == Outcome(replace(before, connections=(ue.CONNECTION,)), label="connection released")


def test_release_complete_is_the_last_that_a_deregistered_context_waited_for() -> None:
    before = ue.fresh(connections=(replace(ue.CONNECTION, releasing=True),))
    outcome = initial_context.on_release_complete(before, UeContextReleaseComplete(*IDS), ue.env())
    assert outcome == Outcome(ue.fresh(connections=()), forget=True, label="connection released")


def test_release_complete_without_a_command_makes_a_registered_ue_idle() -> None:
    """TS 36.413 10.4: no answer.  The eNB has no such UE: nothing of its end is kept."""
    outcome = initial_context.on_release_complete(ue.registered(), UeContextReleaseComplete(*IDS), ue.env())
    after = ue.context(outcome)
    assert (after.emm, after.connections, after.secured) == (EmmState.REGISTERED, (), False)
    assert after.bearer == ue.bearer()
    assert outcome.needs == (ModifySession(f"{ue.ITEM}/release-access", ue.KEY, "session1", None, None),)
    assert ue.timers(outcome) == (REACHABLE, PROCEDURE_TIMERS)
    assert (outcome.downlinks, outcome.forget) == ((), False)
    assert outcome.label == "release complete without a command"


@pytest.mark.parametrize("build", [ue.challenged, ue.commanded, ue.accepted])
def test_release_complete_without_a_command_ends_an_attach(build: Callable[[], UeContext]) -> None:
    before = build()
    outcome = initial_context.on_release_complete(before, UeContextReleaseComplete(*IDS), ue.env())
    after = ue.context(outcome)
    assert (after.emm, after.connections, after.bearer, after.secured) == (EmmState.DEREGISTERED, (), None, False)
    assert (outcome.downlinks, outcome.forget) == ((), True)
    assert outcome.needs == (DELETED if before.bearer else ())


# --------------------------------------------------------------------------- error indication


@pytest.mark.parametrize("cause", UNKNOWN_IDS)
def test_an_error_indication_about_the_ids_makes_a_registered_ue_idle_without_a_word(cause: str) -> None:
    message = ErrorIndication(*IDS, Cause(CauseGroup.RADIO_NETWORK, cause))
    outcome = initial_context.on_error_indication(ue.registered(), message, ue.env())
    after = ue.context(outcome)
    assert (after.emm, after.connections, after.secured) == (EmmState.REGISTERED, (), False)
    assert after.bearer == ue.bearer()
    assert outcome.downlinks == ()
    assert outcome.needs == (ModifySession(f"{ue.ITEM}/release-access", ue.KEY, "session1", None, None),)
    assert ue.timers(outcome) == (REACHABLE, PROCEDURE_TIMERS)
    assert not outcome.forget
    assert outcome.label == f"error indication: {cause}"


@pytest.mark.parametrize("cause", UNKNOWN_IDS)
def test_an_error_indication_about_the_ids_ends_an_attach_without_a_word(cause: str) -> None:
    message = ErrorIndication(*IDS, Cause(CauseGroup.RADIO_NETWORK, cause))
    outcome = initial_context.on_error_indication(ue.accepted(), message, ue.env())
    after = ue.context(outcome)
    assert (after.emm, after.connections, after.bearer) == (EmmState.DEREGISTERED, (), None)
    assert (outcome.downlinks, outcome.needs, outcome.forget) == ((), DELETED, True)


@pytest.mark.parametrize("cause", [Cause(CauseGroup.PROTOCOL, "semantic-error"), None])
def test_any_other_error_indication_changes_nothing(cause: Cause | None) -> None:
    before = ue.registered()
    outcome = initial_context.on_error_indication(before, ErrorIndication(*IDS, cause), ue.env())
    assert outcome == Outcome(before, label=f"error indication: {cause.value if cause else 'none'}")


def test_the_radio_capability_is_kept_as_it_came() -> None:
    before = ue.registered()
    message = UeCapabilityInfoIndication(*IDS, b"\x00\x01radio")
    outcome = initial_context.on_ue_capability_info(before, message, ue.env())
    assert outcome == Outcome(replace(before, ue_radio_capability=b"\x00\x01radio"), label="radio capability kept")
