"""Authentication (TS 24.301 5.4.2): the challenge, the answers to it, and no answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mme.enums import EmmCause, EmmState, IdentityType, ItemResult, SecurityHeader, Step, TimerName
from mme.messages import (
    AttachReject,
    AuthenticationFailure,
    AuthenticationReject,
    AuthenticationRequest,
    AuthenticationResponse,
    DownlinkNasTransport,
    IdentityRequest,
    SecurityModeCommand,
)
from mme.needs import NeedVector, Refusal, Refused, Vector
from mme.outcome import Outcome
from mme.procedures import authentication
from tests.mme.procedures import conftest as ue


def assert_rejected(outcome: Outcome, label: str) -> None:
    reject, release = outcome.downlinks
    assert ue.said(reject) == (AuthenticationReject(), SecurityHeader.PLAIN)
    assert ue.released(release) == "authentication-failure"
    assert outcome.result is ItemResult.REJECTED
    assert outcome.label == f"authentication reject: {label}"


# --------------------------------------------------------------------------- the vector


def test_a_vector_is_sent_as_a_plain_challenge_with_t3460() -> None:
    outcome = authentication.on_vector(ue.waiting_for_vector(), ue.VECTOR, ue.env())
    message = ue.only(outcome.downlinks, DownlinkNasTransport)
    assert ue.said(message) == (AuthenticationRequest(1, ue.RAND, ue.AUTN), SecurityHeader.PLAIN)
    assert ue.timers(outcome) == ({TimerName.T3460: (6.0, 0)}, {TimerName.NEED})
    after = ue.context(outcome)
    assert (after.emm, after.step) == (EmmState.COMMON_PROCEDURE_INITIATED, Step.AUTHENTICATION)
    assert (after.vector, after.vector_ksi, after.waiting_for) == (ue.VECTOR, 1, None)
    assert (outcome.needs, outcome.claim, outcome.forget) == ((), None, False)
    assert outcome.label == "authentication request"


@pytest.mark.parametrize("used", range(7))
def test_a_new_challenge_never_has_the_key_set_identifier_of_the_one_before(used: int) -> None:
    """5.4.2.2; 9.9.3.21: 0 to 6, 7 is "no key is available"."""
    outcome = authentication.on_vector(ue.waiting_for_vector(vector_ksi=used), ue.VECTOR, ue.env())
    ksi = ue.context(outcome).vector_ksi
    assert ksi != used
    assert ksi in range(7)


@pytest.mark.parametrize("used", range(7))
def test_a_new_challenge_never_has_the_key_set_identifier_of_the_context_in_use(used: int) -> None:
    before = ue.waiting_for_vector(security=ue.security(ksi=used), secured=True)
    outcome = authentication.on_vector(before, ue.VECTOR, ue.env())
    assert ue.context(outcome).vector_ksi not in (used, 7)
    message = ue.only(outcome.downlinks, DownlinkNasTransport)
    assert ue.said(message)[1] is SecurityHeader.INTEGRITY_CIPHERED


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        (Refusal.UNKNOWN_SUBSCRIBER, EmmCause.EPS_SERVICES_AND_NON_EPS_SERVICES_NOT_ALLOWED),
        (Refusal.NOT_ALLOWED, EmmCause.EPS_SERVICES_NOT_ALLOWED),
        (Refusal.UNREACHABLE, EmmCause.NETWORK_FAILURE),
        (Refusal.REJECTED, EmmCause.NETWORK_FAILURE),
        (Refusal.NO_RESOURCES, EmmCause.NETWORK_FAILURE),
    ],
)
def test_a_vector_refused_rejects_the_attach(reason: Refusal, cause: EmmCause) -> None:
    before = ue.waiting_for_vector()
    outcome = authentication.on_vector(before, Refused(reason), ue.env())
    reject, release = outcome.downlinks
    assert ue.said(reject) == (AttachReject(cause), SecurityHeader.PLAIN)
    assert ue.released(release) == "unspecified"
    assert (outcome.result, outcome.label) == (ItemResult.REJECTED, f"attach reject #{int(cause)}")
    ue.assert_gone(outcome, before)


def test_an_auts_that_the_hss_does_not_believe_is_an_authentication_reject() -> None:
    before = ue.waiting_for_vector()
    outcome = authentication.on_vector(before, Refused(Refusal.RESYNC_FAILED), ue.env())
    assert_rejected(outcome, "resynchronisation failed")
    ue.assert_gone(outcome, before)


# --------------------------------------------------------------------------- AUTHENTICATION RESPONSE


def test_the_right_res_leads_to_security_mode() -> None:
    outcome = authentication.on_authentication_response(ue.challenged(), AuthenticationResponse(ue.XRES), ue.env())
    message, header = ue.said(ue.only(outcome.downlinks, DownlinkNasTransport))
    assert isinstance(message, SecurityModeCommand)
    assert header is SecurityHeader.INTEGRITY_NEW
    assert ue.timers(outcome) == ({TimerName.T3460: (6.0, 0)}, {TimerName.T3460})
    assert ue.context(outcome).step is Step.SECURITY_MODE
    assert outcome.claim is None, "RES alone proves nothing about what came unprotected"


@pytest.mark.parametrize(
    "res",
    [bytes(8), ue.XRES[:4], ue.XRES + b"\x00", bytes((*ue.XRES[:7], ue.XRES[7] ^ 1))],
    ids=["zeroes", "first half", "longer", "one bit"],
)
def test_a_wrong_res_of_a_ue_that_showed_its_imsi_is_rejected(res: bytes) -> None:
    before = ue.challenged()
    outcome = authentication.on_authentication_response(before, AuthenticationResponse(res), ue.env())
    assert_rejected(outcome, "RES is not XRES")
    ue.assert_gone(outcome, before)


def test_a_wrong_res_of_a_ue_that_showed_a_guti_first_asks_for_the_imsi() -> None:
    """5.4.2.5: the GUTI may belong to somebody else."""
    before = ue.challenged(attaching=ue.attaching(identity_was_imsi=False))
    outcome = authentication.on_authentication_response(before, AuthenticationResponse(bytes(8)), ue.env())
    message = ue.only(outcome.downlinks, DownlinkNasTransport)
    assert ue.said(message) == (IdentityRequest(IdentityType.IMSI), SecurityHeader.PLAIN)
    assert ue.timers(outcome) == ({TimerName.T3470: (6.0, 0)}, {TimerName.T3460})
    after = ue.context(outcome)
    assert (after.step, after.vector, after.imsi) == (Step.IDENTITY, ue.VECTOR, ue.IMSI)
    assert (outcome.forget, outcome.result) == (False, ItemResult.DONE)


def test_a_wrong_res_after_the_identity_was_checked_is_rejected() -> None:
    before = ue.challenged(attaching=ue.attaching(identity_was_imsi=False, identity_checked=True))
    outcome = authentication.on_authentication_response(before, AuthenticationResponse(bytes(8)), ue.env())
    assert_rejected(outcome, "RES is not XRES")
    ue.assert_gone(outcome, before)


def test_an_answer_to_no_challenge_changes_nothing() -> None:
    before = ue.challenged(vector=None)
    for outcome in (
        authentication.on_authentication_response(before, AuthenticationResponse(ue.XRES), ue.env()),
        authentication.on_authentication_failure(before, AuthenticationFailure(20), ue.env()),
    ):
        assert outcome == Outcome(before, result=ItemResult.DISCARDED, label="no challenge outstanding")


# --------------------------------------------------------------------------- AUTHENTICATION FAILURE


def test_a_mac_failure_first_checks_the_identity() -> None:
    outcome = authentication.on_authentication_failure(ue.challenged(), AuthenticationFailure(20), ue.env())
    message = ue.only(outcome.downlinks, DownlinkNasTransport)
    assert ue.said(message) == (IdentityRequest(IdentityType.IMSI), SecurityHeader.PLAIN)
    assert ue.timers(outcome) == ({TimerName.T3470: (6.0, 0)}, {TimerName.T3460})
    after = ue.context(outcome)
    assert (after.step, after.vector) == (Step.IDENTITY, ue.VECTOR)


def test_a_mac_failure_after_the_identity_was_checked_is_rejected() -> None:
    before = ue.challenged(attaching=ue.attaching(identity_checked=True))
    outcome = authentication.on_authentication_failure(before, AuthenticationFailure(20), ue.env())
    assert_rejected(outcome, "authentication failure #20")
    ue.assert_gone(outcome, before)


def test_a_synch_failure_asks_the_hss_for_another_vector_with_rand_and_auts() -> None:
    outcome = authentication.on_authentication_failure(ue.challenged(), AuthenticationFailure(21, ue.AUTS), ue.env())
    assert outcome.needs == (
        NeedVector(f"{ue.ITEM}/vector", ue.KEY, ue.IMSI, ue.PLMN, resync_rand=ue.RAND, resync_auts=ue.AUTS),
    )
    assert ue.timers(outcome) == ({}, {TimerName.T3460})
    assert outcome.downlinks == ()
    after = ue.context(outcome)
    assert (after.step, after.vector, after.waiting_for) == (Step.VECTOR, None, f"{ue.ITEM}/vector")
    assert after.resynchronised


def test_the_vector_after_a_synch_failure_is_a_new_challenge_under_another_key_set_identifier() -> None:
    first = ue.challenged()
    failed = authentication.on_authentication_failure(first, AuthenticationFailure(21, ue.AUTS), ue.env())
    second = Vector(bytes(16), ue.XRES, bytes(16), ue.K_ASME)
    outcome = authentication.on_vector(ue.context(failed), second, ue.env())
    message, _ = ue.said(ue.only(outcome.downlinks, DownlinkNasTransport))
    assert message == AuthenticationRequest(2, bytes(16), bytes(16))


def test_a_second_synch_failure_is_rejected() -> None:
    before = ue.challenged(resynchronised=True)
    outcome = authentication.on_authentication_failure(before, AuthenticationFailure(21, ue.AUTS), ue.env())
    assert_rejected(outcome, "authentication failure #21")
    ue.assert_gone(outcome, before)


@pytest.mark.parametrize("cause", [21, 26, 111, 0])
def test_26_and_what_makes_no_sense_is_rejected(cause: int) -> None:
    """#21 here comes without its AUTS."""
    before = ue.challenged()
    outcome = authentication.on_authentication_failure(before, AuthenticationFailure(cause), ue.env())
    assert_rejected(outcome, f"authentication failure #{cause}")
    ue.assert_gone(outcome, before)


