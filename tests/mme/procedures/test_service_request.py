"""Service request and extended service request of a registered UE (TS 24.301 5.6.1)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mme.context import Bearer, UeContext
from mme.enums import EmmCause, EmmState, ItemResult, SecurityHeader, Step, TimerName
from mme.messages import (
    EmmStatus,
    ErabToBeSetup,
    ExtendedServiceRequest,
    GutiReallocationComplete,
    InitialContextSetupRequest,
    ServiceReject,
    ServiceRequest,
    TrackingAreaUpdateComplete,
    UeContextModificationRequest,
)
from mme.needs import DeleteSession
from mme.outcome import Outcome
from mme.procedures import dispatch, service_request
from mme.procedures.connection import on_initial_message
from tests.mme.procedures import conftest as ue
from tests.mme.procedures.test_attach import K_ENB_VECTORS

REQUEST = ServiceRequest(1, 0, b"ab")
EXTENDED = ExtendedServiceRequest(0, 1, ue.GUTI.m_tmsi)
CIPHERED = SecurityHeader.INTEGRITY_CIPHERED


def arrives(ctx: UeContext, message: ServiceRequest | ExtendedServiceRequest = REQUEST) -> Outcome:
    return on_initial_message(ctx, ue.NEW_CONNECTION, message, ue.DIGEST, ue.env())


def test_an_idle_ue_gets_its_bearer_back_by_context_setup_and_no_nas_message() -> None:
    """5.6.1.4: the lower layers' indication that the bearers are up is the answer."""
    timers = ue.running(TimerName.T3413) | ue.running(TimerName.IMPLICIT_DETACH)
    outcome = arrives(ue.idle(ue_radio_capability=b"radio", timers=timers))
    setup = ue.only(outcome.downlinks, InitialContextSetupRequest)
    assert (setup.mme_ue_s1ap_id, setup.enb_ue_s1ap_id) == (
        ue.NEW_CONNECTION.mme_ue_s1ap_id,
        ue.NEW_CONNECTION.enb_ue_s1ap_id,
    )
    assert setup.e_rabs == (ErabToBeSetup(5, 9, 8, bytes((10, 0, 0, 1)), 0x1234, None, False, True),)
    assert (setup.ue_ambr_dl_bps, setup.ue_ambr_ul_bps) == (300_000_000, 150_000_000)
    assert setup.ue_radio_capability == b"radio"
    after = ue.context(outcome)
    assert (after.emm, after.step, after.connection) == (EmmState.REGISTERED, Step.NONE, ue.NEW_CONNECTION)
    assert after.secured
    assert outcome.needs == ()
    assert ue.timers(outcome)[0] == {TimerName.CONTEXT_SETUP: (10.0, 0), TimerName.MOBILE_REACHABLE: (3480.0, 0)}
    assert after.timers == {}
    assert (outcome.result, outcome.label) == (ItemResult.DONE, "service request")


@pytest.mark.parametrize("vector", K_ENB_VECTORS, ids=[str(n) for n in range(len(K_ENB_VECTORS))])
def test_k_enb_has_the_uplink_count_of_the_service_request(vector: dict[str, str]) -> None:
    """TS 33.401 A.3, 7.2.6.1.  ul_count is what comes next, once the request is received."""
    count = int(vector["uplink_nas_count"], 16)
    keys = ue.security(k_asme=bytes.fromhex(vector["k_asme"]), ul_count=count + 1)
    if count >= 1 << 24:  # no NAS COUNT of 24 bits: re-authentication would come first
        outcome = service_request.on_service_request(ue.returned(security=keys, k_enb_count=count), REQUEST, ue.env())
    else:
        outcome = arrives(ue.idle(security=keys, k_enb_count=7))
    assert ue.only(outcome.downlinks, InitialContextSetupRequest).k_enb.hex() == vector["k_enb"]


