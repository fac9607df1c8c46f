"""What is measured: messages from request to reply, UEs from Attach Request to the answer to Attach Complete."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from enb_app.effects import Verdict


@dataclass(frozen=True, slots=True)
class Distribution:
    """Of milliseconds.  Percentiles by linear interpolation between closest ranks, as numpy does by default."""

    count: int
    min_ms: float
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


def percentile(ordered: Sequence[float], percent: float) -> float:
    """ordered: rising, not empty."""
    position = (len(ordered) - 1) * percent / 100
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def distribution(samples_ms: Iterable[float]) -> Distribution | None:
    """None: there are no samples."""
    ordered = sorted(samples_ms)
    if not ordered:
        return None
    p50, p95, p99 = (percentile(ordered, percent) for percent in (50, 95, 99))
    return Distribution(len(ordered), ordered[0], sum(ordered) / len(ordered), p50, p95, p99, ordered[-1])


@dataclass(frozen=True, slots=True)
class StoreOperations:
    """Of the MME, as its reply tells them."""

    reads: int = 0
    writes: int = 0
    conditional_writes: int = 0

    def __add__(self, other: StoreOperations) -> StoreOperations:
        return StoreOperations(
            self.reads + other.reads,
            self.writes + other.writes,
            self.conditional_writes + other.conditional_writes,
        )

    def __str__(self) -> str:
        return f"{self.reads}r {self.writes}w {self.conditional_writes}c"


@dataclass(frozen=True, slots=True)
class MessageSample:
    """One uplink message.  at_ms: since the run's start.  ms: first sending to answer.  mme_ms: the function's own.

    result: an ItemResult, or "lost".  tries: sendings.
    """

    s1ap: str
    nas: str | None
    function: str
    at_ms: float
    ms: float
    result: str
    label: str | None
    tries: int
    store: StoreOperations
    mme_ms: float | None = None
    copy: bool = False

    @property
    def title(self) -> str:
        return self.nas or self.s1ap


@dataclass(slots=True)
class LadderLine:
    """One message of one UE as it passed.  ms, store and result belong to uplinks, once they are answered."""

    at_ms: float
    up: bool
    s1ap: str
    nas: str | None = None
    function: str = ""
    ms: float | None = None
    store: StoreOperations | None = None
    result: str = ""


@dataclass(frozen=True, slots=True)
class UeOutcome:
    """What became of one UE.  imsi: masked.  run: the part of its item ids that every log line carries.

    attach_ms: Attach Request to the MME's answer to Attach Complete, None where it did not come to that.
    """

    number: int
    imsi: str
    enb: str
    run: str
    verdict: Verdict
    cause: str
    emm_cause: int | None
    started_ms: float
    ended_ms: float
    attach_ms: float | None
    detached: bool
    gaps: int
    repeats: int
    discarded_downlinks: int
    copies: dict[str, int]
    messages: tuple[MessageSample, ...]
    ladder: tuple[LadderLine, ...] = ()
