"""Decides on overload while this process holds the lease "overload", and has the eNBs told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from mme import logs, metrics
from mme.errors import StoreError
from mme.lease_holder import LeaseHolder
from mme.load import read_decision, read_samples, write_decision
from mme.overload import DECISION_MS, STEP_MS, Decision, Limits, decided, wait_ms
from mme.replacing import replace
from mme.store.base import Store

LEASE = "overload"

Tell = Callable[[str, int, int], bool]
"""(id of the command, per cent or 0 for the end, number of the decision) to every eNB; out: whether all took it."""


@dataclass(slots=True)
class OverloadGuard:
    """store: where the figures are.  holder: of the lease.  tell: see Tell.  clock: Unix seconds."""

    store: Store
    holder: LeaseHolder
    tell: Tell
    limits: Limits
    clock: Callable[[], float] = time.time
    _taken: int | None = None
    _again_ms: int | None = None

    def step(self) -> Decision | None:
        """Decide anew, and tell the eNBs what they do not know yet; None: another process does.

        A new holder goes on from the last one's decision, and tells it again.  What all have taken is told once more
        after DECISION_MS: an eNB that was setting up meanwhile may have been told the decision before with its setup,
        by a process that had read that one, and was not listed yet when the others were told.  Raises StoreError.
        """
        if LEASE not in self.holder.held():
            self._taken = None
            return None
        last, version = read_decision(self.store)
        now_ms = int(self.clock() * 1000)
        fence = self.holder.fence(LEASE)
        if last.fence > fence:
            return None
        wait = wait_ms(read_samples(self.store), now_ms)
        decision = replace(decided(last, wait, now_ms, self.limits), fence=fence)
        write_decision(self.store, decision, version)
        metrics.QUEUE_WAIT.set((wait or 0.0) / 1000)
        metrics.OVERLOAD_REDUCTION.set(decision.percent / 100)
        if (last.percent == 0) != (decision.percent == 0):
            event = "overload" if decision.percent else "overload is over"
            logs.log("warning", event, wait_ms=round(wait or 0), percent=decision.percent)
        if self._taken != decision.told and (decision.told or self._taken is not None):
            self._again_ms = now_ms + DECISION_MS if self._tell(decision) else None
        elif self._again_ms is not None and now_ms >= self._again_ms:
            self._again_ms = None
            self._tell(decision)
        return decision

    def _tell(self, decision: Decision) -> bool:
        item_id = f"operator/overload/{decision.told}-{decision.percent}"
        taken = self.tell(item_id, decision.percent, decision.told)
        self._taken = decision.told if taken else None
        return taken

    def run(self, stop: threading.Event) -> None:
        """Step twice a second until `stop`."""
        while not stop.wait(STEP_MS / 1000):
            try:
                self.step()
            except StoreError as e:
                logs.log("warning", "overload: the store did not answer", why=str(e))
