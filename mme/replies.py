"""Replies that no stored context stands behind."""

from __future__ import annotations

from mme.codec.envelope import Downlink, Reply
from mme.downlinks import encoded
from mme.enums import ItemResult
from mme.messages import S1apMessage
from mme.work import Work


def plain_reply(
    job: Work,
    result: ItemResult,
    messages: list[S1apMessage],
    *,
    label: str,
    error: str | None = None,
    ue: int | None = None,
) -> Reply:
    """The messages go to the eNB that called.  ue: ENB-UE-S1AP-ID that they are about, None = the eNB as a whole."""
    downlinks = [
        Downlink(f"{job.item.id}/d{n}", job.item.enb, job.item.stream, encoded(job, message), ue=ue)
        for n, message in enumerate(messages)
    ]
    return Reply(job.item.id, result.value, downlinks, label=label, error=error)
