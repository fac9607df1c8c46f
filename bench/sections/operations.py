"""Each kind of store operation by itself, over the rows that are there; and one session per process or per call.

One after the other from one process, on rows of UE contexts as the MME writes them.
"""

from __future__ import annotations

import itertools
import random
import socket
import statistics
import struct
import time
from collections.abc import Callable
from typing import Any

from bench import budget, residents
from bench.bench import Bench
from bench.database import opened
from bench.section import Figures, Measured, Target
from enb_app.options import Mode
from mme.context import UeContext
from mme.rows import pack
from mme.store.base import Saved, Table, TimerRow
from mme.store.cassandra import CassandraStore
from mme.work import TIMER_SHARDS

KINDS = (
    "read",
    "insert if not exists",
    "conditional update",
    "read at SERIAL",
    "removal",
    "timer insert",
    "due timers",
)
BOXES = KINDS[:3]
OTHERS = 1_000
"""Of the other kinds, and no more than of the three."""
PER_CALL = 200
WIRE = 200
_QUANTILES = (1, 5, 25, 50, 75, 95, 99)
_TCP_ACKED_RECEIVED = struct.Struct("=120xQQ")
"""tcpi_bytes_acked and tcpi_bytes_received of Linux's struct tcp_info."""
UE = Table.UE_CONTEXT


def measure(bench: Bench) -> Measured:
    """Run it."""
    database = bench.cassandra
    count, levels = bench.sizes.operations, bench.sizes.rows
    rows: list[dict[str, Any]] = []
    raw: Figures = {}
    with bench.ground(4) as ground:
        with ground.site.serve(port=0, ticker=False) as gateway:
            ground.attach(gateway, ues=4, concurrency=1, mode=Mode.SYNC)
        store = opened(ground.site.store_url)
        try:
            ctx = residents.template(store)
            there = 0
            fresh = itertools.count(1 << 26)
            for level in levels:
                residents.load(store, ctx, range(there, level), bench.say)
                there = max(there, level)
                samples = _level(store, ctx, there, fresh, count)
                rows.append({"rows": level, "kinds": {kind: _box(ms) for kind, ms in samples.items()}})
                raw[str(level)] = {kind: [round(ms, 2) for ms in samples[kind]] for kind in samples}
                shown = ", ".join(f"{kind} {rows[-1]['kinds'][kind]['p50']:.2f}" for kind in BOXES)
                bench.say(f"{level} rows: p50 ms {shown}")
            sessions = _sessions(ground.site.store_url, min(PER_CALL, count), bench.say)
            context = {"octets": len(pack(ctx)), "on_the_wire": _on_the_wire(store, ctx, fresh)}
            on_disk = database.octets_on_disk(ground.site.store_url, UE)
            stored = there + len(levels) * (count + min(OTHERS, count)) + WIRE + 4
        finally:
            store.close()
    context["on_disk"] = None if on_disk is None else round(on_disk / stored)
    figures: Figures = {
        "about": database.about,
        "count": count,
        "others": min(OTHERS, count),
        "boxes": list(BOXES),
        "levels": rows,
        "sessions": sessions,
        "context": context,
    }
    return Measured(figures, (_fewer(sessions),), raw | {"sessions": sessions.pop("samples_ms")})


def _fewer(sessions: dict[str, Any]) -> Target:
    shared, apart = sessions["per process"]["p50"], sessions["per call"]["p50"]
    return Target("a read over the process's session, of one with a session of its own, p50", shared / apart, 0.1, " x")


def _level(
    store: CassandraStore, ctx: UeContext, there: int, fresh: itertools.count[int], count: int
) -> dict[str, list[float]]:
    """Samples in ms.  Rows that are inserted stay: `there` is how many were there before."""
    keys = [str(next(fresh)) for _ in range(count)]
    value = pack(ctx)
    resident = random.Random(there)
    few = min(OTHERS, count)

    def known(_: int) -> str:
        return str(residents.FIRST_KEY + resident.randrange(there)) if there else keys[resident.randrange(count)]

    samples = {
        "insert if not exists": _timed(count, lambda n: _saved(store, keys[n], value, None)),
        "conditional update": _timed(count, lambda n: _saved(store, keys[n], value, 1)),
        "read": _timed(count, lambda n: _found(store.load(UE, known(n)))),
        "read at SERIAL": _timed(few, lambda n: _found(store.load(UE, known(n), serial=True))),
        "removal": [],
        "timer insert": _timed(few, lambda n: store.insert_timer(_timer(keys[n], n), ttl_s=600)),
        "due timers": _timed(few, lambda n: store.due_timers(n % TIMER_SHARDS, _DUE_S)),
    }
    gone = [str(next(fresh)) for _ in range(few)]
    for key in gone:
        _saved(store, key, value, None)
    samples["removal"] = _timed(few, lambda n: _saved(store, gone[n], None, 1))
    return {kind: samples[kind] for kind in KINDS}


_DUE_S = 1
"""Long past: no ticker reads that second."""


def _timer(key: str, number: int) -> TimerRow:
    return TimerRow(number % TIMER_SHARDS, _DUE_S * 1000, "T3450", key, key)


