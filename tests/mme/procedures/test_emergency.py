"""Emergency attach (TS 24.301 5.5.1.1, 5.5.1.2.5A; TS 23.401 4.3.12; TS 33.401 15), branch by branch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mme.context import UeContext
from mme.enums import EmmCause, EmmState, EsmCause, IdentityType, ItemResult, S1apCause, SecurityHeader, Step, TimerName
from mme.ids import Imei, Tai
from mme.messages import (
    ActivateDefaultEpsBearerContextRequest,
    AttachAccept,
    AttachReject,
    AuthenticationFailure,
    AuthenticationReject,
    AuthenticationResponse,
    DetachRequestFromUe,
    EsmContainer,
    ExtendedServiceRequest,
    IdentityRequest,
    IdentityResponse,
    InitialContextSetupRequest,
    Paging,
    PdnConnectivityReject,
    Secured,
    SecurityModeCommand,
    SecurityModeComplete,
    ServiceRequest,
    TrackingAreaUpdateAccept,
    TrackingAreaUpdateRequest,
)
from mme.needs import DeleteSession, NeedProfile, NeedSession, NeedVector, Refusal, Refused
from mme.outcome import Outcome, StartTimer
from mme.procedures import (
    attach,
    attach_request,
    authentication,
    connection,
    detach,
    dispatch,
    identification,
    implicit_detach,
    paging,
    reachability,
    security_mode,
)
from mme.procedures.release import end_connection
from tests.mme.procedures import conftest as ue

IMEI = Imei("353490069873319")
IMEISV = "3534900698733190"
NOT_SERVED = Tai(ue.PLMN, 8)
OFF = ue.CONFIG
AUTHENTICATED = replace(ue.CONFIG, emergency_attach="authenticated")
IMSI_REQUIRED = replace(ue.CONFIG, emergency_attach="imsi-required")
ALL = replace(ue.CONFIG, emergency_attach="all")
NO_PROOF = pytest.mark.parametrize("config", [IMSI_REQUIRED, ALL], ids=["imsi-required", "all"])
MUST_PROVE = pytest.mark.parametrize("config", [OFF, AUTHENTICATED], ids=["off", "authenticated"])


def request(config: Any, *, ctx: UeContext | None = None, tai: Tai = ue.TAI, **changes: Any) -> Outcome:
    esm = ue.pdn_connectivity_request(request_type=4)
    message = ue.attach_request(**{"attach_type": 6, "esm": esm, **changes})
    return attach_request.on_attach_request(ctx or ue.fresh(), message, ue.DIGEST, tai, ue.env(config))


def cause(outcome: Outcome) -> EmmCause:
    message, _ = ue.said(outcome.downlinks[0])
    assert isinstance(message, AttachReject)
    assert outcome.result is ItemResult.REJECTED
    assert outcome.forget
    return message.cause


def commanded(outcome: Outcome) -> SecurityModeCommand:
    """The SECURITY MODE COMMAND with null algorithms that the outcome sends; nothing else."""
    (downlink,) = outcome.downlinks
    message, header = ue.said(downlink)
    assert isinstance(message, SecurityModeCommand)
    assert header is SecurityHeader.INTEGRITY_NEW
    assert (message.eea, message.eia, message.nas_ksi) == (0, 0, 0)
    assert message.imeisv_requested
    assert outcome.start == (StartTimer(TimerName.T3460, 6.0),)
    after = ue.context(outcome)
    assert (after.emm, after.step) == (EmmState.COMMON_PROCEDURE_INITIATED, Step.SECURITY_MODE)
    assert after.waiting_for is None
    return message


def unauthenticated(step: Step = Step.SECURITY_MODE, **changes: Any) -> UeContext:
    """SECURITY MODE COMMAND with null algorithms is out."""
    null = ue.security(ksi=0, k_asme=bytes(32), eea=0, eia=0, ul_count=1)
    plain = {"imsi": None, "emergency": True, "security_new": null, "attaching": attaching()}
    return ue.begun(step, **{**plain, **changes})


def attaching(**changes: Any) -> Any:
    return ue.attaching(**{"attach_type": 6, "request_type": 4, **changes})


def settled(build: Any, **changes: Any) -> UeContext:
    """Attached for emergency bearer services only, with an IMEI and nothing else."""
    null = ue.security(ksi=0, k_asme=bytes(32), eea=0, eia=0)
    built = build(**{"imsi": None, "imeisv": IMEISV, "emergency": True, "proven": False, "security": null, **changes})
    assert isinstance(built, UeContext)
    return built


# ------------------------------------------------------------------------------------------------ who is let in


def test_it_is_off_unless_the_operator_says_so() -> None:
    assert OFF.emergency_attach == "off"


@pytest.mark.parametrize(
    ("identity", "expected"),
    [(IMEI, 5), (ue.IMSI, 35), (ue.GUTI, 35)],
    ids=["IMEI", "IMSI", "GUTI"],
)
def test_where_it_is_off_an_imei_is_refused_with_5_and_a_usim_with_35(identity: Any, expected: int) -> None:
    before = ue.fresh()
    outcome = request(OFF, ctx=before, identity=identity)
    assert cause(outcome) == expected
    ue.assert_gone(outcome, before)


@pytest.mark.parametrize("config", [AUTHENTICATED, IMSI_REQUIRED, ALL], ids=["authenticated", "imsi-required", "all"])
def test_a_ue_with_an_imsi_is_authenticated_first(config: Any) -> None:
    outcome = request(config)
    assert [type(need) for need in outcome.needs] == [NeedVector]
    assert ue.context(outcome).emergency


@pytest.mark.parametrize("config", [AUTHENTICATED, IMSI_REQUIRED], ids=["authenticated", "imsi-required"])
def test_an_imei_alone_is_refused_with_5_where_an_imsi_is_required(config: Any) -> None:
    assert cause(request(config, identity=IMEI)) == EmmCause.IMEI_NOT_ACCEPTED


def test_an_imei_alone_gets_null_algorithms_where_all_ues_are_served() -> None:
    outcome = request(ALL, identity=IMEI)
    commanded(outcome)
    after = ue.context(outcome)
    assert (after.imsi, after.imeisv, after.proven) == (None, IMEI.digits, False)
    assert outcome.claim is None


def test_a_foreign_guti_is_asked_for_its_imsi_first() -> None:
    outcome = request(ALL, identity=ue.GUTI)
    message, _ = ue.said(ue.only(outcome.downlinks, type(outcome.downlinks[0])))
    assert message == IdentityRequest(IdentityType.IMSI)


@pytest.mark.parametrize("identity", [None, IMEI], ids=["none", "IMEI"])
def test_who_has_no_imsi_to_tell_goes_on_without_where_all_ues_are_served(identity: Any) -> None:
    asked = ue.asked_for_identity(emergency=True, attaching=attaching(identity_was_imsi=False))
    outcome = attach_request.on_identity_response(asked, IdentityResponse(identity), ue.env(ALL))
    commanded(outcome)
    assert TimerName.T3470 in outcome.stop


@pytest.mark.parametrize("config", [AUTHENTICATED, IMSI_REQUIRED], ids=["authenticated", "imsi-required"])
def test_who_has_no_imsi_to_tell_is_refused_with_5_where_one_is_required(config: Any) -> None:
    asked = ue.asked_for_identity(emergency=True, attaching=attaching(identity_was_imsi=False))
    outcome = attach_request.on_identity_response(asked, IdentityResponse(None), ue.env(config))
    assert cause(outcome) == EmmCause.IMEI_NOT_ACCEPTED


def test_areas_that_are_not_served_are_open_to_emergency_attach() -> None:
    assert [type(need) for need in request(AUTHENTICATED, tai=NOT_SERVED).needs] == [NeedVector]


@pytest.mark.parametrize("request_type", [1, 2, 3])
def test_its_pdn_connection_is_for_emergency_or_refused_with_esm_31(request_type: int) -> None:
    outcome = request(ALL, esm=ue.pdn_connectivity_request(request_type=request_type))
    message, _ = ue.said(outcome.downlinks[0])
    assert isinstance(message, AttachReject)
    assert message.cause == EmmCause.ESM_FAILURE
    assert isinstance(message.esm, PdnConnectivityReject)
    assert message.esm.cause == EsmCause.REQUEST_REJECTED_UNSPECIFIED


def test_a_known_ue_whose_integrity_was_right_is_not_authenticated_again() -> None:
    """Its subscription counts for nothing, nor the APN that it may have named (TS 23.401 5.3.2.1 step 12)."""
    known = ue.returned()
    message = ue.attach_request(
        attach_type=6,
        identity=ue.GUTI,
        esm=ue.pdn_connectivity_request(request_type=4, access_point_name="ims", esm_information_transfer_flag=True),
    )
    outcome = attach_request.on_attach_request_of_known(known, message, ue.DIGEST, ue.TAI, ue.env(AUTHENTICATED))
    assert [type(need) for need in outcome.needs] == [DeleteSession, NeedSession]
    need = outcome.needs[1]
    assert isinstance(need, NeedSession)
    assert (need.imsi, need.imei, need.access_point_name) == (ue.IMSI, None, "sos")


def test_a_normal_attach_later_is_a_normal_attach() -> None:
    message = ue.attach_request(identity=ue.GUTI)
    outcome = attach_request.on_attach_request_of_known(
        ue.returned(emergency=True), message, ue.DIGEST, ue.TAI, ue.env(ALL)
    )
    assert [type(need) for need in outcome.needs] == [DeleteSession, NeedProfile]
    assert not ue.context(outcome).emergency


# ------------------------------------------------------------------------- what happens when nothing can be proven

REFUSALS = [Refusal.UNKNOWN_SUBSCRIBER, Refusal.NOT_ALLOWED, Refusal.UNREACHABLE, Refusal.RESYNC_FAILED]


@NO_PROOF
@pytest.mark.parametrize("reason", REFUSALS, ids=lambda reason: reason.value)
def test_without_a_vector_it_goes_on_under_null_algorithms(config: Any, reason: Refusal) -> None:
    waiting = ue.waiting_for_vector(emergency=True, attaching=attaching())
    outcome = authentication.on_vector(waiting, Refused(reason), ue.env(config))
    commanded(outcome)
    assert TimerName.NEED in outcome.stop


@MUST_PROVE
def test_without_a_vector_it_is_refused_where_it_must_prove_itself(config: Any) -> None:
    waiting = ue.waiting_for_vector(emergency=True, attaching=attaching())
    outcome = authentication.on_vector(waiting, Refused(Refusal.UNKNOWN_SUBSCRIBER), ue.env(config))
    assert cause(outcome) == EmmCause.EPS_SERVICES_AND_NON_EPS_SERVICES_NOT_ALLOWED


@NO_PROOF
def test_a_wrong_res_goes_on_under_null_algorithms(config: Any) -> None:
    challenged = ue.challenged(emergency=True, attaching=attaching())
    outcome = authentication.on_authentication_response(challenged, AuthenticationResponse(b"wrong678"), ue.env(config))
    commanded(outcome)
    assert ue.context(outcome).vector is None


@MUST_PROVE
def test_a_wrong_res_is_rejected_where_it_must_prove_itself(config: Any) -> None:
    challenged = ue.challenged(emergency=True, attaching=attaching())
    outcome = authentication.on_authentication_response(challenged, AuthenticationResponse(b"wrong678"), ue.env(config))
    assert isinstance(ue.said(outcome.downlinks[0])[0], AuthenticationReject)


@NO_PROOF
@pytest.mark.parametrize("emm_cause", [20, 26], ids=["MAC failure, identity checked", "non-EPS"])
def test_a_failure_of_the_challenge_goes_on_under_null_algorithms(config: Any, emm_cause: int) -> None:
    challenged = ue.challenged(emergency=True, attaching=attaching(identity_checked=True))
    outcome = authentication.on_authentication_failure(challenged, AuthenticationFailure(emm_cause), ue.env(config))
    commanded(outcome)


@NO_PROOF
def test_nobody_but_an_emergency_attach_goes_on(config: Any) -> None:
    outcome = authentication.on_authentication_response(
        ue.challenged(), AuthenticationResponse(b"wrong678"), ue.env(config)
    )
    assert isinstance(ue.said(outcome.downlinks[0])[0], AuthenticationReject)


def test_a_known_ue_that_fails_a_new_challenge_goes_on_under_the_keys_it_has() -> None:
    """5.4.2.7: "continue using the current security context, if any"."""
    known = ue.proven(Step.AUTHENTICATION, emergency=True, vector=ue.VECTOR, attaching=attaching(identity_checked=True))
    outcome = authentication.on_authentication_failure(known, AuthenticationFailure(20), ue.env(IMSI_REQUIRED))
    assert outcome.downlinks == ()
    assert [type(need) for need in outcome.needs] == [NeedSession]
    assert ue.context(outcome).security == known.security
    assert TimerName.T3460 in outcome.stop


def test_a_registered_one_that_fails_a_new_challenge_stays_registered() -> None:
    registered = ue.registered(
        emergency=True, step=Step.AUTHENTICATION, emm=EmmState.COMMON_PROCEDURE_INITIATED, vector=ue.VECTOR
    )
    outcome = authentication.on_authentication_response(
        registered, AuthenticationResponse(b"wrong678"), ue.env(IMSI_REQUIRED)
    )
    after = ue.context(outcome)
    assert (after.emm, after.step, after.vector) == (EmmState.REGISTERED, Step.NONE, None)
    assert outcome.downlinks == ()


# ---------------------------------------------------------------------------------------- under null algorithms


def test_security_mode_complete_proves_nothing_and_moves_no_index_row() -> None:
    """An IMSI that nobody has proven must not take a registered UE's place."""
    outcome = security_mode.on_security_mode_complete(
        unauthenticated(imsi=ue.IMSI), SecurityModeComplete(IMEISV), ue.env(IMSI_REQUIRED)
    )
    assert outcome.claim is None
    after = ue.context(outcome)
    assert (after.proven, after.secured, after.unauthenticated, after.imeisv) == (False, True, True, IMEISV)
    (need,) = outcome.needs
    assert need == NeedSession(f"{ue.ITEM}/session", ue.KEY, ue.IMSI, "sos", 1, 5, None, imei=IMEISV)


