"""Resident memory of each replica after many attaches against after few."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench import replicas
from bench.bench import Bench
from bench.section import Figures, Measured, Target
from enb_app.options import Mode
from enb_app.outbox import Policy

WORKERS = 4
CONCURRENCY = 50
STEP = 500
POLICY = replace(Policy(), batch=50, calls=1)


def measure(bench: Bench) -> Measured:
    """Run it; asynchronous and batched, because only the number of attaches counts here."""
    few, many, limit_mib = (500, 1500, 4.0) if bench.quick else (1000, 10_000, 8.0)
    points: list[dict[str, Any]] = []
    failed = 0
    with bench.ground(many) as ground, ground.site.serve(port=0, workers=WORKERS) as gateway:
        before = replicas.pids(gateway)
        for done in range(STEP, many + 1, STEP):
            result = ground.attach(gateway, ues=STEP, concurrency=CONCURRENCY, mode=Mode.ASYNC, policy=POLICY).result
            failed += result.failed
            points.append({"attaches": done, "kib": replicas.resident(gateway)})
            bench.say(f"{done} of {many} attaches, {result.rate_per_s:.1f}/s, {failed} failed")
        restarted = replicas.pids(gateway) != before
    at = {point["attaches"]: point["kib"] for point in points}
    names = sorted(name for name in at[few] if name.startswith("mme-"))
    growth = {name: round((at[many][name] - at[few][name]) / 1024, 2) for name in names}
    worst = None if restarted else max(growth.values())
    figures: Figures = {
        "few": few,
        "many": many,
        "failed": failed,
        "restarted": restarted,
        "growth_mib": growth,
        "points": points,
    }
    target = Target(f"most that a replica grew from {few} to {many} attaches", worst, limit_mib, " MiB")
    return Measured(figures, (target,))


def markdown(figures: Figures) -> list[str]:
    """Lines of the summary."""
    few, many = figures["few"], figures["many"]
    at = {point["attaches"]: point["kib"] for point in figures["points"]}
    about = (
        f"VmRSS of each function's one replica; {many} attaches of as many subscribers, asynchronous, batched; "
        f"{figures['failed']} failed."
    )
    lines = [
        about,
        "",
        f"| function | after {few}, MiB | after {many}, MiB | growth, MiB |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, growth in figures["growth_mib"].items():
        lines.append(f"| {name} | {at[few][name] / 1024:.1f} | {at[many][name] / 1024:.1f} | {growth:+.2f} |")
    return lines
