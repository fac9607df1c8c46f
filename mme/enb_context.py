"""What the MME keeps of an eNB: one row, written by S1 Setup (TS 36.413 8.7.3)."""

from __future__ import annotations

from dataclasses import dataclass

from mme.ids import GlobalEnbId
from mme.messages import SupportedTa


@dataclass(frozen=True, slots=True)
class EnbContext:
    """epoch: the association; a UE whose connection has another one is ECM-IDLE.  downlink_url: where pushes go."""

    global_enb_id: GlobalEnbId
    epoch: str
    supported_tas: tuple[SupportedTa, ...]
    name: str | None = None
    default_paging_drx: str = "v128"
    downlink_url: str | None = None
    schema: int = 1
