"""Attach, from the proven identity to ATTACH COMPLETE (TS 24.301 5.5.1.2.4 to 5.5.1.2.7, 6.5.1, 6.6.1.2)."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from mme.context import UeContext
from mme.enums import EmmCause, EmmState, EsmCause, ItemResult, SecurityHeader, Step, TimerName
from mme.ids import Gummei, Guti, Tai
from mme.m_tmsi import context_of, m_tmsi
from mme.messages import (
    ActivateDefaultEpsBearerContextAccept,
    ActivateDefaultEpsBearerContextReject,
    ActivateDefaultEpsBearerContextRequest,
    AttachAccept,
    AttachComplete,
    AttachReject,
    DownlinkNasTransport,
    EmmInformation,
    ErabSetup,
    ErabToBeSetup,
    EsmContainer,
    EsmInformationRequest,
    EsmInformationResponse,
    EsmMessage,
    EsmStatus,
    InitialContextSetupRequest,
    InitialContextSetupResponse,
    PdnAddress,
    PdnConnectivityReject,
    Secured,
    SecurityModeComplete,
)
from mme.needs import DeleteSession, ModifySession, NeedProfile, NeedSession, Profile, Refusal, Refused, Session
from mme.outcome import Outcome
from mme.procedures import attach, dispatch, initial_context, security_mode
from tests.mme.procedures import conftest as ue

K_ENB_VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "crypto" / "kdf.json").read_text(encoding="utf-8"))[
    "k_enb"
]


def refusal(outcome: Outcome, header: SecurityHeader = SecurityHeader.INTEGRITY_CIPHERED) -> AttachReject:
    """The ATTACH REJECT, protected as the connection is, that is followed by the release of the connection."""
    reject, release = outcome.downlinks
    message, protection = ue.said(reject)
    assert isinstance(message, AttachReject)
    assert protection is header
    assert ue.released(release) == "unspecified"
    assert outcome.result is ItemResult.REJECTED
    return message


def esm_refusal(cause: EsmCause) -> AttachReject:
    return AttachReject(EmmCause.ESM_FAILURE, PdnConnectivityReject(0, ue.PTI, cause))


# --------------------------------------------------------------------------- ATTACH REJECT itself


def test_a_reject_without_security_goes_out_plain_and_says_its_cause_in_the_label() -> None:
    before = ue.challenged()
    outcome = attach.reject(before, ue.env(), EmmCause.ILLEGAL_UE)
    assert refusal(outcome, SecurityHeader.PLAIN) == AttachReject(EmmCause.ILLEGAL_UE)
    assert outcome.label == "attach reject #3"
    ue.assert_gone(outcome, before)


def test_a_reject_of_a_ue_that_has_a_session_gives_it_back() -> None:
    before = ue.accepted()
    outcome = attach.reject(before, ue.env(), EmmCause.NETWORK_FAILURE)
    refusal(outcome)
    assert outcome.needs == (DeleteSession(f"{ue.ITEM}/delete-session", ue.KEY, "session1"),)
    ue.assert_gone(outcome, before, needs=1)


# --------------------------------------------------------------------------- ESM information


def test_without_the_flag_the_profile_is_asked_for_at_once() -> None:
    outcome = attach.on_authenticated(ue.proven(Step.SECURITY_MODE), ue.env())
    assert outcome.needs == (NeedProfile(f"{ue.ITEM}/profile", ue.KEY, ue.IMSI),)
    assert (outcome.downlinks, outcome.start, outcome.stop) == ((), (), ())
    after = ue.context(outcome)
    assert (after.step, after.waiting_for) == (Step.PROFILE, f"{ue.ITEM}/profile")


def test_with_the_flag_the_ue_is_asked_first() -> None:
    flagged = ue.proven(Step.SECURITY_MODE, attaching=ue.attaching(esm_information_transfer_flag=True))
    outcome = attach.on_authenticated(flagged, ue.env())
    message = ue.only(outcome.downlinks, DownlinkNasTransport)
    assert ue.said(message) == (EsmContainer(EsmInformationRequest(0, ue.PTI)), SecurityHeader.INTEGRITY_CIPHERED)
    assert ue.timers(outcome) == ({TimerName.T3489: (4.0, 0)}, set())
    assert outcome.needs == ()
    assert ue.context(outcome).step is Step.ESM_INFORMATION


def test_the_esm_information_is_kept_and_t3489_stopped() -> None:
    answer = EsmInformationResponse(0, ue.PTI, "ims", b"\x80\x01")
    outcome = attach.on_esm_information_response(ue.asked_for_esm_information(), answer, ue.env())
    assert outcome.needs == (NeedProfile(f"{ue.ITEM}/profile", ue.KEY, ue.IMSI),)
    assert ue.timers(outcome) == ({}, {TimerName.T3489})
    kept = ue.context(outcome).attaching
    assert kept is not None
    assert (kept.access_point_name, kept.pco) == ("ims", b"\x80\x01")


def test_an_empty_esm_information_response_keeps_what_the_request_said() -> None:
    said = ue.attaching(esm_information_transfer_flag=True, access_point_name="internet", pco=b"\x80")
    answer = EsmInformationResponse(0, ue.PTI)
    outcome = attach.on_esm_information_response(ue.asked_for_esm_information(attaching=said), answer, ue.env())
    assert ue.context(outcome).attaching == said


def test_esm_information_with_another_pti_is_discarded_and_t3489_runs_on() -> None:
    before = ue.asked_for_esm_information()
    outcome = attach.on_esm_information_response(before, EsmInformationResponse(0, ue.PTI + 1, "ims"), ue.env())
    assert outcome == Outcome(before, result=ItemResult.DISCARDED, label="ESM information response with another PTI")


@pytest.mark.parametrize("expiries", [1, 2])
def test_the_first_two_expiries_of_t3489_ask_again(expiries: int) -> None:
    before = ue.asked_for_esm_information()
    outcome = attach.on_t3489_expiry(before, expiries, ue.env())
    message = ue.only(outcome.downlinks, DownlinkNasTransport)
    assert ue.said(message) == (EsmContainer(EsmInformationRequest(0, ue.PTI)), SecurityHeader.INTEGRITY_CIPHERED)
    assert ue.timers(outcome) == ({TimerName.T3489: (4.0, expiries)}, set())
    assert outcome.ctx == before


def test_the_third_expiry_of_t3489_refuses_with_esm_53() -> None:
    before = ue.asked_for_esm_information()
    outcome = attach.on_t3489_expiry(before, 3, ue.env())
    assert refusal(outcome) == esm_refusal(EsmCause.ESM_INFORMATION_NOT_RECEIVED)
    assert outcome.label == "attach reject #19 ESM #53"
    ue.assert_gone(outcome, before)


# --------------------------------------------------------------------------- the profile


def on_profile(answer: Profile | Refused, **asked: Any) -> Outcome:
    before = ue.waiting_for_profile(attaching=ue.attaching(**asked))
    return attach.on_profile(before, answer, ue.env())


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        (Refusal.UNKNOWN_SUBSCRIBER, EmmCause.EPS_SERVICES_AND_NON_EPS_SERVICES_NOT_ALLOWED),
        (Refusal.NOT_ALLOWED, EmmCause.EPS_SERVICES_NOT_ALLOWED),
        (Refusal.UNREACHABLE, EmmCause.NETWORK_FAILURE),
        (Refusal.REJECTED, EmmCause.NETWORK_FAILURE),
    ],
)
def test_a_profile_refused_rejects_the_attach(reason: Refusal, cause: EmmCause) -> None:
    before = ue.waiting_for_profile()
    outcome = attach.on_profile(before, Refused(reason), ue.env())
    assert refusal(outcome) == AttachReject(cause)
    assert outcome.label == f"attach reject #{int(cause)}"
    ue.assert_gone(outcome, before)


def test_a_profile_leads_to_a_session_at_its_first_apn() -> None:
    outcome = on_profile(ue.PROFILE, pco=b"\x80\x01")
    assert outcome.needs == (
        NeedSession(f"{ue.ITEM}/session", ue.KEY, ue.IMSI, "internet", 1, eps_bearer_identity=5, pco=b"\x80\x01"),
    )
    assert ue.timers(outcome) == ({}, {TimerName.NEED})
    assert (outcome.downlinks, outcome.claim) == ((), None)
    after = ue.context(outcome)
    assert (after.step, after.waiting_for, after.profile) == (Step.SESSION, f"{ue.ITEM}/session", ue.PROFILE)
    assert after.attaching == ue.attaching(access_point_name="internet", pco=b"\x80\x01")


@pytest.mark.parametrize("wanted", ["ims", "IMS", "Ims"])
def test_the_apn_that_the_ue_asks_for_is_found_whatever_its_case(wanted: str) -> None:
    """TS 23.003 9.1: an APN is a name of the DNS."""
    (need,) = on_profile(ue.PROFILE, access_point_name=wanted).needs
    assert isinstance(need, NeedSession)
    assert need.access_point_name == "ims"


@pytest.mark.parametrize(
    ("profile", "wanted"),
    [(ue.PROFILE, "corporate"), (ue.PROFILE, "internet.evil"), (Profile(1, 1, ()), None), (Profile(1, 1, ()), "ims")],
)
def test_an_apn_that_is_not_subscribed_is_refused_with_esm_27(profile: Profile, wanted: str | None) -> None:
    outcome = on_profile(profile, access_point_name=wanted)
    assert refusal(outcome) == esm_refusal(EsmCause.MISSING_OR_UNKNOWN_APN)
    assert outcome.label == "attach reject #19 ESM #27"
    ue.assert_gone(outcome, ue.waiting_for_profile())


IPV4, IPV6, IPV4V6 = 1, 2, 3
ONLY_4, ONLY_6, SINGLE = (
    EsmCause.PDN_TYPE_IPV4_ONLY_ALLOWED,
    EsmCause.PDN_TYPE_IPV6_ONLY_ALLOWED,
    EsmCause.SINGLE_ADDRESS_BEARERS_ONLY_ALLOWED,
)
GIVEN = [
    # requested, subscribed, given, cause told
    (IPV4, (IPV4,), IPV4, None),
    (IPV6, (IPV6,), IPV6, None),
    (IPV4V6, (IPV4,), IPV4, ONLY_4),
    (IPV4V6, (IPV6,), IPV6, ONLY_6),
    (IPV4, (IPV4, IPV6), IPV4, None),
    (IPV6, (IPV4, IPV6), IPV6, None),
    (IPV4V6, (IPV4, IPV6), IPV4, SINGLE),
    (IPV4V6, (IPV6, IPV4), IPV4, SINGLE),
    (IPV4, (IPV4V6,), IPV4, None),
    (IPV6, (IPV4V6,), IPV6, None),
    (IPV4V6, (IPV4V6,), IPV4V6, None),
    (IPV4V6, (IPV4, IPV6, IPV4V6), IPV4V6, None),
]
NOT_GIVEN = [(IPV6, (IPV4,), ONLY_4), (IPV4, (IPV6,), ONLY_6)]


def profile_of(pdn_types: tuple[int, ...]) -> Profile:
    return Profile(1_000, 1_000, (replace(ue.INTERNET, pdn_types=pdn_types),))


def session_of(pdn_type: int) -> Session:
    interface = bytes(range(8)) if pdn_type & IPV6 else None
    return replace(ue.SESSION, ipv4=ue.SESSION.ipv4 if pdn_type & IPV4 else None, ipv6_interface_id=interface)


@pytest.mark.parametrize(("requested", "subscribed", "given", "cause"), GIVEN)
def test_the_pdn_type_given_follows_from_request_and_subscription_and_the_ue_is_told_why(
    requested: int, subscribed: tuple[int, ...], given: int, cause: EsmCause | None
) -> None:
    """6.5.1.3; TS 23.401 5.3.1.1."""
    asked = on_profile(profile_of(subscribed), pdn_type=requested)
    (need,) = asked.needs
    assert isinstance(need, NeedSession)
    assert need.pdn_type == given
    outcome = attach.on_session(ue.context(asked), session_of(given), ue.env())
    _, activate = accept_of(outcome)
    assert activate.cause == cause
    assert (activate.pdn_address.ipv4 is not None, activate.pdn_address.ipv6_interface_id is not None) == (
        bool(given & IPV4),
        bool(given & IPV6),
    )


@pytest.mark.parametrize(("requested", "subscribed", "cause"), NOT_GIVEN)
def test_a_single_pdn_type_that_is_not_subscribed_is_refused(
    requested: int, subscribed: tuple[int, ...], cause: EsmCause
) -> None:
    outcome = on_profile(profile_of(subscribed), pdn_type=requested)
    assert refusal(outcome) == esm_refusal(cause)


@pytest.mark.parametrize(("given", "cause"), [(IPV4, ONLY_4), (IPV6, ONLY_6)])
def test_a_gateway_that_gives_one_address_where_both_were_asked_for_is_told_to_the_ue(
    given: int, cause: EsmCause
) -> None:
    """6.5.1.3: IPv4v6 requested, the network's configuration gives one: ESM cause #50 or #51 with the address."""
    asked = on_profile(profile_of((IPV4V6,)), pdn_type=IPV4V6)
    outcome = attach.on_session(ue.context(asked), session_of(given), ue.env())
    assert accept_of(outcome)[1].cause == cause


