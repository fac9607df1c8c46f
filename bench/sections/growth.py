"""Attach time with more and more UE contexts in the store.

Two sites on the same database, one whose residents stay the fewest and one that grows, take turns: whatever else the
machine does meanwhile meets both, and their ratio shows what the residents cost.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any

from bench import replicas, residents
from bench.bench import Bench, Ground
from bench.database import opened
from bench.section import Figures, Measured, Target
from enb_app.options import Mode
from localfaas.process import Running
from mme.store.base import Table

RATIO = 1.3
WORKERS = 4
CONCURRENCY = 8
_HEAD = (
    "| resident contexts | attach p50 ms | p99 | p50 beside it, fewest | ratio | failed | bulk rows/s "
    "| processor ms of one: functions, Cassandra | beside it |"
)
_TURN = 3
"""Attaches of one site before it is the other's turn: a second or less at rest."""


def measure(bench: Bench) -> Measured:
    """Run it."""
    levels, attaches = bench.sizes.resident, bench.sizes.attaches
    turns = max(1, attaches // _TURN)
    room = 4 + len(levels) * (turns * _TURN) + bench.pick(200, 16)
    rows: list[dict[str, Any]] = []
    with (
        bench.ground(room) as small,
        bench.ground(room) as large,
        small.site.serve(port=0, workers=WORKERS, ticker=False) as beside,
        large.site.serve(port=0, workers=WORKERS, ticker=False) as gateway,
    ):
        for ground, serving in ((small, beside), (large, gateway)):
            ground.attach(serving, ues=4, concurrency=1, mode=Mode.SYNC)
        rate = _rate(bench, large, gateway)
        store, base = opened(large.site.store_url), opened(small.site.store_url)
        try:
            ctx = residents.template(store)
            residents.load(base, ctx, range(levels[0]), bench.say)
            there = 0
            for level in levels:
                written = residents.load(store, ctx, range(there, level), bench.say)
                there = level
                sites = {"fewest": _Site(small, beside), "grown": _Site(large, gateway)}
                for _ in range(turns):
                    for site in sites.values():
                        site.turn(bench)
                rows.append(_row(level, sites, written))
                bench.say(f"{level} resident: p50 {rows[-1]['p50_ms']} ms, {rows[-1]['ratio']} x the fewest's")
            on_disk = bench.cassandra.octets_on_disk(large.site.store_url, Table.UE_CONTEXT)
        finally:
            store.close()
            base.close()
    figures: Figures = {
        "about": bench.cassandra.about,
        "attaches": turns * _TURN,
        "rate": rate,
        "rows": rows,
        "octets_on_disk_per_context": None if on_disk is None else round(on_disk / (there + large.used)),
    }
    worst = max((row["ratio"] for row in rows), default=None)
    what = f"attach p50 with up to {levels[-1]} resident contexts, of that with {levels[0]}"
    return Measured(figures, (Target(what, worst, RATIO, " x"),))


@dataclass(slots=True)
class _Site:
    """One of the two, and what it took at one size: attaches in ms, processor time in all."""

    ground: Ground
    gateway: Running
    times_ms: list[float] = field(default_factory=list)
    failed: int = 0
    cpu_ms: list[float] = field(default_factory=lambda: [0.0, 0.0])

    def turn(self, bench: Bench) -> None:
        """Some attaches, one at a time."""
        ours = [*replicas.pids(self.gateway), self.gateway.pid]
        before = replicas.cpu_ms(ours), bench.cassandra.cpu_ms()
        run = self.ground.attach(self.gateway, ues=_TURN, concurrency=1, mode=Mode.SYNC).result
        self.cpu_ms[0] += replicas.cpu_ms(ours) - before[0]
        self.cpu_ms[1] += bench.cassandra.cpu_ms() - before[1]
        self.times_ms += run.attach_ms
        self.failed += run.failed


def _row(level: int, sites: dict[str, _Site], written: float) -> dict[str, Any]:
    fewest, grown = (statistics.median(sites[name].times_ms) for name in ("fewest", "grown"))
    return {
        "resident": level,
        "p50_ms": round(grown, 2),
        "p99_ms": round(statistics.quantiles(sites["grown"].times_ms, n=100, method="inclusive")[98], 2),
        "fewest_p50_ms": round(fewest, 2),
        "ratio": round(grown / fewest, 3),
        "failed": sum(site.failed for site in sites.values()),
        "bulk_rows_per_s": round(written),
        "cpu_ms": {
            name: dict(zip(("functions", "Cassandra"), (_each(site, ms) for ms in site.cpu_ms), strict=True))
            for name, site in sites.items()
        },
        "samples_ms": {name: [round(ms, 2) for ms in site.times_ms] for name, site in sites.items()},
    }


def _each(site: _Site, ms: float) -> float:
    return round(ms / max(1, len(site.times_ms)), 1)


def _rate(bench: Bench, ground: Ground, gateway: Running) -> dict[str, Any]:
    """Attaches a second, and the processor time of one in the functions, the gateway and the database."""
    ues = bench.pick(200, 16)
    functions = list(replicas.pids(gateway))

    def spent() -> tuple[float, float, float]:
        return replicas.cpu_ms(functions), replicas.cpu_ms([gateway.pid]), bench.cassandra.cpu_ms()

    before = spent()
    run = ground.attach(gateway, ues=ues, concurrency=CONCURRENCY, mode=Mode.ASYNC).result
    cpu = [(after - began) / ues for after, began in zip(spent(), before, strict=True)]
    bench.say(f"{run.rate_per_s:.1f} attaches/s, {CONCURRENCY} at a time, {run.failed} failed")
    return {
        "ues": ues,
        "failed": run.failed,
        "concurrency": CONCURRENCY,
        "per_s": round(run.rate_per_s, 2),
        "cpu_ms": dict(zip(("functions", "gateway", "Cassandra"), (round(ms, 1) for ms in cpu), strict=True)),
        "per_core_s": round(1000 / sum(cpu), 2),
        "resends": run.resends,
    }


def markdown(figures: Figures) -> list[str]:
    """Lines of the summary."""
    rate = figures["rate"]
    parts = ", ".join(f"{name} {ms:g}" for name, ms in rate["cpu_ms"].items())
    about = (
        f"Cassandra on {figures['about']}.  At each size {figures['attaches']} attaches of new subscribers, one at a "
        "time and synchronous, in turns with as many on a site that keeps the fewest residents; the ratio is of these "
        "two."
    )
    lines = [
        about,
        "",
        _HEAD,
        "| ---: |" + " ---: |" * 8,
    ]
    lines += [
        f"| {row['resident']} | {row['p50_ms']} | {row['p99_ms']} | {row['fewest_p50_ms']} | {row['ratio']} "
        f"| {row['failed']} | {row['bulk_rows_per_s']} | {_cpu(row, 'grown')} | {_cpu(row, 'fewest')} |"
        for row in figures["rows"]
    ]
    disk = figures["octets_on_disk_per_context"]
    end = (
        f"{rate['ues']} attaches, {rate['concurrency']} at a time, asynchronous: {rate['per_s']} a second, "
        f"{rate['failed']} failed.  Processor time of one, ms: {parts}; that is {rate['per_core_s']} attaches a second "
        "for each core, which all three share (the simulator's own time not counted)."
    )
    return [*lines, "", end if disk is None else f"{end}  On disk a context took {disk} octets at the largest size."]


def _cpu(row: dict[str, Any], site: str) -> str:
    return ", ".join(f"{ms:g}" for ms in row["cpu_ms"][site].values())