def test_the_setup_response_tells_the_gateway_the_enbs_new_end() -> None:
    """TS 23.401 5.3.4.1 step 8."""
    from mme.messages import ErabSetup, InitialContextSetupResponse  # noqa: PLC0415

    ctx = ue.being_set_up(ue.context(arrives(ue.idle())))
    answer = InitialContextSetupResponse(
        ue.NEW_CONNECTION.mme_ue_s1ap_id,
        ue.NEW_CONNECTION.enb_ue_s1ap_id,
        (ErabSetup(5, ue.ENB_ADDRESS, ue.ENB_TEID),),
    )
    outcome = dispatch.on_s1ap(ctx, answer, ue.env())
    (need,) = outcome.needs
    assert (need.enb_address, need.enb_teid) == (ue.ENB_ADDRESS, ue.ENB_TEID)  # type: ignore[attr-defined]
    assert ue.timers(outcome) == ({}, {TimerName.CONTEXT_SETUP})


@pytest.mark.parametrize("lacking", [{"bearer": None}, {"profile": None}])
def test_a_ue_without_a_bearer_is_told_that_it_is_detached_and_has_to_attach(lacking: dict[str, None]) -> None:
    """5.6.1.5: #10, and the UE enters EMM-DEREGISTERED; both sides have to agree."""
    before = ue.idle(**lacking)
    outcome = arrives(before)
    reject, release = outcome.downlinks
    assert ue.said(reject, ue.NEW_CONNECTION) == (ServiceReject(EmmCause.IMPLICITLY_DETACHED), CIPHERED)
    assert ue.released(release, ue.NEW_CONNECTION) == "unspecified"
    assert (outcome.result, outcome.label) == (ItemResult.REJECTED, "service reject #10")
    after = ue.context(outcome)
    assert (after.emm, after.connection, outcome.forget, outcome.start) == (EmmState.DEREGISTERED, None, True, ())


@pytest.mark.parametrize("message", [REQUEST, EXTENDED])
def test_a_stranger_is_told_9_and_one_detached_implicitly_10(message: ServiceRequest | ExtendedServiceRequest) -> None:
    """5.6.1.5, 4.4.4.3."""
    for cause in (EmmCause.UE_IDENTITY_CANNOT_BE_DERIVED, EmmCause.IMPLICITLY_DETACHED):
        env = replace(ue.env(), no_context_cause=cause)
        outcome = dispatch.on_nas(ue.fresh(), message, ue.DIGEST, ue.TAI, env)
        assert ue.said(outcome.downlinks[0]) == (ServiceReject(cause), SecurityHeader.PLAIN)
        assert ue.released(outcome.downlinks[1]) == "unspecified"
        ue.assert_gone(outcome, ue.fresh())


@pytest.mark.parametrize("service_type", [0, 1, 2, 8])
def test_an_extended_service_request_from_idle_is_refused_with_18_and_the_ue_goes_back_to_idle(
    service_type: int,
) -> None:
    """5.6.1.5: #18, the UE stays registered for EPS."""
    outcome = arrives(ue.idle(), replace(EXTENDED, service_type=service_type))
    reject, release = outcome.downlinks
    assert ue.said(reject, ue.NEW_CONNECTION) == (ServiceReject(EmmCause.CS_DOMAIN_NOT_AVAILABLE), CIPHERED)
    assert ue.released(release, ue.NEW_CONNECTION) == "unspecified"
    after = ue.context(outcome)
    assert (after.emm, after.step, after.connection, after.secured) == (EmmState.REGISTERED, Step.NONE, None, False)
    assert after.bearer == ue.bearer()
    assert ue.timers(outcome)[0] == {TimerName.MOBILE_REACHABLE: (3480.0, 0)}
    assert (outcome.result, outcome.needs) == (ItemResult.REJECTED, ())


def test_an_extended_service_request_of_a_connected_ue_is_refused_and_its_connection_stays() -> None:
    before = ue.registered()
    outcome = dispatch.on_nas(before, EXTENDED, ue.DIGEST, ue.TAI, ue.env())
    message = ServiceReject(EmmCause.CS_DOMAIN_NOT_AVAILABLE)
    assert [ue.said(m) for m in outcome.downlinks] == [(message, CIPHERED)]
    assert (outcome.ctx, outcome.start, outcome.result) == (before, (), ItemResult.REJECTED)


