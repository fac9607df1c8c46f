"""What a ConfigMap held before, newest first, for `history` and `rollback`: one Secret beside it, bounded.

Older writes are kept without contents, so that a repeat of their call is known for longer than a signature is taken;
so are calls that found nothing to write, which sent again later might find something.

A Secret, because old contents deserve at least the care of the present ones; owned by the ConfigMap.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import msgspec

from reload.cluster import Cluster, Config
from reload.errors import ReloadError, StaleVersionError

ENTRIES = 10
"""Writes that can be gone back to."""
KNOWN = 500
KNOWN_S = 3600
"""Writes whose calls are known, and calls without one: so many of each, of that time."""
MAX_OCTETS = 700_000
_MOST_UNPACKED = ENTRIES * 1_400_000
_TRIES = 5


class Entry(msgspec.Struct, frozen=True):
    """One write, or a call that found nothing to write (changed: False), of which only at, by and call are told.

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
    changed: bool = True

    def contents(self) -> dict[str, bytes]:
        """The files that this write replaced."""
        return {name: base64.b64decode(text) for name, text in self.files.items()}


def name_of(config: str) -> str:
    """The Secret's name."""
    return f"{config}.history"


@dataclass(frozen=True, slots=True)
class Past:
    """A history as it was read.

    entries: writes, newest first.  version: resourceVersion, None = nothing was written yet.
    unchanged: calls that found nothing to write, newest first.
    """

    entries: list[Entry]
    version: str | None
    unchanged: list[Entry] = field(default_factory=list)

    def of(self, by: str, call: str) -> Entry | None:
        """What became of this caller's call."""
        return next((e for e in (*self.entries, *self.unchanged) if (e.by, e.call) == (by, call)), None)


def load(cluster: Cluster, namespace: str, config: str) -> Past:
    """Read it.  Raises ReloadError."""
    found = cluster.load_history(namespace, name_of(config))
    if found is None:
        return Past([], None)
    kept = _unpacked(found[0])
    return Past([e for e in kept if e.changed], found[1], [e for e in kept if not e.changed])


def add(
    cluster: Cluster, before: Config, after: Config, *, at: int, by: str, call: str, past: Past | None = None
) -> int:
    """Remember that `before` was replaced by `after`; the new revision.  Raises ReloadError conflict.

    past: the history as it was read just now, None = it is read.
    """
    files = {name: base64.b64encode(content).decode() for name, content in before.files.items()}

    def added(held: Past) -> Past:
        old = held.entries
        revision = old[0].revision + 1 if old else 1
        known = [entry for n, entry in enumerate(old[: KNOWN - 1]) if n < ENTRIES - 1 or entry.at > at - KNOWN_S]
        return replace(held, entries=[Entry(revision, at, by, call, after.digest, before.digest, files), *known])

    return _written(cluster, after, added, at=at, past=past).entries[0].revision


def note_unchanged(cluster: Cluster, config: Config, *, at: int, by: str, call: str, past: Past | None = None) -> None:
    """Remember a call that found nothing to write.  past: as `add` takes it.  Raises ReloadError conflict."""
    note = Entry(0, at, by, call, "", "", {}, changed=False)
    _written(cluster, config, lambda held: replace(held, unchanged=[note, *held.unchanged]), at=at, past=past)


def _written(cluster: Cluster, config: Config, change: Callable[[Past], Past], *, at: int, past: Past | None) -> Past:
    for _ in range(_TRIES):
        held, past = past or load(cluster, config.namespace, config.name), None
        new = change(held)
        # Last, so that the newest write stands first for whoever reads no further.
        unchanged = [entry for entry in new.unchanged[:KNOWN] if entry.at > at - KNOWN_S]
        packed = _bounded([*new.entries, *unchanged])
        try:
            cluster.save_history(config.namespace, name_of(config.name), packed, held.version, config)
        except StaleVersionError:
            continue
        return new
    raise ReloadError("conflict", f"the history of ConfigMap {config.name} was changed by somebody else all the time")


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
