"""Tables in plain text, for people and for `awk`."""

from __future__ import annotations

from collections.abc import Sequence


def columns(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lines with the columns under their titles; the last one may be as long as it likes."""
    lines = [titles, *rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(titles))]
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join(shown) + "\n"