def test_who_does_not_tell_its_imeisv_is_asked_for_it_and_refused_with_5_without() -> None:
    complete = security_mode.on_security_mode_complete(unauthenticated(), SecurityModeComplete(None), ue.env(ALL))
    message, _ = ue.said(ue.only(complete.downlinks, type(complete.downlinks[0])))
    assert message == IdentityRequest(IdentityType.IMEISV)
    asked = ue.context(complete)
    again = identification.on_t3470_expiry(asked, 1, ue.env(ALL))
    assert ue.said(again.downlinks[0])[0] == message
    told = attach_request.on_identity_response(asked, IdentityResponse(Imei(IMEISV)), ue.env(ALL))
    assert isinstance(told.needs[0], NeedSession)
    assert told.needs[0].imei == IMEISV
    silent = attach_request.on_identity_response(asked, IdentityResponse(None), ue.env(ALL))
    assert cause(silent) == EmmCause.IMEI_NOT_ACCEPTED


def test_an_imei_that_it_attached_with_is_not_asked_for_again() -> None:
    outcome = security_mode.on_security_mode_complete(
        unauthenticated(imeisv=IMEI.digits), SecurityModeComplete(None), ue.env(ALL)
    )
    assert [type(need) for need in outcome.needs] == [NeedSession]