# --------------------------------------------------------------------------- the session and ATTACH ACCEPT


def accept_of(outcome: Outcome) -> tuple[AttachAccept, ActivateDefaultEpsBearerContextRequest]:
    """ATTACH ACCEPT and what it carries, from the E-RAB of the INITIAL CONTEXT SETUP REQUEST."""
    setup = ue.only(outcome.downlinks, InitialContextSetupRequest)
    (erab,) = setup.e_rabs
    assert isinstance(erab.nas_pdu, Secured)
    assert erab.nas_pdu.header is SecurityHeader.INTEGRITY_CIPHERED
    accept = erab.nas_pdu.message
    assert isinstance(accept, AttachAccept)
    assert isinstance(accept.esm, ActivateDefaultEpsBearerContextRequest)
    return accept, accept.esm


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        (Refusal.NO_RESOURCES, EsmCause.INSUFFICIENT_RESOURCES),
        (Refusal.UNKNOWN_APN, EsmCause.MISSING_OR_UNKNOWN_APN),
        (Refusal.REJECTED, EsmCause.REQUEST_REJECTED_UNSPECIFIED),
        (Refusal.NOT_ALLOWED, EsmCause.REQUEST_REJECTED_UNSPECIFIED),
        (Refusal.UNREACHABLE, EsmCause.NETWORK_FAILURE),
    ],
)
def test_a_session_refused_rejects_the_attach_with_19_and_the_esm_cause(reason: Refusal, cause: EsmCause) -> None:
    before = ue.waiting_for_session()
    outcome = attach.on_session(before, Refused(reason), ue.env())
    assert refusal(outcome) == esm_refusal(cause)
    assert outcome.label == f"attach reject #19 ESM #{int(cause)}"
    ue.assert_gone(outcome, before)


