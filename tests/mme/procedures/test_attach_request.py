"""Attach, from the request to the question who the UE is (TS 24.301 5.5.1.2.3, 5.5.1.2.5, 5.5.1.2.7)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mme.context import UeContext
from mme.enums import EmmCause, EmmState, EsmCause, IdentityType, ItemResult, SecurityHeader, Step, TimerName
from mme.ids import Imei, Plmn, Tai, Tmsi
from mme.messages import (
    AttachAccept,
    AttachReject,
    AuthenticationRequest,
    DownlinkNasTransport,
    EsmInformationResponse,
    EsmMessage,
    IdentityRequest,
    PdnConnectivityReject,
    UndecodableEsm,
)
from mme.needs import DeleteSession, NeedVector
from mme.outcome import Outcome
from mme.procedures import attach_request, authentication
from tests.mme.procedures import conftest as ue


def on_request(
    *, ctx: UeContext | None = None, tai: Tai = ue.TAI, config: Any = ue.CONFIG, **changes: Any
) -> tuple[UeContext, Outcome]:
    before = ctx or ue.fresh()
    message = ue.attach_request(**changes)
    return before, attach_request.on_attach_request(before, message, ue.DIGEST, tai, ue.env(config))


def refusal(outcome: Outcome) -> tuple[EmmCause, EsmMessage | None]:
    """(cause, ESM message) of a plain ATTACH REJECT followed by the release of the connection."""
    reject, release = outcome.downlinks
    message, header = ue.said(reject)
    assert isinstance(message, AttachReject)
    assert header is SecurityHeader.PLAIN
    assert ue.released(release) == "unspecified"
    assert outcome.result is ItemResult.REJECTED
    return message.cause, message.esm


def test_an_attach_deletes_the_radio_capability_that_is_kept() -> None:
    """TS 23.401 5.11.2."""
    _, outcome = on_request(ctx=ue.registered(ue_radio_capability=b"radio"), identity=ue.GUTI, nas_ksi=1)
    assert ue.context(outcome).ue_radio_capability is None


@pytest.mark.parametrize(("parameter", "cycle"), [("0a60", "v32"), ("0a90", "v256"), ("0a00", None), (None, None)])
def test_the_drx_cycle_is_what_this_attach_asks_for(parameter: str | None, cycle: str | None) -> None:
    """5.5.1.2.2: a UE that wants one of its own says so in the attach."""
    octets = None if parameter is None else bytes.fromhex(parameter)
    _, outcome = on_request(ctx=ue.fresh(paging_drx="v64"), drx_parameter=octets)
    assert ue.context(outcome).paging_drx == cycle


def test_an_attach_by_imsi_asks_for_a_vector_and_says_nothing_yet() -> None:
    _, outcome = on_request()
    assert outcome.needs == (NeedVector(f"{ue.ITEM}/vector", ue.KEY, ue.IMSI, ue.PLMN),)
    assert (outcome.downlinks, outcome.start, outcome.stop) == ((), (), ())
    assert (outcome.claim, outcome.forget, outcome.result) == (None, False, ItemResult.DONE)
    assert outcome.label == "waits for a vector"
    after = ue.context(outcome)
    assert (after.emm, after.step) == (EmmState.COMMON_PROCEDURE_INITIATED, Step.VECTOR)
    assert after.waiting_for == f"{ue.ITEM}/vector"
    assert after.imsi == ue.IMSI


def test_the_request_is_remembered_as_it_came() -> None:
    esm = ue.pdn_connectivity_request(
        request_type=2,
        pdn_type=3,
        esm_information_transfer_flag=True,
        access_point_name="ims",
        protocol_configuration_options=b"\x80",
    )
    _, outcome = on_request(attach_type=2, esm=esm)
    after = ue.context(outcome)
    assert after.attaching == ue.attaching(
        attach_type=2,
        request_type=2,
        pdn_type=3,
        esm_information_transfer_flag=True,
        access_point_name="ims",
        pco=b"\x80",
    )
    assert after.ue_network_capability == ue.UE_NETWORK_CAPABILITY
    assert after.ms_network_capability == ue.MS_NETWORK_CAPABILITY


def test_an_attach_by_guti_asks_for_the_imsi_and_starts_t3470() -> None:
    _, outcome = on_request(identity=ue.GUTI)
    assert ue.said(ue.only(outcome.downlinks, DownlinkNasTransport)) == (
        IdentityRequest(IdentityType.IMSI),
        SecurityHeader.PLAIN,
    )
    assert ue.timers(outcome) == ({TimerName.T3470: (6.0, 0)}, set())
    assert (outcome.needs, outcome.label) == ((), "identity request")
    after = ue.context(outcome)
    assert (after.step, after.imsi, after.waiting_for) == (Step.IDENTITY, None, None)
    assert after.attaching == ue.attaching(identity_was_imsi=False)


@pytest.mark.parametrize("tai", [Tai(ue.PLMN, 8), Tai(Plmn("00102"), 7)], ids=["another TAC", "another PLMN"])
def test_a_tracking_area_that_is_not_served_is_refused_with_12(tai: Tai) -> None:
    before, outcome = on_request(tai=tai)
    assert refusal(outcome) == (EmmCause.TRACKING_AREA_NOT_ALLOWED, None)
    assert outcome.label == "attach reject #12"
    ue.assert_gone(outcome, before)


@pytest.mark.parametrize("attach_type", [1, 2, 3, 4, 5, 7])
def test_every_other_attach_type_is_taken_for_an_eps_or_combined_attach(attach_type: int) -> None:
    """9.9.3.11: all other values are interpreted as "EPS attach"."""
    _, outcome = on_request(attach_type=attach_type)
    assert len(outcome.needs) == 1


@pytest.mark.parametrize("identity", [Imei("353490069873319"), Tmsi(1)], ids=["IMEI", "TMSI"])
def test_an_identity_that_no_attach_may_show_is_refused_with_96(identity: Imei | Tmsi) -> None:
    before, outcome = on_request(identity=identity)
    assert refusal(outcome) == (EmmCause.INVALID_MANDATORY_INFORMATION, None)
    ue.assert_gone(outcome, before)


@pytest.mark.parametrize(
    ("esm", "cause"),
    [
        (UndecodableEsm(0, 9, EsmCause.INVALID_MANDATORY_INFORMATION), 96),
        (UndecodableEsm(0, 9, EsmCause.MESSAGE_TYPE_NON_EXISTENT), 97),
        (EsmInformationResponse(0, 9), 101),
        (ue.pdn_connectivity_request(pti=0), 81),
        (ue.pdn_connectivity_request(pti=255), 81),
        (ue.pdn_connectivity_request(pti=9, request_type=4), 96),
        (ue.pdn_connectivity_request(pti=9, request_type=0), 96),
        (ue.pdn_connectivity_request(pti=9, pdn_type=0), 28),
        (ue.pdn_connectivity_request(pti=9, pdn_type=5), 28),
        (ue.pdn_connectivity_request(pti=9, pdn_type=7), 28),
    ],
)
def test_a_fault_of_the_esm_message_inside_is_refused_with_19_and_its_esm_cause(esm: EsmMessage, cause: int) -> None:
    before, outcome = on_request(esm=esm)
    assert refusal(outcome) == (EmmCause.ESM_FAILURE, PdnConnectivityReject(0, esm.pti, EsmCause(cause)))
    assert outcome.label == f"attach reject #19 ESM #{cause}"
    ue.assert_gone(outcome, before)


@pytest.mark.parametrize("pti", [1, 254])
@pytest.mark.parametrize("request_type", [1, 2])
@pytest.mark.parametrize("pdn_type", [1, 2, 3])
def test_every_ordinary_pdn_connectivity_request_is_taken(pti: int, request_type: int, pdn_type: int) -> None:
    _, outcome = on_request(esm=ue.pdn_connectivity_request(pti=pti, request_type=request_type, pdn_type=pdn_type))
    assert len(outcome.needs) == 1


def test_an_eps_bearer_identity_in_the_request_is_refused_with_esm_43() -> None:
    """7.3.2: PDN CONNECTIVITY REQUEST with an assigned or reserved EPS bearer identity."""
    _, outcome = on_request(esm=ue.pdn_connectivity_request(eps_bearer_identity=5))
    assert refusal(outcome)[1] == PdnConnectivityReject(0, ue.PTI, EsmCause.INVALID_EPS_BEARER_IDENTITY)


def test_the_unused_request_type_is_taken_for_an_initial_request() -> None:
    """TS 24.008 10.5.6.17: "unused; if received, the network shall interpret this as initial request"."""
    _, outcome = on_request(esm=ue.pdn_connectivity_request(request_type=3))
    assert [type(need) for need in outcome.needs] == [NeedVector]


def test_the_unused_pdn_type_is_taken_for_ipv6() -> None:
    """9.9.4.10: value 4 is "unused; shall be interpreted as IPv6 if received by the network"."""
    _, outcome = on_request(esm=ue.pdn_connectivity_request(pdn_type=4))
    remembered = ue.context(outcome).attaching
    assert remembered is not None
    assert remembered.pdn_type == 2


def test_a_tracking_area_behind_the_sixteenth_of_the_configuration_is_served() -> None:
    """S1 Setup accepts all configured TACs; only the list in ATTACH ACCEPT is limited to 16 (9.9.3.33)."""
    config = replace(ue.CONFIG, tacs=tuple(range(1, 21)))
    _, outcome = on_request(tai=Tai(ue.PLMN, 20), config=config)
    assert [type(need) for need in outcome.needs] == [NeedVector]


# --------------------------------------------------------------------------- a second request (5.5.1.2.7 d, e)

UNDERWAY = {step.value: build for (_, step), build in ue.STATIONS.items() if step is not Step.NONE}


def again(ctx: UeContext, digest: bytes, **changes: Any) -> Outcome:
    message = ue.attach_request(**changes)
    return attach_request.on_attach_request_again(ctx, message, digest, ue.TAI, ue.env(item="item9"))


@pytest.mark.parametrize("station", [name for name in UNDERWAY if name != Step.ATTACH_COMPLETE.value])
def test_an_equal_request_before_attach_accept_is_ignored_and_the_first_goes_on(station: str) -> None:
    before = UNDERWAY[station]()
    assert again(before, ue.DIGEST) == Outcome(before, label="equal attach request ignored")


def test_an_equal_request_after_attach_accept_gets_the_same_attach_accept_and_restarts_t3450() -> None:
    before = ue.accepted()
    outcome = again(before, ue.DIGEST)
    message, header = ue.said(ue.only(outcome.downlinks, DownlinkNasTransport))
    assert isinstance(message, AttachAccept)
    assert message.guti == ue.GUTI
    assert header is SecurityHeader.INTEGRITY_CIPHERED
    assert ue.timers(outcome) == ({TimerName.T3450: (6.0, 0)}, set())
    assert outcome.ctx == before
    assert outcome.needs == ()


def test_an_equal_request_after_attach_accept_leaves_the_count_of_retransmissions_as_it_is() -> None:
    """5.5.1.2.7 d: the retransmission counter related to T3450 is not incremented; nor does it begin again."""
    outcome = again(ue.accepted(timers=ue.running(TimerName.T3450, expiries=2)), ue.DIGEST)
    assert ue.timers(outcome)[0] == {TimerName.T3450: (6.0, 2)}


@pytest.mark.parametrize("station", UNDERWAY)
def test_another_request_ends_the_first_attach_and_begins_its_own(station: str) -> None:
    before = UNDERWAY[station]()
    outcome = again(before, ue.OTHER_DIGEST, identity=ue.OTHER_IMSI, esm=ue.pdn_connectivity_request(pti=8))
    after = ue.context(outcome)
    assert (after.emm, after.step, after.imsi) == (EmmState.COMMON_PROCEDURE_INITIATED, Step.VECTOR, ue.OTHER_IMSI)
    assert after.attaching == ue.attaching(digest=ue.OTHER_DIGEST, pti=8)
    assert (after.vector, after.security_new) == (None, None)
    vectors = [need for need in outcome.needs if isinstance(need, NeedVector)]
    assert vectors == [NeedVector("item9/vector", ue.KEY, ue.OTHER_IMSI, ue.PLMN)]
    assert after.waiting_for == "item9/vector"
    assert set(outcome.stop) == set(TimerName)
    assert (outcome.start, outcome.downlinks, outcome.forget) == ((), (), False)


def test_another_request_by_guti_starts_t3470_after_all_timers_were_stopped() -> None:
    outcome = again(ue.challenged(), ue.OTHER_DIGEST, identity=ue.GUTI)
    started, stopped = ue.timers(outcome)
    assert started == {TimerName.T3470: (6.0, 0)}
    assert stopped == set(TimerName)


def test_another_request_that_is_wrong_ends_both_attaches() -> None:
    before = ue.challenged()
    outcome = again(before, ue.OTHER_DIGEST, esm=ue.pdn_connectivity_request(pdn_type=7))
    assert refusal(outcome)[0] == EmmCause.ESM_FAILURE
    ue.assert_gone(outcome, before)


def test_another_request_after_attach_accept_gives_back_the_session_of_the_first() -> None:
    """5.5.1.2.7 d: the previously initiated attach is aborted; what it took from the gateway goes with it."""
    outcome = again(ue.accepted(), ue.OTHER_DIGEST)
    deleted = [need for need in outcome.needs if isinstance(need, DeleteSession)]
    assert [need.session_id for need in deleted] == ["session1"]
    assert ue.context(outcome).bearer is None


def test_an_attach_request_of_a_registered_ue_on_its_connection_is_progressed() -> None:
    """5.5.1.2.7 f: a UE that is known to be genuine (its MAC was right) and attaches again is attached anew."""
    outcome = again(ue.registered(), ue.OTHER_DIGEST)
    assert outcome.result is not ItemResult.DISCARDED
    assert ue.context(outcome).emm is EmmState.COMMON_PROCEDURE_INITIATED


@pytest.mark.parametrize(("told", "given"), [(1, 2), (6, 0), (7, 1)])
def test_the_challenge_does_not_use_the_key_set_identifier_that_the_ue_has_in_use(told: int, given: int) -> None:
    """5.4.2.2: an eKSI different from that of the UE's own; 7 is none, and 0 to 6 go round."""
    _, begun = on_request(nas_ksi=told)
    outcome = authentication.on_vector(ue.context(begun), ue.VECTOR, ue.env())
    message, _ = ue.said(ue.only(outcome.downlinks, DownlinkNasTransport))
    assert isinstance(message, AuthenticationRequest)
    assert message.nas_ksi == given
