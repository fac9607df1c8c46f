"""Attaches a second with one replica and with four, where a replica mostly waits for the HSS and the gateway."""

from __future__ import annotations

from typing import Any

from bench.bench import Bench
from bench.section import Figures, Measured, Target
from bench.stub import in_line, kept_port, stub

DELAY_MS = 40
REPLICAS = (1, 4)
TIMES = 2.5
CONCURRENCY = 24
WORKERS = 20
WAITING = ("mme-initial-ue", "mme-uplink-nas", "mme-ue-context")
ROUNDS = 2


def measure(bench: Bench) -> Measured:
    """The two take turns."""
    ues = bench.pick(120, 48)
    rounds = bench.pick(ROUNDS, 1)
    runs: list[dict[str, Any]] = []
    with bench.ground(len(REPLICAS) * rounds * (ues + CONCURRENCY) + 4) as ground:
        for _ in range(rounds):
            for count in REPLICAS:
                replicas = dict.fromkeys(WAITING, count)
                with (
                    kept_port() as port,
                    kept_port() as stub_port,
                    ground.site.serve(
                        port=port,
                        metrics_port=0,
                        workers=WORKERS,
                        replicas=replicas,
                        settings=in_line(port, stub_port),
                    ) as gateway,
                    stub(ground.site, stub_port, ("--delay-ms", str(DELAY_MS))),
                ):
                    ground.attach(gateway, ues=CONCURRENCY, concurrency=CONCURRENCY)
                    run = ground.attach(gateway, ues=ues, concurrency=CONCURRENCY).figures()
                runs.append({"replicas": count, **run})
                bench.say(f"{count} replicas: {run['rate_per_s']} attaches/s, {run['failed']} failed")
    rate = {count: _pooled(runs, count) for count in REPLICAS}
    one, four = (rate[count] for count in REPLICAS)
    figures: Figures = {
        "ues": ues,
        "delay_ms": DELAY_MS,
        "workers": WORKERS,
        "concurrency": CONCURRENCY,
        "functions": list(WAITING),
        "rate_per_s": rate,
        "times": round(four / one, 3) if one else None,
        "runs": runs,
    }
    share = round(one / four, 3) if four else None
    return Measured(
        figures,
        (
            Target("40 ms of HSS in line: attaches/s of 1 replica, of those of 4", share, 1 / TIMES, " x"),
            Target("40 ms of HSS in line: attaches that failed", sum(run["failed"] for run in runs), 0, ""),
        ),
    )


def _pooled(runs: list[dict[str, Any]], count: int) -> float:
    """Attaches by their time, over all rounds."""
    chosen = [run for run in runs if run["replicas"] == count]
    seconds: float = sum(run["duration_s"] for run in chosen)
    attached: int = sum(run["attached"] for run in chosen)
    return round(attached / seconds, 2)


def markdown(figures: Figures) -> list[str]:
    """Lines of the summary."""
    about = (
        f"`spgw-hss-stub` answers {figures['delay_ms']} ms late, and the function waits for it in line. A replica "
        f"handles one call at a time (`WAITRESS_THREADS=1`); 1 or 4 replicas of {', '.join(figures['functions'])}; "
        f"{figures['workers']} queue workers, asynchronous, {figures['concurrency']} UEs at a time."
    )
    lines = [about, "", "| replicas | attached | failed | attaches/s | p50 ms | p99 |", "|" + " ---: |" * 6]
    for run in figures["runs"]:
        cells = (run[name] for name in ("replicas", "attached", "failed", "rate_per_s", "p50_ms", "p99_ms"))
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return [*lines, "", f"4 replicas: {figures['times']} x the attaches a second of 1."]
