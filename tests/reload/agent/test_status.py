"""What GET /status says in the middle of a change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reload.agent.core import Phase, Plan, Policy, State, Verdict
from reload.agent.status import Counters, Snapshot, status

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
