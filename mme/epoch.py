"""The epoch of an association: the eNB's own name of it, and behind "#" how often the interface was reset within it.

A caller that counts RESETs of the whole interface, and further S1 Setups, begins with "name#0", and says the new count
with the message that voids the connections so far; what it sends later on one of those is then known as stale without
a look at the eNB's row.  A bare "name" says nothing about resets (docs/envelope.md).
"""

from __future__ import annotations

import re

_EPOCH = re.compile(r"[^#]+(#[0-9]{1,9})?\Z")


def well_formed(epoch: str) -> bool:
    """Whether it is a name, or a name and a count of at most 9 digits."""
    return _EPOCH.match(epoch) is not None


def association(epoch: str) -> str:
    """The name alone."""
    return epoch.partition("#")[0]


def resets(epoch: str) -> int | None:
    """The count, None = the caller does not count."""
    _, _, count = epoch.partition("#")
    return int(count) if count else None


def named(name: str, count: int) -> str:
    """As connections carry it: the bare name until the first reset."""
    return f"{name}#{count}" if count else name


def covers(epoch: str, connection_epoch: str) -> bool:
    """Whether an item of that epoch may speak of a connection made in that one."""
    if association(epoch) != association(connection_epoch):
        return False
    count = resets(epoch)
    return count is None or count == (resets(connection_epoch) or 0)
