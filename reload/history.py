"""What a ConfigMap held before, newest first, for `history` and `rollback`: one Secret beside it, bounded.

Older writes are kept without contents, so that a repeat of their call is known for longer than a signature is taken.

A Secret, because old contents deserve at least the care of the present ones; owned by the ConfigMap.
"""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass

import msgspec

from reload.cluster import Cluster, Config
from reload.errors import ReloadError, StaleVersionError

ENTRIES = 10
"""Writes that can be gone back to."""
KNOWN = 500
KNOWN_S = 3600
"""Writes whose calls are known: so many, of that time."""
MAX_OCTETS = 700_000
_MOST_UNPACKED = ENTRIES * 1_400_000
_TRIES = 5


class Entry(msgspec.Struct, frozen=True):
    """One write.

    files: what it replaced, base64 by name, while there is room.  at: Unix seconds.  by: who asked.  digest: of what it
    wrote.
    """

    revision: int
    at: int
    by: str
    call: str
    digest: str
    replaced: str
    files: dict[str, str]

    def contents(self) -> dict[str, bytes]:
        """The files that this write replaced."""
        return {name: base64.b64decode(text) for name, text in self.files.items()}


def name_of(config: str) -> str:
    """The Secret's name."""
    return f"{config}.history"


@dataclass(frozen=True, slots=True)
class Past:
    """A history as it was read.  entries: newest first.  version: resourceVersion, None = nothing was written yet."""

    entries: list[Entry]
    version: str | None


def load(cluster: Cluster, namespace: str, config: str) -> Past:
    """Read it.  Raises ReloadError."""
    found = cluster.load_history(namespace, name_of(config))
    return Past([], None) if found is None else Past(_unpacked(found[0]), found[1])


def add(
    cluster: Cluster, before: Config, after: Config, *, at: int, by: str, call: str, past: Past | None = None
) -> int:
    """Remember that `before` was replaced by `after`; the new revision.  Raises ReloadError conflict.

    past: the history as it was read just now, None = it is read.
    """
    files = {name: base64.b64encode(content).decode() for name, content in before.files.items()}
    for _ in range(_TRIES):
        held, past = past or load(cluster, before.namespace, before.name), None
        old = held.entries
        revision = old[0].revision + 1 if old else 1
        known = [entry for n, entry in enumerate(old[: KNOWN - 1]) if n < ENTRIES - 1 or entry.at > at - KNOWN_S]
        packed = _bounded([Entry(revision, at, by, call, after.digest, before.digest, files), *known])
        try:
            cluster.save_history(before.namespace, name_of(before.name), packed, held.version, after)
        except StaleVersionError:
            continue
        return revision
    raise ReloadError("conflict", f"the history of ConfigMap {before.name} was changed by somebody else all the time")


def _bounded(kept: list[Entry]) -> bytes:
    """All of them, packed: with the contents of the newest, as many as there is room for."""
    for contents in range(ENTRIES, 0, -1):
        packed = _packed(_without_contents(kept, contents))
        if len(packed) <= MAX_OCTETS:
            return packed
    return _packed(_without_contents(kept, 0))


def _without_contents(kept: list[Entry], first: int) -> list[Entry]:
    """The same, from the given one on without the files."""
    return kept[:first] + [msgspec.structs.replace(entry, files={}) for entry in kept[first:]]


def _packed(kept: list[Entry]) -> bytes:
    return zlib.compress(msgspec.json.encode(kept), 9)


def _unpacked(octets: bytes) -> list[Entry]:
    try:
        opened = zlib.decompressobj()
        text = opened.decompress(octets, _MOST_UNPACKED)
        return msgspec.json.decode(text, type=list[Entry])
    except (zlib.error, msgspec.MsgspecError) as e:
        raise ReloadError("cluster_failed", "the history Secret cannot be read", "delete it to begin anew") from e
