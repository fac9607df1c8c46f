"""What each party may say: an eNB for itself, the ticker timers, ports answers, operators commands."""

from __future__ import annotations

import re

from mme.codec.envelope import Item
from mme.epoch import well_formed
from trust.access import TICKER

_ID_PARTS = 3
_ENB_NAME = re.compile(r"[0-9]{5,6}-[0-9a-f]{5,7}\Z")
_ID_OCTETS = 160


def fault_of(item: Item, caller: str) -> str | None:
    """Why the caller may not have this item worked off, in one sentence; None = it may."""
    contents = (item.s1ap, item.event, item.timer, item.answer, item.command)
    if sum(content is not None for content in contents) != 1:
        return "an item holds exactly one of s1ap, event, timer, answer, command"
    if len(item.id) > _ID_OCTETS or not item.id.isprintable():
        return f"an item's id has at most {_ID_OCTETS} printable characters"
    if item.timer is not None:
        return None if caller == TICKER else "only the ticker sends timers"
    if item.answer is not None:
        return None if caller.startswith("port/") else "only ports send answers"
    if item.command is not None:
        return None if caller.startswith("operator/") else "only operators send commands"
    if item.enb != caller or not _ENB_NAME.match(caller):
        return "this key does not speak for that eNB"
    parts = item.id.split("/")
    if len(parts) != _ID_PARTS or parts[0] != item.enb:
        return "an item's id is <enb>/<run>/<n>"
    if not well_formed(item.epoch):
        return 'an eNB\'s item carries the epoch of its association: a name, or a name and "#" and a number'
    return None
