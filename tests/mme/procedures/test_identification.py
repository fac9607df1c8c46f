"""Identification (TS 24.301 5.4.4) and what an IDENTITY RESPONSE leads to."""

from __future__ import annotations

import pytest

from mme.enums import EmmCause, EmmState, IdentityType, ItemResult, SecurityHeader, Step, TimerName
from mme.ids import Imei, MobileIdentity, Tmsi
from mme.messages import (
    AttachReject,
    AuthenticationReject,
    DownlinkNasTransport,
    IdentityRequest,
    IdentityResponse,
)
from mme.needs import NeedVector
from mme.procedures import attach_request, identification
from tests.mme.procedures import conftest as ue


@pytest.mark.parametrize("identity_type", list(IdentityType))
def test_identity_request_goes_out_with_t3470(identity_type: IdentityType) -> None:
    outcome = identification.start(ue.fresh(), ue.env(), identity_type)
    message = ue.only(outcome.downlinks, DownlinkNasTransport)
    assert ue.said(message) == (IdentityRequest(identity_type), SecurityHeader.PLAIN)
    assert ue.timers(outcome) == ({TimerName.T3470: (6.0, 0)}, set())
    after = ue.context(outcome)
    assert (after.emm, after.step) == (EmmState.COMMON_PROCEDURE_INITIATED, Step.IDENTITY)


def test_identity_request_is_ciphered_once_secure_exchange_is_established() -> None:
    outcome = identification.start(ue.proven(Step.PROFILE), ue.env(), IdentityType.IMSI)
    message = ue.only(outcome.downlinks, DownlinkNasTransport)
    assert ue.said(message) == (IdentityRequest(IdentityType.IMSI), SecurityHeader.INTEGRITY_CIPHERED)


@pytest.mark.parametrize("expiries", [1, 2, 3, 4])
def test_expiries_one_to_four_of_t3470_ask_again(expiries: int) -> None:
    before = ue.asked_for_identity()
    outcome = identification.on_t3470_expiry(before, expiries, ue.env())
    message = ue.only(outcome.downlinks, DownlinkNasTransport)
    assert ue.said(message) == (IdentityRequest(IdentityType.IMSI), SecurityHeader.PLAIN)
    assert ue.timers(outcome) == ({TimerName.T3470: (6.0, expiries)}, set())
    assert (outcome.ctx, outcome.forget) == (before, False)


def test_the_fifth_expiry_of_t3470_ends_it() -> None:
    before = ue.asked_for_identity()
    outcome = identification.on_t3470_expiry(before, 5, ue.env())
    assert [ue.released(m) for m in outcome.downlinks] == ["unspecified"]
    assert outcome.label == "T3470 expired: no Identity Response"
    ue.assert_gone(outcome, before)


def test_the_imsi_leads_to_a_vector_and_stops_t3470() -> None:
    outcome = attach_request.on_identity_response(ue.asked_for_identity(), IdentityResponse(ue.IMSI), ue.env())
    assert outcome.needs == (NeedVector(f"{ue.ITEM}/vector", ue.KEY, ue.IMSI, ue.PLMN),)
    assert ue.timers(outcome) == ({}, {TimerName.T3470})
    assert (outcome.downlinks, outcome.claim) == ((), None)
    after = ue.context(outcome)
    assert (after.step, after.imsi, after.waiting_for) == (Step.VECTOR, ue.IMSI, f"{ue.ITEM}/vector")
    assert after.attaching == ue.attaching(identity_was_imsi=False, identity_checked=True)


@pytest.mark.parametrize("identity", [None, ue.GUTI, Imei("353490069873319"), Tmsi(1)])
def test_any_other_answer_is_refused_with_9(identity: MobileIdentity | None) -> None:
    before = ue.asked_for_identity()
    outcome = attach_request.on_identity_response(before, IdentityResponse(identity), ue.env())
    reject, release = outcome.downlinks
    assert ue.said(reject) == (AttachReject(EmmCause.UE_IDENTITY_CANNOT_BE_DERIVED), SecurityHeader.PLAIN)
    assert ue.released(release) == "unspecified"
    assert (outcome.result, outcome.label) == (ItemResult.REJECTED, "attach reject #9")
    ue.assert_gone(outcome, before)


def test_after_a_failed_challenge_the_same_imsi_is_rejected() -> None:
    before = ue.asked_for_identity(imsi=ue.IMSI, vector=ue.VECTOR)
    outcome = attach_request.on_identity_response(before, IdentityResponse(ue.IMSI), ue.env())
    reject, release = outcome.downlinks
    assert ue.said(reject) == (AuthenticationReject(), SecurityHeader.PLAIN)
    assert ue.released(release) == "authentication-failure"
    assert outcome.result is ItemResult.REJECTED
    assert outcome.label == "authentication reject: authentication failed with the right identity"
    ue.assert_gone(outcome, before)


def test_after_a_failed_challenge_another_imsi_gets_a_new_challenge() -> None:
    before = ue.asked_for_identity(imsi=ue.IMSI, vector=ue.VECTOR)
    outcome = attach_request.on_identity_response(before, IdentityResponse(ue.OTHER_IMSI), ue.env())
    assert outcome.needs == (NeedVector(f"{ue.ITEM}/vector", ue.KEY, ue.OTHER_IMSI, ue.PLMN),)
    after = ue.context(outcome)
    assert (after.imsi, after.vector, after.step) == (ue.OTHER_IMSI, None, Step.VECTOR)
    assert ue.timers(outcome) == ({}, {TimerName.T3470})
