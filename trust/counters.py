"""Counters whose series are there before their first event.

`rate` and `increase` take the first value that they see for what was there before, so that a series which begins with
its first event does not show it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Protocol


class Counter(Protocol):
    """A counter with labels, as prometheus_client has it."""

    def labels(self, *values: object) -> object:
        """Give the series of these values, which is there from then on."""


def begin_at_0(counter: Counter, *values: Iterable[object]) -> None:
    """Make the series of every combination.  values: what is known of each label, in the counter's order."""
    for labels in itertools.product(*values):
        counter.labels(*labels)