# --------------------------------------------------------------------------- no answer


@pytest.mark.parametrize("expiries", [1, 2, 3, 4])
def test_expiries_one_to_four_of_t3460_repeat_the_same_challenge(expiries: int) -> None:
    before = ue.challenged()
    outcome = authentication.on_t3460_expiry(before, expiries, ue.env())
    message = ue.only(outcome.downlinks, DownlinkNasTransport)
    assert ue.said(message) == (AuthenticationRequest(1, ue.RAND, ue.AUTN), SecurityHeader.PLAIN)
    assert ue.timers(outcome) == ({TimerName.T3460: (6.0, expiries)}, set())
    assert (outcome.ctx, outcome.needs) == (before, ())


def test_the_fifth_expiry_of_t3460_ends_it() -> None:
    before = ue.challenged()
    outcome = authentication.on_t3460_expiry(before, 5, ue.env())
    assert [ue.released(m) for m in outcome.downlinks] == ["authentication-failure"]
    assert outcome.label == "T3460 expired: no Authentication Response"
    ue.assert_gone(outcome, before)


def test_timers_last_as_long_as_the_configuration_says() -> None:
    config = replace(ue.CONFIG, t3460_s=2.5, max_retransmissions=1)
    outcome = authentication.on_vector(ue.waiting_for_vector(), ue.VECTOR, ue.env(config))
    assert ue.timers(outcome)[0] == {TimerName.T3460: (2.5, 0)}
    assert not authentication.on_t3460_expiry(ue.challenged(), 1, ue.env(config)).forget
    assert authentication.on_t3460_expiry(ue.challenged(), 2, ue.env(config)).forget
