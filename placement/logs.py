"""Logs: one JSON object a line on stderr.  No values, no credentials; the operation's id is in every line."""

from __future__ import annotations

import sys
import time

import msgspec


def log(level: str, event: str, **fields: object) -> None:
    """Write one line.  fields: JSON values; None ones are left out."""
    record = {"ts": round(time.time(), 3), "level": level, "event": event}
    record.update((name, value) for name, value in fields.items() if value is not None)
    sys.stderr.write(msgspec.json.encode(record, enc_hook=str).decode() + "\n")
    sys.stderr.flush()
