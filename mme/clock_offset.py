"""How far this machine's clock is off from the store's, as far as readings of both prove it.  Pure.

The store's clock is read between two readings of this one: the longer the answer takes, the less it proves.
"""

from __future__ import annotations

from dataclasses import dataclass

MOST_DRIFT = 0.0005
"""Seconds in a second by which one clock may run away from another: what NTP slews at most, 500 ppm."""


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """This clock is ahead of the store's by low_ms to high_ms milliseconds (below 0: behind)."""

    low_ms: int
    high_ms: int

    @classmethod
    def seen(cls, before_ms: int, store_ms: int, after_ms: int) -> ClockOffset:
        """From this clock's readings around the question, whose answer store_ms was read in between."""
        return cls(before_ms - store_ms, after_ms - store_ms)

    @property
    def at_least_ms(self) -> int:
        """How far this clock is ahead (below 0: behind) in any case: 0 where that is not proven."""
        return max(self.low_ms, 0) or min(self.high_ms, 0)

    def within(self, bound_ms: int) -> bool:
        """Whether it is proven that neither clock is ahead by more than that."""
        return -bound_ms <= self.low_ms and self.high_ms <= bound_ms

    def beyond(self, bound_ms: int) -> bool:
        """Whether it is proven that one clock is ahead by more than that."""
        return abs(self.at_least_ms) > bound_ms

    def later(self, passed_s: float, clock_passed_ms: int) -> ClockOffset:
        """What it proves after passed_s by a stop watch, in which this clock has gone on by clock_passed_ms."""
        stepped_ms = clock_passed_ms - round(passed_s * 1000)
        drift_ms = 1 + round(passed_s * 1000 * MOST_DRIFT)
        return ClockOffset(self.low_ms + stepped_ms - drift_ms, self.high_ms + stepped_ms + drift_ms)

    def and_also(self, known: ClockOffset) -> ClockOffset:
        """What both prove; where they exclude each other this one alone: the other's clock was set since."""
        low_ms, high_ms = max(self.low_ms, known.low_ms), min(self.high_ms, known.high_ms)
        return ClockOffset(low_ms, high_ms) if low_ms <= high_ms else self
