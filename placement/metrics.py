"""Metrics of the placement function and of its ticker, on /metrics of each.  No label holds a release or a caller."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from trust.counters import begin_at_0
from trust.errors import REFUSALS

NO_CLUSTER = "none"

OPERATIONS = Counter(
    "placement_operations", "Operations ended, by action, cluster and outcome.", ["action", "cluster", "outcome"]
)
OPERATION_SECONDS = Histogram(
    "placement_operation_seconds",
    "From the call to the end of an operation, by action and cluster.",
    ["action", "cluster"],
    buckets=(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0),
)
COMPARISONS = Counter(
    "placement_comparisons",
    "Releases compared with their cluster, by cluster and what was found.",
    ["cluster", "found"],
)
STEP_SECONDS = Histogram(
    "placement_step_seconds",
    "Time of one step, by phase.",
    ["phase"],
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 7.5),
)
HELM_REST_SECONDS = Histogram(
    "placement_helm_rest_seconds",
    "Rests after runs of helm that waited for a processor.",
    buckets=(0.1, 0.3, 1.0, 2.0, 4.0, 8.0),
)
CALLBACKS = Counter("placement_callbacks", "Final answers to callback URLs, by result.", ["result"])
REFUSED_REQUESTS = Counter("placement_requests_refused", "Requests refused whole, by HTTP status.", ["status"])
# Clusters are known to the queries only.
begin_at_0(CALLBACKS, ("taken", "given up"))
begin_at_0(REFUSED_REQUESTS, REFUSALS)
LAST_TICK = Gauge("placement_ticker_last_tick_timestamp_seconds", "When a ticker last read all that is due.")


def ended(action: str, cluster: str, outcome: str, took_s: float) -> None:
    """Count an operation.  cluster: "" where none was chosen; outcome: its status, or its error's code."""
    where = cluster or NO_CLUSTER
    OPERATIONS.labels(action, where, outcome).inc()
    OPERATION_SECONDS.labels(action, where).observe(took_s)


def compared(cluster: str, *, drift: bool) -> None:
    """Count a look at a release on its cluster."""
    COMPARISONS.labels(cluster, "drift" if drift else "as placed").inc()
