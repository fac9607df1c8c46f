"""The machine that the figures belong to, and how busy others keep it."""

from __future__ import annotations

import os
import platform
import sqlite3
import threading
from pathlib import Path
from typing import Any

_LOOK_S = 0.5


def describe() -> dict[str, Any]:
    """Processor, memory, system and versions; no name of the machine."""
    return {
        "processor": _field("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(int((_field("/proc/meminfo", "MemTotal") or "0 kB").split()[0]) / 2**20, 1),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }


def load() -> dict[str, float]:
    """busy: share of the cores that is taken right now, 0 to 1, while we do nothing.  load_1: the load average."""
    before = _ticks()
    threading.Event().wait(_LOOK_S)
    after = _ticks()
    total = after[1] - before[1]
    busy = (after[0] - before[0]) / total if total else 0.0
    return {"busy": round(busy, 3), "load_1": round(os.getloadavg()[0], 2)}


def _ticks() -> tuple[int, int]:
    """(busy, all) ticks of all cores since the start; (0, 0) where the kernel does not tell."""
    try:
        first = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    except OSError:
        return 0, 0
    ticks = [int(text) for text in first]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def _field(file: str, name: str) -> str:
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
