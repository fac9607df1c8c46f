"""An HSS and gateway that take a second: for half of the UEs, for all, with late answers and waiting in line.

Open loop, so that the UEs that wait do not lighten the load of the others.
"""

from __future__ import annotations

import statistics
from typing import Any

from bench.bench import Bench, Ground
from bench.section import Figures, Measured, Target
from bench.stub import kept_port, settings, stub
from enb_app import subscribers
from enb_app.options import Mode
from localfaas.process import Running
from spgw_hss_stub.behaviour import in_share

RATE_PER_S = 4.0
WORKERS = 4
RATIO = 1.2
DELAY_MS = 1000
WAIT_MS = {"mme-answer": 50, "in line": 1500}
"""How long a function waits itself: the rule, and long enough for every answer."""
_HALF = ("--delay-ms", str(DELAY_MS), "--delay-share", "0.5")
_ALL = ("--delay-ms", str(DELAY_MS))
_RUNS: tuple[tuple[str, str, Mode, tuple[str, ...]], ...] = (
    # The two that are compared take turns, so that a change of the machine's load meets both.
    *(("mme-answer", "no delay", Mode.ASYNC, ()), ("mme-answer", "half of the UEs", Mode.ASYNC, _HALF)) * 4,
    ("mme-answer", "all", Mode.ASYNC, _ALL),
    ("mme-answer", "all", Mode.SYNC, _ALL),
    ("in line", "half of the UEs", Mode.ASYNC, _HALF),
    ("in line", "all", Mode.ASYNC, _ALL),
    ("in line", "all", Mode.SYNC, _ALL),
)


def measure(bench: Bench) -> Measured:
    """Run it."""
    ues = bench.pick(40, 12)
    runs: list[dict[str, Any]] = []
    with bench.ground(len(_RUNS) * ues + 4) as ground:
        for waiting, wait_ms in WAIT_MS.items():
            with kept_port() as port, kept_port() as stub_port:
                told = settings(port, stub_port, port_wait_ms=str(wait_ms))
                with ground.site.serve(port=port, metrics_port=0, workers=WORKERS, settings=told) as gateway:
                    with stub(ground.site, stub_port):
                        ground.attach(gateway, ues=2, concurrency=1)
                    for _, delayed, mode, arguments in (run for run in _RUNS if run[0] == waiting):
                        with stub(ground.site, stub_port, arguments):
                            run = _run(ground, gateway, ues, mode)
                        runs.append({"waiting": waiting, "delayed": delayed, "mode": mode.value, **run})
                        bench.say(f"{waiting}, delay for {delayed}, {mode.value}: p50 {run['p50_ms']} ms")
    base = _pooled(runs, "mme-answer", "no delay")
    half = _pooled(runs, "mme-answer", "half of the UEs")
    in_line = _pooled(runs, "in line", "half of the UEs")
    ratio = round(half / base, 3) if base and half else None
    figures: Figures = {
        "ues": ues,
        "rate_per_s": RATE_PER_S,
        "workers": WORKERS,
        "delay_ms": DELAY_MS,
        "wait_ms": WAIT_MS,
        "base_p50_ms": base,
        "undelayed_p50_ms": half,
        "ratio": ratio,
        "ratio_in_line": round(in_line / base, 3) if base and in_line else None,
        "runs": runs,
    }
    target = Target("p50 of the UEs without delay, half of all delayed by 1 s, of a run without", ratio, RATIO, " x")
    return Measured(figures, (target,))


def _run(ground: Ground, gateway: Running, ues: int, mode: Mode) -> dict[str, Any]:
    first = ground.used
    run = ground.attach(gateway, ues=ues, mode=mode, rate_per_s=RATE_PER_S)
    imsis = [subscriber.imsi.digits for subscriber in subscribers.load(ground.site.subscribers, first + ues)[first:]]
    undelayed = [
        outcome.attach_ms
        for outcome in run.result.outcomes
        if outcome.attach_ms is not None and not in_share("delay", imsis[outcome.number - 1], 0.5)
    ]
    p50 = round(statistics.median(undelayed), 2) if undelayed else None
    samples = [round(ms, 2) for ms in undelayed]
    return {**run.figures(), "undelayed": len(undelayed), "undelayed_p50_ms": p50, "undelayed_samples_ms": samples}


def _pooled(runs: list[dict[str, Any]], waiting: str, delayed: str) -> float | None:
    """p50 of the half that is never delayed, over all such runs: the same half where nobody is delayed."""
    chosen = [run for run in runs if (run["waiting"], run["delayed"]) == (waiting, delayed)]
    samples = [ms for run in chosen for ms in run["undelayed_samples_ms"]]
    return round(statistics.median(samples), 2) if samples else None


def markdown(figures: Figures) -> list[str]:
    """Lines of the summary."""
    about = (
        f"`spgw-hss-stub` as HSS and gateway, {figures['delay_ms']} ms late; open loop, {figures['rate_per_s']:g} "
        f"attaches begun per second, {figures['ues']} UEs, {figures['workers']} queue workers.  mme-answer: a function "
        f"waits {figures['wait_ms']['mme-answer']} ms itself, later answers come as an invocation of mme-answer.  "
        f"In line: it waits {figures['wait_ms']['in line']} ms.  An attach asks four times, and waits for three of the "
        "answers."
    )
    lines = [
        about,
        "",
        "| waiting | delayed | mode | attached | failed | p50 ms | p99 | max | p50 of the half without delay |",
        "| --- | --- | --- |" + " ---: |" * 6,
    ]
    for run in figures["runs"]:
        lines.append(
            f"| {run['waiting']} | {run['delayed']} | {run['mode']} | {run['attached']} | {run['failed']} "
            f"| {run['p50_ms']} | {run['p99_ms']} | {run['max_ms']} | {run['undelayed_p50_ms']} |"
        )
    ratio, in_line = figures["ratio"], figures["ratio_in_line"]
    return [*lines, "", f"UEs without delay beside delayed ones: {ratio} x by mme-answer, {in_line} x in line."]
