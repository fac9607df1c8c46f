"""400 UEs begin at once, asynchronously: batched, and one message per invocation."""

from __future__ import annotations

from dataclasses import replace

from bench.bench import Bench
from bench.section import Figures, Measured, Target
from enb_app.options import Mode
from enb_app.outbox import Policy

UES = 400
WORKERS = 4
BATCH = 25
CALLS = 2
REPLICAS = {"mme-uplink-nas": 2}
T3410_MS = 15_000
_HEAD = (
    "| | messages per call, at most | calls under way per function | attached | failed | within T3410 (15 s) "
    "| refused #22 first | p50 ms | p99 | max | attaches/s | invocations | resends |"
)


def measure(bench: Bench) -> Measured:
    """Run it."""
    ues = bench.pick(UES, 60)
    runs = []
    with bench.ground(2 * ues + 4) as ground:
        for name, policy, replicas in (
            ("batched", replace(Policy(), batch=BATCH, calls=CALLS), REPLICAS),
            ("one message per call", Policy(), REPLICAS),
        ):
            with ground.site.serve(port=0, workers=WORKERS, replicas=replicas) as gateway:
                ground.attach(gateway, ues=2, concurrency=1)
                run = ground.attach(gateway, ues=ues, concurrency=ues, mode=Mode.ASYNC, policy=policy)
            figures = run.figures()
            within = sum(ms <= T3410_MS for ms in figures["samples_ms"])
            runs.append({"name": name, "batch": policy.batch, "calls": policy.calls, "within_t3410": within, **figures})
            bench.say(f"{name}: {figures['attached']} of {ues} attached, longest {figures['max_ms']} ms")
    batched = runs[0]
    targets = (
        Target(f"{ues} in flight, batched: failed", batched["failed"], 0, ""),
        Target(f"{ues} in flight, batched: longest attach", batched["max_ms"], T3410_MS, " ms"),
    )
    return Measured({"ues": ues, "workers": WORKERS, "replicas": REPLICAS, "runs": runs}, targets)


def markdown(figures: Figures) -> list[str]:
    """Lines of the summary."""
    replicas = ", ".join(f"{count} of {name}" for name, count in figures["replicas"].items())
    about = (
        f"{figures['ues']} UEs begin at once, asynchronous; {figures['workers']} queue workers, replicas: {replicas}, "
        "one of each other function."
    )
    lines = [
        about,
        "",
        _HEAD,
        "| --- |" + " ---: |" * 12,
    ]
    for run in figures["runs"]:
        calls = run["calls"] if run["batch"] > 1 else "any"
        lines.append(
            f"| {run['name']} | {run['batch']} | {calls} | {run['attached']} | {run['failed']} | {run['within_t3410']} "
            f"| {run.get('refused_before', '-')} "  # results of before it was counted have none
            f"| {run['p50_ms']} | {run['p99_ms']} | {run['max_ms']} | {run['rate_per_s']} "
            f"| {run['invocations']} | {run['resends']} |"
        )
    return lines
