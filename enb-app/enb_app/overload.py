"""What an eNB does between OVERLOAD START and OVERLOAD STOP: it rejects RRC connections (TS 36.413 8.7.6, 8.7.7)."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from mme.messages import OverloadStart, OverloadStop, S1apMessage

MO_SIGNALLING, MO_DATA = "mo-Signalling", "mo-Data"
_REJECTED: dict[str, frozenset[str]] = {
    "reject-non-emergency-mo-dt": frozenset({MO_DATA}),
    "reject-rrc-cr-signalling": frozenset({MO_DATA, MO_SIGNALLING}),
    "permit-emergency-sessions-and-mobile-terminated-services-only": frozenset({MO_DATA, MO_SIGNALLING}),
    "permit-high-priority-sessions-and-mobile-terminated-services-only": frozenset({MO_DATA, MO_SIGNALLING}),
    "reject-delay-tolerant-access": frozenset({"delay-TolerantAccess"}),
}
"""RRC establishment causes by Overload Action (9.2.3.20)."""
LONGEST_WAIT_S = 16
"""waitTime of RRCConnectionReject: 1 to 16 s (TS 36.331 6.2.2)."""


@dataclass(slots=True)
class RadioAccess:
    """Of one eNB.  honours False: it goes on as if nothing had been said.  rejected: RRC connections so far.

    overtaken: messages that came after one of a later decision, and were dropped.
    """

    random: Random
    honours: bool = True
    longest_wait_s: float = LONGEST_WAIT_S
    starts: int = 0
    stops: int = 0
    rejected: int = 0
    overtaken: int = 0
    _number: int = 0
    _running: OverloadStart | None = None

    def hear(self, message: S1apMessage, number: int | None = None) -> None:
        """A later OVERLOAD START takes the place of an earlier one (8.7.6.2).

        number: of the MME's decision, by which a later one is known however they arrive: HTTP, which carries them here,
        keeps no order as SCTP does.  None: as it comes.
        """
        if isinstance(message, OverloadStart | OverloadStop) and number is not None:
            if number < self._number:
                self.overtaken += 1
                return
            self._number = number
        match message:
            case OverloadStart():
                self.starts += 1
                self._running = message
            case OverloadStop():
                self.stops += 1
                self._running = None
            case _:
                pass

    @property
    def overloaded(self) -> bool:
        """Whether the MME has said so, and not taken it back."""
        return self._running is not None

    def asks(self, establishment_cause: str) -> float | None:
        """A UE asks for an RRC connection: None = it gets one, else it is to wait so many seconds before it asks again.

        Without a traffic load reduction all of the kind are rejected, with one so many per cent.
        """
        running = self._running
        if not self.honours or running is None or establishment_cause not in _REJECTED.get(running.action, frozenset()):
            return None
        if self.random.random() * 100 >= (running.traffic_load_reduction or 100):
            return None
        self.rejected += 1
        return self.random.uniform(min(1.0, self.longest_wait_s), self.longest_wait_s)
