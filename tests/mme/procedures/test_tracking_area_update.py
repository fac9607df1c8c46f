"""Tracking area update of a registered UE (TS 24.301 5.5.3)."""

from __future__ import annotations

import hmac
from dataclasses import replace
from typing import Any

import pytest

from mme.context import COUNT_ALMOST_USED_UP, UeContext, Updating
from mme.enums import EmmCause, EmmState, ItemResult, SecurityHeader, Step, TimerName
from mme.ids import Gummei, Guti, Tai
from mme.m_tmsi import m_tmsi
from mme.messages import (
    AuthenticationResponse,
    DownlinkNasTransport,
    EmmStatus,
    InitialContextSetupRequest,
    SecurityModeCommand,
    SecurityModeComplete,
    TrackingAreaUpdateAccept,
    TrackingAreaUpdateComplete,
    TrackingAreaUpdateReject,
    TrackingAreaUpdateRequest,
    UeContextModificationRequest,
)
from mme.needs import DeleteSession, NeedVector
from mme.outcome import Outcome
from mme.procedures import dispatch
from mme.procedures.connection import on_initial_message
from tests.mme.procedures import conftest as ue
from tests.mme.procedures.test_attach import K_ENB_VECTORS

KEEPS_GUTI = replace(ue.CONFIG, tau_reallocates_guti=False)
TA, COMBINED_TA, COMBINED_IMSI, PERIODIC = 0, 1, 2, 3
NEXT_GUTI = Guti(Gummei(ue.PLMN, 1, 1), m_tmsi(ue.CONFIG.m_tmsi_key, ue.KEY, 2))
CIPHERED = SecurityHeader.INTEGRITY_CIPHERED
GONE = EmmState.DEREGISTERED


def request(**changes: Any) -> TrackingAreaUpdateRequest:
    return replace(TrackingAreaUpdateRequest(TA, active=False, nas_ksi=1, old_guti=ue.GUTI), **changes)


def arrives(ctx: UeContext, message: TrackingAreaUpdateRequest, config: Any = ue.CONFIG) -> Outcome:
    return on_initial_message(ctx, ue.NEW_CONNECTION, message, ue.DIGEST, ue.env(config))


def connected(ctx: UeContext, message: TrackingAreaUpdateRequest, config: Any = ue.CONFIG) -> Outcome:
    return dispatch.on_nas(ctx, message, ue.DIGEST, ue.TAI, ue.env(config))


def accept_of(outcome: Outcome, *, on: Any = ue.NEW_CONNECTION) -> TrackingAreaUpdateAccept:
    message, header = ue.said(outcome.downlinks[0], on)
    assert header is CIPHERED
    assert isinstance(message, TrackingAreaUpdateAccept)
    return message


# --------------------------------------------------------------------------- from idle


@pytest.mark.parametrize("update_type", [TA, PERIODIC])
def test_an_update_from_idle_gives_a_new_guti_and_waits_for_complete(update_type: int) -> None:
    """5.5.3.2.4."""
    config = replace(ue.CONFIG, tacs=(7, 9), t3412_s=600)
    timers = ue.running(TimerName.T3413) | ue.running(TimerName.IMPLICIT_DETACH)
    outcome = arrives(ue.idle(timers=timers), request(update_type=update_type), config)
    assert len(outcome.downlinks) == 1
    assert accept_of(outcome) == TrackingAreaUpdateAccept(
        update_result=0,
        t3412_s=600,
        guti=NEXT_GUTI,
        tai_list=(Tai(ue.PLMN, 7), Tai(ue.PLMN, 9)),
        eps_bearer_context_status=None,
        cause=None,
    )
    after = ue.context(outcome)
    assert (after.emm, after.step) == (EmmState.COMMON_PROCEDURE_INITIATED, Step.TAU_COMPLETE)
    assert (after.guti, after.old_guti, after.generation) == (NEXT_GUTI, ue.GUTI, 2)
    assert after.tai_list == (Tai(ue.PLMN, 7), Tai(ue.PLMN, 9))
    assert after.connection == ue.NEW_CONNECTION
    assert ue.timers(outcome)[0] == {TimerName.T3450: (6.0, 0), TimerName.MOBILE_REACHABLE: (840.0, 0)}
    assert after.timers == {}
    assert outcome.needs == ()