def _timed(count: int, call: Callable[[int], object]) -> list[float]:
    samples = []
    for number in range(count):
        begin = time.perf_counter()
        call(number)
        samples.append((time.perf_counter() - begin) * 1000)
    return samples


def _saved(store: CassandraStore, key: str, value: bytes | None, expect: int | None) -> None:
    result = store.save(UE, key, value, expect=expect, writer="bench")
    if not isinstance(result, Saved):
        raise RuntimeError(f"a conditional write of the bench was not saved: {result}")


def _found(row: object) -> None:
    if row is None:
        raise RuntimeError("a row of the bench is not there")


def _box(samples: list[float]) -> dict[str, float]:
    """Quantiles, ends and mean in ms."""
    cuts = statistics.quantiles(samples, n=100, method="inclusive")
    found = {f"p{percent}": round(cuts[percent - 1], 3) for percent in _QUANTILES}
    return {
        "min": round(min(samples), 3),
        **found,
        "max": round(max(samples), 3),
        "mean": round(statistics.fmean(samples), 3),
    }


def _sessions(url: str, count: int, say: Callable[[str], None]) -> dict[str, Any]:
    """The same read over one session, and with a session of its own as earlier systems did, by turns."""
    shared = opened(url)
    shared.load(UE, "nobody")
    per_process: list[float] = []
    per_call: list[float] = []

    def alone(_: int) -> None:
        store = opened(url)
        try:
            store.load(UE, "nobody")
        finally:
            store.close()

    for _ in range(count):
        per_process += _timed(1, lambda _: shared.load(UE, "nobody"))
        per_call += _timed(1, alone)
    shared.close()
    medians = statistics.median(per_process), statistics.median(per_call)
    say("a read with one session per process: p50 {:.2f} ms, with one per call {:.1f}".format(*medians))

    return {
        "count": count,
        "per process": _box(per_process),
        "per call": _box(per_call),
        "samples_ms": {
            "per process": [round(ms, 2) for ms in per_process],
            "per call": [round(ms, 2) for ms in per_call],
        },
    }


def _on_the_wire(store: CassandraStore, ctx: UeContext, fresh: itertools.count[int]) -> dict[str, float]:
    """Octets of TCP payload in both directions of one read and of one conditional update of a context."""
    value = pack(ctx)
    keys = [str(next(fresh)) for _ in range(WIRE)]
    for key in keys:
        _saved(store, key, value, None)
    before = _octets(store)
    for key in keys:
        store.load(UE, key)
    between = _octets(store)
    for key in keys:
        _saved(store, key, value, 1)
    after = _octets(store)
    return {"read": round((between - before) / WIRE, 1), "conditional update": round((after - between) / WIRE, 1)}


def _octets(store: CassandraStore) -> int:
    """Sent and received so far, as the kernel counts them, on all of the session's connections."""
    return sum(
        sum(_TCP_ACKED_RECEIVED.unpack_from(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 136)))
        for s in store.sockets()
    )


def markdown(figures: Figures) -> list[str]:
    """Lines of the summary."""
    wire, context, sessions = figures["context"]["on_the_wire"], figures["context"], figures["sessions"]
    about = (
        f"Cassandra on {figures['about']}; one process, one operation after the other; {figures['count']} each of "
        f"read, insert and update, {figures['others']} of each other kind, in ms.  What is inserted stays."
    )
    lines = [
        about,
        "",
        "| rows there | " + " | ".join(f"{kind}, p50 / p99" for kind in KINDS) + " |",
        "| ---: |" + " ---: |" * len(KINDS),
    ]
    for level in figures["levels"]:
        cells = [f"{level['kinds'][kind]['p50']:.2f} / {level['kinds'][kind]['p99']:.2f}" for kind in KINDS]
        lines.append(f"| {level['rows']} | " + " | ".join(cells) + " |")
    shared, apart = sessions["per process"]["p50"], sessions["per call"]["p50"]
    disk = "not measured" if context["on_disk"] is None else f"{context['on_disk']} octets, compressed"
    session = (
        f"A read with one session per process: p50 {shared:.2f} ms; with a session per call, as earlier systems had "
        f"it: {apart:.1f} ms ({sessions['count']} of each, by turns)."
    )
    size = (
        f"A UE context: {context['octets']} octets as a value; on the wire, in both directions, {wire['read']:g} for a "
        f"read and {wire['conditional update']:g} for a conditional update; on disk {disk}, with all else of the row."
    )
    return [*lines, "", session, "", size, *_procedures(figures)]


def _procedures(figures: Figures) -> list[str]:
    """What a procedure takes at the store: its counts in docs/store-budget.md times the p50 measured here."""
    kinds = figures["levels"][-1]["kinds"]
    names = ("read", "timer insert", "conditional update")
    about = (
        "Whole procedures as docs/store-budget.md counts them, and what that takes at the p50 with "
        f"{figures['levels'][-1]['rows']} rows:"
    )
    lines = [
        "",
        about,
        "",
        "| procedure | reads | plain writes | conditional writes | ms |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, counts in budget.procedures().items():
        ms = sum(count * kinds[kind]["p50"] for count, kind in zip(counts, names, strict=True))
        lines.append(f"| {name} | " + " | ".join(map(str, counts)) + f" | {ms:.1f} |")
    return lines
