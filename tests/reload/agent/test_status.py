"""What GET /status says in the middle of a change, and that a client which goes away says nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reload.agent.core import Phase, Plan, Policy, State, Verdict
from reload.agent.status import ALIVE_S, Counters, Server, Snapshot, health, metrics, status
from tests.going_away import broken, reset_in_mid_request

NEWS = State(Plan(Policy.SIGNAL, wrapper=True), applied="good", placed="good", candidate="new")


@pytest.mark.parametrize("phase", [Phase.CHECKING, Phase.ACTING, Phase.PROVING, Phase.STOPPING])
@pytest.mark.parametrize("before", [Verdict.REJECTED, Verdict.FAILED, Verdict.APPLIED])
def test_a_candidate_that_is_being_judged_does_not_carry_the_last_ones_verdict(phase: Phase, before: Verdict) -> None:
    told = status(
        Snapshot(replace(NEWS, phase=phase, verdict=before, reason="of the one before"), Counters(), 0, "wrapper", 0.0)
    )
    assert (told["candidate"], told["verdict"], told["reason"]) == ("new", "waiting", "")


def test_a_verdict_that_was_reached_is_told() -> None:
    judged = replace(NEWS, phase=Phase.WATCHING, verdict=Verdict.REJECTED, reason="line 9")
    told = status(Snapshot(judged, Counters(), 0, "wrapper", 0.0))
    assert (told["verdict"], told["reason"]) == ("rejected", "line 9")


RUNS = replace(NEWS, running=True)


@pytest.mark.parametrize(
    ("state", "beat_s", "code", "said"),
    [
        (RUNS, 0.0, 200, "ok"),
        (RUNS, -ALIVE_S - 1, 503, "has not looked for 30 s"),
        (replace(RUNS, placed=""), 0.0, 503, "no configuration has been applied yet"),
        (replace(RUNS, placed="", reason="line 9"), 0.0, 503, "line 9"),
        (NEWS, 0.0, 503, "the daemon does not run"),
        # a sidecar does not know
        (replace(NEWS, plan=Plan(Policy.SIGNAL, wrapper=False)), 0.0, 200, "ok"),
    ],
)
def test_it_is_healthy_while_it_looks_and_the_daemon_has_something_to_run_with(
    state: State, beat_s: float, code: int, said: str
) -> None:
    found = health(Snapshot(state, Counters(), 0, "wrapper", beat_s), 0.0)
    assert found[0] == code
    assert said in found[1]


@pytest.mark.parametrize(
    ("verdict", "behind"),
    [
        (Verdict.APPLIED, 0),
        (Verdict.STARTING, 0),
        (Verdict.REJECTED, 1),
        (Verdict.FAILED, 1),
        # in place, but there is no daemon that runs with it
        (Verdict.WAITING, 1),
    ],
)
def test_a_gauge_tells_that_the_daemon_does_not_run_with_the_newest(verdict: Verdict, behind: int) -> None:
    told = metrics(Snapshot(replace(RUNS, verdict=verdict), Counters(), 0, "wrapper", 0.0))
    assert f"\nreload_on_last_good {behind}\n" in told


def test_times_are_unix_milliseconds() -> None:
    judged = replace(RUNS, verdict=Verdict.APPLIED, seen_ms=1000, applied_ms=1250)
    snapshot = Snapshot(judged, Counters(), 1_800_000_000_000, "wrapper", 0.0)
    told = status(snapshot)
    assert (told["seen_ms"], told["applied_ms"]) == (1_800_000_001_000, 1_800_000_001_250)
    assert "reload_last_applied_timestamp_seconds 1800000001.250\n" in metrics(snapshot)


def test_a_client_that_went_away_writes_nothing_between_the_daemon_s_lines(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    server = Server("127.0.0.1", 0, lambda: Snapshot(RUNS, Counters(), 0, "wrapper", 0.0), lambda: 0.0)
    try:
        over = broken(server._server, monkeypatch)
        reset_in_mid_request(server.port)
        assert over()
    finally:
        server.close()
    assert capfd.readouterr() == ("", "")
