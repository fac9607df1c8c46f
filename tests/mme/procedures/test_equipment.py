"""IMEISV requested and checked (TS 24.301 5.4.3.2, 5.5.1.2.5), and a registered UE authenticated anew (5.4.2.1)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mme.context import UeContext
from mme.enums import CauseGroup, EmmCause, EmmState, IdentityType, ItemResult, SecurityHeader, Step, TimerName
from mme.ids import Imei, Imsi
from mme.messages import (
    AttachReject,
    AuthenticationFailure,
    AuthenticationReject,
    Cause,
    DownlinkNasTransport,
    EmmMessage,
    IdentityRequest,
    IdentityResponse,
    SecurityModeCommand,
    SecurityModeComplete,
    UeContextModificationFailure,
    UeContextModificationRequest,
    UeContextModificationResponse,
)
from mme.needs import NeedProfile, NeedSession, NeedVector
from mme.outcome import Env, Outcome
from mme.procedures import attach_request, authentication, connection, dispatch, identification, security_mode
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


# --------------------------------------------------------------------------- a known UE, not authenticated again

KNOWN = ue.attach_request(identity=ue.GUTI, nas_ksi=1)


def from_idle(before: UeContext, env: Env, **changes: Any) -> Outcome:
    return connection.on_initial_message(before, ue.NEW_CONNECTION, replace(KNOWN, **changes), ue.DIGEST, env)


def on_its_connection(before: UeContext, env: Env, **changes: Any) -> Outcome:
    connected = replace(before, connections=(ue.NEW_CONNECTION,), secured=True)
    message = replace(KNOWN, **changes)
    return attach_request.on_attach_request_of_known(connected, message, ue.DIGEST, ue.TAI, env)


ATTACHES = pytest.mark.parametrize("attaches", [from_idle, on_its_connection])


def last_said(outcome: Outcome) -> tuple[EmmMessage, SecurityHeader]:
    said = [message for message in outcome.downlinks if isinstance(message, DownlinkNasTransport)]
    return ue.said(said[-1], ue.NEW_CONNECTION)


@ATTACHES
@pytest.mark.parametrize("told_before", [None, OTHER])
def test_a_known_ue_is_asked_for_its_imeisv_in_each_attach_whatever_it_told_before(
    attaches: Any, told_before: str | None
) -> None:
    """TS 23.401 5.3.2.1 step 5b: from the UE, ciphered; a USIM with GUTI and keys may have moved (annex C)."""
    outcome = attaches(ue.idle(imeisv=told_before), checking())
    assert last_said(outcome) == (IdentityRequest(IdentityType.IMEISV), SecurityHeader.INTEGRITY_CIPHERED)
    assert (TimerName.T3470, 6.0) in [(start.name, start.seconds) for start in outcome.start]
    assert not [need for need in outcome.needs if isinstance(need, NeedProfile | NeedVector)]
    again = identification.on_t3470_expiry(ue.context(outcome), 1, checking())
    assert last_said(again)[0] == IdentityRequest(IdentityType.IMEISV)


@ATTACHES
@pytest.mark.parametrize(
    ("identity", "served"), [(Imei(OTHER), True), (Imei(BLOCKED), False), (None, False), (ue.IMSI, False)]
)
def test_the_answer_of_a_known_ue_decides(attaches: Any, identity: Imei | None, served: bool) -> None:
    asked = ue.context(attaches(ue.idle(imeisv=OTHER), checking()))
    outcome = attach_request.on_identity_response(asked, IdentityResponse(identity), checking())
    assert [type(need) for need in outcome.needs] == ([NeedProfile] if served else [])
    assert outcome.forget is not served
    if not served:
        assert last_said(outcome)[0] == AttachReject(EmmCause.ILLEGAL_ME)


@ATTACHES
def test_where_no_equipment_is_blocked_a_known_ue_is_not_asked(attaches: Any) -> None:
    outcome = attaches(ue.idle(imeisv=OTHER), ue.env())
    assert NeedProfile in [type(need) for need in outcome.needs]
    assert ue.context(outcome).imeisv == OTHER


@ATTACHES
def test_a_known_ue_that_calls_for_help_is_not_asked(attaches: Any) -> None:
    env = ue.env(replace(CHECKING, emergency_attach="authenticated"))
    esm = ue.pdn_connectivity_request(request_type=4)
    outcome = attaches(ue.idle(imeisv=BLOCKED), env, attach_type=6, esm=esm)
    assert NeedSession in [type(need) for need in outcome.needs]


@ATTACHES
@pytest.mark.parametrize("imsi", [ue.IMSI, ue.OTHER_IMSI])
def test_a_known_ue_that_fails_a_challenge_is_asked_for_its_imsi_and_no_other_one_is_believed(
    attaches: Any, imsi: Imsi
) -> None:
    env = ue.env(replace(CHECKING, authenticate_known=True))
    waiting = ue.context(attaches(ue.idle(), env))
    challenged = ue.context(authentication.on_vector(waiting, ue.VECTOR, env))
    asked = authentication.on_authentication_failure(challenged, AuthenticationFailure(20), env)
    assert last_said(asked)[0] == IdentityRequest(IdentityType.IMSI)
    again = identification.on_t3470_expiry(ue.context(asked), 1, env)
    assert last_said(again)[0] == IdentityRequest(IdentityType.IMSI)
    outcome = attach_request.on_identity_response(ue.context(asked), IdentityResponse(imsi), env)
    assert last_said(outcome)[0] == AuthenticationReject()


# --------------------------------------------------------------------------- a registered UE is authenticated anew


def test_a_registered_ue_gets_a_new_challenge_and_keeps_its_old_keys_meanwhile() -> None:
    before = ue.registered()
    outcome = authentication.start_anew(before, ue.env())
    after = ue.context(outcome)
    assert [type(need) for need in outcome.needs] == [NeedVector]
    assert (after.emm, after.step) == (EmmState.COMMON_PROCEDURE_INITIATED, Step.VECTOR)
    assert (after.security, after.bearer, after.guti) == (before.security, before.bearer, before.guti)


def test_an_idle_or_busy_ue_is_not() -> None:
    setting_up = ue.returned(timers=ue.running(TimerName.CONTEXT_SETUP))
    for before in (replace(ue.registered(), connections=()), ue.accepted(), setting_up):
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