def test_a_session_leads_to_context_setup_with_two_timers() -> None:
    outcome = attach.on_session(ue.waiting_for_session(), ue.SESSION, ue.env())
    assert ue.timers(outcome) == (
        {TimerName.T3450: (6.0, 0), TimerName.CONTEXT_SETUP: (10.0, 0)},
        {TimerName.NEED},
    )
    assert (outcome.needs, outcome.claim, outcome.forget) == ((), None, False)
    assert (outcome.result, outcome.label) == (ItemResult.DONE, "attach accept")
    after = ue.context(outcome)
    assert (after.emm, after.step) == (EmmState.COMMON_PROCEDURE_INITIATED, Step.ATTACH_COMPLETE)
    assert after.waiting_for is None
    assert after.bearer == ue.bearer()


def test_context_setup_says_what_the_profile_and_the_session_say() -> None:
    before = ue.waiting_for_session(ue_network_capability=bytes.fromhex("e0f0"))
    outcome = attach.on_session(before, ue.SESSION, ue.env())
    setup = ue.only(outcome.downlinks, InitialContextSetupRequest)
    assert (setup.mme_ue_s1ap_id, setup.enb_ue_s1ap_id) == (ue.MME_UE_S1AP_ID, ue.ENB_UE_S1AP_ID)
    assert (setup.ue_ambr_dl_bps, setup.ue_ambr_ul_bps) == (300_000_000, 150_000_000)
    # 128-EEA1, 128-EEA2; 128-EIA1, 128-EIA2, 128-EIA3, from the left; EEA0 and EIA0 have no bit (TS 36.413 9.2.1.40).
    assert (setup.encryption_algorithms, setup.integrity_algorithms) == (0xC000, 0xE000)
    assert setup.ue_radio_capability is None
    assert replace(setup.e_rabs[0], nas_pdu=None) == ErabToBeSetup(
        e_rab_id=5,
        qci=9,
        priority_level=8,
        transport_layer_address=bytes((10, 0, 0, 1)),
        gtp_teid=0x1234,
        preemption_capable=False,
        preemption_vulnerable=True,
    )


