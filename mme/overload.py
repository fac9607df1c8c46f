"""What eNBs are told to reject, from how long items wait in the queue: pure, one step at a time.

OVERLOAD START with a traffic load reduction (TS 36.413 8.7.6): what eNBs reject on the radio costs the functions
nothing.  The reduction adds up how far the wait is from where it is to be, and leans against where it is now, so that
it settles there and the functions stay busy.  Where eNBs do not help, each process refuses by itself: mme.admission.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

MOST = 0.95
"""Some always come through, so that the end of an overload is seen."""
STEP_MS = 500
QUIET_MS = 5000
FRESH_MS = 3000
DECISION_MS = 15_000
"""A decision that nobody has renewed for so long holds no more: longer than a lease takes to change hands."""
PROPORTIONAL = 0.35
"""Of what is offered, for each multiple of the aim that the wait is too long."""
INTEGRAL = 0.03
"""The same for each second that it lasts.  Both found by the queue in tests/mme/test_overload.py."""
_FURTHEST = 4.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Of one process: items that began in a window, and the sum of their waits.  at_ms: the window's end, Unix ms."""

    at_ms: int
    items: int
    waited_ms: int


@dataclass(frozen=True, slots=True)
class Limits:
    """start_ms: the wait that eNBs are to bring about.  shed_ms: from there on functions refuse new attaches.

    stop_ms: a wait below it is no overload.
    """

    start_ms: int = 500
    shed_ms: int = 800
    stop_ms: int = 150


@dataclass(frozen=True, slots=True)
class Decision:
    """reduction: the share of new signalling that eNBs are to reject.

    reduction_sum: what has added up of it.  percent: the reduction as eNBs are told, 0 = no overload.
    fence: of the lease under which it was decided.  at_ms: when, Unix ms.  quiet_ms: how long waits have been short.
    told: running number of what the eNBs are to be told; it changes with what that is.
    """

    fence: int = 0
    at_ms: int = 0
    reduction: float = 0.0
    reduction_sum: float = 0.0
    quiet_ms: int = 0
    percent: int = 0
    told: int = 0

    def told_now(self, now_ms: int) -> int:
        """The reduction in per cent that eNBs are under; 0 = none, or the decision is too old to hold."""
        return self.percent if now_ms - self.at_ms <= DECISION_MS else 0


def wait_ms(samples: list[Sample], now_ms: int) -> float | None:
    """The mean wait of the items in fresh samples; None = nothing has begun."""
    fresh = [sample for sample in samples if sample.at_ms > now_ms - FRESH_MS]
    items = sum(sample.items for sample in fresh)
    return sum(sample.waited_ms for sample in fresh) / items if items else None


def decided(last: Decision, wait: float | None, now_ms: int, limits: Limits) -> Decision:
    """The next decision.  wait: mean of the last seconds in ms, None = idle."""
    passed_ms = min(max(0, now_ms - last.at_ms), 4 * STEP_MS)
    waited = wait or 0.0
    quiet_ms = last.quiet_ms + passed_ms if waited < limits.stop_ms else 0
    reduction, reduction_sum = _turned(last.reduction_sum, waited, limits.start_ms, passed_ms / 1000)
    decision = replace(last, at_ms=now_ms, quiet_ms=quiet_ms, reduction=reduction, reduction_sum=reduction_sum)
    percent = _percent(decision, last.percent)
    return replace(decision, percent=percent, told=last.told + (percent != last.percent))


def _turned(total: float, waited_ms: float, aim_ms: int, seconds: float) -> tuple[float, float]:
    """(how far the valve is shut, what has added up): more by how much too long the wait is, less by how much short."""
    off = max(-1.0, min(_FURTHEST, (waited_ms - aim_ms) / aim_ms))
    total = max(0.0, min(MOST, total + INTEGRAL * off * seconds))
    return max(0.0, min(MOST, total + PROPORTIONAL * off)), total


def _percent(decision: Decision, before: int) -> int:
    """What eNBs are told: steps of ten per cent, begun at twenty, ended when waits have been short for QUIET_MS."""
    wanted = round(decision.reduction * 10) * 10
    if before == 0:
        return wanted if wanted >= 20 else 0
    if wanted == 0:
        return 0 if decision.quiet_ms >= QUIET_MS else 10
    return min(wanted, 90)
