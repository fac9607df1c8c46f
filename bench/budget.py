"""docs/store-budget.md, which tests hold to the code: store operations of each message, and of whole procedures."""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "store-budget.md"
Counts = tuple[int, ...]
"""Reads, plain writes, conditional writes."""
_NOT_ONE = ("S1 Setup", "Refusals")
"""Headings under which each row is a procedure by itself."""


def tables() -> dict[str, dict[str, Counts]]:
    """By heading and message."""
    found: dict[str, dict[str, Counts]] = {}
    heading = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ")
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if line.startswith("|") and cells[-1].isdecimal():
            found.setdefault(heading, {})[cells[0]] = tuple(int(cell) for cell in cells[1:])
    return found


def procedures() -> dict[str, Counts]:
    """Sums by procedure."""
    return {
        name: tuple(map(sum, zip(*rows.values(), strict=True)))
        for name, rows in tables().items()
        if name not in _NOT_ONE
    }
