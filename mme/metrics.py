"""The functions' own metrics (docs/metrics.md), on /metrics of every replica.  No label holds an identity of a UE.

What is known of labels begins at 0 (trust.counters).
"""

from __future__ import annotations

import math

from prometheus_client import Counter, Gauge, Histogram

from mme.enums import EcmState, EmmState, ItemResult
from trust.counters import begin_at_0
from trust.errors import REFUSALS

MESSAGES = Counter("mme_messages", "Items worked off, by message and result.", ["message", "result"])
PROCEDURES = Counter("mme_procedures", "Procedures of UEs that have ended, by result.", ["procedure", "result"])
PROCEDURE_SECONDS = Histogram(
    "mme_procedure_seconds",
    "From a procedure's first item to its last, of those that were completed.",
    ["procedure"],
    buckets=(0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 20.0, 60.0),
)
REJECTS = Counter("mme_nas_rejects", "NAS messages that refuse a UE something, by EMM cause.", ["message", "cause"])
STATES_ENTERED = Counter("mme_ue_states_entered", "UE contexts that have entered the state.", ["state"])
STATES_LEFT = Counter("mme_ue_states_left", "UE contexts that have left the state.", ["state"])
for _moved in (STATES_ENTERED, STATES_LEFT):
    # Also so that the difference of the two has a value as soon as one of them has.
    begin_at_0(_moved, (state.value for state in (*EmmState, *EcmState) if state is not EmmState.DEREGISTERED))
DISCARDED = Counter("mme_nas_discarded", "Uplink NAS messages dropped in silence (TS 24.301 4.4.4.3).", ["reason"])
CONDITIONAL_WRITES = Counter("mme_cas", "Conditional writes of UE contexts, by result.", ["result"])
begin_at_0(CONDITIONAL_WRITES, ("saved", "conflict", "unknown"))
PUSHES = Counter("mme_pushes", "Downlinks pushed to an eNB's downlink URL, by result.", ["result"])
begin_at_0(PUSHES, ("taken", "failed", "no-url"))
STORE_SECONDS = Histogram(
    "mme_store_seconds",
    "Time of one store operation.",
    ["operation"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)
TIMERS = Counter("mme_timers", "Timers that the ticker has dealt with, by what became of each try.", ["result"])
_RESULTS = [each.value for each in ItemResult]
begin_at_0(TIMERS, [*_RESULTS, "stale row", "open row", "no answer", "overdue", "dead"])
TIMERS_WAITING = Gauge("mme_timers_waiting", "Timers that are due and not done with, of this ticker's shards.")
TIMER_LATE_SECONDS = Histogram(
    "mme_timer_late_seconds",
    "From when a timer was due to when its reply was there.",
    buckets=(0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 120.0),
)
QUEUE_SECONDS = Histogram(
    "mme_queue_seconds",
    "From when a request was signed to when the function began with it.",
    ["function"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0),
)
QUEUE_WAIT = Gauge("mme_queue_wait_seconds", "Mean wait that the last overload decision was made on.")
OVERLOAD_REDUCTION = Gauge("mme_overload_reduction", "Share of new signalling that eNBs were told to reject.")
SHED = Counter("mme_attaches_shed", "New attaches refused with EMM cause 22.")
LEASES = Gauge("mme_leases", "Leases that this ticker holds.")
LAST_BACKUP = Gauge(
    "mme_last_backup_timestamp_seconds", "When the store's last whole backup was begun; 0: never, NaN: not looked up."
)
LAST_BACKUP.set(math.nan)
REFUSED_REQUESTS = Counter("mme_requests_refused", "Requests refused whole, by HTTP status.", ["status"])
begin_at_0(REFUSED_REQUESTS, REFUSALS)
REFUSED_ITEMS = Counter("mme_items_refused", "Items that their caller's key may not have worked off.")
ITEM_SECONDS = Histogram(
    "mme_item_seconds",
    "Time to work off one item.",
    ["message"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
_seen: set[str] = set()


def worked(message: str, result: str) -> None:
    """Count an item.  With a message's first one its other results begin at 0: there are too many messages for all."""
    if message not in _seen:
        begin_at_0(MESSAGES, [message], _RESULTS)
        _seen.add(message)
    MESSAGES.labels(message, result).inc()
