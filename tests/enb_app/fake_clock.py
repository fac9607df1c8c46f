"""Time that passes only when a test says so."""

from __future__ import annotations

import heapq
from collections.abc import Callable


class Alarm:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class FakeClock:
    """`enb_app.exchange.Clock`."""

    def __init__(self) -> None:
        self.now = 0.0
        self._alarms: list[tuple[float, int, Alarm]] = []
        self._count = 0

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None], /) -> Alarm:
        alarm = Alarm(callback)
        self._count += 1
        heapq.heappush(self._alarms, (when, self._count, alarm))
        return alarm

    def pass_s(self, seconds: float) -> None:
        """Let time pass; what is due on the way happens at its time."""
        until = self.now + seconds
        while self._alarms and self._alarms[0][0] <= until:
            when, _, alarm = heapq.heappop(self._alarms)
            self.now = max(self.now, when)
            if alarm.callback is not None:
                alarm.callback()
        self.now = until
