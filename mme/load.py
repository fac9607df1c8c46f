"""Waits in the queue and what was decided on them, shared through the store: one row for each function, one decision.

A process adds up the waits of its items, and writes them down at most twice a second; on the same occasion it reads
the decision.  So no message costs a store operation.  What is lost to a conflict is not written again: it is a sample.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from mme import metrics, routing
from mme.admission import Admission
from mme.errors import StoreError
from mme.overload import FRESH_MS, STEP_MS, Decision, Limits, Sample
from mme.rows import pack
from mme.store.base import Store, Table

FUNCTIONS = (
    routing.ENB,
    routing.INITIAL_UE,
    routing.UPLINK_NAS,
    routing.UE_CONTEXT,
    routing.HANDOVER,
)
"""Those that eNBs call: their items come through the queue."""
DECISION = "decision"

_samples = msgspec.msgpack.Decoder(dict[str, Sample]).decode
_decision = msgspec.msgpack.Decoder(Decision).decode


def read_samples(store: Store) -> list[Sample]:
    """Of every process of the functions that eNBs call.  Raises StoreUnavailableError."""
    rows = [store.load(Table.LOAD, function) for function in FUNCTIONS]
    return [sample for row in rows if row is not None for sample in _samples(row.value).values()]


def read_decision(store: Store) -> tuple[Decision, int | None]:
    """(the last one, its row's version or None).  Raises StoreUnavailableError."""
    row = store.load(Table.LOAD, DECISION)
    return (Decision(), None) if row is None else (_decision(row.value), row.version)


def write_decision(store: Store, decision: Decision, version: int | None) -> None:
    """Unless somebody else has, under a later lease or this one: then it is this one's that is lost."""
    store.save(Table.LOAD, DECISION, pack(decision), expect=version, writer=f"{decision.fence}#{secrets.token_hex(6)}")


@dataclass(slots=True)
class LoadMeter:
    """Of one process of one function.  clock: Unix seconds."""

    store: Store
    function: str
    limits: Limits = field(default_factory=Limits)
    clock: Callable[[], float] = time.time
    _process: str = field(default_factory=lambda: secrets.token_hex(4))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _items: int = 0
    _waited_ms: float = 0.0
    _next_ms: int = 0
    _decision: Decision = field(default_factory=Decision)
    _admission: Admission = field(init=False)

    def __post_init__(self) -> None:
        self._admission = Admission(self.limits.shed_ms)

    def began(self, items: int, waited_ms: float) -> None:
        """So many items of a request begin now, which were sent that long ago."""
        metrics.QUEUE_SECONDS.labels(self.function).observe(waited_ms / 1000)
        now_ms = int(self.clock() * 1000)
        with self._lock:
            self._items += items
            self._waited_ms += items * waited_ms
            self._admission.saw(waited_ms, now_ms)
            if now_ms < self._next_ms:
                return
            sample = Sample(now_ms, self._items, int(self._waited_ms))
            self._items, self._waited_ms, self._next_ms = 0, 0.0, now_ms + STEP_MS
        with contextlib.suppress(StoreError):
            self._exchange(sample, now_ms)

    def refuses(self, item_id: str, waited_ms: float) -> bool:
        """Whether that item is to be refused if it is a new attach; copies that waited alike are treated alike."""
        draw = zlib.crc32(item_id.encode()) % 100
        with self._lock:
            return self._admission.refuses(draw, waited_ms, int(self.clock() * 1000))

    def told(self) -> tuple[int, int]:
        """(what eNBs are told to reject at present, in per cent, 0 = there is no overload; number of that decision)."""
        decision = self._decision
        return decision.told_now(int(self.clock() * 1000)), decision.told

    def _exchange(self, sample: Sample, now_ms: int) -> None:
        self._decision, _ = read_decision(self.store)
        row = self.store.load(Table.LOAD, self.function)
        samples = _samples(row.value) if row is not None else {}
        kept = {name: old for name, old in samples.items() if old.at_ms > now_ms - FRESH_MS}
        self.store.save(
            Table.LOAD,
            self.function,
            pack(kept | {self._process: sample}),
            expect=row.version if row is not None else None,
            writer=f"{self._process}#{now_ms}",
        )
