"""The classic table: attach time by concurrency, synchronous and asynchronous, one message per invocation."""

from __future__ import annotations

from bench.bench import Bench
from bench.section import Figures, Measured
from enb_app.options import Mode

LEVELS = (1, 10, 50, 100, 150, 200, 400)
QUICK_LEVELS = (1, 10, 50)
LEAST_UES = 200
WORKERS = 4
NEVER_SHED = {"overload_shed_ms": str(3_600_000)}
"""What waits is to be seen: with the usual setting new attaches of the largest levels are refused, and come again."""

_HEAD = (
    "| mode | at a time | attached | failed | min ms | mean | p50 | p99 | max | attaches/s "
    "| outside, ms per call | share of its time |"
)


def measure(bench: Bench) -> Measured:
    """Run it."""
    levels = QUICK_LEVELS if bench.quick else LEVELS
    ues = {level: max(level, bench.pick(LEAST_UES, 20)) for level in levels}
    rows = []
    with bench.ground(2 * sum(ues.values()) + 4) as ground:
        for mode in (Mode.SYNC, Mode.ASYNC):
            with ground.site.serve(port=0, workers=WORKERS, settings=NEVER_SHED) as gateway:
                ground.attach(gateway, ues=2, concurrency=1, mode=mode)
                for level in levels:
                    figures = ground.attach(gateway, ues=ues[level], concurrency=level, mode=mode).figures()
                    rows.append({"mode": mode.value, "concurrency": level, **figures})
                    bench.say(
                        f"{mode.value}, {level} at a time: p50 {figures['p50_ms']} ms, {figures['failed']} failed"
                    )
    return Measured({"workers": WORKERS, "replicas": 1, "batch": 1, "rows": rows}, ())


def markdown(figures: Figures) -> list[str]:
    """Lines of the summary."""
    about = (
        f"Closed loop, {figures['workers']} queue workers, one replica of each function, one message per invocation; "
        "one subscriber per attach.  Outside: what a message takes beside the function's own work, that is gateway, "
        "queue, template, signatures, and waiting for a worker or a core.  No attach is refused for overload here."
    )
    lines = [
        about,
        "",
        _HEAD,
        "| --- |" + " ---: |" * 11,
    ]
    for row in figures["rows"]:
        times = " | ".join(_ms(row[name]) for name in ("min_ms", "mean_ms", "p50_ms", "p99_ms", "max_ms"))
        share = "" if row["outside_share"] is None else f"{row['outside_share']:.0%}"
        lines.append(
            f"| {row['mode']} | {row['concurrency']} | {row['attached']} | {row['failed']} | {times} "
            f"| {row['rate_per_s']} | {row['outside_ms_per_message']} | {share} |"
        )
    return lines


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}" if value < 100 else f"{value:.0f}"
