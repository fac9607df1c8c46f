"""Mobile reachable and implicit detach timers (TS 24.301 5.3.5; TS 23.401 4.3.5.2)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mme.enums import EmmState, ItemResult, TimerName
from mme.messages import ServiceRequest
from mme.needs import DeleteSession
from mme.outcome import Outcome, StartTimer
from mme.procedures import dispatch, reachability
from mme.procedures.connection import on_initial_message
from tests.mme.procedures import conftest as ue

REACHABLE, IMPLICIT = TimerName.MOBILE_REACHABLE, TimerName.IMPLICIT_DETACH


def expiry(ctx: object, name: TimerName, *, alive: bool = True) -> Outcome:
    running = ue.running(name)[name.value]
    return dispatch.on_timer(ctx, name, running, ue.env(alive=alive))  # type: ignore[arg-type]


@pytest.mark.parametrize(("t3412_s", "seconds"), [(3240, 3480), (60, 300), (2, 242)])
def test_mobile_reachable_is_four_minutes_longer_than_t3412(t3412_s: int, seconds: int) -> None:
    """TS 24.301 5.3.5: "4 minutes greater than timer T3412"."""
    config = replace(ue.CONFIG, t3412_s=t3412_s)
    assert reachability.watch(ue.registered(), ue.env(config)) == (StartTimer(REACHABLE, seconds),)


def test_a_ue_that_never_updates_periodically_is_not_watched() -> None:
    """T3412 deactivated."""
    assert reachability.watch(ue.registered(), ue.env(replace(ue.CONFIG, t3412_s=0))) == ()


@pytest.mark.parametrize(("ctx", "alive"), [(ue.idle(), True), (ue.registered(), False)])
def test_an_idle_ue_that_is_silent_is_not_reachable_and_will_be_detached(ctx: object, alive: bool) -> None:
    outcome = expiry(ctx, REACHABLE, alive=alive)
    assert outcome == Outcome(ctx, start=(StartTimer(IMPLICIT, 240.0),), label="not reachable")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [REACHABLE, IMPLICIT])
def test_a_connected_ue_is_reachable_and_is_looked_at_again_later(name: TimerName) -> None:
    outcome = expiry(ue.registered(), name)
    assert outcome.ctx == ue.registered()
    assert ue.timers(outcome) == ({REACHABLE: (3480.0, 0)}, set())


@pytest.mark.parametrize(("ctx", "alive"), [(ue.idle(), True), (ue.registered(), False)])
def test_then_it_is_detached_without_a_word_and_its_session_given_back(ctx: object, alive: bool) -> None:
    outcome = expiry(ctx, IMPLICIT, alive=alive)
    assert outcome.needs == (DeleteSession(f"{ue.ITEM}/delete-session", ue.KEY, "session1"),)
    assert outcome.label == "implicit detach"
    assert not any("Nas" in type(message).__name__ for message in outcome.downlinks)
    ue.assert_gone(outcome, ctx, needs=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [REACHABLE, IMPLICIT])
@pytest.mark.parametrize("build", [ue.fresh, ue.accepted, ue.leaving])
def test_a_ue_that_is_not_registered_is_none_of_its_business(name: TimerName, build: object) -> None:
    ctx = build()  # type: ignore[operator]
    assert expiry(ctx, name) == Outcome(ctx, result=ItemResult.STALE, label="not registered")


def test_a_ue_that_comes_back_in_time_is_watched_anew() -> None:
    before = ue.idle(timers=ue.running(IMPLICIT))
    outcome = on_initial_message(before, ue.NEW_CONNECTION, ServiceRequest(1, 0, b"ab"), ue.DIGEST, ue.env())
    started, stopped = ue.timers(outcome)
    assert started[REACHABLE] == (3480.0, 0)
    assert IMPLICIT in stopped
    assert ue.context(outcome).emm is EmmState.REGISTERED