def test_without_reallocation_and_active_flag_the_answer_is_followed_by_the_release() -> None:
    """TS 23.401 5.3.3.2 step 20 and note: no active flag, the signalling connection is released."""
    outcome = arrives(ue.idle(), request(), KEEPS_GUTI)
    accept, release = outcome.downlinks
    assert ue.said(accept, ue.NEW_CONNECTION)[0] == TrackingAreaUpdateAccept(0, 3240, tai_list=(ue.TAI,))
    assert ue.released(release, ue.NEW_CONNECTION) == "normal-release"
    after = ue.context(outcome)
    assert (after.emm, after.step, after.connection, after.updating) == (EmmState.REGISTERED, Step.NONE, None, None)
    assert (after.guti, after.old_guti) == (ue.GUTI, None)
    assert not after.secured
    assert ue.timers(outcome)[0] == {TimerName.MOBILE_REACHABLE: (3480.0, 0)}


def test_with_the_active_flag_the_bearer_comes_back_and_the_connection_stays() -> None:
    outcome = arrives(ue.idle(), request(active=True), KEEPS_GUTI)
    accept, setup = outcome.downlinks
    assert isinstance(ue.said(accept, ue.NEW_CONNECTION)[0], TrackingAreaUpdateAccept)
    assert isinstance(setup, InitialContextSetupRequest)
    assert [e.e_rab_id for e in setup.e_rabs] == [5]
    after = ue.context(outcome)
    assert (after.emm, after.step, after.connection) == (EmmState.REGISTERED, Step.NONE, ue.NEW_CONNECTION)
    assert ue.timers(outcome)[0] == {
        TimerName.CONTEXT_SETUP: (10.0, 0),
        TimerName.MOBILE_REACHABLE: (3480.0, 0),
    }


@pytest.mark.parametrize(("changed", "kept"), [(False, b"radio"), (True, None)])
def test_a_radio_capability_that_the_ue_says_has_changed_is_deleted_and_not_sent(
    changed: bool, kept: bytes | None
) -> None:
    """5.5.3.2.4; TS 23.401 5.11.2: the eNB asks for it then."""
    message = request(active=True, radio_capability_changed=changed)
    outcome = arrives(ue.idle(ue_radio_capability=b"radio"), message)
    assert ue.context(outcome).ue_radio_capability == kept
    setup = outcome.downlinks[-1]
    assert isinstance(setup, InitialContextSetupRequest)
    assert setup.ue_radio_capability == kept


def test_the_same_request_again_does_not_delete_what_the_enb_has_asked_for_meanwhile() -> None:
    message = request(active=True, radio_capability_changed=True)
    asked = ue.context(arrives(ue.idle(ue_radio_capability=b"old"), message))
    told = replace(asked, ue_radio_capability=b"new")
    again = connected(told, message)
    assert accept_of(again).guti == told.guti
    assert ue.context(again).ue_radio_capability == b"new"
    other = connected(told, request(active=True))
    assert ue.context(other).generation != told.generation, "another request is another update"


@pytest.mark.parametrize(("parameter", "cycle"), [("0a80", "v128"), ("0a00", None), (None, "v64")])
def test_a_drx_parameter_replaces_the_one_that_is_kept(parameter: str | None, cycle: str | None) -> None:
    """5.5.3.2.4."""
    octets = None if parameter is None else bytes.fromhex(parameter)
    assert ue.context(arrives(ue.idle(paging_drx="v64"), request(drx_parameter=octets))).paging_drx == cycle


