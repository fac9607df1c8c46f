"""How long helm rests between two runs: where others want the processors, placements that nobody waits for give way."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

TIMES = 60
"""A run that waits for a processor is a sixty-first of what it and its rest take, as far as MOST_S lets it."""
MOST_S = 8.0
"""What a run sets going on a cluster that shares these processors lasts two seconds: a quarter of the time, then."""


@dataclass(frozen=True, slots=True)
class Share:
    """What a process has had of the processors.  ran_s: seconds on one.  waited_s: seconds ready, without getting one.

    All its threads together.
    """

    ran_s: float = 0.0
    waited_s: float = 0.0


def is_starved(share: Share, seconds: float) -> bool:
    """Whether a run of so many seconds waited for a processor for most of them: others wanted them, and had them."""
    return share.waited_s > seconds / 2


def share_of(process: int) -> Share:
    """What it had so far; nothing where it is gone, or the kernel keeps no such account (CONFIG_SCHED_INFO)."""
    ran = waited = 0
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{process}/task").iterdir():
            with contextlib.suppress(OSError, ValueError):  # a thread that has just ended
                # Nanoseconds running, nanoseconds waiting, time slices: Documentation/scheduler/sched-stats.rst
                first, second, _ = (thread / "schedstat").read_text("ascii").split()
                ran, waited = ran + int(first), waited + int(second)
    return Share(ran / 1e9, waited / 1e9)


def rest_s(share: Share) -> float:
    """Seconds until the next run, after one that had this share: as often as it had to wait, others wanted to run."""
    return min(MOST_S, TIMES * share.waited_s)
