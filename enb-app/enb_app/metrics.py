"""What a caller of asynchronous functions knows and no gateway tells: the calls that have not come back yet."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

CALLS = Counter("enb_app_calls", "Calls sent to the gateway, resends among them.", ["function"])
UNANSWERED = Gauge("enb_app_unanswered_calls", "Calls sent and neither answered nor given up.", ["function"])