def test_with_active_flag_and_reallocation_both_run_and_the_complete_releases_nothing() -> None:
    outcome = arrives(ue.idle(), request(active=True))
    accept_of(outcome)
    assert isinstance(outcome.downlinks[1], InitialContextSetupRequest)
    waiting = ue.context(outcome)
    done = dispatch.on_nas(waiting, TrackingAreaUpdateComplete(), ue.DIGEST, ue.TAI, ue.env())
    after = ue.context(done)
    assert done.downlinks == ()
    assert (after.emm, after.step, after.connection) == (EmmState.REGISTERED, Step.NONE, ue.NEW_CONNECTION)


@pytest.mark.parametrize("vector", [v for v in K_ENB_VECTORS if int(v["uplink_nas_count"], 16) < 1 << 24])
def test_k_enb_has_the_uplink_count_of_the_update_request(vector: dict[str, str]) -> None:
    """TS 33.401 7.2.6.1."""
    count = int(vector["uplink_nas_count"], 16)
    keys = ue.security(k_asme=bytes.fromhex(vector["k_asme"]), ul_count=count + 1)
    outcome = arrives(ue.idle(security=keys), request(active=True))
    setup = outcome.downlinks[1]
    assert isinstance(setup, InitialContextSetupRequest)
    assert setup.k_enb.hex() == vector["k_enb"]


@pytest.mark.parametrize("update_type", [COMBINED_TA, COMBINED_IMSI])
def test_a_combined_update_is_accepted_for_eps_only_with_18(update_type: int) -> None:
    """5.5.3.3.4.3."""
    accept = accept_of(arrives(ue.idle(), request(update_type=update_type)))
    assert (accept.update_result, accept.cause) == (0, EmmCause.CS_DOMAIN_NOT_AVAILABLE)


def test_a_ue_that_tells_its_bearers_is_told_the_networks() -> None:
    """5.5.3.2.4; 9.9.2.1: bit n of the status is EPS bearer n."""
    assert accept_of(arrives(ue.idle(), request(eps_bearer_context_status=1 << 5))).eps_bearer_context_status == 1 << 5
    assert accept_of(arrives(ue.idle(), request())).eps_bearer_context_status is None


def test_a_bearer_that_only_the_ue_has_is_not_in_the_answer() -> None:
    both = request(eps_bearer_context_status=1 << 5 | 1 << 6)
    assert accept_of(arrives(ue.idle(), both)).eps_bearer_context_status == 1 << 5


def test_a_changed_ue_network_capability_is_taken_over_and_none_changes_nothing() -> None:
    new = bytes.fromhex("e0e0")
    assert ue.context(arrives(ue.idle(), request(ue_network_capability=new))).ue_network_capability == new
    assert ue.context(arrives(ue.idle(), request())).ue_network_capability == ue.UE_NETWORK_CAPABILITY


def test_all_octets_of_the_ms_network_capability_are_kept_and_replayed_in_the_next_security_mode_command() -> None:
    """5.5.3.2.4; 9.9.3.36: GEA1 is bit 8 of the first octet, GEA2 to GEA7 are bits 7 to 2 of the second."""
    new = bytes.fromhex("65e034aa")
    after = ue.context(arrives(ue.idle(), request(ms_network_capability=new)))
    assert after.ms_network_capability == new
    assert ue.context(arrives(ue.idle(), request())).ms_network_capability == ue.MS_NETWORK_CAPABILITY
    challenged = replace(ue.rekeying(Step.AUTHENTICATION), ms_network_capability=after.ms_network_capability)
    outcome = dispatch.on_nas(challenged, AuthenticationResponse(ue.XRES), ue.DIGEST, ue.TAI, ue.env())
    command, _ = ue.said(ue.only(outcome.downlinks, DownlinkNasTransport))
    assert isinstance(command, SecurityModeCommand)
    assert command.replayed_ue_security_capability == bytes.fromhex("f0f0c04030")


# --------------------------------------------------------------------------- refused