def test_blocked_equipment_may_call_for_help() -> None:
    blocking = replace(ALL, blocked_imeis=IMEISV[:8])
    outcome = security_mode.on_security_mode_complete(unauthenticated(), SecurityModeComplete(IMEISV), ue.env(blocking))
    assert [type(need) for need in outcome.needs] == [NeedSession]


def accepted() -> tuple[UeContext, Outcome]:
    complete = security_mode.on_security_mode_complete(unauthenticated(), SecurityModeComplete(IMEISV), ue.env(ALL))
    waiting = ue.context(complete)
    outcome = attach.on_session(waiting, ue.SESSION, ue.env(ALL))
    return ue.context(outcome), outcome


def test_attach_accept_has_the_emergency_apn_and_the_enb_hears_of_no_algorithms_and_no_secret() -> None:
    after, outcome = accepted()
    setup = ue.only(outcome.downlinks, InitialContextSetupRequest)
    assert (setup.encryption_algorithms, setup.integrity_algorithms) == (0, 0)
    assert (setup.e_rabs[0].qci, setup.e_rabs[0].priority_level) == (5, 1)
    assert (setup.e_rabs[0].preemption_capable, setup.e_rabs[0].preemption_vulnerable) == (True, False)
    pdu = setup.e_rabs[0].nas_pdu
    assert isinstance(pdu, Secured)
    accept = pdu.message
    assert isinstance(accept, AttachAccept)
    assert accept.guti == after.guti
    assert (accept.attach_result, accept.cause) == (1, None)
    assert isinstance(accept.esm, ActivateDefaultEpsBearerContextRequest)
    assert accept.esm.access_point_name == "sos"


