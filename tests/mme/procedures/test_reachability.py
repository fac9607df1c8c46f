"""Mobile reachable and implicit detach timers (TS 24.301 5.3.5; TS 23.401 4.3.5.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from mme.context import UeContext
from mme.enums import EmmState, ItemResult, Step, TimerName
from mme.messages import ServiceRequest
from mme.needs import DeleteSession, ModifySession
from mme.outcome import Outcome, StartTimer
from mme.procedures import dispatch, reachability
from mme.procedures.connection import on_initial_message
from tests.mme.procedures import conftest as ue

REACHABLE, IMPLICIT = TimerName.MOBILE_REACHABLE, TimerName.IMPLICIT_DETACH
Build = Callable[[], UeContext]


def expiry(ctx: UeContext, name: TimerName, *, alive: bool = True) -> Outcome:
    return dispatch.on_timer(ctx, name, ue.running(name)[name.value], ue.env(alive=alive))


@pytest.mark.parametrize(("t3412_s", "seconds"), [(3240, 3480), (60, 300), (2, 242)])
def test_mobile_reachable_is_four_minutes_longer_than_t3412(t3412_s: int, seconds: int) -> None:
    """TS 24.301 5.3.5: "4 minutes greater than timer T3412"."""
    config = replace(ue.CONFIG, t3412_s=t3412_s)
    assert reachability.watch(ue.registered(), ue.env(config)) == (StartTimer(REACHABLE, seconds),)


def test_a_ue_that_never_updates_periodically_is_not_watched() -> None:
    """T3412 deactivated."""
    assert reachability.watch(ue.registered(), ue.env(replace(ue.CONFIG, t3412_s=0))) == ()


def test_an_idle_ue_that_is_silent_is_not_reachable_and_will_be_detached() -> None:
    outcome = expiry(ue.idle(), REACHABLE)
    assert outcome == Outcome(ue.idle(), start=(StartTimer(IMPLICIT, 240.0),), label="not reachable")


@pytest.mark.parametrize("name", [REACHABLE, IMPLICIT])
@pytest.mark.parametrize("build", [ue.registered, ue.updating, ue.reallocating])
def test_a_connected_ue_is_reachable_and_is_looked_at_again_later(name: TimerName, build: Build) -> None:
    before = build()
    outcome = expiry(before, name)
    assert (outcome.ctx, outcome.downlinks, outcome.label) == (before, (), "reachable: connected")
    assert ue.timers(outcome) == ({REACHABLE: (3480.0, 0)}, set())


@pytest.mark.parametrize("name", [REACHABLE, IMPLICIT])
@pytest.mark.parametrize("build", [ue.registered, ue.updating, ue.reallocating])
def test_a_ue_on_a_lost_association_is_idle_from_now_on_and_has_its_time_in_full(name: TimerName, build: Build) -> None:
    """5.3.5: the timers run from when the connection is gone; when that was, nobody knows but that it is past."""
    before = build()
    outcome = expiry(before, name, alive=False)
    after = ue.context(outcome)
    assert (after.emm, after.step, after.connections) == (EmmState.REGISTERED, Step.NONE, ())
    assert (after.guti, after.old_guti, after.bearer) == (before.guti, before.old_guti, ue.bearer())
    assert (outcome.downlinks, outcome.forget, outcome.label) == ((), False, "idle: its association is lost")
    assert outcome.needs == (ModifySession(f"{ue.ITEM}/release-access", ue.KEY, "session1", None, None),)
    started, stopped = ue.timers(outcome)
    assert started == {REACHABLE: (3480.0, 0)}
    assert TimerName.T3450 in stopped
    then = expiry(after, REACHABLE, alive=False)
    assert ue.timers(then) == ({IMPLICIT: (240.0, 0)}, set())
    assert expiry(after, IMPLICIT, alive=False).forget


def test_for_emergency_too_it_has_its_time_in_full() -> None:
    outcome = expiry(ue.registered(emergency=True), REACHABLE, alive=False)
    assert (outcome.forget, ue.timers(outcome)[0]) == (False, {REACHABLE: (3240.0, 0)})


def test_then_it_is_detached_without_a_word_and_its_session_given_back() -> None:
    outcome = expiry(ue.idle(), IMPLICIT)
    assert outcome.needs == (DeleteSession(f"{ue.ITEM}/delete-session", ue.KEY, "session1"),)
    assert outcome.label == "implicit detach"
    assert not any("Nas" in type(message).__name__ for message in outcome.downlinks)
    ue.assert_gone(outcome, ue.idle(), needs=1)


@pytest.mark.parametrize("name", [REACHABLE, IMPLICIT])
@pytest.mark.parametrize("build", [ue.fresh, ue.accepted, ue.leaving])
def test_a_ue_that_is_not_registered_is_none_of_its_business(name: TimerName, build: Build) -> None:
    ctx = build()
    assert expiry(ctx, name) == Outcome(ctx, result=ItemResult.STALE, label="not registered")


def test_a_ue_that_comes_back_in_time_is_watched_anew() -> None:
    before = ue.idle(timers=ue.running(IMPLICIT))
    outcome = on_initial_message(before, ue.NEW_CONNECTION, ServiceRequest(1, 0, b"ab"), ue.DIGEST, ue.env())
    assert ue.timers(outcome)[0][REACHABLE] == (3480.0, 0)
    assert ue.context(outcome).timers == {}
    assert ue.context(outcome).emm is EmmState.REGISTERED
