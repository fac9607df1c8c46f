"""The digest of a configuration: what the pod reports and what the function waits for are the same number."""

from __future__ import annotations

import hashlib
from typing import Mapping


def digest_of(files: Mapping[str, bytes]) -> str:
    """64 hex digits over names and contents, in the order of the names, each with its length before it."""
    state = hashlib.sha256()
    for name in sorted(files):
        for part in (name.encode("utf-8", "surrogateescape"), files[name]):
            state.update(len(part).to_bytes(8, "big"))
            state.update(part)
    return state.hexdigest()
