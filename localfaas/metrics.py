"""The gateway's own metrics, in Prometheus' text format.

Written by hand because gateway_function_invocation_started is a counter without _total, which the client library's
counters cannot be.   Source: contract section 6.
"""

import os
import resource
import time
from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Histogram:
    __slots__ = ("count", "in_bucket", "sum_s")

    def __init__(self) -> None:
        self.in_bucket = [0] * (len(BUCKETS_S) + 1)
        self.sum_s = 0.0
        self.count = 0

    def observe(self, value_s: float) -> None:
        self.in_bucket[bisect_left(BUCKETS_S, value_s)] += 1
        self.sum_s += value_s
        self.count += 1


def _labels(**labels: str) -> str:
    escaped = (
        (name, value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")) for name, value in labels.items()
    )
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped) + "}"


class Metrics:
    """Counts of function calls by function_name ("<name>.<namespace>") and code."""

    def __init__(self) -> None:
        self._started: dict[str, int] = {}
        self._seconds: dict[tuple[str, str], _Histogram] = {}
        self._born = time.time()

    def started(self, function_name: str) -> None:
        """Count a call that is sent on to the provider."""
        self._started[function_name] = self._started.get(function_name, 0) + 1

    def completed(self, function_name: str, code: int, took_s: float) -> None:
        """Count its end; code is what the caller got."""
        self._seconds.setdefault((function_name, str(code)), _Histogram()).observe(took_s)

    def invocations(self, function_name: str) -> int:
        """Sum the completed calls over all codes."""
        return sum(histogram.count for (name, _), histogram in self._seconds.items() if name == function_name)

    def render(self, desired: Mapping[str, int]) -> bytes:
        """Write everything. desired: replicas wanted, by function_name."""
        lines: list[str] = []

        def family(name: str, kind: str, text: str) -> None:
            lines.extend((f"# HELP {name} {text}", f"# TYPE {name} {kind}"))

        family("gateway_function_invocation_total", "counter", "Function metrics")
        for (name, code), histogram in sorted(self._seconds.items()):
            lines.append(f"gateway_function_invocation_total{_labels(code=code, function_name=name)} {histogram.count}")
        family("gateway_function_invocation_started", "counter", "The total number of function HTTP requests started.")
        lines.extend(
            f"gateway_function_invocation_started{_labels(function_name=name)} {count}"
            for name, count in sorted(self._started.items())
        )
        family("gateway_functions_seconds", "histogram", "Function time taken")
        for (name, code), histogram in sorted(self._seconds.items()):
            below = 0
            for bound, count in zip((*BUCKETS_S, "+Inf"), histogram.in_bucket, strict=True):
                below += count
                le = bound if isinstance(bound, str) else f"{bound:g}"
                labels = _labels(code=code, function_name=name, le=le)
                lines.append(f"gateway_functions_seconds_bucket{labels} {below}")
            labels = _labels(code=code, function_name=name)
            lines.append(f"gateway_functions_seconds_sum{labels} {histogram.sum_s!r}")
            lines.append(f"gateway_functions_seconds_count{labels} {histogram.count}")
        family("gateway_service_count", "gauge", "Current count of replicas for function")
        lines.extend(
            f"gateway_service_count{_labels(function_name=name)} {count}" for name, count in sorted(desired.items())
        )
        self._process(lines)
        return ("\n".join(lines) + "\n").encode()

    def _process(self, lines: list[str]) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        values = {
            "process_cpu_seconds_total": (
                "counter",
                "Total user and system CPU time spent in seconds.",
                used.ru_utime + used.ru_stime,
            ),
            "process_start_time_seconds": (
                "gauge",
                "Start time of the process since unix epoch in seconds.",
                self._born,
            ),
        }
        statm = Path("/proc/self/statm")
        if statm.exists():
            resident = int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            values["process_resident_memory_bytes"] = ("gauge", "Resident memory size in bytes.", float(resident))
        for name, (kind, text, value) in values.items():
            lines.extend((f"# HELP {name} {text}", f"# TYPE {name} {kind}", f"{name} {value!r}"))
