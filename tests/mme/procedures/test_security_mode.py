"""Security mode control (TS 24.301 5.4.3)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mme.context import SecurityContext, UeContext, Updating
from mme.crypto import kdf
from mme.enums import DetachType, EmmCause, EmmState, ItemResult, SecurityHeader, Step, TimerName
from mme.messages import (
    AttachReject,
    AuthenticationResponse,
    DetachAccept,
    DetachRequestFromUe,
    DetachRequestToUe,
    DownlinkNasTransport,
    EmmMessage,
    EsmContainer,
    EsmInformationRequest,
    ExtendedServiceRequest,
    InitialContextSetupRequest,
    SecurityModeCommand,
    SecurityModeComplete,
    SecurityModeReject,
    ServiceReject,
    TrackingAreaUpdateReject,
    TrackingAreaUpdateRequest,
    UeContextModificationRequest,
    UeContextReleaseCommand,
)
from mme.needs import NeedProfile
from mme.outcome import Outcome
from mme.procedures import authentication, dispatch, security_mode
from tests.mme.procedures import conftest as ue

ALL = "ffff"


@pytest.mark.parametrize(
    ("eea_order", "eia_order", "capability", "expected"),
    [
        ((2, 0), (2,), ALL, (2, 2)),
        ((0, 2), (2,), ALL, (0, 2)),
        ((3, 1, 2, 0), (1, 2, 3), ALL, (3, 1)),
        ((2, 0), (3, 2), "8070", (0, 3)),  # EEA0; EIA1, EIA2, EIA3
        ((2, 1, 0), (1, 2), "c020", (1, 2)),  # EEA0, EEA1; EIA2
        ((2,), (2,), "2020", (2, 2)),
        ((2,), (2,), "d020", None),  # everything but EEA2
        ((2,), (2,), "20df", None),  # everything but EIA2
    ],
)
def test_the_first_algorithm_of_each_configured_order_that_the_ue_has_is_chosen(
    eea_order: tuple[int, ...], eia_order: tuple[int, ...], capability: str, expected: tuple[int, int] | None
) -> None:
    config = replace(ue.CONFIG, eea_order=eea_order, eia_order=eia_order)
    assert security_mode.choose_algorithms(config, bytes.fromhex(capability)) == expected


def test_null_integrity_is_never_chosen() -> None:
    """TS 33.401 5.1.4.1: only for unauthenticated emergency calls."""
    assert security_mode.choose_algorithms(ue.CONFIG, bytes.fromhex("f080")) is None


def test_the_command_goes_out_integrity_protected_under_new_keys_and_not_ciphered() -> None:
    outcome = security_mode.start(ue.challenged(vector_ksi=3), ue.env())
    message, header = ue.said(ue.only(outcome.downlinks, DownlinkNasTransport))
    assert header is SecurityHeader.INTEGRITY_NEW
    assert message == SecurityModeCommand(
        eea=2,
        eia=2,
        nas_ksi=3,
        # 9.9.3.36: octets 3 to 6 of the UE network capability, then GEA of the MS network capability e5 e0:
        # GEA1 in bit 7, GEA2 to GEA7 (bits 7 to 2 of the second octet) in bits 6 to 1.
        replayed_ue_security_capability=bytes.fromhex("f0f0c04070"),
    )
    assert ue.timers(outcome) == ({TimerName.T3460: (6.0, 0)}, {TimerName.T3460})
    after = ue.context(outcome)
    assert (after.emm, after.step) == (EmmState.COMMON_PROCEDURE_INITIATED, Step.SECURITY_MODE)
    assert after.security_new == SecurityContext(
        ksi=3,
        k_asme=ue.K_ASME,
        eea=2,
        eia=2,
        k_nas_enc=kdf.nas_key(ue.K_ASME, kdf.NAS_ENC, 2),
        k_nas_int=kdf.nas_key(ue.K_ASME, kdf.NAS_INT, 2),
        ul_count=0,
        dl_count=0,
    )
    assert (after.security, after.secured, after.vector) == (None, False, None)
    assert (outcome.claim, outcome.needs, outcome.label) == (None, (), "security mode command")


def test_the_imeisv_is_asked_for_where_the_configuration_says() -> None:
    outcome = security_mode.start(ue.challenged(), ue.env(replace(ue.CONFIG, request_imeisv=True)))
    message, _ = ue.said(ue.only(outcome.downlinks, DownlinkNasTransport))
    assert isinstance(message, SecurityModeCommand)
    assert message.imeisv_requested


def test_no_algorithm_in_common_is_refused_with_23() -> None:
    before = ue.challenged(ue_network_capability=bytes.fromhex("4040"))
    outcome = security_mode.start(before, ue.env())
    reject, release = outcome.downlinks
    assert ue.said(reject) == (AttachReject(EmmCause.SECURITY_CAPABILITIES_MISMATCH), SecurityHeader.PLAIN)
    assert ue.released(release) == "unspecified"
    assert outcome.label == "attach reject #23"
    ue.assert_gone(outcome, before)


# --------------------------------------------------------------------------- what a registered UE asks for meanwhile

CROSSING: dict[str, tuple[EmmMessage, EmmMessage]] = {
    "extended service request": (
        ExtendedServiceRequest(0, 1, ue.GUTI.m_tmsi),
        ServiceReject(EmmCause.CS_DOMAIN_NOT_AVAILABLE),
    ),
    "IMSI detach": (DetachRequestFromUe(DetachType.IMSI, False, 1, ue.GUTI), DetachAccept()),
}
crossing = pytest.mark.parametrize(("message", "answer"), CROSSING.values(), ids=CROSSING)


def taken(ctx: UeContext) -> Outcome:
    """SECURITY MODE COMPLETE, its NAS COUNT taken."""
    security = ctx.security_new
    assert security is not None
    counted = replace(ctx, security_new=replace(security, ul_count=security.ul_count + 1))
    return dispatch.on_nas(counted, SecurityModeComplete(), ue.DIGEST, ue.TAI, ue.env())


@crossing
def test_what_crosses_the_control_aborts_it_and_is_answered_once_a_new_one_is_complete(
    message: EmmMessage, answer: EmmMessage
) -> None:
    """5.4.3.7 c.  Which keys the UE has by now only a new SECURITY MODE COMMAND makes sure."""
    before = ue.rekeying(Step.SECURITY_MODE, timers=ue.running(TimerName.T3460, 3))
    outcome = dispatch.on_nas(before, message, ue.DIGEST, ue.TAI, ue.env())
    command, header = ue.said(ue.only(outcome.downlinks, DownlinkNasTransport))
    assert isinstance(command, SecurityModeCommand)
    assert (command.nas_ksi, header) == (2, SecurityHeader.INTEGRITY_NEW)
    assert ue.timers(outcome)[0] == {TimerName.T3460: (6.0, 0)}
    waiting = ue.context(outcome)
    assert (waiting.step, waiting.security_new) == (Step.SECURITY_MODE, before.security_new)
    complete = taken(waiting)
    told, modification = complete.downlinks
    assert ue.said(told) == (answer, SecurityHeader.INTEGRITY_CIPHERED)
    assert isinstance(modification, UeContextModificationRequest)
    after = ue.context(complete)
    assert (after.emm, after.step, after.owed) == (EmmState.REGISTERED, Step.NONE, None)
    assert after.security is not None
    assert after.security.ksi == 2, "the answer is under the new keys"
    assert not any(isinstance(m, DownlinkNasTransport) for m in taken(before).downlinks), "nobody else is told"


@crossing
def test_what_crosses_the_control_ends_it_where_no_algorithm_is_in_common_any_more(
    message: EmmMessage, answer: EmmMessage
) -> None:
    """Its bearer is up, and the configured order has changed: nothing is owed, retried or left half done."""
    null_ciphering_alone = bytes.fromhex("8020")
    running = ue.running(TimerName.T3460, 1)
    before = ue.rekeying(Step.SECURITY_MODE, ue_network_capability=null_ciphering_alone, timers=running)
    config = replace(ue.CONFIG, eea_order=(2,))
    outcome = dispatch.on_nas(before, message, ue.DIGEST, ue.TAI, ue.env(config))
    told, command = outcome.downlinks
    last = answer if isinstance(answer, DetachAccept) else ServiceReject(EmmCause.IMPLICITLY_DETACHED)
    assert ue.said(told)[0] == last
    assert isinstance(command, UeContextReleaseCommand)
    assert outcome.result is not ItemResult.RETRY
    after = ue.context(outcome)
    assert (after.emm, after.step, after.owed) == (EmmState.DEREGISTERED, Step.NONE, None)


def test_an_imsi_detach_ends_the_update_that_it_crosses_with_the_control() -> None:
    """As it does outside of one (5.5.2.2.3): there is no TRACKING AREA UPDATE ACCEPT after its DETACH ACCEPT."""
    before = ue.rekeying(Step.SECURITY_MODE, updating=Updating(active=False))
    message, answer = CROSSING["IMSI detach"]
    waiting = ue.context(dispatch.on_nas(before, message, ue.DIGEST, ue.TAI, ue.env()))
    complete = taken(waiting)
    said = [ue.said(m)[0] for m in complete.downlinks if isinstance(m, DownlinkNasTransport)]
    assert said == [answer]
    assert ue.context(complete).step is Step.NONE


@crossing
def test_a_ue_that_came_from_idle_is_answered_and_gets_its_bearer(message: EmmMessage, answer: EmmMessage) -> None:
    before = ue.rekeying(Step.SECURITY_MODE, bearer=ue.bearer())
    waiting = ue.context(dispatch.on_nas(before, message, ue.DIGEST, ue.TAI, ue.env()))
    told, setup = taken(waiting).downlinks
    assert ue.said(told)[0] == answer
    assert isinstance(setup, InitialContextSetupRequest)


@crossing
def test_nothing_is_owed_any_more_once_an_update_or_another_control_comes(
    message: EmmMessage, answer: EmmMessage
) -> None:
    """5.6.1.6 e, 5.5.2.2.4: a UE that updates has given up what it asked for before."""
    before = ue.rekeying(Step.SECURITY_MODE)
    owing = ue.context(dispatch.on_nas(before, message, ue.DIGEST, ue.TAI, ue.env()))
    assert owing.owed is not None
    update = TrackingAreaUpdateRequest(0, active=False, nas_ksi=1, old_guti=ue.GUTI)
    updating = ue.context(dispatch.on_nas(owing, update, ue.DIGEST, ue.TAI, ue.env()))
    assert updating.owed is None
    assert answer not in [ue.said(m)[0] for m in taken(updating).downlinks if isinstance(m, DownlinkNasTransport)]
    anew = ue.rekeying(Step.AUTHENTICATION, owed=owing.owed)
    assert ue.context(security_mode.start(anew, ue.env())).owed is None


@crossing
def test_of_a_ue_that_attaches_nothing_is_put_off(message: EmmMessage, answer: EmmMessage) -> None:
    before = ue.reattaching(Step.SECURITY_MODE)
    assert not isinstance(answer, SecurityModeCommand)
    outcome = dispatch.on_nas(before, message, ue.DIGEST, ue.TAI, ue.env())
    assert outcome.ctx is not None
    assert outcome.ctx.owed is None


# The configured order has no algorithm of a registered UE any more, and new keys are due: what it came for is refused.
NO_LONGER = replace(ue.CONFIG, eea_order=(2,))
EEA0_AND_EIA2 = bytes.fromhex("8020")


def rechallenged(**changes: Any) -> UeContext:
    """Registered, and its answer to the challenge is right."""
    goes_by = {"ue_network_capability": EEA0_AND_EIA2, "security": ue.security(eea=0)}
    plain = {**goes_by, "guti": ue.RENAMED, "old_guti": ue.GUTI, "generation": 2}
    return ue.rekeying(Step.AUTHENTICATION, **{**plain, **changes})


def nothing_in_common(before: UeContext) -> Outcome:
    return authentication.on_authentication_response(before, AuthenticationResponse(ue.XRES), ue.env(NO_LONGER))


@pytest.mark.parametrize("on_the_radio", [False, True])
def test_an_update_that_has_no_algorithm_in_common_is_rejected_with_10(on_the_radio: bool) -> None:
    """TS 24.301 5.5.3.2.5: to a TRACKING AREA UPDATE REQUEST no ATTACH REJECT is an answer."""
    bearer = rechallenged().bearer if on_the_radio else ue.bearer()
    before = rechallenged(updating=Updating(active=True), bearer=bearer)
    outcome = nothing_in_common(before)
    reject, release = outcome.downlinks
    message = TrackingAreaUpdateReject(EmmCause.IMPLICITLY_DETACHED)
    assert ue.said(reject) == (message, SecurityHeader.INTEGRITY_CIPHERED)
    assert ue.released(release) == "unspecified"
    assert (outcome.result, outcome.label) == (ItemResult.REJECTED, "tracking area update reject #10")
    ue.assert_gone(outcome, before, needs=1)
    assert (ue.context(outcome).guti, ue.context(outcome).old_guti) == (None, None)


def test_a_service_request_that_has_none_is_rejected_with_10() -> None:
    """TS 24.301 5.6.1.5."""
    before = rechallenged(bearer=ue.bearer())
    outcome = nothing_in_common(before)
    reject, release = outcome.downlinks
    assert ue.said(reject) == (ServiceReject(EmmCause.IMPLICITLY_DETACHED), SecurityHeader.INTEGRITY_CIPHERED)
    assert ue.released(release) == "unspecified"
    assert (outcome.result, outcome.label) == (ItemResult.REJECTED, "service reject #10")
    ue.assert_gone(outcome, before, needs=1)
    assert (ue.context(outcome).guti, ue.context(outcome).old_guti) == (None, None)


def test_a_connected_ue_that_has_none_is_detached_and_need_not_attach_again() -> None:
    """TS 24.301 5.5.2.3.1; it is told under the keys that it goes by, for it has no others."""
    before = rechallenged()
    outcome = nothing_in_common(before)
    message = ue.only(outcome.downlinks, DownlinkNasTransport)
    assert ue.said(message) == (DetachRequestToUe(2), SecurityHeader.INTEGRITY_CIPHERED)
    after = ue.context(outcome)
    assert (after.emm, after.step, after.connection) == (EmmState.DEREGISTERED_INITIATED, Step.DETACH, ue.CONNECTION)
    assert (after.guti, after.old_guti, after.security) == (None, None, before.security)
    assert (after.vector, after.security_new, after.bearer) == (None, None, before.bearer)
    started, stopped = ue.timers(outcome)
    assert started == {TimerName.T3422: (6.0, 0)}
    assert TimerName.T3460 in stopped


def test_a_known_ue_that_attaches_and_has_none_gets_attach_reject() -> None:
    before = ue.reattaching(Step.AUTHENTICATION, ue_network_capability=EEA0_AND_EIA2)
    outcome = nothing_in_common(before)
    expected = AttachReject(EmmCause.SECURITY_CAPABILITIES_MISMATCH), SecurityHeader.INTEGRITY_CIPHERED
    assert ue.said(outcome.downlinks[0]) == expected
    ue.assert_gone(outcome, before)


@pytest.mark.parametrize("eea_order", [(0,), (2, 0)])
def test_algorithms_in_use_that_are_still_allowed_are_kept_where_the_ue_has_no_better_ones(
    eea_order: tuple[int, ...],
) -> None:
    before = rechallenged()
    config = replace(ue.CONFIG, eea_order=eea_order)
    after = ue.context(security_mode.start(before, ue.env(config)))
    assert before.security is not None
    assert after.security_new is not None
    assert (after.security_new.eea, after.security_new.eia) == (before.security.eea, before.security.eia)


# --------------------------------------------------------------------------- SECURITY MODE COMPLETE


def completed(ul_count: int = 1) -> Outcome:
    """SECURITY MODE COMPLETE under NAS COUNT ul_count - 1, which the transport has counted."""
    new = ue.security(ul_count=ul_count, dl_count=1)
    return security_mode.on_security_mode_complete(
        ue.commanded(security_new=new), SecurityModeComplete(), ue.env(item="item9")
    )


def test_complete_takes_the_context_into_use_claims_the_imsi_and_asks_for_the_profile() -> None:
    outcome = completed()
    assert outcome.claim == ue.IMSI
    assert outcome.needs == (NeedProfile("item9/profile", ue.KEY, ue.IMSI),)
    assert ue.timers(outcome) == ({}, {TimerName.T3460})
    assert outcome.downlinks == ()
    after = ue.context(outcome)
    assert (after.step, after.waiting_for) == (Step.PROFILE, "item9/profile")
    assert (after.security, after.security_new, after.secured) == (ue.security(ul_count=1, dl_count=1), None, True)
    assert after.proven


@pytest.mark.parametrize("ul_count", [1, 2, 256, 1 << 24])
def test_complete_keeps_its_own_nas_count_for_k_enb(ul_count: int) -> None:
    """TS 33.401 A.3: the uplink NAS COUNT of the message, not the one expected next."""
    assert ue.context(completed(ul_count)).k_enb_count == ul_count - 1


def test_complete_asks_for_esm_information_where_the_ue_held_it_back() -> None:
    before = ue.commanded(attaching=ue.attaching(esm_information_transfer_flag=True))
    before = replace(before, security_new=ue.security())
    outcome = security_mode.on_security_mode_complete(before, SecurityModeComplete(), ue.env())
    message = ue.only(outcome.downlinks, DownlinkNasTransport)
    assert ue.said(message) == (EsmContainer(EsmInformationRequest(0, ue.PTI)), SecurityHeader.INTEGRITY_CIPHERED)
    assert ue.timers(outcome) == ({TimerName.T3489: (4.0, 0)}, {TimerName.T3460})
    assert (outcome.claim, outcome.needs) == (ue.IMSI, ())
    assert ue.context(outcome).step is Step.ESM_INFORMATION


def test_complete_keeps_the_imeisv() -> None:
    before = ue.commanded(security_new=ue.security())
    outcome = security_mode.on_security_mode_complete(before, SecurityModeComplete("3534900698733190"), ue.env())
    assert ue.context(outcome).imeisv == "3534900698733190"


def test_complete_without_a_command_changes_nothing() -> None:
    before = ue.commanded(security_new=None)
    outcome = security_mode.on_security_mode_complete(before, SecurityModeComplete(), ue.env())
    assert outcome == Outcome(before, result=ItemResult.DISCARDED, label="no security mode command outstanding")


# --------------------------------------------------------------------------- refusal and silence


@pytest.mark.parametrize("cause", [23, 24])
def test_security_mode_reject_ends_the_attach(cause: int) -> None:
    before = ue.commanded()
    outcome = security_mode.on_security_mode_reject(before, SecurityModeReject(cause), ue.env())
    assert [ue.released(m) for m in outcome.downlinks] == ["unspecified"]
    assert (outcome.result, outcome.label) == (ItemResult.REJECTED, f"security mode reject #{cause}")
    ue.assert_gone(outcome, before)


@pytest.mark.parametrize("expiries", [1, 2, 3, 4])
def test_expiries_one_to_four_of_t3460_repeat_the_command(expiries: int) -> None:
    before = ue.commanded()
    first = security_mode.start(ue.challenged(), ue.env())
    outcome = security_mode.on_t3460_expiry(before, expiries, ue.env())
    assert outcome.downlinks == first.downlinks
    assert ue.timers(outcome) == ({TimerName.T3460: (6.0, expiries)}, set())
    assert outcome.ctx == before


def test_the_fifth_expiry_of_t3460_ends_it() -> None:
    before = ue.commanded()
    outcome = security_mode.on_t3460_expiry(before, 5, ue.env())
    assert [ue.released(m) for m in outcome.downlinks] == ["unspecified"]
    assert outcome.label == "T3460 expired: no Security Mode Complete"
    ue.assert_gone(outcome, before)