@pytest.mark.parametrize("tai", [Tai(ue.PLMN, 8), Tai(replace(ue.PLMN, digits="99999"), 7)])
def test_an_area_that_is_not_served_is_refused_with_12_and_the_ue_is_deregistered(tai: Tai) -> None:
    """5.5.3.2.5: #12, the UE deletes its GUTI and enters EMM-DEREGISTERED.LIMITED-SERVICE."""
    before = ue.idle()
    connection = replace(ue.NEW_CONNECTION, tai=tai)
    outcome = on_initial_message(before, connection, request(), ue.DIGEST, ue.env())
    reject, release = outcome.downlinks
    assert ue.said(reject, connection) == (TrackingAreaUpdateReject(EmmCause.TRACKING_AREA_NOT_ALLOWED), CIPHERED)
    assert ue.released(release, connection) == "unspecified"
    assert outcome.needs == (DeleteSession(f"{ue.ITEM}/delete-session", ue.KEY, "session1"),)
    assert (ue.context(outcome).emm, outcome.forget, outcome.start) == (GONE, True, ())
    assert (outcome.result, outcome.label) == (ItemResult.REJECTED, "tracking area update reject #12")


@pytest.mark.parametrize("anew", [False, True], ids=["", "of a known UE"])
@pytest.mark.parametrize("elsewhere", [False, True], ids=["same connection", "new connection"])
def test_an_update_before_attach_complete_is_refused_with_10_and_the_attach_is_over(
    anew: bool, elsewhere: bool
) -> None:
    """5.5.1.2.7 g: T3450 is stopped, the GUTI of ATTACH ACCEPT is valid, the update is rejected with #10."""
    before = ue.reattaching(Step.ATTACH_COMPLETE) if anew else ue.accepted()
    before = replace(before, timers=ue.running(TimerName.T3450))
    message = request(old_guti=before.guti)
    on = ue.NEW_CONNECTION if elsewhere else ue.CONNECTION
    outcome = arrives(before, message) if elsewhere else connected(before, message)
    *older, reject, release = outcome.downlinks
    assert [ue.released(m) for m in older] == (["normal-release"] if elsewhere else [])
    assert ue.said(reject, on) == (TrackingAreaUpdateReject(EmmCause.IMPLICITLY_DETACHED), CIPHERED)
    assert ue.released(release, on) == "unspecified"
    started, stopped = ue.timers(outcome)
    assert (started, TimerName.T3450 in stopped) == ({}, True)
    after = ue.context(outcome)
    assert (after.emm, after.step, after.attaching, after.connection) == (GONE, Step.NONE, None, None)
    assert (after.guti, after.security) == (before.guti, before.security)
    assert elsewhere or after.old_guti is None
    assert outcome.needs == (DeleteSession(f"{ue.ITEM}/delete-session", ue.KEY, "session1"),)
    assert (outcome.result, outcome.label) == (ItemResult.REJECTED, "tracking area update reject #10")


@pytest.mark.parametrize("shown", [ue.GUTI, None], ids=["the old one", "no GUTI"])
def test_a_ue_that_does_not_show_the_new_guti_may_hold_either(shown: Guti | None) -> None:
    outcome = connected(ue.reattaching(Step.ATTACH_COMPLETE), request(old_guti=shown))
    assert (ue.context(outcome).guti, ue.context(outcome).old_guti) == (ue.RENAMED, ue.GUTI)


@pytest.mark.parametrize("step", ue.REATTACHING_STEPS)
def test_a_known_ue_that_attaches_and_then_updates_from_elsewhere_has_to_attach_again(step: Step) -> None:
    outcome = arrives(ue.reattaching(step), request())
    told = [ue.said(m, ue.NEW_CONNECTION)[0] for m in outcome.downlinks if isinstance(m, DownlinkNasTransport)]
    assert told == [TrackingAreaUpdateReject(EmmCause.IMPLICITLY_DETACHED)]
    assert outcome.forget