def test_the_emergency_data_are_the_configurations() -> None:
    config = replace(
        ALL,
        emergency_access_point_name="sos.example",
        emergency_qci=1,
        emergency_priority_level=2,
        emergency_ambr_bps=64_000,
    )
    complete = security_mode.on_security_mode_complete(unauthenticated(), SecurityModeComplete(IMEISV), ue.env(config))
    setup = ue.only(
        attach.on_session(ue.context(complete), ue.SESSION, ue.env(config)).downlinks, InitialContextSetupRequest
    )
    assert (setup.e_rabs[0].qci, setup.e_rabs[0].priority_level) == (1, 2)
    assert (setup.ue_ambr_dl_bps, setup.ue_ambr_ul_bps) == (64_000, 64_000)


def test_t3460_of_the_null_command_is_bounded_as_ever() -> None:
    out = unauthenticated()
    again = dispatch.on_timer(out, TimerName.T3460, ue.running(TimerName.T3460, 3)["T3460"], ue.env(ALL))
    assert isinstance(ue.said(again.downlinks[0])[0], SecurityModeCommand)
    end = dispatch.on_timer(out, TimerName.T3460, ue.running(TimerName.T3460, 4)["T3460"], ue.env(ALL))
    assert end.forget


# ------------------------------------------------------------------------- attached for emergency services only