def test_the_bearer_is_that_of_the_chosen_apn() -> None:
    before = ue.waiting_for_session(attaching=ue.attaching(access_point_name="ims"))
    outcome = attach.on_session(before, ue.SESSION, ue.env())
    (erab,) = ue.only(outcome.downlinks, InitialContextSetupRequest).e_rabs
    assert (erab.qci, erab.priority_level, erab.preemption_capable, erab.preemption_vulnerable) == (5, 2, True, False)
    _, activate = accept_of(outcome)
    assert (activate.qci, activate.access_point_name) == (5, "ims")
    assert (activate.apn_ambr_dl_bps, activate.apn_ambr_ul_bps) == (1_000_000, 500_000)


def test_no_radio_capability_goes_with_the_context_setup_of_an_attach_also_where_one_has_come_meanwhile() -> None:
    """TS 23.401 5.11.2: the MME "shall not send any UE Radio Capability information" in an attach."""
    outcome = attach.on_session(ue.waiting_for_session(ue_radio_capability=b"radio"), ue.SESSION, ue.env())
    assert ue.only(outcome.downlinks, InitialContextSetupRequest).ue_radio_capability is None
    assert ue.context(outcome).ue_radio_capability == b"radio"


def test_attach_accept_says_what_the_configuration_and_the_session_say() -> None:
    config = replace(ue.CONFIG, tacs=(7, 9, 10), t3412_s=600)
    outcome = attach.on_session(ue.waiting_for_session(generation=4), ue.SESSION, ue.env(config))
    accept, activate = accept_of(outcome)
    guti = Guti(Gummei(ue.PLMN, 1, 1), m_tmsi(config.m_tmsi_key, ue.KEY, 5))
    assert replace(accept, esm=activate) == AttachAccept(
        attach_result=1,
        t3412_s=600,
        tai_list=(Tai(ue.PLMN, 7), Tai(ue.PLMN, 9), Tai(ue.PLMN, 10)),
        esm=activate,
        guti=guti,
        cause=None,
    )
    assert activate == ActivateDefaultEpsBearerContextRequest(
        eps_bearer_identity=5,
        pti=ue.PTI,
        qci=9,
        access_point_name="internet",
        pdn_address=PdnAddress(bytes((10, 45, 0, 2))),
        apn_ambr_dl_bps=200_000_000,
        apn_ambr_ul_bps=100_000_000,
        cause=None,
        protocol_configuration_options=ue.SESSION.pco,
    )
    after = ue.context(outcome)
    assert (after.guti, after.generation) == (guti, 5)


