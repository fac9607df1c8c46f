"""Detach by the UE and by the network (TS 24.301 5.5.2), and a context that another one has taken the place of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from mme.context import Bearer, UeContext, Updating
from mme.enums import DetachType, EmmState, ItemResult, SecurityHeader, Step, TimerName
from mme.messages import (
    AuthenticationResponse,
    DetachAccept,
    DetachRequestFromUe,
    DetachRequestToUe,
    GutiReallocationComplete,
    Paging,
    TrackingAreaUpdateComplete,
    TrackingAreaUpdateRequest,
)
from mme.needs import DeleteSession
from mme.outcome import Outcome
from mme.procedures import detach, dispatch
from tests.mme.procedures import conftest as ue

DELETED = (DeleteSession(f"{ue.ITEM}/delete-session", ue.KEY, "session1"),)


def reattaching() -> UeContext:
    return ue.reattaching(Step.PROFILE)


def detach_request(*, switch_off: bool = False, detach_type: int = DetachType.EPS) -> DetachRequestFromUe:
    return DetachRequestFromUe(detach_type, switch_off, 1, ue.GUTI)


@pytest.mark.parametrize("detach_type", [DetachType.EPS, DetachType.COMBINED])
def test_a_normal_detach_is_accepted_before_the_release_and_gives_the_session_back(detach_type: int) -> None:
    before = ue.registered()
    outcome = detach.on_detach_request(before, detach_request(detach_type=detach_type), ue.env())
    accept, release = outcome.downlinks
    assert ue.said(accept) == (DetachAccept(), SecurityHeader.INTEGRITY_CIPHERED)
    assert ue.released(release) == "detach"
    assert outcome.needs == DELETED
    assert (outcome.result, outcome.label) == (ItemResult.DONE, "detach")
    ue.assert_gone(outcome, before, needs=1)


def test_a_ue_that_switches_off_is_released_without_an_answer() -> None:
    before = ue.registered()
    outcome = detach.on_detach_request(before, detach_request(switch_off=True), ue.env())
    assert [ue.released(m) for m in outcome.downlinks] == ["detach"]
    assert (outcome.needs, outcome.label) == (DELETED, "detach, switched off")
    ue.assert_gone(outcome, before, needs=1)


@pytest.mark.parametrize(
    "station", [step.value for state, step in ue.STATIONS if state is EmmState.COMMON_PROCEDURE_INITIATED]
)
def test_a_detach_while_attaching_ends_the_attach(station: str) -> None:
    before = ue.STATIONS[EmmState.COMMON_PROCEDURE_INITIATED, Step(station)]()
    outcome = detach.on_detach_request(before, detach_request(), ue.env())
    header = SecurityHeader.INTEGRITY_CIPHERED if before.secured else SecurityHeader.PLAIN
    assert ue.said(outcome.downlinks[0]) == (DetachAccept(), header)
    assert outcome.needs == (DELETED if before.bearer else ())
    ue.assert_gone(outcome, before, needs=len(outcome.needs))


def test_a_detach_of_an_unknown_ue_is_accepted_and_released() -> None:
    before = ue.fresh()
    outcome = detach.on_detach_request(before, detach_request(), ue.env())
    assert ue.said(outcome.downlinks[0]) == (DetachAccept(), SecurityHeader.PLAIN)
    ue.assert_gone(outcome, before)


def test_an_imsi_detach_is_accepted_and_the_ue_stays_registered_for_eps() -> None:
    """5.5.2.2.3: "IMSI detach" is from non-EPS services only."""
    before = ue.registered()
    outcome = dispatch.on_nas(before, detach_request(detach_type=DetachType.IMSI), ue.DIGEST, ue.TAI, ue.env())
    assert [ue.said(m)[0] for m in outcome.downlinks] == [DetachAccept()]
    assert (outcome.ctx, outcome.needs, outcome.forget) == (before, (), False)


@pytest.mark.parametrize("before", [ue.updating(), ue.reallocating()], ids=["updating", "reallocating"])
def test_an_imsi_detach_before_the_new_guti_is_acknowledged_ends_that_and_the_ue_stays_registered(
    before: UeContext,
) -> None:
    """5.5.2.2.3; 5.4.1.6: both GUTIs are valid."""
    outcome = detach.on_detach_request(before, detach_request(detach_type=DetachType.IMSI), ue.env())
    accept, *commands = outcome.downlinks
    assert ue.said(accept)[0] == DetachAccept()
    assert [ue.released(m) for m in commands] == ([] if before.on_the_radio else ["detach"])
    after = ue.context(outcome)
    assert (after.emm, after.step, after.updating) == (EmmState.REGISTERED, Step.NONE, None)
    assert (after.guti, after.old_guti, after.bearer) == (ue.RENAMED, ue.GUTI, before.bearer)
    assert (TimerName.T3450 in outcome.stop, outcome.needs, outcome.forget) == (True, (), False)


@pytest.mark.parametrize("step", [Step.VECTOR, Step.AUTHENTICATION])
@pytest.mark.parametrize("bearer", [ue.bearer(), ue.registered().bearer], ids=["from idle", "on the radio"])
def test_an_imsi_detach_of_a_ue_that_is_authenticated_is_accepted_and_that_goes_on(step: Step, bearer: Bearer) -> None:
    before = ue.rekeying(step, bearer=bearer)
    outcome = detach.on_detach_request(before, detach_request(detach_type=DetachType.IMSI), ue.env())
    assert [ue.said(m)[0] for m in outcome.downlinks] == [DetachAccept()]
    assert (outcome.ctx, outcome.stop, outcome.forget) == (before, (), False)


def test_an_imsi_detach_of_an_unknown_ue_leaves_no_context_behind() -> None:
    """It needs no integrity before secure exchange (4.4.4.3): anybody could fill the store with it."""
    before = ue.fresh()
    outcome = detach.on_detach_request(before, detach_request(detach_type=DetachType.IMSI), ue.env())
    assert ue.released(outcome.downlinks[-1]) == "detach"
    ue.assert_gone(outcome, before)


# --------------------------------------------------------------------------- superseded


def test_a_superseded_context_is_released_without_a_nas_message_and_gives_its_session_back() -> None:
    before = ue.registered()
    outcome = detach.on_superseded(before, ue.env())
    assert [ue.released(m) for m in outcome.downlinks] == ["normal-release"]
    assert outcome.needs == DELETED
    assert outcome.label == "superseded by a new attach"
    assert ue.context(outcome).security is None
    ue.assert_gone(outcome, before, needs=1)


def test_a_superseded_context_without_a_connection_is_forgotten_all_the_same() -> None:
    before = ue.registered(connections=(), secured=False)
    outcome = detach.on_superseded(before, ue.env())
    assert (outcome.downlinks, outcome.needs, outcome.forget) == ((), DELETED, True)
    assert ue.context(outcome).emm is EmmState.DEREGISTERED


@pytest.mark.parametrize("releasing", [True, False])
def test_a_superseded_context_that_is_over_already_has_nothing_to_give(releasing: bool) -> None:
    connections = (replace(ue.CONNECTION, releasing=True),) if releasing else ()
    before = ue.fresh(connections=connections)
    assert detach.on_superseded(before, ue.env()) == Outcome(before, forget=True, label="superseded")


def test_a_superseded_attach_that_is_not_complete_is_ended() -> None:
    before = ue.challenged()
    outcome = detach.on_superseded(before, ue.env())
    assert [ue.released(m) for m in outcome.downlinks] == ["normal-release"]
    ue.assert_gone(outcome, before)


# --------------------------------------------------------------------------- by the network (5.5.2.3)


@pytest.mark.parametrize(("reattach", "detach_type"), [(True, 1), (False, 2)])
def test_the_network_tells_a_connected_ue_to_leave(reattach: bool, detach_type: int) -> None:
    """9.9.3.7: 1 re-attach required, 2 not required."""
    before = ue.registered()
    outcome = detach.start(before, ue.env(), reattach=reattach)
    assert [ue.said(m) for m in outcome.downlinks] == [
        (DetachRequestToUe(detach_type), SecurityHeader.INTEGRITY_CIPHERED)
    ]
    after = ue.context(outcome)
    assert (after.emm, after.step) == (EmmState.DEREGISTERED_INITIATED, Step.DETACH)
    assert ue.timers(outcome) == ({TimerName.T3422: (6.0, 0)}, {TimerName.T3450, TimerName.T3460, TimerName.NEED})
    assert (outcome.needs, after.bearer, outcome.label) == ((), before.bearer, "detach request")


BUSY = [
    ue.updating(),
    ue.reallocating(),
    ue.rekeying(Step.VECTOR),
    ue.rekeying(Step.AUTHENTICATION),
    ue.rekeying(Step.AUTHENTICATION, updating=Updating(active=False), bearer=ue.bearer()),
]
in_a_common_procedure = pytest.mark.parametrize("before", BUSY, ids=lambda ctx: ctx.step.value)


@in_a_common_procedure
@pytest.mark.parametrize(("reattach", "detach_type"), [(True, 1), (False, 2)])
def test_a_common_procedure_or_update_of_a_registered_ue_is_aborted_for_it(
    before: UeContext, reattach: bool, detach_type: int
) -> None:
    """5.1.3.4: the UE is EMM-REGISTERED meanwhile, too, and checks the request under the keys in use."""
    outcome = detach.start(before, ue.env(), reattach=reattach)
    assert [ue.said(m) for m in outcome.downlinks] == [
        (DetachRequestToUe(detach_type), SecurityHeader.INTEGRITY_CIPHERED)
    ]
    after = ue.context(outcome)
    assert (after.emm, after.step) == (EmmState.DEREGISTERED_INITIATED, Step.DETACH)
    assert (after.vector, after.waiting_for, after.updating, after.security_new) == (None,) * 4
    assert (after.security, after.guti, after.old_guti) == (before.security, before.guti, before.old_guti)
    started, stopped = ue.timers(outcome)
    assert started == {TimerName.T3422: (6.0, 0)}
    assert {TimerName.T3450, TimerName.T3460, TimerName.NEED} <= stopped
    for late in (AuthenticationResponse(ue.XRES), GutiReallocationComplete(), TrackingAreaUpdateComplete()):
        ignored = dispatch.on_nas(after, late, ue.DIGEST, ue.TAI, ue.env())
        assert (ignored.ctx, ignored.downlinks) == (after, ())


def test_in_the_middle_of_a_security_mode_control_who_asked_is_to_ask_again() -> None:
    """The UE has taken the new keys into use, or not yet: a request under the wrong ones would be discarded."""
    before = ue.rekeying(Step.SECURITY_MODE)
    outcome = detach.start(before, ue.env(), reattach=True)
    assert outcome == Outcome(before, result=ItemResult.RETRY, label="busy: security mode command")


@in_a_common_procedure
def test_whose_association_is_lost_is_paged_first_whatever_ran(before: UeContext) -> None:
    outcome = detach.start(before, ue.env(alive=False), reattach=True)
    ue.only(outcome.downlinks, Paging)
    assert ue.context(outcome) == replace(before, detach_when_back=True)


@pytest.mark.parametrize("reattach", [True, False])
@pytest.mark.parametrize(("before", "alive"), [(ue.idle(), True), (ue.registered(), False)])
def test_an_idle_ue_is_paged_first(before: UeContext, alive: bool, reattach: bool) -> None:
    """TS 23.401 5.3.8.3."""
    outcome = detach.start(before, ue.env(alive=alive), reattach=reattach)
    ue.only(outcome.downlinks, Paging)
    assert ue.timers(outcome)[0] == {TimerName.T3413: (6.0, 0)}
    assert ue.context(outcome) == replace(before, detach_when_back=reattach)


def test_a_ue_that_is_paged_already_is_detached_when_it_comes() -> None:
    before = ue.idle(timers=ue.running(TimerName.T3413))
    outcome = detach.start(before, ue.env(), reattach=True)
    assert (outcome.downlinks, ue.context(outcome).detach_when_back) == ((), True)


def test_a_detach_that_is_refused_leaves_no_wish_behind() -> None:
    """Not reachable: who asked is told so, and the UE must not find itself detached an hour later."""
    before = ue.idle(timers=ue.running(TimerName.IMPLICIT_DETACH))
    outcome = detach.start(before, ue.env(), reattach=False)
    assert outcome == Outcome(before, result=ItemResult.REJECTED, label="not reachable")


@pytest.mark.parametrize("build", [ue.fresh, ue.challenged, ue.accepted, reattaching, ue.leaving])
def test_a_ue_that_is_not_registered_cannot_be_detached(build: Callable[[], UeContext]) -> None:
    before = build()
    outcome = detach.start(before, ue.env(), reattach=False)
    assert outcome == Outcome(before, result=ItemResult.REJECTED, label="not registered")


@pytest.mark.parametrize("expired", [0, 1, 2, 3])
@pytest.mark.parametrize(("reattach", "detach_type"), [(True, 1), (False, 2)])
def test_expiries_one_to_four_of_t3422_send_the_same_request_again(
    expired: int, reattach: bool, detach_type: int
) -> None:
    """5.5.2.3.4 a."""
    before = ue.leaving(reattach_required=reattach)
    running = ue.running(TimerName.T3422, expired)["T3422"]
    outcome = dispatch.on_timer(before, TimerName.T3422, running, ue.env())
    assert [ue.said(m)[0] for m in outcome.downlinks] == [DetachRequestToUe(detach_type)]
    assert (outcome.ctx, ue.timers(outcome)) == (before, ({TimerName.T3422: (6.0, expired + 1)}, set()))


def test_the_fifth_expiry_detaches_the_ue_all_the_same() -> None:
    before = ue.leaving()
    running = ue.running(TimerName.T3422, 4)["T3422"]
    outcome = dispatch.on_timer(before, TimerName.T3422, running, ue.env())
    assert [ue.released(m) for m in outcome.downlinks] == ["detach"]
    assert outcome.needs == DELETED
    ue.assert_gone(outcome, before, needs=1)


def test_detach_accept_ends_it() -> None:
    """5.5.2.3.2; TS 23.401 5.3.8.3: the session goes, then the connection."""
    before = ue.leaving()
    outcome = dispatch.on_nas(before, DetachAccept(), ue.DIGEST, ue.TAI, ue.env())
    assert [ue.released(m) for m in outcome.downlinks] == ["detach"]
    assert outcome.needs == DELETED
    ue.assert_gone(outcome, before, needs=1)


def test_a_detach_of_the_ue_in_between_is_accepted() -> None:
    """5.5.2.3.4 b: collision."""
    before = ue.leaving()
    outcome = dispatch.on_nas(before, detach_request(), ue.DIGEST, ue.TAI, ue.env())
    assert ue.said(outcome.downlinks[0])[0] == DetachAccept()
    ue.assert_gone(outcome, before, needs=1)


def test_an_attach_in_between_is_ignored_where_the_ue_need_not_attach_again() -> None:
    """5.5.2.3.4 c: unless re-attach is required, the network shall ignore the ATTACH REQUEST."""
    before = ue.leaving(reattach_required=False)
    outcome = dispatch.on_nas(before, ue.attach_request(), ue.DIGEST, ue.TAI, ue.env())
    assert (outcome.ctx, outcome.downlinks, outcome.needs) == (before, (), ())


def test_an_attach_in_between_is_progressed_where_re_attach_is_required() -> None:
    """5.5.2.3.4 c: the detach is aborted, the bearers go, and the attach is progressed."""
    outcome = dispatch.on_nas(ue.leaving(reattach_required=True), ue.attach_request(), ue.DIGEST, ue.TAI, ue.env())
    assert outcome.needs[:1] == DELETED
    assert TimerName.T3422 in outcome.stop
    assert ue.context(outcome).emm is EmmState.COMMON_PROCEDURE_INITIATED


def test_an_update_in_between_is_ignored() -> None:
    """5.5.2.3.4 d: the detach is progressed, the TRACKING AREA UPDATE REQUEST shall be ignored."""
    before = ue.leaving()
    request = TrackingAreaUpdateRequest(0, False, 1, ue.GUTI)
    outcome = dispatch.on_nas(before, request, ue.DIGEST, ue.TAI, ue.env())
    assert (outcome.ctx, outcome.downlinks) == (before, ())
