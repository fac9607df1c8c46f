"""Logs: one JSON object a line on stderr, with the item's trace, so that one attach is one grep.  No keys, no IMSI."""

from __future__ import annotations

import sys
import threading
import time
from typing import TextIO

import msgspec

_LOCK = threading.RLock()  # a finalizer that runs in between may have something to tell, too


def trace_of(item_id: str) -> str:
    """The first two parts of an item's id: the eNB and this UE's run."""
    return "/".join(item_id.split("/")[:2])


def log(level: str, event: str, *, stream: TextIO | None = None, **fields: object) -> None:
    """Write one line.  fields: JSON values; None ones are left out."""
    record = {"ts": round(time.time(), 3), "level": level, "event": event}
    record.update((name, value) for name, value in fields.items() if value is not None)
    line = msgspec.json.encode(record, enc_hook=str).decode() + "\n"
    with _LOCK:
        out = stream or sys.stderr
        out.write(line)
        out.flush()