@pytest.mark.parametrize(("generation", "following"), [(0, 1), (14, 15), (15, 0)])
def test_each_attach_gives_the_next_guti_and_the_guti_leads_back_to_the_context(
    generation: int, following: int
) -> None:
    outcome = attach.on_session(ue.waiting_for_session(generation=generation), ue.SESSION, ue.env())
    guti = ue.context(outcome).guti
    assert guti is not None
    assert context_of(ue.CONFIG.m_tmsi_key, guti.m_tmsi) == (ue.KEY, following)


def test_the_tai_list_has_16_entries_at_most_and_the_tracking_area_of_the_ue_is_among_them() -> None:
    """9.9.3.33; TS 23.401 5.3.2.1 step 17: the list holds the TAI that the UE is in."""
    config = replace(ue.CONFIG, tacs=tuple(range(100, 130)))
    tai = Tai(ue.PLMN, 129)
    connections = (replace(ue.CONNECTION, tai=tai),)
    outcome = attach.on_session(ue.waiting_for_session(connections=connections), ue.SESSION, ue.env(config))
    accept, _ = accept_of(outcome)
    assert len(accept.tai_list) == 16
    assert tai in accept.tai_list


def test_a_combined_attach_is_accepted_for_eps_only_with_18() -> None:
    """5.5.1.3.4.3."""
    before = ue.waiting_for_session(attaching=ue.attaching(attach_type=2, access_point_name="internet"))
    accept, _ = accept_of(attach.on_session(before, ue.SESSION, ue.env()))
    assert (accept.attach_result, accept.cause) == (1, EmmCause.CS_DOMAIN_NOT_AVAILABLE)


