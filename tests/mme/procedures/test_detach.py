"""Detach by the UE (TS 24.301 5.5.2.2), and a context that another one has taken the place of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mme.enums import DetachType, EmmState, ItemResult, SecurityHeader, Step
from mme.messages import DetachAccept, DetachRequestFromUe
from mme.needs import DeleteSession
from mme.outcome import Outcome
from mme.procedures import detach
from tests.mme.procedures import conftest as ue

DELETED = (DeleteSession(f"{ue.ITEM}/delete-session", ue.KEY, "session1"),)


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
    outcome = detach.on_detach_request(before, detach_request(detach_type=DetachType.IMSI), ue.env())
    assert [ue.said(m)[0] for m in outcome.downlinks] == [DetachAccept()]
    assert (outcome.ctx, outcome.needs, outcome.forget) == (before, (), False)


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