@pytest.mark.parametrize(
    "before",
    [ue.updating(), ue.updating(bearer=ue.registered().bearer), ue.reallocating()],
    ids=["updating, from idle", "updating, connected", "reallocating"],
)
def test_an_extended_service_request_before_the_new_guti_is_acknowledged_is_refused_and_that_goes_on(
    before: UeContext,
) -> None:
    """5.6.1.5: #18.  5.4.1.6: both procedures are progressed, so that nothing is released and T3450 runs on."""
    waiting = replace(before, timers=ue.running(TimerName.T3450, 1))
    outcome = dispatch.on_nas(waiting, EXTENDED, ue.DIGEST, ue.TAI, ue.env())
    message = ServiceReject(EmmCause.CS_DOMAIN_NOT_AVAILABLE)
    assert [ue.said(m) for m in outcome.downlinks] == [(message, CIPHERED)]
    assert (outcome.ctx, outcome.start, outcome.stop, outcome.result) == (waiting, (), (), ItemResult.REJECTED)
    answer = TrackingAreaUpdateComplete() if before.updating else GutiReallocationComplete()
    done = ue.context(dispatch.on_nas(waiting, answer, ue.DIGEST, ue.TAI, ue.env()))
    assert (done.emm, done.step, done.guti, done.old_guti) == (EmmState.REGISTERED, Step.NONE, ue.RENAMED, None)


IN_AUTHENTICATION = (Step.VECTOR, Step.AUTHENTICATION)


@pytest.mark.parametrize("step", IN_AUTHENTICATION)
@pytest.mark.parametrize("bearer", [ue.bearer(), ue.registered().bearer], ids=["from idle", "on the radio"])
def test_an_extended_service_request_of_a_ue_that_is_authenticated_is_refused_and_that_goes_on(
    step: Step, bearer: Bearer
) -> None:
    """5.6.1.5: #18.  5.4.2.7: both procedures are progressed."""
    before = ue.rekeying(step, bearer=bearer, timers=ue.running(TimerName.T3460, 1))
    outcome = dispatch.on_nas(before, EXTENDED, ue.DIGEST, ue.TAI, ue.env())
    message = ServiceReject(EmmCause.CS_DOMAIN_NOT_AVAILABLE)
    assert [ue.said(m) for m in outcome.downlinks] == [(message, CIPHERED)]
    assert (outcome.ctx, outcome.start, outcome.stop, outcome.result) == (before, (), (), ItemResult.REJECTED)


@pytest.mark.parametrize(
    "before",
    [
        *(ue.STATIONS[EmmState.COMMON_PROCEDURE_INITIATED, step]() for step in IN_AUTHENTICATION),
        *(ue.reattaching(step) for step in IN_AUTHENTICATION),
    ],
)
def test_an_extended_service_request_of_a_ue_that_attaches_gets_a_status_and_the_attach_goes_on(
    before: UeContext,
) -> None:
    """7.4: it is not registered (5.1.3.2)."""
    outcome = dispatch.on_nas(before, EXTENDED, ue.DIGEST, ue.TAI, ue.env())
    assert [ue.said(m)[0] for m in outcome.downlinks] == [EmmStatus(98)]
    assert (outcome.ctx, outcome.start, outcome.stop, outcome.result) == (before, (), (), ItemResult.DISCARDED)


def test_after_new_keys_the_ue_that_came_from_idle_gets_its_bearer() -> None:
    before = ue.returned(emm=EmmState.COMMON_PROCEDURE_INITIATED, step=Step.SECURITY_MODE, k_enb_count=0)
    outcome = service_request.resume(before, ue.env())
    ue.only(outcome.downlinks, InitialContextSetupRequest)
    after = ue.context(outcome)
    assert (after.emm, after.step) == (EmmState.REGISTERED, Step.NONE)


def test_after_new_keys_a_connected_ue_gets_a_new_k_enb_and_keeps_its_bearer() -> None:
    """TS 33.401 7.2.9.3; TS 36.413 8.3.4."""
    vector = next(v for v in K_ENB_VECTORS if int(v["uplink_nas_count"], 16) == 0)
    keys = ue.security(k_asme=bytes.fromhex(vector["k_asme"]))
    before = ue.registered(
        emm=EmmState.COMMON_PROCEDURE_INITIATED, step=Step.SECURITY_MODE, security=keys, k_enb_count=0
    )
    outcome = service_request.resume(before, ue.env())
    message = ue.only(outcome.downlinks, UeContextModificationRequest)
    assert message.k_enb is not None
    assert message.k_enb.hex() == vector["k_enb"]
    assert ue.context(outcome).bearer == before.bearer
    assert not any(isinstance(need, DeleteSession) for need in outcome.needs)
