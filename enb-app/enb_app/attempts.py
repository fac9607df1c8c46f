"""When a UE whose attach was refused for congestion tries again: the attach attempt counter and what it leads to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MOST_ATTEMPTS: Final = 5


@dataclass(slots=True)
class AttemptCounter:
    """Of one UE.  t3411_s, t3402_s: those timers' lengths where the network has told none."""

    t3411_s: float
    t3402_s: float
    count: int = 0

    def wait_s(self, back_off_s: tuple[float, float] | None, told_t3402_s: float | None) -> tuple[float, float]:
        """Least and most seconds until the next attach, after one that was refused.

        back_off_s: least and most of T3346, if it was refused with one: the attempt does not count then.
        told_t3402_s: T3402 as the network has told it under protection; None, or 0 = deactivated: the default.
        Source: TS 24.301 5.5.1.1, 5.5.1.2.5 (#22), 5.5.1.2.6, 5.3.6.
        """
        if back_off_s is not None:
            self.count = 0
            return back_off_s
        self.count += 1
        if self.count < MOST_ATTEMPTS:
            return self.t3411_s, self.t3411_s
        self.count = 0
        wait_s = told_t3402_s or self.t3402_s
        return wait_s, wait_s
