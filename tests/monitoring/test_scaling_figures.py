"""What the scaling run makes of what it sees, worked out by hand."""

from __future__ import annotations

from bench import scaling
from bench.scaling import Plan, Step
from bench.sections.scaling import BATCHED, FULL, first_replica


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


def test_whether_the_first_new_replica_was_in_time() -> None:
    """A run of 22 November 2026, and what is missed where a part of it is late: a look, `for`, group_wait: 15.25 s."""
    rates = [[20.0, 5.9526], [25.0, 6.0], [30.0, 8.6638], [35.0, 11.6667], [40.0, 14.7333]]
    figures = {
        "by": "invocations",
        "thresholds": {"invocations": 10},
        "series": {"invocations": rates},
        "first_new_replica_s": 22.2,
        "replicas": [[0.0, 1, 1], [44.74, 5, 1], [46.8, 5, 2], [48.5, 5, 5]],
    }
    found = first_replica("first", figures)
    assert [(target.value, target.limit, target.reached) for target in found] == [
        (16.8, 40.0, True),
        (14.7, 15.25, True),
        (22.2, 40.0, True),
    ]
    # 25 s more until it is ready: not the intervals' doing.
    slow = {**figures, "replicas": [[0.0, 1, 1], [44.74, 5, 1], [71.8, 5, 2]], "first_new_replica_s": 47.2}
    assert [target.reached for target in first_replica("first", slow)] == [False, True, False]
    # Ordered 10 s later: by more than intervals explain, and still within 40 s.
    late = {**figures, "replicas": [[0.0, 1, 1], [54.74, 5, 1], [56.8, 5, 2]], "first_new_replica_s": 32.2}
    assert [target.reached for target in first_replica("first", late)] == [True, False, True]
    never = {**figures, "replicas": [[0.0, 1, 1]], "first_new_replica_s": None}
    assert [str(target).split()[0] for target in first_replica("first", never)] == ["MISSED"] * 3
