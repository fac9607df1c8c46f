"""What the scaling run makes of what it sees, worked out by hand."""

from __future__ import annotations

from bench import scaling
from bench.scaling import Plan, Step
from bench.sections.scaling import BATCHED, FULL


def test_what_the_intervals_allow() -> None:
    # 2 attaches a second are 6 calls of the function, 5 are 15, and the threshold is 10: the mean over 20 s has passed
    # it after 20 x (10 - 6) / (15 - 6) = 8.9 s. A scrape, an evaluation, the alert's second one: 15 s. group_wait: 5 s.
    assert scaling.allowed_s(FULL) == 28.9
    # By messages, of 40: from 12 to 60.  20 x 28 / 48 = 11.7 s.
    assert scaling.allowed_s(BATCHED) == 31.7


def test_which_step_is_the_first_above_the_threshold() -> None:
    assert [FULL.passes(step) for step in FULL.steps] == [False, True, True, True, True, False]
    plan = Plan((Step(3, 1),), {"invocations": 9, "messages": 5}, by="invocations", most=5, factor=20)
    assert not plan.passes(plan.steps[0])  # nine are not more than nine


def test_there_are_subscribers_for_the_longest_shrinking() -> None:
    used = sum(step.ues for step in FULL.steps)
    assert used == 50 + 150 + 480 + 960 + 125 + 40
    assert FULL.subscribers > used + 2 * 180


def test_attaches_by_when_they_began() -> None:
    assert scaling.windows([(0.0, 10.0), (9.9, 30.0), (10.0, 7.0)]) == [
        {"at_s": 0.0, "attaches": 2, "p50_ms": 20.0, "p99_ms": 29.8},
        {"at_s": 10.0, "attaches": 1, "p50_ms": 7.0, "p99_ms": 7.0},
    ]


def test_when_the_rules_own_rate_passed() -> None:
    """Before the first look that shows more; as much as the threshold is not more."""
    seen = [[95.0, 3.5], [100.0, 10.0], [105.0, 11.8], [110.0, 9.0], [115.0, 16.7]]
    assert scaling.rate_passed_s(seen, 10.0) == 100.0
    assert scaling.rate_passed_s(seen[:2], 10.0) is None
