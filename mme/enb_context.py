"""What the MME keeps of an eNB: one row, written by S1 Setup (TS 36.413 8.7.3)."""

from __future__ import annotations

from dataclasses import dataclass

from mme import epoch as epochs
from mme.context import Connection, Remembered
from mme.ids import GlobalEnbId
from mme.messages import SupportedTa
from mme.replacing import replace

VOIDED_KEPT = 256  # as many as one RESET can name (TS 36.413 9.1.8.1)


@dataclass(frozen=True, slots=True)
class EnbContext:
    """epoch: the eNB's own name of its association.  resets: RESETs of the whole interface within it.

    A UE whose connection has another `connection_epoch` is ECM-IDLE.  downlink_url: where pushes go.
    voided: (ENB-UE-S1AP-ID, number) of what RESET has named by that id alone, the latest VOIDED_KEPT of them;
    id_resets: the last number.  Such an id names no context, but whoever asks about one of its eNB sees it here.
    recent, last_reply: the eNB's own items (not its UEs') that were worked off, and what the last of them was answered.
    """

    global_enb_id: GlobalEnbId
    epoch: str
    supported_tas: tuple[SupportedTa, ...]
    name: str | None = None
    default_paging_drx: str = "v128"
    downlink_url: str | None = None
    resets: int = 0
    voided: tuple[tuple[int, int], ...] = ()
    id_resets: int = 0
    recent: tuple[Remembered, ...] = ()
    last_reply: bytes = b""
    schema: int = 1

    @property
    def connection_epoch(self) -> str:
        """What the connections made now carry: association and resets."""
        return epochs.named(self.epoch, self.resets)

    def has(self, connection: Connection) -> bool:
        """Whether that connection, made on this eNB, is still there as far as the eNB has said."""
        voided = any(
            enb_ue_s1ap_id == connection.enb_ue_s1ap_id and number > connection.since
            for enb_ue_s1ap_id, number in self.voided
        )
        return connection.epoch == self.connection_epoch and not voided

    def without(self, enb_ue_s1ap_ids: tuple[int, ...]) -> EnbContext:
        """The row after a partial reset of connections that are named by the eNB's ids alone."""
        if not enb_ue_s1ap_ids:
            return self
        number = self.id_resets + 1
        rest = tuple(entry for entry in self.voided if entry[0] not in enb_ue_s1ap_ids)
        voided = (*rest, *((enb_ue_s1ap_id, number) for enb_ue_s1ap_id in dict.fromkeys(enb_ue_s1ap_ids)))
        return replace(self, voided=voided[-VOIDED_KEPT:], id_resets=number)