def test_mobile_reachable_equals_t3412_and_then_the_ue_is_detached_at_once() -> None:
    """5.3.5."""
    idle = settled(ue.idle)
    assert reachability.watch(idle, ue.env()) == (StartTimer(TimerName.MOBILE_REACHABLE, ue.CONFIG.t3412_s),)
    outcome = implicit_detach.on_mobile_reachable_expiry(idle, 1, ue.env())
    assert outcome.forget
    assert [type(need) for need in outcome.needs] == [DeleteSession]


def test_a_connected_one_is_not() -> None:
    outcome = implicit_detach.on_mobile_reachable_expiry(settled(ue.registered), 1, ue.env())
    assert not outcome.forget


def test_it_is_paged_under_ue_id_0() -> None:
    """TS 36.304 7.1: a UE without an IMSI."""
    outcome = paging.start(settled(ue.idle), ue.env())
    assert ue.only(outcome.downlinks, Paging).ue_identity_index == 0


def test_the_end_of_its_connection_leaves_it_registered() -> None:
    outcome = end_connection(settled(ue.registered), ue.env(), S1apCause.NORMAL_RELEASE, "idle")
    assert (ue.context(outcome).emm, outcome.forget) == (EmmState.REGISTERED, False)


def test_it_comes_back_by_service_request_and_nothing_is_proven_by_that() -> None:
    outcome = connection.on_initial_message(
        settled(ue.idle), ue.NEW_CONNECTION, ServiceRequest(0, 1, bytes(2)), ue.DIGEST, ue.env()
    )
    setup = ue.only(outcome.downlinks, InitialContextSetupRequest)
    assert (setup.encryption_algorithms, setup.integrity_algorithms) == (0, 0)
    assert not ue.context(outcome).proven


def test_it_may_update_in_an_area_that_is_not_served() -> None:
    back = settled(ue.returned)
    message = TrackingAreaUpdateRequest(0, active=False, nas_ksi=0, old_guti=ue.GUTI)
    outcome = dispatch.on_nas(back, message, ue.DIGEST, NOT_SERVED, ue.env())
    assert isinstance(ue.said(outcome.downlinks[0])[0], TrackingAreaUpdateAccept)


def test_cs_fallback_is_refused_as_ever() -> None:
    message = ExtendedServiceRequest(0, 0, ue.GUTI.m_tmsi)
    outcome = dispatch.on_nas(settled(ue.registered), message, ue.DIGEST, ue.TAI, ue.env())
    assert outcome.label == "service reject #18"


def test_null_algorithms_never_wear_out_and_nobody_without_an_imsi_is_challenged() -> None:
    worn = replace(ue.security(eea=0, eia=0), ul_count=(1 << 24) - 1)
    assert not worn.worn_out
    assert ue.security(ul_count=(1 << 24) - 1).worn_out
    outcome = authentication.start_anew(settled(ue.registered), ue.env())
    assert outcome.result is ItemResult.REJECTED


def test_it_can_detach() -> None:
    outcome = detach.on_detach_request(settled(ue.registered), DetachRequestFromUe(1, False, 0, ue.GUTI), ue.env())
    assert outcome.forget
    assert [type(need) for need in outcome.needs] == [DeleteSession]


def test_an_esm_failure_ends_the_attach_with_19() -> None:
    waiting = unauthenticated(Step.SESSION, attaching=attaching(access_point_name="sos"))
    outcome = attach.on_session(waiting, Refused(Refusal.NO_RESOURCES), ue.env(ALL))
    assert cause(outcome) == EmmCause.ESM_FAILURE
    assert not isinstance(ue.said(outcome.downlinks[0])[0], EsmContainer)
