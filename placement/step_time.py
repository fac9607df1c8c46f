"""How a step of about 5 s at most is divided: what comes before helm, helm, and what comes after it."""

from __future__ import annotations

import time
from dataclasses import dataclass

BEFORE_S = 0.5
"""What a step may take before helm begins without taking it from helm's time."""
LEAST_S = 1.0
"""What helm has of a step at least."""
AFTER_S = 1.0
"""How long the cluster is asked after helm's last moment, in which one that is stopped may take most of it to end."""
ASKED_S = 2.0
"""How long the cluster is asked before helm begins, at least; longer while helm has LEAST_S left."""
RELEASE_S = 0.5
"""What there is for giving back a lease, at least: one that is kept holds others up until it runs out."""
LOOK_WITHIN_S = 4.0
"""How long a step without helm asks its cluster: telling the caller, and the store, come on top of that."""


def helm_until(timeout_s: float) -> float:
    """When helm is to be over in a step that begins now, by the monotonic clock.  timeout_s: one run's longest."""
    return time.monotonic() + timeout_s + BEFORE_S


def asked_until(helm_until: float) -> float:
    """When a cluster that is asked before helm begins, from now on, is too slow: it would leave helm no time."""
    return max(time.monotonic() + ASKED_S, helm_until - LEAST_S)


def helm_has_s(timeout_s: float, helm_until: float) -> float:
    """Seconds that a run which begins now has."""
    return min(timeout_s, max(LEAST_S, helm_until - time.monotonic()))


@dataclass(frozen=True, slots=True)
class Asked:
    """How long a step without helm asks its cluster.  until: by the monotonic clock.

    is_whole: False = it is cut short for a caller: what it then tells of the cluster ends no operation.
    """

    until: float
    is_whole: bool = True


def look(kept_until: float | None = None) -> Asked:
    """Of a step that begins now.  kept_until: until when a caller is kept for it, None = nobody is."""
    until = time.monotonic() + LOOK_WITHIN_S
    return Asked(until) if kept_until is None or until <= kept_until else Asked(kept_until, is_whole=False)
