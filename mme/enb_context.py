"""What the MME keeps of an eNB: one row, written by S1 Setup (TS 36.413 8.7.3)."""

from __future__ import annotations

from dataclasses import dataclass

from mme.context import Remembered
from mme.ids import GlobalEnbId
from mme.messages import SupportedTa


@dataclass(frozen=True, slots=True)
class EnbContext:
    """epoch: the eNB's own name of its association.  resets: RESETs of the whole interface within it.

    A UE whose connection has another `connection_epoch` is ECM-IDLE.  downlink_url: where pushes go.
    recent, last_reply: the eNB's own items (not its UEs') that were worked off, and what the last of them was answered.
    """

    global_enb_id: GlobalEnbId
    epoch: str
    supported_tas: tuple[SupportedTa, ...]
    name: str | None = None
    default_paging_drx: str = "v128"
    downlink_url: str | None = None
    resets: int = 0
    recent: tuple[Remembered, ...] = ()
    last_reply: bytes = b""
    schema: int = 1

    @property
    def connection_epoch(self) -> str:
        """What the connections made now carry: association and resets."""
        return f"{self.epoch}#{self.resets}" if self.resets else self.epoch