def test_a_connection_lost_before_attach_accept_ends_the_attach_and_gives_the_session_back() -> None:
    before = ue.waiting_for_session(connections=())
    outcome = attach.on_session(before, ue.SESSION, ue.env())
    assert outcome.downlinks == ()
    assert outcome.needs == (DeleteSession(f"{ue.ITEM}/delete-session", ue.KEY, "session1"),)
    assert outcome.label == "connection lost before attach accept"
    ue.assert_gone(outcome, before, needs=1)


@pytest.mark.parametrize("vector", K_ENB_VECTORS, ids=[str(n) for n in range(len(K_ENB_VECTORS))])
def test_k_enb_is_derived_as_other_implementations_do(vector: dict[str, str]) -> None:
    """TS 33.401 A.3."""
    keys = ue.security(k_asme=bytes.fromhex(vector["k_asme"]))
    before = ue.waiting_for_session(security=keys, k_enb_count=int(vector["uplink_nas_count"], 16))
    setup = ue.only(attach.on_session(before, ue.SESSION, ue.env()).downlinks, InitialContextSetupRequest)
    assert setup.k_enb == bytes.fromhex(vector["k_enb"])


@pytest.mark.parametrize("later_uplinks", [0, 1, 3])
def test_k_enb_has_the_count_of_security_mode_complete_whatever_came_after_it(later_uplinks: int) -> None:
    """srsRAN's vector has count 0: the UE's SECURITY MODE COMPLETE is its first message under the new keys."""
    vector = next(v for v in K_ENB_VECTORS if int(v["uplink_nas_count"], 16) == 0)
    received = ue.security(k_asme=bytes.fromhex(vector["k_asme"]), ul_count=1)
    flagged = ue.attaching(esm_information_transfer_flag=True)
    ctx = ue.commanded(security_new=received, attaching=flagged)
    ctx = ue.context(security_mode.on_security_mode_complete(ctx, SecurityModeComplete(), ue.env()))
    assert ctx.security is not None
    ctx = replace(ctx, security=replace(ctx.security, ul_count=ctx.security.ul_count + later_uplinks))
    ctx = ue.context(attach.on_esm_information_response(ctx, EsmInformationResponse(0, ue.PTI), ue.env()))
    ctx = ue.context(attach.on_profile(ctx, ue.PROFILE, ue.env()))
    outcome = attach.on_session(ctx, ue.SESSION, ue.env())
    assert ue.only(outcome.downlinks, InitialContextSetupRequest).k_enb.hex() == vector["k_enb"]