@pytest.mark.parametrize("status", [0, 1 << 6])
def test_a_ue_that_has_lost_its_only_bearer_is_refused_with_40(status: int) -> None:
    """5.5.3.2.5."""
    outcome = arrives(ue.idle(), request(eps_bearer_context_status=status))
    reject, release = outcome.downlinks
    assert ue.said(reject, ue.NEW_CONNECTION)[0] == TrackingAreaUpdateReject(EmmCause.NO_EPS_BEARER_CONTEXT_ACTIVATED)
    assert ue.released(release, ue.NEW_CONNECTION) == "unspecified"
    assert outcome.needs == (DeleteSession(f"{ue.ITEM}/delete-session", ue.KEY, "session1"),)
    assert (ue.context(outcome).emm, outcome.forget, outcome.result) == (GONE, True, ItemResult.REJECTED)


def test_an_update_of_a_ue_that_has_no_bearer_here_is_refused_with_40() -> None:
    """5.5.3.2.4, 5.5.3.2.5: a PDN connection is needed to stay registered."""
    outcome = arrives(ue.idle(bearer=None), request(eps_bearer_context_status=1 << 5))
    assert ue.said(outcome.downlinks[0], ue.NEW_CONNECTION)[0] == TrackingAreaUpdateReject(
        EmmCause.NO_EPS_BEARER_CONTEXT_ACTIVATED
    )


@pytest.mark.parametrize("cause", [EmmCause.UE_IDENTITY_CANNOT_BE_DERIVED, EmmCause.IMPLICITLY_DETACHED])
def test_a_stranger_is_told_9_and_one_detached_implicitly_10(cause: EmmCause) -> None:
    env = replace(ue.env(), no_context_cause=cause)
    outcome = dispatch.on_nas(ue.fresh(), request(), ue.DIGEST, ue.TAI, env)
    assert ue.said(outcome.downlinks[0]) == (TrackingAreaUpdateReject(cause), SecurityHeader.PLAIN)
    ue.assert_gone(outcome, ue.fresh())


# --------------------------------------------------------------------------- in connected mode


def test_an_update_in_connected_mode_leaves_connection_and_bearer_alone() -> None:
    before = ue.registered()
    outcome = connected(before, request(active=True), KEEPS_GUTI)
    assert ue.said(ue.only(outcome.downlinks, type(outcome.downlinks[0])))[0] == TrackingAreaUpdateAccept(
        0, 3240, tai_list=(ue.TAI,)
    )
    after = ue.context(outcome)
    assert (after.connection, after.bearer, after.emm) == (ue.CONNECTION, before.bearer, EmmState.REGISTERED)


def test_after_complete_a_connected_ue_stays_connected() -> None:
    waiting = ue.context(connected(ue.registered(), request()))
    outcome = dispatch.on_nas(waiting, TrackingAreaUpdateComplete(), ue.DIGEST, ue.TAI, ue.env())
    after = ue.context(outcome)
    assert (outcome.downlinks, after.connection, after.old_guti) == ((), ue.CONNECTION, None)
    assert (after.emm, after.step) == (EmmState.REGISTERED, Step.NONE)


def test_the_area_of_an_update_in_connected_mode_is_where_the_message_says() -> None:
    """After a handover the first TAI of the list is that of the message, which dispatch is given."""
    config = replace(ue.CONFIG, tacs=(7, 9))
    outcome = dispatch.on_nas(ue.registered(), request(), ue.DIGEST, Tai(ue.PLMN, 9), ue.env(config))
    assert ue.context(outcome).tai_list[0] == Tai(ue.PLMN, 9)


# --------------------------------------------------------------------------- complete, T3450


def test_complete_voids_the_old_guti_and_sends_the_ue_from_idle_back() -> None:
    outcome = dispatch.on_nas(ue.updating(), TrackingAreaUpdateComplete(), ue.DIGEST, ue.TAI, ue.env())
    assert [ue.released(m) for m in outcome.downlinks] == ["normal-release"]
    after = ue.context(outcome)
    assert (after.guti, after.old_guti, after.updating) == (ue.RENAMED, None, None)
    assert (after.emm, after.step, after.connection) == (EmmState.REGISTERED, Step.NONE, None)
    started, stopped = ue.timers(outcome)
    assert TimerName.T3450 in stopped
    assert started == {TimerName.MOBILE_REACHABLE: (3480.0, 0)}


