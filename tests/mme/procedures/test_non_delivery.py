"""NAS NON DELIVERY INDICATION (TS 36.413 8.6.2.4): sent again at once, or left to the timer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mme.context import UeContext
from mme.enums import CauseGroup, TimerName
from mme.messages import (
    AttachAccept,
    AuthenticationRequest,
    Cause,
    DetachRequestToUe,
    EsmContainer,
    GutiReallocationCommand,
    IdentityRequest,
    NasNonDeliveryIndication,
    SecurityModeCommand,
    TrackingAreaUpdateAccept,
)
from mme.outcome import Outcome
from mme.procedures.non_delivery import on_nas_non_delivery
from tests.mme.procedures import conftest as ue

WAITING: dict[str, tuple[Any, TimerName, type]] = {
    "identity": (ue.asked_for_identity, TimerName.T3470, IdentityRequest),
    "challenge": (ue.challenged, TimerName.T3460, AuthenticationRequest),
    "security mode": (ue.commanded, TimerName.T3460, SecurityModeCommand),
    "ESM information": (ue.asked_for_esm_information, TimerName.T3489, EsmContainer),
    "attach accept": (ue.accepted, TimerName.T3450, AttachAccept),
    "update": (ue.updating, TimerName.T3450, TrackingAreaUpdateAccept),
    "reallocation": (ue.reallocating, TimerName.T3450, GutiReallocationCommand),
    "detach": (ue.leaving, TimerName.T3422, DetachRequestToUe),
}


def reported(ctx: UeContext, value: str = "unspecified", *, latest: bool = True) -> Outcome:
    message = NasNonDeliveryIndication(
        ue.MME_UE_S1AP_ID, ue.ENB_UE_S1AP_ID, b"", Cause(CauseGroup.RADIO_NETWORK, value)
    )
    return on_nas_non_delivery(ctx, message, ue.env(), latest=latest)


@pytest.mark.parametrize("name", WAITING)
@pytest.mark.parametrize("expiries", [0, 2])
def test_the_message_of_the_procedure_goes_again_at_once_and_its_timer_goes_on(name: str, expiries: int) -> None:
    build, timer, kind = WAITING[name]
    before = build(timers=ue.running(timer, expiries))
    outcome = reported(before)
    (downlink,) = outcome.downlinks
    assert isinstance(ue.said(downlink)[0], kind)
    assert (outcome.start, outcome.stop) == ((), ())
    timers = {timer.value: replace(before.timers[timer.value], hurried=True)}
    assert outcome.ctx == replace(before, timers=timers)


@pytest.mark.parametrize("name", WAITING)
def test_once_between_two_expiries_so_that_nothing_is_given_up_sooner(name: str) -> None:
    build, timer, _ = WAITING[name]
    once = ue.context(reported(build(timers=ue.running(timer))))
    twice = reported(once)
    assert (twice.ctx, twice.downlinks) == (once, ())


HANDED_OVER = ["x2-handover-triggered", "s1-intra-system-handover-triggered", "s1-inter-system-handover-triggered"]
LINK_GONE = ["radio-connection-with-ue-lost", "release-due-to-eutran-generated-reason", "user-inactivity"]


@pytest.mark.parametrize("value", [*HANDED_OVER, *LINK_GONE])
def test_a_ue_that_is_handed_over_or_lost_is_left_to_the_timer(value: str) -> None:
    before = ue.challenged(timers=ue.running(TimerName.T3460))
    outcome = reported(before, value)
    assert (outcome.ctx, outcome.downlinks) == (before, ())
    assert outcome.label == f"NAS not delivered: {value}"


def test_an_old_copy_of_a_message_is_not_sent_again() -> None:
    before = ue.commanded(timers=ue.running(TimerName.T3460))
    outcome = reported(before, latest=False)
    assert (outcome.ctx, outcome.downlinks) == (before, ())


def test_what_no_timer_watches_is_not_sent_again() -> None:
    before = ue.registered(timers=ue.running(TimerName.MOBILE_REACHABLE))
    outcome = reported(before)
    assert (outcome.ctx, outcome.downlinks) == (before, ())
