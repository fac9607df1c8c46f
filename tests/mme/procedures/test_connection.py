"""A proven UE on a new S1 connection (TS 23.401 4.6; TS 24.301 5.3.1, 5.5.2.3.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mme.context import COUNT_ALMOST_USED_UP, UeContext, Updating
from mme.enums import DetachType, EmmState, ItemResult, SecurityHeader, Step, TimerName
from mme.ids import Guti, Tai
from mme.messages import (
    AttachAccept,
    AuthenticationRequest,
    AuthenticationResponse,
    DetachAccept,
    DetachRequestFromUe,
    DetachRequestToUe,
    EmmMessage,
    EmmStatus,
    ExtendedServiceRequest,
    GutiReallocationComplete,
    IdentityResponse,
    InitialContextSetupRequest,
    Secured,
    SecurityModeComplete,
    ServiceRequest,
    TrackingAreaUpdateAccept,
    TrackingAreaUpdateRequest,
    UeContextModificationRequest,
    UeContextReleaseCommand,
)
from mme.needs import DeleteSession, NeedProfile, NeedVector
from mme.outcome import Outcome
from mme.procedures import attach, attach_request, authentication, dispatch, paging, security_mode
from mme.procedures.connection import on_initial_message
from tests.mme.procedures import conftest as ue

SERVICE = ServiceRequest(1, 0, b"ab")
UPDATE = TrackingAreaUpdateRequest(0, False, 1, ue.GUTI)
EXTENDED = ExtendedServiceRequest(0, 1, ue.GUTI.m_tmsi)
KNOWN = ue.attach_request(identity=ue.GUTI, nas_ksi=1)
NEW = ue.NEW_CONNECTION
PERIOD = {TimerName.MOBILE_REACHABLE: (3480.0, 0)}


def arrives(ctx: UeContext, message: EmmMessage = SERVICE, config: Any = ue.CONFIG) -> Outcome:
    return on_initial_message(ctx, NEW, message, ue.DIGEST, ue.env(config))


# --------------------------------------------------------------------------- what it leaves behind


@pytest.mark.parametrize("enb", ["00101-0019b", NEW.enb])
@pytest.mark.parametrize("message", [SERVICE, UPDATE, KNOWN], ids=lambda m: type(m).__name__)
def test_older_connections_are_released_first_on_the_same_enb_and_on_others(enb: str, message: EmmMessage) -> None:
    old = replace(ue.CONNECTION, enb=enb)
    before = ue.registered(connections=(old,))
    outcome = arrives(before, message)
    assert ue.released(outcome.downlinks[0]) == "normal-release"
    after = ue.context(outcome)
    assert after.connections[0] == replace(old, releasing=True)
    assert after.connections[-1].mme_ue_s1ap_id == NEW.mme_ue_s1ap_id
    assert after.next_connection == before.next_connection + 1


def test_a_connection_that_is_being_released_is_not_released_again() -> None:
    before = ue.idle(connections=(replace(ue.CONNECTION, releasing=True),))
    outcome = arrives(before)
    assert [type(m) for m in outcome.downlinks] == [InitialContextSetupRequest]
    assert ue.context(outcome).connection == NEW


OVER = (
    *(TimerName.T3450, TimerName.T3460, TimerName.T3470, TimerName.T3489, TimerName.T3422),
    *(TimerName.T3413, TimerName.IMPLICIT_DETACH, TimerName.NEED, TimerName.CONTEXT_SETUP),
)
STATIONS: list[Callable[..., UeContext]] = [ue.accepted, ue.updating, ue.reallocating, ue.registered]


@pytest.mark.parametrize("build", STATIONS, ids=lambda b: b.__name__)
def test_a_procedure_that_ran_is_over_and_the_ue_registered(build: Callable[..., UeContext]) -> None:
    """What says when to look for pushes and for the UE again goes on as it did, the rest is over."""
    kept = ue.running(TimerName.OUTBOX) | ue.running(TimerName.MOBILE_REACHABLE)
    running = {name.value: ue.running(name)[name.value] for name in OVER} | kept
    left = {"updating": Updating(True), "vector": ue.VECTOR, "security_new": ue.security(ksi=2)}
    outcome = arrives(build(timers=running, waiting_for="late", **left))
    after = ue.context(outcome)
    assert (after.emm, after.step, after.connection) == (EmmState.REGISTERED, Step.NONE, NEW)
    assert (after.attaching, after.updating, after.vector, after.security_new, after.waiting_for) == (None,) * 5
    assert after.timers == kept
    assert ue.timers(outcome)[0] == PERIOD | {TimerName.CONTEXT_SETUP: (10.0, 0)}


def test_the_enbs_end_of_the_bearer_is_forgotten_with_the_old_connection() -> None:
    assert ue.context(arrives(ue.registered())).bearer == ue.bearer()


def test_a_resynchronisation_of_a_challenge_that_is_over_does_not_count_for_the_next() -> None:
    assert not ue.context(arrives(ue.registered(resynchronised=True))).resynchronised


# --------------------------------------------------------------------------- ATTACH ACCEPT taken implicitly


def test_a_ue_that_uses_the_guti_of_attach_accept_has_accepted_it_and_can_be_paged_in_its_list() -> None:
    """5.5.1.2.4, 5.5.1.2.7: the GUTI is valid when the UE uses it; the TAI list was in the same message."""
    config = replace(ue.CONFIG, tacs=(7, 9))
    attached_at = replace(ue.CONNECTION, tai=Tai(ue.PLMN, 9))
    after = ue.context(arrives(ue.accepted(connections=(attached_at,)), SERVICE, config))
    assert (after.emm, after.attaching) == (EmmState.REGISTERED, None)
    assert after.tai_list == (Tai(ue.PLMN, 9), Tai(ue.PLMN, 7))
    gone_idle = replace(after, connections=())
    page = paging.start(gone_idle, ue.env(config)).downlinks[0]
    assert page.tai_list == after.tai_list  # type: ignore[attr-defined]


def test_a_ue_that_is_registered_keeps_its_list() -> None:
    areas = (Tai(ue.PLMN, 9),)
    assert ue.context(arrives(ue.idle(tai_list=areas))).tai_list == areas


# --------------------------------------------------------------------------- attach by known GUTI


def test_an_attach_with_a_right_mac_is_not_authenticated_and_uses_the_native_context() -> None:
    """5.5.1.2.3, 4.4.2.3; the session of before is given back (5.5.1.2.7 f)."""
    before = ue.idle()
    outcome = arrives(before, KNOWN)
    assert outcome.downlinks == ()
    deleted, profile = outcome.needs
    assert deleted == DeleteSession(f"{ue.ITEM}/delete-session", ue.KEY, "session1")
    assert isinstance(profile, NeedProfile)
    after = ue.context(outcome)
    assert (after.emm, after.step) == (EmmState.COMMON_PROCEDURE_INITIATED, Step.PROFILE)
    assert (after.bearer, after.secured, after.security, after.imsi) == (None, True, before.security, ue.IMSI)
    asked = attach.on_profile(after, ue.PROFILE, ue.env())
    accepted = attach.on_session(ue.context(asked), ue.SESSION, ue.env())
    (erab,) = ue.only(accepted.downlinks, InitialContextSetupRequest).e_rabs
    assert isinstance(erab.nas_pdu, Secured)
    assert erab.nas_pdu.header is SecurityHeader.INTEGRITY_CIPHERED
    assert isinstance(erab.nas_pdu.message, AttachAccept)
    renamed = ue.context(accepted)
    assert erab.nas_pdu.message.guti == renamed.guti != ue.GUTI
    assert renamed.old_guti == ue.GUTI


def test_the_policy_may_ask_for_authentication_all_the_same() -> None:
    outcome = arrives(ue.idle(), KNOWN, replace(ue.CONFIG, authenticate_known=True))
    assert [type(need) for need in outcome.needs] == [DeleteSession, NeedVector]
    assert ue.context(outcome).step is Step.VECTOR


def test_an_attach_by_imsi_with_a_right_mac_is_the_same_ue() -> None:
    outcome = arrives(ue.idle(), ue.attach_request(nas_ksi=1))
    assert isinstance(outcome.needs[-1], NeedProfile)


def test_the_imsi_of_another_under_this_ues_keys_has_to_be_proven() -> None:
    outcome = arrives(ue.idle(), ue.attach_request(identity=ue.OTHER_IMSI, nas_ksi=1))
    need = outcome.needs[-1]
    assert isinstance(need, NeedVector)
    assert need.imsi == ue.OTHER_IMSI


def test_an_attach_when_the_nas_count_is_almost_used_up_is_authenticated_first() -> None:
    """TS 33.401 6.5; TS 24.301 4.4.3.5."""
    outcome = arrives(ue.idle(security=ue.security(ul_count=COUNT_ALMOST_USED_UP)), KNOWN)
    assert isinstance(outcome.needs[-1], NeedVector)


@pytest.mark.parametrize("held", [ue.GUTI, ue.RENAMED])
def test_the_guti_that_an_attach_shows_stays_valid_until_the_new_one_is_taken(held: Guti) -> None:
    both = ue.idle(guti=ue.RENAMED, old_guti=ue.GUTI, generation=2)
    begun = ue.context(arrives(both, replace(KNOWN, identity=held)))
    asked = attach.on_profile(begun, ue.PROFILE, ue.env())
    accepted = ue.context(attach.on_session(ue.context(asked), ue.SESSION, ue.env()))
    assert accepted.old_guti == held
    assert accepted.guti not in (ue.GUTI, ue.RENAMED)


# --------------------------------------------------------------------------- NAS COUNT almost used up


@pytest.mark.parametrize("counts", [{"ul_count": COUNT_ALMOST_USED_UP}, {"dl_count": COUNT_ALMOST_USED_UP}])
def test_a_service_request_is_authenticated_first_and_then_gets_what_it_came_for(counts: dict[str, int]) -> None:
    """TS 33.401 6.5: new keys before a NAS COUNT wraps around."""
    outcome = arrives(ue.idle(security=ue.security(**counts)))
    (need,) = outcome.needs
    assert isinstance(need, NeedVector)
    assert (need.imsi, ue.context(outcome).step) == (ue.IMSI, Step.VECTOR)
    challenge = authentication.on_vector(ue.context(outcome), ue.VECTOR, ue.env())
    message, header = ue.said(challenge.downlinks[0], NEW)
    assert isinstance(message, AuthenticationRequest)
    assert (message.nas_ksi, header) == (2, SecurityHeader.INTEGRITY_CIPHERED)
    answered = attach_response(ue.context(challenge))
    ctx = ue.context(answered)
    assert ctx.security_new is not None
    assert (ctx.security_new.ul_count, ctx.security_new.dl_count) == (0, 0)
    received = replace(ctx, security_new=replace(ctx.security_new, ul_count=1))
    done = security_mode.on_security_mode_complete(received, SecurityModeComplete(), ue.env())
    ue.only(done.downlinks, InitialContextSetupRequest)
    after = ue.context(done)
    assert (after.emm, after.step) == (EmmState.REGISTERED, Step.NONE)
    assert after.security is not None
    assert (after.security.ksi, after.security.ul_count, after.k_enb_count) == (2, 1, 0)


def attach_response(ctx: UeContext) -> Outcome:
    return authentication.on_authentication_response(ctx, AuthenticationResponse(ue.XRES), ue.env())


def with_new_keys(begun: Outcome, config: Any = ue.CONFIG) -> Outcome:
    """The vector comes, the UE answers challenge and command: what SECURITY MODE COMPLETE leads to."""
    challenge = authentication.on_vector(ue.context(begun), ue.VECTOR, ue.env(config))
    commanded = ue.context(attach_response(ue.context(challenge)))
    assert commanded.security_new is not None
    received = replace(commanded, security_new=replace(commanded.security_new, ul_count=1))
    return security_mode.on_security_mode_complete(received, SecurityModeComplete(), ue.env(config))


WORN = ue.security(ul_count=COUNT_ALMOST_USED_UP)


@pytest.mark.parametrize("active", [False, True])
@pytest.mark.parametrize("reallocates", [False, True])
def test_an_update_from_idle_is_authenticated_first_and_then_answered(active: bool, reallocates: bool) -> None:
    """TS 33.401 6.5: a UE that does nothing but update gets new keys, too."""
    config = replace(ue.CONFIG, tau_reallocates_guti=reallocates)
    asked = arrives(ue.idle(security=WORN), replace(UPDATE, active=active), config)
    assert isinstance(asked.needs[-1], NeedVector)
    assert asked.downlinks == ()
    done = with_new_keys(asked, config)
    accept, header = ue.said(done.downlinks[0], NEW)
    assert isinstance(accept, TrackingAreaUpdateAccept)
    assert header is SecurityHeader.INTEGRITY_CIPHERED
    after = ue.context(done)
    assert after.security is not None
    assert (after.security.ksi, after.security.ul_count, after.k_enb_count) == (2, 1, 0)
    assert any(isinstance(m, InitialContextSetupRequest) for m in done.downlinks) == active
    assert any(isinstance(m, UeContextReleaseCommand) for m in done.downlinks) == (not active and not reallocates)
    assert after.step is (Step.TAU_COMPLETE if reallocates else Step.NONE)


def test_an_update_of_a_connected_ue_is_too_and_its_enb_gets_the_new_key() -> None:
    asked = dispatch.on_nas(ue.registered(security=WORN), UPDATE, ue.DIGEST, ue.TAI, ue.env())
    assert isinstance(ue.only_need(asked), NeedVector)
    done = with_new_keys(asked)
    modification, accept = done.downlinks
    assert isinstance(modification, UeContextModificationRequest)
    assert isinstance(ue.said(accept)[0], TrackingAreaUpdateAccept)
    assert ue.context(done).bearer == ue.registered().bearer


def test_an_update_that_is_refused_is_not_authenticated_for_it() -> None:
    outcome = on_initial_message(ue.idle(security=WORN), replace(NEW, tai=Tai(ue.PLMN, 9)), UPDATE, ue.DIGEST, ue.env())
    assert not any(isinstance(need, NeedVector) for need in outcome.needs)
    assert outcome.result is ItemResult.REJECTED


def test_an_update_whose_challenge_is_never_answered_leaves_an_idle_ue_that_is_asked_again() -> None:
    challenge = authentication.on_vector(ue.context(arrives(ue.idle(security=WORN), UPDATE)), ue.VECTOR, ue.env())
    over = ue.context(authentication.on_t3460_expiry(ue.context(challenge), 5, ue.env()))
    assert (over.emm, over.step, over.updating, over.security) == (EmmState.REGISTERED, Step.NONE, None, WORN)
    assert isinstance(arrives(replace(over, connections=()), UPDATE).needs[-1], NeedVector)


@pytest.mark.parametrize(
    "before",
    [ue.registered(security=WORN), ue.reallocating(security=WORN)],
    ids=["registered", "GUTI reallocation"],
)
def test_in_the_middle_of_a_long_connection_the_ue_is_authenticated_and_its_bearer_stays(before: UeContext) -> None:
    """TS 33.401 6.5.  What the message itself leads to comes first."""
    message = EmmStatus(111) if before.step is Step.NONE else GutiReallocationComplete()
    asked = dispatch.on_nas(before, message, ue.DIGEST, ue.TAI, ue.env())
    assert isinstance(ue.only_need(asked), NeedVector)
    assert ue.context(asked).old_guti is None
    assert asked.result is ItemResult.DONE
    done = with_new_keys(asked)
    ue.only(done.downlinks, UeContextModificationRequest)
    after = ue.context(done)
    assert (after.emm, after.step, after.bearer) == (EmmState.REGISTERED, Step.NONE, ue.registered().bearer)


@pytest.mark.parametrize(
    "before",
    [
        ue.registered(),
        ue.registered(security=replace(WORN, ul_count=COUNT_ALMOST_USED_UP - 1)),
        ue.returned(security=WORN),
        ue.leaving(security=WORN),
        ue.accepted(security=WORN),
    ],
    ids=["fresh keys", "just below", "no bearer on the radio yet", "leaving", "attaching"],
)
def test_a_connected_ue_with_fresh_keys_or_at_something_else_is_not(before: UeContext) -> None:
    outcome = dispatch.on_nas(before, EmmStatus(111), ue.DIGEST, ue.TAI, ue.env())
    assert outcome.needs == ()


def test_a_ue_that_leaves_is_not_authenticated_before() -> None:
    switched_off = DetachRequestFromUe(DetachType.EPS, True, 1, ue.GUTI)
    outcome = dispatch.on_nas(ue.registered(security=WORN), switched_off, ue.DIGEST, ue.TAI, ue.env())
    assert not any(isinstance(need, NeedVector) for need in outcome.needs)


@pytest.mark.parametrize("counts", [{"ul_count": COUNT_ALMOST_USED_UP - 1}, {"dl_count": COUNT_ALMOST_USED_UP - 1}])
def test_just_below_it_is_not(counts: dict[str, int]) -> None:
    assert arrives(ue.idle(security=ue.security(**counts))).needs == ()


def test_there_are_messages_enough_left_to_get_there() -> None:
    """24 bits of NAS COUNT (TS 24.301 4.4.3.1); a resent challenge and command take 10."""
    assert 100 < (1 << 24) - COUNT_ALMOST_USED_UP < 1 << 16


# --------------------------------------------------------------------------- detach


def test_a_detach_from_idle_is_accepted_and_released() -> None:
    outcome = arrives(ue.idle(), DetachRequestFromUe(DetachType.EPS, False, 1, ue.GUTI))
    accept, release = outcome.downlinks
    assert ue.said(accept, NEW) == (DetachAccept(), SecurityHeader.INTEGRITY_CIPHERED)
    assert ue.released(release, NEW) == "detach"
    assert (ue.context(outcome).emm, outcome.forget, outcome.start) == (EmmState.DEREGISTERED, True, ())


def test_an_imsi_detach_from_idle_is_accepted_and_the_ue_goes_back_to_idle() -> None:
    outcome = arrives(ue.idle(), DetachRequestFromUe(DetachType.IMSI, False, 1, ue.GUTI))
    accept, release = outcome.downlinks
    assert ue.said(accept, NEW)[0] == DetachAccept()
    assert ue.released(release, NEW) == "detach"
    after = ue.context(outcome)
    assert (after.emm, after.connection, outcome.forget) == (EmmState.REGISTERED, None, False)


@pytest.mark.parametrize("reattach", [True, False])
@pytest.mark.parametrize("message", [SERVICE, EXTENDED, UPDATE], ids=lambda m: type(m).__name__)
def test_a_ue_that_was_to_be_detached_is_told_so_whatever_it_came_for(message: EmmMessage, reattach: bool) -> None:
    """5.5.2.3.4: the network initiated detach is progressed."""
    outcome = arrives(ue.idle(detach_when_back=reattach), message)
    assert [ue.said(m, NEW)[0] for m in outcome.downlinks] == [DetachRequestToUe(1 if reattach else 2)]
    after = ue.context(outcome)
    assert (after.emm, after.step) == (EmmState.DEREGISTERED_INITIATED, Step.DETACH)
    assert (after.reattach_required, after.detach_when_back) == (reattach, None)
    assert ue.timers(outcome)[0] == PERIOD | {TimerName.T3422: (6.0, 0)}


@pytest.mark.parametrize("reattach", [True, False])
@pytest.mark.parametrize("message", [SERVICE, EXTENDED, UPDATE], ids=lambda m: type(m).__name__)
def test_a_detach_that_runs_goes_on_on_the_new_connection(message: EmmMessage, reattach: bool) -> None:
    """5.5.2.3.4."""
    outcome = arrives(ue.leaving(reattach_required=reattach), message)
    release, request = outcome.downlinks
    assert ue.released(release) == "normal-release"
    assert ue.said(request, NEW)[0] == DetachRequestToUe(1 if reattach else 2)
    assert ue.context(outcome).step is Step.DETACH


def test_an_attach_ends_a_detach_that_waited() -> None:
    """What the operator wanted gone is gone with the attach; it must not hit the registration that comes of it."""
    assert ue.context(arrives(ue.idle(detach_when_back=True), KNOWN)).detach_when_back is None


def test_a_detach_of_the_ue_meets_that_of_the_network() -> None:
    """5.5.2.3.4 c."""
    outcome = arrives(ue.leaving(), DetachRequestFromUe(DetachType.EPS, False, 1, ue.GUTI))
    assert ue.said(outcome.downlinks[1], NEW)[0] == DetachAccept()
    assert ue.context(outcome).emm is EmmState.DEREGISTERED


# --------------------------------------------------------------------------- what begins nothing


@pytest.mark.parametrize("message", [EmmStatus(97), IdentityResponse(ue.IMSI), DetachAccept(), SecurityModeComplete()])
def test_a_first_message_that_begins_nothing_is_turned_away_and_the_ues_connection_goes_on(message: EmmMessage) -> None:
    before = ue.registered()
    outcome = arrives(before, message)
    command = ue.only(outcome.downlinks, UeContextReleaseCommand)
    assert (command.mme_ue_s1ap_id, command.enb_ue_s1ap_id) == (NEW.mme_ue_s1ap_id, NEW.enb_ue_s1ap_id)
    after = ue.context(outcome)
    assert after.connection == ue.CONNECTION
    assert replace(after, connections=before.connections, next_connection=before.next_connection) == before
    listed = after.listed(NEW.mme_ue_s1ap_id)
    assert listed is not None
    assert listed.releasing
    assert (outcome.start, outcome.stop, outcome.needs, outcome.result) == ((), (), (), ItemResult.DISCARDED)


def test_attach_restarted_by_a_known_ue_on_its_own_connection_keeps_no_second_session() -> None:
    outcome = attach_request.on_attach_request_again(ue.registered(), KNOWN, ue.DIGEST, ue.TAI, ue.env())
    assert [type(need) for need in outcome.needs] == [DeleteSession, NeedProfile]