@pytest.mark.parametrize("expired", [0, 1, 2, 3])
def test_expiries_one_to_four_of_t3450_send_the_same_accept_again(expired: int) -> None:
    """5.5.3.2.7 c."""
    first = arrives(ue.idle(), request(eps_bearer_context_status=1 << 5, update_type=COMBINED_TA))
    before = ue.context(first)
    running = ue.running(TimerName.T3450, expired)["T3450"]
    outcome = dispatch.on_timer(before, TimerName.T3450, running, ue.env())
    assert [ue.said(m, ue.NEW_CONNECTION)[0] for m in outcome.downlinks] == [accept_of(first)]
    assert (outcome.ctx, ue.timers(outcome)[0]) == (before, {TimerName.T3450: (6.0, expired + 1)})


def test_the_fifth_expiry_ends_the_update_and_both_gutis_stay_valid() -> None:
    running = ue.running(TimerName.T3450, 4)["T3450"]
    outcome = dispatch.on_timer(ue.updating(), TimerName.T3450, running, ue.env())
    assert [ue.released(m) for m in outcome.downlinks] == ["normal-release"]
    after = ue.context(outcome)
    assert (after.emm, after.step) == (EmmState.REGISTERED, Step.NONE)
    assert (after.guti, after.old_guti) == (ue.RENAMED, ue.GUTI)
    assert TimerName.T3450 not in ue.timers(outcome)[0]


def test_the_same_request_again_before_complete_gets_the_same_answer_and_counts_as_no_expiry() -> None:
    """5.5.3.2.7 d."""
    first = connected(ue.registered(), request())
    before = replace(ue.context(first), timers=ue.running(TimerName.T3450, 2))
    outcome = connected(before, request())
    assert [ue.said(m) for m in outcome.downlinks] == [ue.said(m) for m in first.downlinks]
    assert (outcome.ctx, ue.timers(outcome)[0]) == (before, {TimerName.T3450: (6.0, 2)})


def test_another_request_before_complete_is_progressed_and_the_guti_that_the_ue_holds_stays_valid() -> None:
    """5.5.3.2.7 d: the first is aborted; the UE shows its old GUTI, so it never got the one in between."""
    before = ue.context(connected(ue.registered(), request()))
    outcome = connected(before, request(update_type=COMBINED_TA))
    after = ue.context(outcome)
    assert accept_of(outcome, on=ue.CONNECTION).guti == after.guti
    assert after.guti not in (before.guti, ue.GUTI)
    assert after.old_guti == ue.GUTI


@pytest.mark.parametrize("held", [ue.GUTI, ue.RENAMED])
def test_the_next_update_keeps_the_guti_that_the_ue_shows(held: Guti) -> None:
    """5.4.1.6 b: after the fifth expiry both are valid; which one the UE has, it shows."""
    both = ue.idle(guti=ue.RENAMED, old_guti=ue.GUTI, generation=2)
    after = ue.context(arrives(both, request(old_guti=held)))
    assert after.old_guti == held
    assert after.generation == 3


def test_an_update_during_a_guti_reallocation_ends_the_reallocation() -> None:
    """5.4.1.6."""
    outcome = connected(ue.reallocating(), request(), KEEPS_GUTI)
    after = ue.context(outcome)
    assert (after.emm, after.step) == (EmmState.REGISTERED, Step.NONE)
    assert TimerName.T3450 in ue.timers(outcome)[1]
    assert after.guti == ue.GUTI


