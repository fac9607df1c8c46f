"""A log as its readers have it."""

from __future__ import annotations

import json
from typing import Any


def lines_of(log: str) -> list[dict[str, Any]]:
    """What it tells; each line is an object like the functions' own, and none is taken for an item's."""
    found = [json.loads(text) for text in log.splitlines()]
    for line in found:
        assert line["ts"] > 0
        assert line["level"] in {"info", "warning", "error"}
        assert line["event"]
        assert not {"trace", "item"} & line.keys()
    return found
