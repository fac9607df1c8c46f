"""Downlinks of one UE in the order in which the MME numbered them: repeats dropped, gaps waited for."""

from __future__ import annotations

from typing import Generic, TypeVar

Message = TypeVar("Message")

GAP_S = 0.2


class Ordering(Generic[Message]):
    """next_order: what is expected.  held: what came too early.

    A number that is missed for GAP_S is given up; if it comes after that it is delivered late rather than never: a
    late release still has to be carried out, and the NAS counts keep a late NAS message out of the UE.
    """

    def __init__(self) -> None:
        self.next_order = 0
        self.held: dict[int, Message] = {}
        self._seen: set[str] = set()
        self.repeats = 0
        self.gaps = 0
        self.late = 0

    def take(self, downlink_id: str, order: int | None, message: Message) -> list[Message]:
        """A downlink came -> what may be delivered now.  order None: it stands outside of the numbering."""
        if downlink_id in self._seen:
            self.repeats += 1
            return []
        self._seen.add(downlink_id)
        if order is None:
            return [message]
        if order < self.next_order:
            self.late += 1
            return [message]
        self.held[order] = message
        return self._run()

    def give_up_gap(self) -> list[Message]:
        """GAP_S is over -> what was held behind the gap, up to the next gap."""
        if not self.held:
            return []
        self.gaps += 1
        self.next_order = min(self.held)
        return self._run()

    @property
    def waiting(self) -> bool:
        return bool(self.held)

    def _run(self) -> list[Message]:
        ready: list[Message] = []
        while self.next_order in self.held:
            ready.append(self.held.pop(self.next_order))
            self.next_order += 1
        return ready
