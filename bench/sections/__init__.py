"""The sections, in the order in which they run."""

from __future__ import annotations

from bench.section import Section
from bench.sections import attach, growth, in_flight, memory, operations, overload, scaling, slow_hss, table, waiting

SECTIONS: dict[str, Section] = {
    section.name: section
    for section in (
        Section("attach", "One UE at a time against a null function", attach.measure, attach.markdown),
        Section("table", "Attach time by concurrency", table.measure, table.markdown),
        Section("in-flight", "400 UEs in flight", in_flight.measure, in_flight.markdown),
        Section("slow-hss", "A slow HSS and gateway", slow_hss.measure, slow_hss.markdown),
        Section("overload", "Three times as much as the functions can take", overload.measure, overload.markdown),
        Section("memory", "Memory of a replica", memory.measure, memory.markdown),
        # Last: they need Prometheus and Alertmanager.
        Section("scaling", "From one replica to twenty and back", scaling.measure, scaling.markdown),
        Section("scaling-batched", "Scaling where callers batch", scaling.measure_batched, scaling.markdown),
        Section("scaling-waits", "Scaling by how long calls wait", scaling.measure_waiting, scaling.markdown),
        Section("waiting", "One replica and four, waiting for the HSS", waiting.measure, waiting.markdown),
    )
}

CASSANDRA_SECTIONS: dict[str, Section] = {
    section.name: section
    for section in (
        Section("operations", "Store operations", operations.measure, operations.markdown),
        SECTIONS["attach"],
        Section("growth", "Attach time over resident contexts", growth.measure, growth.markdown),
    )
}
"""With `--store cassandra`."""
