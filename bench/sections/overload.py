"""Three times as many attaches offered as the functions can take: what comes of them, with eNBs that do as told or not.

Capacity first, then three times that, then half of it: new arrivals show when it is over.  A UE that is refused comes
once; one whose RRC connection is rejected asks again until the overload ends, so that only new ones come after it.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from bench.bench import Bench, Ground
from bench.section import Figures, Measured, Target
from enb_app.attach import attach
from enb_app.effects import Verdict
from enb_app.options import AttachOptions
from enb_app.result import Result
from localfaas.process import Running
from mme.enums import EmmCause

WORKERS = 1
TIMES = 3.0
CONCURRENCY = 12
WARM_S = 10.0
SLOWER = 3.0
"""An arrival after the overload counts as served when its attach takes less than so many times the usual."""
_HEAD = (
    "| eNBs | offered/s | goodput/s | of the peak | attached | refused #22 | failed | RRC rejected "
    "| p50 ms | max ms | recovery s |"
)
LEAST = {"honouring": 0.80, "ignoring": 0.55}


def measure(bench: Bench) -> Measured:
    """Run it."""
    seconds, calm_s, first = float(bench.pick(50, 15)), float(bench.pick(25, 15)), bench.pick(200, 40)
    room = int(2 * 60 * (TIMES * seconds + calm_s)) + first + 10
    with bench.ground(room) as ground:
        with ground.site.serve(port=0, workers=WORKERS, ticker=False) as gateway:
            ground.attach(gateway, ues=4, concurrency=2)
            capacity = peak(ground.attach(gateway, ues=first, concurrency=CONCURRENCY).result)
            usual = ground.attach(gateway, ues=10, concurrency=1).result.times
        usual_ms = usual.p50_ms if usual is not None else 0.0
        bench.say(f"capacity {capacity:.1f} attaches/s, one alone takes {usual_ms:.0f} ms")
        runs = []
        for name in LEAST:
            with ground.site.serve(port=0, workers=WORKERS) as gateway:
                ground.attach(gateway, ues=4, concurrency=2)
                over, calm = offered(ground, gateway, capacity, seconds, calm_s, ignore=name == "ignoring")
            runs.append({"name": name, **figures_of(over, calm, capacity, seconds, usual_ms)})
            bench.say(f"{name}: goodput {runs[-1]['goodput']:.2f} of the peak, {runs[-1]['refused']} refused")
    shortfalls = [
        Target(f"eNBs {run['name']}: shortfall from the peak", 1 - run["goodput"], 1 - LEAST[run["name"]], "")
        for run in runs
    ]
    failed = [Target(f"eNBs {run['name']}: accepted attaches that failed", run["failed"], 0, "") for run in runs]
    back = Target("eNBs ignoring: until new arrivals are served again", runs[-1]["recovery_s"], calm_s, " s")
    figures = {"workers": WORKERS, "times": TIMES, "seconds": seconds, "capacity_per_s": round(capacity, 2)}
    return Measured({**figures, "usual_ms": round(usual_ms, 1), "runs": runs}, (*shortfalls, *failed, back))


def peak(result: Result) -> float:
    """Attaches a second of a closed loop, without its first and last tenth."""
    ends = sorted(o.started_ms + o.attach_ms for o in result.outcomes if o.attach_ms is not None)
    first, last = len(ends) // 10, len(ends) - 1 - len(ends) // 10
    return (last - first) / (ends[last] - ends[first]) * 1000


def offered(
    ground: Ground, gateway: Running, capacity: float, seconds: float, calm_s: float, *, ignore: bool
) -> tuple[Result, Result]:
    """(the run at TIMES the capacity, the one at half of it that begins as the first stops offering)."""
    rate = TIMES * capacity
    over = AttachOptions(
        gateway=gateway.url,
        secrets=ground.site.secrets,
        subscribers=ground.site.subscribers,
        first_ue=ground.used,
        ues=int(rate * seconds),
        rate_per_s=rate,
        ignore_overload=ignore,
        attempts=1,
        ask_for_s=seconds,
        ladder_ues=0,
        seed=1,
    )
    ground.used += over.ues
    calm = replace(
        over,
        ask_for_s=None,
        first_ue=ground.used,
        ues=int(capacity / 2 * calm_s),
        rate_per_s=capacity / 2,
        enb=replace(over.enb, enb_id=over.enb.enb_id + 1),
        seed=2,
    )
    ground.used += calm.ues

    async def later() -> Result:
        await asyncio.sleep(seconds)
        return await attach(calm)

    async def both() -> tuple[Result, Result]:
        return await asyncio.gather(attach(over), later())

    return asyncio.run(both())


def figures_of(over: Result, calm: Result, capacity: float, seconds: float, usual_ms: float) -> dict[str, Any]:
    """The row of the table.  recovery_s: from the end of the overload, None = not while it was watched."""
    ends_ms = [o.started_ms + o.attach_ms for o in over.outcomes if o.attach_ms is not None]
    warm_s = min(WARM_S, seconds / 3)
    good = sum(warm_s * 1000 <= end <= seconds * 1000 for end in ends_ms) / (seconds - warm_s)
    refused = [o for o in over.outcomes if o.emm_cause == EmmCause.CONGESTION.value]
    failed = [o for o in over.outcomes if o.verdict is not Verdict.ATTACHED and o not in refused]
    unserved = [
        (o.started_ms / 1000)
        for o in calm.outcomes
        if o.attach_ms is None or o.attach_ms > SLOWER * max(usual_ms, 100.0)
    ]
    recovered = max(unserved, default=0.0)
    last = max((o.started_ms / 1000 for o in calm.outcomes), default=0.0)
    return {
        "offered_per_s": round(over.options.rate_per_s or 0.0, 1),
        "ues": len(over.outcomes),
        "attached": over.attached,
        "refused": len(refused),
        "failed": len(failed),
        "rrc_rejected": over.rrc_rejected,
        "rrc_given_up": over.rrc_given_up,
        "overload_starts": over.overload_starts,
        "overload_stops": over.overload_stops,
        "goodput_per_s": round(good, 2),
        "goodput": round(good / capacity, 3),
        "p50_ms": None if over.times is None else round(over.times.p50_ms),
        "max_ms": None if over.times is None else round(over.times.max_ms),
        "resends": over.resends,
        "recovery_s": None if recovered >= last else round(recovered, 1),
        "calm_attached": calm.attached,
        "calm_ues": len(calm.outcomes),
        "causes": sorted({o.cause[:120] for o in failed})[:10],
    }


def markdown(figures: Figures) -> list[str]:
    """Lines of the summary."""
    about = (
        f"Capacity {figures['capacity_per_s']} attaches/s with {figures['workers']} queue worker; then "
        f"{figures['times']:g} times that for {figures['seconds']:g} s, open loop. Goodput is measured once the "
        "overload has been there for 10 s; recovery: until new arrivals, at half the capacity, take no longer than "
        f"{SLOWER:g} times the usual."
    )
    lines = [about, "", _HEAD, "| --- |" + " ---: |" * 10]
    names = ("offered_per_s", "goodput_per_s", "goodput", "attached", "refused", "failed", "rrc_rejected")
    for run in figures["runs"]:
        cells = [run[name] for name in (*names, "p50_ms", "max_ms", "recovery_s")]
        lines.append(f"| {run['name']} | " + " | ".join("-" if cell is None else str(cell) for cell in cells) + " |")
    return lines