def test_an_update_again_from_another_cell_is_answered_there() -> None:
    """5.5.3.2.7 a and d: lost on its way, tried anew on a new connection."""
    outcome = arrives(ue.updating(), request())
    release, accept = outcome.downlinks
    assert ue.released(release) == "normal-release"
    assert ue.said(accept, ue.NEW_CONNECTION)[0].guti == ue.context(outcome).guti  # type: ignore[attr-defined]
    assert ue.context(outcome).old_guti == ue.GUTI


# --------------------------------------------------------------------------- across a common procedure, 5.5.3.2.7 e


@pytest.mark.parametrize("step", [Step.VECTOR, Step.AUTHENTICATION])
@pytest.mark.parametrize("earlier", [None, Updating(active=True)], ids=["", "of another update"])
def test_an_update_aborts_the_authentication_that_it_crosses_and_is_executed(
    step: Step, earlier: Updating | None
) -> None:
    """5.4.2.7: the UE drops the challenge and updates; 5.5.3.2.7 e: with other IEs the earlier update is aborted."""
    before = ue.rekeying(step, updating=earlier, resynchronised=True, timers=ue.running(TimerName.T3460, 2))
    outcome = connected(before, request(eps_bearer_context_status=1 << 5))
    assert len(outcome.downlinks) == 1
    assert accept_of(outcome, on=ue.CONNECTION).eps_bearer_context_status == 1 << 5
    after = ue.context(outcome)
    assert (after.emm, after.step) == (EmmState.COMMON_PROCEDURE_INITIATED, Step.TAU_COMPLETE)
    assert (after.vector, after.waiting_for, after.resynchronised) == (None, None, False)
    assert (after.security, after.bearer) == (before.security, before.bearer)
    started, stopped = ue.timers(outcome)
    assert started == {TimerName.T3450: (6.0, 0)}
    assert {TimerName.NEED, TimerName.T3460} <= stopped


def test_an_authentication_for_a_worn_nas_count_begins_anew_with_the_other_update() -> None:
    """TS 33.401 6.5: the answer still waits for new keys."""
    worn = ue.security(ul_count=COUNT_ALMOST_USED_UP)
    before = ue.rekeying(Step.AUTHENTICATION, security=worn, updating=Updating(active=True))
    outcome = connected(before, request())
    assert isinstance(ue.only_need(outcome), NeedVector)
    assert (ue.context(outcome).step, outcome.downlinks) == (Step.VECTOR, ())
    assert ue.context(outcome).updating == Updating(active=False)


@pytest.mark.parametrize("earlier", [None, Updating(active=True)], ids=["", "of another update"])
@pytest.mark.parametrize("taken", [0, 1], ids=["not taken", "taken into use"])
def test_an_update_aborts_the_security_mode_control_and_begins_with_its_own(
    earlier: Updating | None, taken: int
) -> None:
    """5.4.3.7 c, 5.5.3.2.3: which keys the UE has by now only a new SECURITY MODE COMMAND makes sure."""
    new = ue.security(ksi=2, ul_count=taken, dl_count=3)
    before = ue.rekeying(Step.SECURITY_MODE, security_new=new, updating=earlier, timers=ue.running(TimerName.T3460, 3))
    capability = bytes.fromhex("e0e0")
    outcome = connected(before, request(ue_network_capability=capability))
    command, header = ue.said(ue.only(outcome.downlinks, DownlinkNasTransport))
    assert isinstance(command, SecurityModeCommand)
    assert header is SecurityHeader.INTEGRITY_NEW
    assert command.nas_ksi == 2
    assert command.replayed_ue_security_capability[:2] == capability
    waiting = ue.context(outcome)
    assert (waiting.step, waiting.security_new, waiting.updating) == (Step.SECURITY_MODE, new, Updating(active=False))
    assert ue.timers(outcome)[0] == {TimerName.T3460: (6.0, 0)}
    counted = replace(waiting, security_new=replace(new, ul_count=taken + 1))
    complete = dispatch.on_nas(counted, SecurityModeComplete(), ue.DIGEST, ue.TAI, ue.env())
    modification, accept = complete.downlinks
    assert isinstance(modification, UeContextModificationRequest)
    assert isinstance(ue.said(accept)[0], TrackingAreaUpdateAccept)
    assert ue.context(complete).step is Step.TAU_COMPLETE
    assert ue.context(complete).security == counted.security_new


