"""Which new attaches a process refuses, from how long each has waited itself: no store, nobody to ask, no delay.

The queue is first in, first out over all functions, and each UE has at most one message in it: how long a message has
waited is how long each of those to come will wait, times as many as there are.  So an attach is taken when its own wait
shows that it can be finished in time, and the more have been taken the fewer are: as many begin as end, and the workers
are never without work.  A wait that is long for a moment is a burst, and none is refused for that (compare CoDel,
RFC 8289 3.1: a queue that has not been short for an interval).
"""

from __future__ import annotations

from dataclasses import dataclass

STANDING_MS = 500
"""So long no message may have waited less than `shed_ms` before any is refused."""
IDLE_MS = 2000
"""After so long without a message what was seen before says nothing."""


@dataclass(slots=True)
class Admission:
    """Of one process.  shed_ms: from this wait on some are refused, from twice this all.  Times in Unix ms."""

    shed_ms: int
    _long_since_ms: int | None = None
    _seen_ms: int = 0

    def saw(self, waited_ms: float, now_ms: int) -> None:
        """A message begins that has waited so long."""
        if waited_ms <= self.shed_ms:
            self._long_since_ms = None
        elif self._long_since_ms is None or now_ms - self._seen_ms > IDLE_MS:
            self._long_since_ms = now_ms
        self._seen_ms = now_ms

    def refuses(self, draw: int, waited_ms: float, now_ms: int) -> bool:
        """Whether a new attach is refused that has waited so long.  draw: 0 to 99, the same for each copy."""
        if self._long_since_ms is None or now_ms - self._long_since_ms < STANDING_MS:
            return False
        return draw * self.shed_ms < (waited_ms - self.shed_ms) * 100
