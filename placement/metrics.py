"""The placement function's metrics, on /metrics of every replica.  No label holds a release or a caller."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

OPERATIONS = Counter("placement_operations", "Operations ended, by action and outcome.", ["action", "outcome"])
STEP_SECONDS = Histogram(
    "placement_step_seconds",
    "Time of one step, by phase.",
    ["phase"],
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 7.5),
)
CALLBACKS = Counter("placement_callbacks", "Final answers to callback URLs, by result.", ["result"])
REFUSED_REQUESTS = Counter("placement_requests_refused", "Requests refused whole, by HTTP status.", ["status"])