def algorithm_key(kind: int, algorithm: int) -> bytes:
    """TS 33.401 A.7: FC 0x15, P0 = 1 for NAS encryption and 2 for NAS integrity, P1 = algorithm; the lower 128 bits."""
    return hmac.digest(ue.K_ASME, bytes((0x15, kind, 0, 1, algorithm, 0, 1)), "sha256")[16:]


def test_an_update_that_tells_other_algorithms_has_them_chosen_anew_under_the_same_key_set() -> None:
    """TS 24.301 5.4.3.2, TS 33.401 7.2.4.4: by what the UE can do now; K_ASME and NAS COUNT go on."""
    new = ue.security(ksi=2, ul_count=1, dl_count=3)
    before = ue.rekeying(Step.SECURITY_MODE, security_new=new, timers=ue.running(TimerName.T3460, 1))
    config = replace(ue.CONFIG, eea_order=(2, 1), eia_order=(2, 1))
    eea1_and_eia1 = request(ue_network_capability=bytes.fromhex("c040"))
    outcome = dispatch.on_nas(before, eea1_and_eia1, ue.DIGEST, ue.TAI, ue.env(config))
    command, header = ue.said(ue.only(outcome.downlinks, DownlinkNasTransport))
    assert isinstance(command, SecurityModeCommand)
    assert (command.eea, command.eia, command.nas_ksi, header) == (1, 1, 2, SecurityHeader.INTEGRITY_NEW)
    assert ue.context(outcome).security_new == replace(
        new, eea=1, eia=1, k_nas_enc=algorithm_key(1, 1), k_nas_int=algorithm_key(2, 1)
    )
    assert ue.context(outcome).security == before.security, "in use until the UE has taken the command"


def test_an_update_that_leaves_no_algorithm_in_common_is_rejected_whatever_it_crosses() -> None:
    before = ue.rekeying(Step.SECURITY_MODE, timers=ue.running(TimerName.T3460, 1))
    config = replace(ue.CONFIG, eea_order=(2,))
    outcome = dispatch.on_nas(
        before, request(ue_network_capability=bytes.fromhex("c0e0")), ue.DIGEST, ue.TAI, ue.env(config)
    )
    reject, release = outcome.downlinks
    assert ue.said(reject)[0] == TrackingAreaUpdateReject(EmmCause.IMPLICITLY_DETACHED)
    assert ue.released(release) == "unspecified"
    assert ue.context(outcome).emm is EmmState.DEREGISTERED
    assert (ue.context(outcome).guti, ue.context(outcome).old_guti) == (None, None)


@pytest.mark.parametrize("step", ue.REKEYING_STEPS)
def test_the_same_update_again_before_its_answer_is_ignored_and_the_first_goes_on(step: Step) -> None:
    """5.5.3.2.7 e."""
    before = ue.rekeying(step, updating=Updating(active=True, combined=True), timers=ue.running(TimerName.T3460, 2))
    outcome = connected(before, request(active=True, update_type=COMBINED_TA))
    assert outcome == Outcome(before, label="equal tracking area update request ignored")
    other = connected(before, request(active=True, update_type=COMBINED_TA, old_guti=ue.RENAMED))
    assert other.label != outcome.label, "another GUTI is another IE"


@pytest.mark.parametrize("step", ue.REKEYING_STEPS)
def test_who_attaches_does_not_update(step: Step) -> None:
    """5.1.3.2: the UE is told that it does not fit, #98, and its attach goes on."""
    before = ue.reattaching(step)
    outcome = connected(before, request())
    assert ue.said(ue.only(outcome.downlinks, DownlinkNasTransport))[0] == EmmStatus(98)
    assert outcome.ctx == before
