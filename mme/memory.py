"""What a row remembers of the items that were worked off on it: the same item again has no second effect."""

from __future__ import annotations

import msgspec

from mme.codec.envelope import Reply
from mme.context import Remembered
from mme.enums import ItemResult
from mme.work import Work

REMEMBERED_AT_LEAST = 8

_decode_reply = msgspec.json.Decoder(Reply).decode


def repeated(recent: tuple[Remembered, ...], last_reply: bytes, job: Work) -> Reply | None:
    """The reply to an item that was worked off before: the same bytes while it is the last one; None = it is new."""
    item = job.item
    known = next((r for r in recent if r.id == item.id), None)
    if known is None:
        return None
    if known.digest != job.digest:
        error = "this id was used for another message"
        return Reply(item.id, ItemResult.REJECTED.value, label="id reused", error=error)
    if recent[-1].id == item.id and last_reply:
        return _decode_reply(last_reply)
    return late_duplicate(job)


def late_duplicate(job: Work) -> Reply:
    """To an item that others have followed."""
    return Reply(job.item.id, ItemResult.DUPLICATE.value, label="late duplicate")


def remembering(recent: tuple[Remembered, ...], job: Work, duplicates_s: int) -> tuple[Remembered, ...]:
    """With this item: those of the last duplicates_s seconds, and at least the last 8."""
    oldest = job.now_ms - duplicates_s * 1000
    kept = [r for n, r in enumerate(recent) if r.at_ms >= oldest or n > len(recent) - REMEMBERED_AT_LEAST]
    return (*kept, Remembered(job.item.id, job.digest, job.now_ms))