# --------------------------------------------------------------------------- no ATTACH COMPLETE


@pytest.mark.parametrize("expiries", [1, 2, 3, 4])
def test_expiries_one_to_four_of_t3450_send_the_same_attach_accept_alone(expiries: int) -> None:
    first = attach.on_session(ue.waiting_for_session(), ue.SESSION, ue.env())
    before = ue.context(first)
    outcome = attach.on_t3450_expiry(before, expiries, ue.env())
    message, header = ue.said(ue.only(outcome.downlinks, DownlinkNasTransport))
    assert (message, header) == (accept_of(first)[0], SecurityHeader.INTEGRITY_CIPHERED)
    assert ue.timers(outcome) == ({TimerName.T3450: (6.0, expiries)}, set())
    assert (outcome.ctx, outcome.needs) == (before, ())


def test_the_fifth_expiry_of_t3450_ends_the_attach_and_gives_the_session_back() -> None:
    before = ue.accepted()
    outcome = attach.on_t3450_expiry(before, 5, ue.env())
    assert [ue.released(m) for m in outcome.downlinks] == ["unspecified"]
    assert outcome.needs == (DeleteSession(f"{ue.ITEM}/delete-session", ue.KEY, "session1"),)
    assert outcome.label == "T3450 expired: no Attach Complete"
    ue.assert_gone(outcome, before, needs=1)


# --------------------------------------------------------------------------- ATTACH COMPLETE

COMPLETE = AttachComplete(ActivateDefaultEpsBearerContextAccept(5, 0))
SET_UP = InitialContextSetupResponse(ue.MME_UE_S1AP_ID, ue.ENB_UE_S1AP_ID, (ErabSetup(5, ue.ENB_ADDRESS, ue.ENB_TEID),))


