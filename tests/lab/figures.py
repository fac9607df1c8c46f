"""Figures that a test measures: raw in its report and in the folder LAB_RESULTS names, shortly on standard error."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path


def p99(values: Sequence[float]) -> float:
    return sorted(values)[max(0, round(len(values) * 0.99) - 1)]


def told(name: str, record: Callable[[str, object], None], **figures: Sequence[float]) -> None:
    """Keep the raw figures: in the report, in LAB_RESULTS, and shortly on standard error."""
    for key, values in figures.items():
        record(f"{name} {key}", list(values))
        short = f"p50 {statistics.median(values):.3f} p99 {p99(values):.3f} of {len(values)}"
        sys.stderr.write(f"\n{name}, {key}: {short}")
    sys.stderr.write("\n")
    folder = os.environ.get("LAB_RESULTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        raw = {"at": int(time.time()), "load": os.getloadavg(), **{key: list(v) for key, v in figures.items()}}
        (Path(folder) / f"{name.replace(' ', '-')}.json").write_text(json.dumps(raw, indent=1))
