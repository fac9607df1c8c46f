"""IMEISV requested and checked (TS 24.301 5.4.3.2, 5.5.1.2.5), and a registered UE authenticated anew (5.4.2.1)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mme.enums import CauseGroup, EmmCause, EmmState, IdentityType, ItemResult, Step, TimerName
from mme.ids import Imei
from mme.messages import (
    AttachReject,
    AuthenticationFailure,
    Cause,
    DownlinkNasTransport,
    IdentityRequest,
    IdentityResponse,
    SecurityModeCommand,
    SecurityModeComplete,
    UeContextModificationFailure,
    UeContextModificationRequest,
    UeContextModificationResponse,
)
from mme.needs import NeedProfile, NeedVector
from mme.outcome import Env
from mme.procedures import attach_request, authentication, dispatch, identification, security_mode
from tests.mme.procedures import conftest as ue

BLOCKED = "3534900698733190"
OTHER = "3534900698733290"
CHECKING = replace(ue.CONFIG, blocked_imeis="35349006987331,99")
IDS = (ue.MME_UE_S1AP_ID, ue.ENB_UE_S1AP_ID)


def checking() -> Env:
    return ue.env(CHECKING)


def test_the_imeisv_is_requested_where_equipment_is_checked() -> None:
    outcome = security_mode.start(replace(ue.challenged(), step=Step.AUTHENTICATION), checking())
    message, _ = ue.said(ue.only(outcome.downlinks, DownlinkNasTransport))
    assert isinstance(message, SecurityModeCommand)
    assert message.imeisv_requested


def test_blocked_equipment_is_rejected_with_6_and_claims_nothing() -> None:
    outcome = security_mode.on_security_mode_complete(ue.commanded(), SecurityModeComplete(BLOCKED), checking())
    assert ue.said(outcome.downlinks[0])[0] == AttachReject(EmmCause.ILLEGAL_ME)
    assert (outcome.forget, outcome.result) == (True, ItemResult.REJECTED)


def test_other_equipment_is_served() -> None:
    outcome = security_mode.on_security_mode_complete(ue.commanded(), SecurityModeComplete(OTHER), checking())
    assert [type(need) for need in outcome.needs] == [NeedProfile]
    assert ue.context(outcome).imeisv == OTHER


def test_who_does_not_tell_its_imeisv_is_asked_for_it() -> None:
    outcome = security_mode.on_security_mode_complete(ue.commanded(), SecurityModeComplete(), checking())
    message, _ = ue.said(ue.only(outcome.downlinks, DownlinkNasTransport))
    assert message == IdentityRequest(IdentityType.IMEISV)
    assert ue.timers(outcome)[0] == {TimerName.T3470: (6.0, 0)}
    asked = ue.context(outcome)
    again = identification.on_t3470_expiry(asked, 1, checking())
    assert ue.said(ue.only(again.downlinks, DownlinkNasTransport))[0] == IdentityRequest(IdentityType.IMEISV)


@pytest.mark.parametrize(
    ("identity", "served"), [(Imei(OTHER), True), (Imei(BLOCKED), False), (None, False), (ue.IMSI, False)]
)
def test_the_answer_decides(identity: Imei | None, served: bool) -> None:
    asked = ue.context(security_mode.on_security_mode_complete(ue.commanded(), SecurityModeComplete(), checking()))
    outcome = attach_request.on_identity_response(asked, IdentityResponse(identity), checking())
    assert ue.context(outcome).step is (Step.PROFILE if served else Step.NONE)
    assert TimerName.T3470 in outcome.stop
    if not served:
        assert ue.said(outcome.downlinks[0])[0] == AttachReject(EmmCause.ILLEGAL_ME)


# --------------------------------------------------------------------------- a registered UE is authenticated anew


def test_a_registered_ue_gets_a_new_challenge_and_keeps_its_old_keys_meanwhile() -> None:
    before = ue.registered()
    outcome = authentication.start_anew(before, ue.env())
    after = ue.context(outcome)
    assert [type(need) for need in outcome.needs] == [NeedVector]
    assert (after.emm, after.step) == (EmmState.COMMON_PROCEDURE_INITIATED, Step.VECTOR)
    assert (after.security, after.bearer, after.guti) == (before.security, before.bearer, before.guti)


def test_an_idle_or_busy_ue_is_not() -> None:
    for before in (replace(ue.registered(), connections=()), ue.accepted()):
        outcome = authentication.start_anew(before, ue.env())
        assert (outcome.ctx, outcome.result) == (before, ItemResult.REJECTED)


def outside_k_enb() -> tuple[bytes, int, bytes]:
    """K_ASME, uplink NAS COUNT and K_eNB of an outside implementation (tests/vectors/crypto/kdf.json)."""
    file = Path(__file__).resolve().parents[2] / "vectors/crypto/kdf.json"
    entries = json.loads(file.read_text())["k_enb"]
    entry = next(entry for entry in entries if int(entry["uplink_nas_count"], 16) == 0x12)
    return bytes.fromhex(entry["k_asme"]), 0x12, bytes.fromhex(entry["k_enb"])


def test_after_its_security_mode_the_enb_gets_the_new_k_enb_and_the_ue_is_registered_as_before() -> None:
    k_asme, count, k_enb = outside_k_enb()
    registered = ue.registered()
    new = replace(ue.security(), k_asme=k_asme, ul_count=count + 1)
    before = replace(
        registered, emm=EmmState.COMMON_PROCEDURE_INITIATED, step=Step.SECURITY_MODE, security_new=new, attaching=None
    )
    outcome = security_mode.on_security_mode_complete(before, SecurityModeComplete(), ue.env())
    assert outcome.downlinks == (UeContextModificationRequest(*IDS, k_enb=k_enb),)
    after = ue.context(outcome)
    assert (after.emm, after.step, after.security) == (EmmState.REGISTERED, Step.NONE, new)
    assert (after.bearer, after.guti) == (registered.bearer, registered.guti)


def test_the_enbs_answer_to_the_modification() -> None:
    before = ue.registered()
    taken = dispatch.on_s1ap(before, UeContextModificationResponse(*IDS), ue.env())
    assert (taken.ctx, taken.downlinks) == (before, ())
    cause = Cause(CauseGroup.RADIO_NETWORK, "unspecified")
    refused = dispatch.on_s1ap(before, UeContextModificationFailure(*IDS, cause), ue.env())
    assert [ue.released(message) for message in refused.downlinks] == ["unspecified"]
    assert ue.context(refused).emm is EmmState.REGISTERED


def test_a_registered_ue_resynchronises_once_and_is_rejected_after_that() -> None:
    challenged = replace(ue.challenged(), attaching=None)
    first = authentication.on_authentication_failure(challenged, AuthenticationFailure(21, ue.AUTS), ue.env())
    [need] = first.needs
    assert isinstance(need, NeedVector)
    assert need.resync_auts == ue.AUTS
    again = replace(challenged, resynchronised=True)
    second = authentication.on_authentication_failure(again, AuthenticationFailure(21, ue.AUTS), ue.env())
    assert second.result is ItemResult.REJECTED