def test_attach_complete_registers_the_ue_and_tells_it_the_network_names() -> None:
    outcome = attach.on_attach_complete(ue.accepted(), COMPLETE, ue.env())
    message = ue.only(outcome.downlinks, DownlinkNasTransport)
    assert ue.said(message) == (
        EmmInformation("Telco Edge Functions", "edge", ue.NOW_MS // 1000),
        SecurityHeader.INTEGRITY_CIPHERED,
    )
    # 5.3.5: 4 minutes longer than T3412; it looks again while the UE is connected.
    assert ue.timers(outcome) == ({TimerName.MOBILE_REACHABLE: (3480, 0)}, {TimerName.T3450})
    assert outcome.needs == ()
    assert (outcome.result, outcome.label) == (ItemResult.DONE, "attach complete")
    after = ue.context(outcome)
    assert (after.emm, after.step) == (EmmState.REGISTERED, Step.NONE)
    assert after.bearer == ue.bearer()
    assert (after.attaching, after.stays_registered) == (None, True)


def test_names_that_are_not_configured_are_left_out_of_emm_information() -> None:
    config = replace(ue.CONFIG, network_full_name="", network_short_name="")
    outcome = attach.on_attach_complete(ue.accepted(), COMPLETE, ue.env(config))
    message, _ = ue.said(ue.only(outcome.downlinks, DownlinkNasTransport))
    assert message == EmmInformation(None, None, ue.NOW_MS // 1000)


def _complete(ctx: UeContext) -> Outcome:
    return attach.on_attach_complete(ctx, COMPLETE, ue.env(item="item of the UE"))


def _set_up(ctx: UeContext) -> Outcome:
    return initial_context.on_initial_context_setup_response(ctx, SET_UP, ue.env(item="item of the eNB"))


@pytest.mark.parametrize("order", list(permutations((_complete, _set_up))), ids=["UE first", "eNB first"])
def test_in_either_order_the_second_answer_and_only_it_tells_the_gateway_the_enbs_end(order: Any) -> None:
    first = order[0](ue.being_set_up(ue.accepted()))
    assert first.needs == ()
    second = order[1](ue.context(first))
    item = "item of the UE" if order[1] is _complete else "item of the eNB"
    assert second.needs == (ModifySession(f"{item}/modify-session", ue.KEY, "session1", ue.ENB_ADDRESS, ue.ENB_TEID),)
    assert {*first.stop, *second.stop} == {TimerName.T3450, TimerName.CONTEXT_SETUP}
    started = {start.name for start in (*first.start, *second.start)}
    assert started == {TimerName.MOBILE_REACHABLE}
    after = ue.context(second)
    assert (after.emm, after.step, after.attaching) == (EmmState.REGISTERED, Step.NONE, None)
    assert after.bearer == ue.bearer(enb_address=ue.ENB_ADDRESS, enb_teid=ue.ENB_TEID)
    assert _set_up(after).needs == (), "a repeated response of the eNB says nothing new"


@pytest.mark.parametrize("build", [ue.challenged, ue.commanded])
def test_once_complete_an_attach_is_over_though_the_enb_has_not_answered(build: Any) -> None:
    """Common procedures after it belong to a registered UE: no second ATTACH ACCEPT, no end of its registration."""
    registered = ue.context(_complete(ue.accepted()))
    common = build()
    fields = ("emm", "step", "vector", "vector_ksi", "security_new")
    before = replace(registered, **{name: getattr(common, name) for name in fields})
    assert before.stays_registered
    if build is ue.commanded:
        new = replace(common.security_new, ul_count=1)
        later = dispatch.on_nas(replace(before, security_new=new), SecurityModeComplete(), ue.DIGEST, ue.TAI, ue.env())
    else:
        later = dispatch.on_timer(before, TimerName.T3460, ue.running(TimerName.T3460, 4)["T3460"], ue.env())
    assert ue.context(later).emm is EmmState.REGISTERED
    assert not later.forget
    assert not any(isinstance(erab.nas_pdu, Secured) for m in later.downlinks for erab in getattr(m, "e_rabs", ()))


@pytest.mark.parametrize(
    "esm", [ActivateDefaultEpsBearerContextAccept(6, 0), EsmStatus(5, 0, 111), EsmInformationResponse(0, ue.PTI)]
)
def test_attach_complete_without_the_accept_of_its_bearer_is_discarded(esm: EsmMessage) -> None:
    before = ue.accepted()
    outcome = attach.on_attach_complete(before, AttachComplete(esm), ue.env())
    assert outcome == Outcome(before, result=ItemResult.DISCARDED, label="attach complete without its bearer's accept")


def test_a_bearer_that_the_ue_refuses_ends_the_attach_and_gives_the_session_back() -> None:
    before = ue.accepted()
    refused = AttachComplete(ActivateDefaultEpsBearerContextReject(5, 0, 26))
    outcome = attach.on_attach_complete(before, refused, ue.env())
    assert [ue.released(m) for m in outcome.downlinks] == ["unspecified"]
    assert outcome.needs == (DeleteSession(f"{ue.ITEM}/delete-session", ue.KEY, "session1"),)
    assert outcome.label == "default bearer refused #26"
    ue.assert_gone(outcome, before, needs=1)
