"""What a UE says while its eNB has not answered INITIAL CONTEXT SETUP REQUEST: the connection is for more than that.

TS 36.413 8.3.1, 8.3.3; TS 23.401 5.3.4.1: who came for its bearers gets them, whatever signalling comes between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mme.context import COUNT_ALMOST_USED_UP, UeContext
from mme.enums import CauseGroup, DetachType, EmmCause, EmmState, Step, TimerName
from mme.messages import (
    Cause,
    DetachAccept,
    DetachRequestFromUe,
    EmmMessage,
    ErabSetup,
    ExtendedServiceRequest,
    InitialContextSetupFailure,
    InitialContextSetupRequest,
    InitialContextSetupResponse,
    ServiceReject,
    TrackingAreaUpdateAccept,
    TrackingAreaUpdateComplete,
    TrackingAreaUpdateRequest,
)
from mme.needs import ModifySession, NeedVector
from mme.outcome import Outcome
from mme.procedures import dispatch
from mme.procedures.connection import on_initial_message
from tests.mme.procedures import conftest as ue

KEEPS_GUTI = replace(ue.CONFIG, tau_reallocates_guti=False)
GUARD = ue.running(TimerName.CONTEXT_SETUP)
IDS = (ue.MME_UE_S1AP_ID, ue.ENB_UE_S1AP_ID)
UPDATE = TrackingAreaUpdateRequest(0, active=False, nas_ksi=1, old_guti=ue.GUTI)
ACTIVE = replace(UPDATE, active=True)
EXTENDED = ExtendedServiceRequest(0, 1, ue.GUTI.m_tmsi)
IMSI_DETACH = DetachRequestFromUe(DetachType.IMSI, False, 1, ue.GUTI)
BETWEEN = [
    (UPDATE, TrackingAreaUpdateAccept(0, 3240, tai_list=(ue.TAI,))),
    (EXTENDED, ServiceReject(EmmCause.CS_DOMAIN_NOT_AVAILABLE)),
    (IMSI_DETACH, DetachAccept()),
]


def setting_up(**changes: Any) -> UeContext:
    """Back by service request; the eNB has not answered."""
    return ue.returned(**{"timers": GUARD, **changes})


def says(ctx: UeContext, message: EmmMessage, config: Any = KEEPS_GUTI) -> Outcome:
    return dispatch.on_nas(ctx, message, ue.DIGEST, ue.TAI, ue.env(config))


@pytest.mark.parametrize(("message", "answer"), BETWEEN, ids=lambda m: type(m).__name__)
def test_it_is_answered_without_a_release_and_the_bearer_comes(message: EmmMessage, answer: EmmMessage) -> None:
    outcome = says(setting_up(), message)
    assert [ue.said(m)[0] for m in outcome.downlinks] == [answer]
    after = ue.context(outcome)
    assert (after.emm, after.step, after.connection) == (EmmState.REGISTERED, Step.NONE, ue.CONNECTION)
    assert after.secured
    assert TimerName.CONTEXT_SETUP not in outcome.stop
    response = InitialContextSetupResponse(*IDS, (ErabSetup(5, ue.ENB_ADDRESS, ue.ENB_TEID),))
    done = dispatch.on_s1ap(after, response, ue.env())
    assert ue.only_need(done) == ModifySession(
        f"{ue.ITEM}/modify-session", ue.KEY, "session1", ue.ENB_ADDRESS, ue.ENB_TEID
    )
    assert (ue.context(done).connection, done.downlinks) == (ue.CONNECTION, ())


@pytest.mark.parametrize("message", [message for message, _ in BETWEEN], ids=lambda m: type(m).__name__)
def test_where_the_enb_then_fails_the_connection_ends_as_it_would_have(message: EmmMessage) -> None:
    after = ue.context(says(setting_up(), message))
    failed = InitialContextSetupFailure(*IDS, Cause(CauseGroup.RADIO_NETWORK, "unspecified"))
    silent = dispatch.on_timer(after, TimerName.CONTEXT_SETUP, GUARD[TimerName.CONTEXT_SETUP.value], ue.env())
    for outcome in (dispatch.on_s1ap(after, failed, ue.env()), silent):
        assert [ue.released(m) for m in outcome.downlinks] == ["unspecified"]
        assert (ue.context(outcome).emm, ue.context(outcome).connection) == (EmmState.REGISTERED, None)


def completes(ctx: UeContext) -> Outcome:
    return says(ctx, TrackingAreaUpdateComplete(), ue.CONFIG)


def loses_complete(ctx: UeContext) -> Outcome:
    return dispatch.on_timer(ctx, TimerName.T3450, ue.running(TimerName.T3450, 4)["T3450"], ue.env())


@pytest.mark.parametrize("ends", [completes, loses_complete])
def test_an_update_that_gives_a_guti_is_over_without_a_release(ends: Callable[[UeContext], Outcome]) -> None:
    waiting = ue.context(says(setting_up(), UPDATE, ue.CONFIG))
    assert waiting.step is Step.TAU_COMPLETE
    outcome = ends(waiting)
    after = ue.context(outcome)
    assert (outcome.downlinks, after.connection) == ((), ue.CONNECTION)
    assert (after.emm, after.step, after.updating) == (EmmState.REGISTERED, Step.NONE, None)


def test_an_update_with_the_active_flag_asks_for_no_second_setup() -> None:
    """TS 36.413 8.3.1.4: what it wants is on its way."""
    outcome = says(setting_up(), ACTIVE)
    assert [type(ue.said(m)[0]) for m in outcome.downlinks] == [TrackingAreaUpdateAccept]
    assert TimerName.CONTEXT_SETUP not in ue.timers(outcome)[0]


def test_after_attach_complete_it_is_the_same() -> None:
    """The UE was faster than its eNB; the attach is over, and it updates."""
    before = ue.registered(bearer=ue.bearer(), timers=GUARD)
    outcome = says(before, UPDATE)
    assert (len(outcome.downlinks), ue.context(outcome).connection) == (1, ue.CONNECTION)


def test_new_keys_wait_for_the_answer() -> None:
    """TS 33.401 6.5; after them the eNB would have to be asked anew, while it still works on what it was asked."""
    worn = ue.security(ul_count=COUNT_ALMOST_USED_UP)
    outcome = says(setting_up(security=worn), UPDATE)
    assert (outcome.needs, [type(ue.said(m)[0]) for m in outcome.downlinks]) == ((), [TrackingAreaUpdateAccept])
    up = ue.bearer(enb_address=ue.ENB_ADDRESS, enb_teid=ue.ENB_TEID)
    asked = says(replace(ue.context(outcome), bearer=up, timers={}), UPDATE)
    assert isinstance(ue.only_need(asked), NeedVector)


# --------------------------------------------------------------------------- on a new connection


@pytest.mark.parametrize("message", [message for message, _ in BETWEEN], ids=lambda m: type(m).__name__)
def test_the_setup_of_a_connection_that_was_left_keeps_no_other_one(message: EmmMessage) -> None:
    outcome = on_initial_message(setting_up(), ue.NEW_CONNECTION, message, ue.DIGEST, ue.env(KEEPS_GUTI))
    assert ue.released(outcome.downlinks[0]) == "normal-release"
    ue.released(outcome.downlinks[-1], ue.NEW_CONNECTION)
    after = ue.context(outcome)
    assert (after.connection, after.timers) == (None, {})


def test_nor_does_it_stand_for_that_of_the_new_one() -> None:
    outcome = on_initial_message(setting_up(), ue.NEW_CONNECTION, ACTIVE, ue.DIGEST, ue.env(KEEPS_GUTI))
    setup = outcome.downlinks[-1]
    assert isinstance(setup, InitialContextSetupRequest)
    assert setup.mme_ue_s1ap_id == ue.NEW_CONNECTION.mme_ue_s1ap_id
    assert ue.timers(outcome)[0][TimerName.CONTEXT_SETUP] == (10.0, 0)
