"""From one replica to twenty and back, by the rule on invocations; and by the rule on messages, where callers batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench.bench import Bench
from bench.scaling import WAIT, Plan, Step, allowed_after_the_rate_s, rate_passed_s, run
from bench.section import Figures, Measured, Target
from enb_app.outbox import Policy
from tools.monitoring import thresholds

FIRST_WITHIN_S = 40.0
"""From the rule's own figure passing the threshold to the first new replica."""
_THRESHOLDS = thresholds.load(Path(__file__).resolve().parents[2] / "k8s/monitoring/thresholds.yaml")["mme-uplink-nas"]
BATCHING = replace(Policy(), batch=32, linger_s=0.3, calls=2)

FULL = Plan(
    (Step(2, 25), Step(5, 30), Step(8, 60), Step(12, 80), Step(5, 25), Step(2, 20)),
    {"invocations": _THRESHOLDS["invocations"]},
    by="invocations",
    most=20,
    factor=20,
)
QUICK = replace(FULL, steps=(Step(2, 10), Step(6, 40), Step(2, 10)), most=5, factor=40)
BATCHED = Plan(
    (Step(4, 15), Step(20, 50), Step(4, 15)),
    {"invocations": _THRESHOLDS["invocations"], "messages": _THRESHOLDS["messages"]},
    by="messages",
    most=20,
    factor=20,
    policy=BATCHING,
)
QUICK_BATCHED = replace(BATCHED, steps=(Step(4, 10), Step(20, 40), Step(4, 10)), most=5, factor=40)
WAITING = Plan(
    (Step(4, 15, at_once=1), Step(10, 60, at_once=12), Step(4, 15, at_once=1)),
    {"invocations": 100.0, "messages": 100.0, WAIT: 0.1},
    by=WAIT,
    most=20,
    factor=20,
    others={"mme-initial-ue": 4, "mme-ue-context": 4},
    delay_ms=40,
)
"""Thresholds of rates that two cores never pass, so that the wait alone can be the reason."""
QUICK_WAITING = replace(
    WAITING, steps=(Step(4, 10, at_once=1), Step(10, 45, at_once=12), Step(4, 10, at_once=1)), most=5, factor=40
)


def measure(bench: Bench) -> Measured:
    """By the rule on invocations."""
    plan = QUICK if bench.quick else FULL
    figures = run(bench, plan)
    return _measured(f"1 to {figures['most']} and back" if not bench.quick else "quick", plan, figures)


def measure_batched(bench: Bench) -> Measured:
    """Batched: invocations stay below their threshold, messages do not."""
    plan = QUICK_BATCHED if bench.quick else BATCHED
    figures = run(bench, plan)
    invocations = max((value for _, value in figures["series"]["invocations"]), default=None)
    limit = plan.thresholds["invocations"]
    kept = Target("batched: most invocations a second, below their threshold", invocations, limit, "/s")
    measured = _measured("batched", plan, figures)
    return replace(measured, targets=(kept, *measured.targets))


def measure_waiting(bench: Bench) -> Measured:
    """By the time that calls wait for a replica; the HSS answers late, and rates stay below their thresholds."""
    plan = QUICK_WAITING if bench.quick else WAITING
    return _measured("by waits", plan, run(bench, plan))


def _measured(name: str, plan: Plan, figures: Figures) -> Measured:
    most = figures["most"] if len(plan.steps) > 3 else 2  # the short ones only have to grow
    first = f"{name}: first new replica"
    return Measured(
        figures,
        (
            Target(f"{name}: attaches that failed", figures["failed"], 0, ""),
            Target(f"{name}: replicas short of {most}", max(0, most - figures["most_ready"]), 0, ""),
            Target(f"{name}: replicas left over at the end", figures["last_wanted"] - 1, 0, ""),
            *first_replica(first, figures),
        ),
    )


def first_replica(first: str, figures: Figures) -> tuple[Target, ...]:
    """Of the rule's own figure, until it was ready, and until it was ordered; of the first attach above the threshold.

    Intervals bound the order: how long a replica then takes to start is the machine's, and so is how long the rule's
    figure takes to pass where not all that is offered can be served.
    """
    return (
        Target(f"{first} after the rule's figure passed", after_the_rate_s(figures), FIRST_WITHIN_S, " s"),
        Target(
            f"{first} ordered after that, as intervals allow",
            ordered_after_the_rate_s(figures),
            allowed_after_the_rate_s(),
            " s",
        ),
        Target(f"{first} after the threshold", figures["first_new_replica_s"], FIRST_WITHIN_S, " s"),
    )


def after_the_rate_s(figures: Figures) -> float | None:
    """From the last look at which the rule's own figure was below to the first new replica, ready; None: not seen."""
    return _from_the_rate_s(figures, next((at_s for at_s, _, ready in figures["replicas"] if ready > 1), None))


def ordered_after_the_rate_s(figures: Figures) -> float | None:
    """From that look until more than one replica was wanted; None: not seen."""
    return _from_the_rate_s(figures, next((at_s for at_s, wanted, _ in figures["replicas"] if wanted > 1), None))


def _from_the_rate_s(figures: Figures, until_s: float | None) -> float | None:
    seen = figures["series"]["queue_s" if figures["by"] == WAIT else figures["by"]]
    passed_s = rate_passed_s(seen, figures["thresholds"][figures["by"]])
    return None if passed_s is None or until_s is None else round(until_s - passed_s, 1)


def _after_the_rate(figures: Figures) -> str:
    after_s = after_the_rate_s(figures)
    return "not seen" if after_s is None else f"{after_s:.1f} s at most"


def markdown(figures: Figures) -> list[str]:
    """Lines of the summary."""
    thresholds_told = ", ".join(
        f"{value:g} s of waiting" if of == WAIT else f"{value:g} {of} a second"
        for of, value in figures["thresholds"].items()
    )
    batching = (
        f"up to {figures['batch']} messages in a call, each waiting {figures['linger_s']:g} s for others"
        if figures["batch"] > 1
        else "one message per call"
    )
    turn = " → ".join(str(count) for count in figures["wanted_in_turn"])
    where = (
        f"`--edition classic` with {figures['workers']} queue workers"
        if figures["workers"] is not None
        else f"on OpenFaaS ({figures['gateway']})"
    )
    about = (
        f"`{figures['function']}` alone is scaled, at {thresholds_told}; {where}, scale.max "
        f"{figures['most']}, scale.factor {figures['factor']}; asynchronous, open loop, {batching}. "
        f"Scrapes and evaluations {figures['interval_s']} s apart."
    )
    seen = (
        f"Replicas wanted: {turn}. First new replica ready {figures['first_new_replica_s']} s after the first attach "
        f"above the threshold of {figures['by']}; the intervals alone may take {figures['intervals_allow_s']} s. "
        f"Of the rule's own figure: {_after_the_rate(figures)}. "
        f"{figures['attached']} attached, {figures['failed']} failed, {figures['refused_before']} refused for "
        f"congestion, {figures['resends']} resends."
    )
    head = "| at s | attaches/s | attached | failed | resends | p50 ms | p99 | max |"
    names = ("at_s", "rate_per_s", "attached", "failed", "resends", "p50_ms", "p99_ms", "max_ms")
    rows = ["| " + " | ".join(str(step[name]) for name in names) + " |" for step in figures["steps"]]
    return [about, "", seen, "", head, "|" + " ---: |" * 8, *rows]
