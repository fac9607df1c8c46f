"""What a run gives back: figures, each UE's outcome, and the raw samples under them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from enb_app.effects import Verdict
from enb_app.exchange import Counters
from enb_app.measure import Distribution, MessageSample, StoreOperations, UeOutcome, distribution
from enb_app.options import AttachOptions
from mme.enums import ItemResult


@dataclass(frozen=True, slots=True)
class MessageFigures:
    """All messages of one name.  store: of them all together."""

    title: str
    s1ap: str
    function: str
    times: Distribution
    mme: Distribution | None
    store: StoreOperations
    results: dict[str, int]
    resent: int


@dataclass(frozen=True, slots=True)
class Result:
    """duration_s: first message of the first UE to the end of the last.  cpu_s: of this process meanwhile.

    refused_before: attaches refused for congestion whose UE tried again; its outcome is that of the last attempt.
    rrc_given_up: UEs that never got an RRC connection; they have no outcome.
    """

    options: AttachOptions
    started_unix_s: float
    duration_s: float
    cpu_s: float
    setup: tuple[MessageSample, ...]
    outcomes: tuple[UeOutcome, ...]
    counters: Counters
    resends: int
    silences: int
    rrc_rejected: int = 0
    rrc_given_up: int = 0
    refused_before: int = 0
    overload_starts: int = 0
    overload_stops: int = 0

    @property
    def attached(self) -> int:
        return sum(outcome.verdict is Verdict.ATTACHED for outcome in self.outcomes)

    @property
    def failed(self) -> int:
        return len(self.outcomes) - self.attached

    @property
    def detached(self) -> int:
        return sum(outcome.detached for outcome in self.outcomes)

    @property
    def attach_ms(self) -> list[float]:
        return [outcome.attach_ms for outcome in self.outcomes if outcome.attach_ms is not None]

    @property
    def times(self) -> Distribution | None:
        return distribution(self.attach_ms)

    @property
    def rate_per_s(self) -> float:
        return self.attached / self.duration_s if self.duration_s else 0.0

    @property
    def store(self) -> StoreOperations:
        return sum((message.store for message in self.messages), StoreOperations())

    @property
    def messages(self) -> list[MessageSample]:
        return [message for outcome in self.outcomes for message in outcome.messages]

    @property
    def copies(self) -> dict[str, int]:
        """Results of messages replayed on purpose; anything but `discarded` and `stale` is the MME's mistake."""
        counts: dict[str, int] = {}
        for outcome in self.outcomes:
            for name, count in outcome.copies.items():
                counts[name] = counts.get(name, 0) + count
        return counts

    @property
    def copies_taken(self) -> int:
        refused = (ItemResult.DISCARDED.value, ItemResult.STALE.value)
        return sum(count for name, count in self.copies.items() if name not in refused)

    @property
    def exit_code(self) -> int:
        """0: all attached, and no replayed message was taken.  1: not so."""
        return 1 if self.failed or self.copies_taken else 0

    def per_message(self) -> list[MessageFigures]:
        """See message_figures."""
        return message_figures(self.messages)

    def as_json(self) -> dict[str, Any]:
        """Every figure, each UE's outcome, the raw samples.  No key and no whole IMSI is in it."""
        times = self.times
        store = self.store
        count = len(self.outcomes) or 1
        return {
            "attached": self.attached,
            "failed": self.failed,
            "detached": self.detached,
            **figures_json(times),
            "rate_per_s": round(self.rate_per_s, 2),
            "duration_s": round(self.duration_s, 3),
            "invocations": self.counters.calls,
            "messages_sent": self.counters.items,
            "store_reads": store.reads,
            "store_writes": store.writes,
            "store_conditional_writes": store.conditional_writes,
            "resends": self.resends,
            "silences": self.silences,
            "rrc_rejected": self.rrc_rejected,
            "rrc_given_up": self.rrc_given_up,
            "refused_before": self.refused_before,
            "overload_starts": self.overload_starts,
            "overload_stops": self.overload_stops,
            "retries": self.counters.retries,
            "failed_calls": self.counters.failed_calls,
            "refused_signatures": self.counters.refused_signatures,
            "late_answers": self.counters.late,
            "pushes": self.counters.pushes,
            "results": self.counters.results,
            "replayed": self.copies,
            "downlink_gaps": sum(outcome.gaps for outcome in self.outcomes),
            "downlink_repeats": sum(outcome.repeats for outcome in self.outcomes),
            "discarded_by_ue": sum(outcome.discarded_downlinks for outcome in self.outcomes),
            "simulator_cpu_ms_per_ue": round(self.cpu_s * 1000 / count, 3),
            "per_message": [message_json(figures) for figures in self.per_message()],
            "setup": [plain(sample) for sample in self.setup],
            "options": plain(self.options),
            "started_unix_s": round(self.started_unix_s, 3),
            "samples_ms": [round(ms, 3) for ms in self.attach_ms],
            "outcomes": [_outcome_json(outcome) for outcome in self.outcomes],
        }


def message_figures(messages: Iterable[MessageSample]) -> list[MessageFigures]:
    """In the order in which the names first occur; messages replayed on purpose are a name of their own."""
    groups: dict[str, list[MessageSample]] = {}
    for message in messages:
        title = f"{message.title} (replayed)" if message.copy else message.title
        groups.setdefault(title, []).append(message)
    figures = []
    for title, samples in groups.items():
        times = distribution(sample.ms for sample in samples)
        if times is None:
            continue
        results: dict[str, int] = {}
        for sample in samples:
            results[sample.result] = results.get(sample.result, 0) + 1
        figures.append(
            MessageFigures(
                title=title,
                s1ap=samples[0].s1ap,
                function=samples[0].function,
                times=times,
                mme=distribution(sample.mme_ms for sample in samples if sample.mme_ms is not None),
                store=sum((sample.store for sample in samples), StoreOperations()),
                results=results,
                resent=sum(sample.tries > 1 for sample in samples),
            )
        )
    return figures


def figures_json(times: Distribution | None) -> dict[str, float | None]:
    names = ("min_ms", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms")
    return {name: None if times is None else round(getattr(times, name), 3) for name in names}


def message_json(figures: MessageFigures) -> dict[str, Any]:
    return {
        "name": figures.title,
        "s1ap": figures.s1ap,
        "function": figures.function,
        "count": figures.times.count,
        **figures_json(figures.times),
        "mme_p50_ms": None if figures.mme is None else round(figures.mme.p50_ms, 3),
        "store_reads": figures.store.reads,
        "store_writes": figures.store.writes,
        "store_conditional_writes": figures.store.conditional_writes,
        "results": figures.results,
        "resent": figures.resent,
    }


def _outcome_json(outcome: UeOutcome) -> dict[str, Any]:
    whole: dict[str, Any] = plain(outcome)
    if not whole["ladder"]:
        del whole["ladder"]
    return whole


def plain(value: Any) -> Any:
    """Values of ours as JSON has them; milliseconds to the microsecond."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return value.name
    if isinstance(value, float):
        return round(value, 3)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value) if item.repr}
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value
