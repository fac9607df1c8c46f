"""An event loop whose time passes only when nothing is left to do: waits cost nothing, and a run repeats exactly."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class NobodyWakesError(RuntimeError):
    """Everything waits, and no timer runs that would end it."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """`asyncio.Runner(loop_factory=VirtualLoop)`."""

    def __init__(self) -> None:
        self.now_s = 0.0
        super().__init__(_Skipping(self))

    def time(self) -> float:
        return self.now_s


class _Skipping(selectors.SelectSelector):
    """Does not wait for its timeout, but sets the loop's clock forward by it."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise NobodyWakesError
        self._loop.now_s += timeout
        return ready
