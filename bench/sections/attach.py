"""Attach time of one UE at a time against what its invocations and store operations cost by themselves.

Null calls, store operations and attaches take turns, so that whatever else the machine does meanwhile meets all alike.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench import null_function, replicas, store_times
from bench.bench import Attached, Bench, Ground
from bench.budget import Counts, tables
from bench.section import Figures, Measured, Target
from enb_app.measure import distribution
from enb_app.options import Mode
from localfaas.process import Running, running
from mme.codec.envelope import Cost
from mme.store.opening import open_store

WORKERS = 4
RATIO = 1.5
NULL_MS = {"sync": 10.0, "async": 15.0}
_ASKS_FOR_SESSION = "securitymodecomplete"


def measure(bench: Bench) -> Measured:
    """Run it."""
    rounds, attaches, calls, operations = (
        bench.pick(10, 3),
        bench.pick(20, 6),
        bench.pick(50, 20),
        bench.pick(100, 30),
    )
    sync_ms: list[float] = []
    async_ms: list[float] = []
    runs: dict[str, list[Attached]] = {"sync": [], "async": []}
    times = store_times.StoreTimes()
    keys = itertools.count()
    cpu: Counter[str] = Counter()
    with (
        bench.ground(2 * rounds * attaches + 4) as ground,
        ground.site.serve(port=0, workers=WORKERS) as gateway,
        running(null_function.STACK, workers=WORKERS) as null,
    ):
        store = open_store(ground.site.store_url)
        try:
            _warm(ground, gateway)
            for number in range(rounds):
                for mode in (Mode.SYNC, Mode.ASYNC):
                    with _counted(gateway, cpu, mode.value):
                        runs[mode.value].append(ground.attach(gateway, ues=attaches, concurrency=1, mode=mode))
                with _counted(null, cpu, "null"):
                    synchronous, asynchronous = asyncio.run(null_function.measure(null.url, calls))
                sync_ms += synchronous
                async_ms += asynchronous
                store_times.measure(store, times, operations, keys)
                bench.say(f"round {number + 1} of {rounds}")
        finally:
            store.close()
    null_figures = {"sync": sync_ms, "async": async_ms}
    modes = {mode: _mode(runs[mode], null_figures, times) for mode in runs}
    budget = committed_budget()
    figures: Figures = {
        "workers": WORKERS,
        "null": {mode: _distribution(samples) for mode, samples in null_figures.items()},
        "store": {
            "on": "the functions' own SQLite file" if bench.database is None else f"Cassandra, {bench.database.about}",
            "row_octets": times.row_octets,
            "p50_ms": {kind: round(value, 4) for kind, value in times.p50().items()},
            "samples": len(times.reads),
        },
        "modes": modes,
        "cpu_ms": _cpu(cpu, runs, rounds * 2 * (calls + null_function.WARM_CALLS)),
        "budget": {name: list(counts) for name, counts in budget.items()},
        "over_budget": _over_budget([*runs["sync"], *runs["async"]], budget),
        "null_samples_ms": {mode: [round(ms, 3) for ms in samples] for mode, samples in null_figures.items()},
    }
    targets = [
        Target(f"null function, {mode}, p50", statistics.median(null_figures[mode]), limit, " ms")
        for mode, limit in NULL_MS.items()
    ]
    targets += [
        Target(f"attach p50, {mode}, of its calls' and store operations' own time", modes[mode]["ratio"], RATIO, " x")
        for mode in modes
    ]
    targets.append(Target("messages over their store budget", sum(figures["over_budget"].values()), 0, ""))
    return Measured(figures, tuple(targets))


@contextmanager
def _counted(gateway: Running, cpu: Counter[str], name: str) -> Iterator[None]:
    """Add the processor time of the gateway and of its functions."""
    functions = list(replicas.pids(gateway))
    before = replicas.cpu_ms([gateway.pid]), replicas.cpu_ms(functions)
    yield
    cpu[f"{name} gateway"] += round(replicas.cpu_ms([gateway.pid]) - before[0])
    cpu[f"{name} functions"] += round(replicas.cpu_ms(functions) - before[1])


def _cpu(cpu: Counter[str], runs: dict[str, list[Attached]], null_calls: int) -> dict[str, dict[str, float]]:
    """Processor time in ms, of one attach and of one null call: what does not depend on how busy others are."""
    figures = {"null": {kind: round(cpu[f"null {kind}"] / null_calls, 3) for kind in ("gateway", "functions")}}
    for mode, found in runs.items():
        ues = sum(len(run.result.outcomes) for run in found)
        parts = {kind: cpu[f"{mode} {kind}"] / ues for kind in ("gateway", "functions")}
        parts["simulator"] = sum(run.result.cpu_s for run in found) * 1000 / ues
        figures[mode] = {name: round(value, 2) for name, value in parts.items()}
    return figures


def _warm(ground: Ground, gateway: Running) -> None:
    for mode in (Mode.SYNC, Mode.ASYNC):
        ground.attach(gateway, ues=2, concurrency=1, mode=mode)


def _distribution(samples_ms: list[float]) -> dict[str, float]:
    found = distribution(samples_ms)
    if found is None:
        raise RuntimeError("nothing was measured")
    return {"count": found.count, "p50_ms": round(found.p50_ms, 3), "p99_ms": round(found.p99_ms, 3)}


def _mode(runs: list[Attached], null: dict[str, list[float]], times: store_times.StoreTimes) -> dict[str, Any]:
    """Ratio and parts of one mode.  Parts are means, because only means add up."""
    mode = runs[0].result.options.mode.value
    outcomes = [outcome for run in runs for outcome in run.result.outcomes if outcome.attach_ms is not None]
    costs = [run.costs[outcome.run.rpartition("/")[2]] for run in runs for outcome in run.result.outcomes]
    count = len(outcomes)
    attach_ms = [outcome.attach_ms for outcome in outcomes if outcome.attach_ms is not None]
    p50, mean = statistics.median(attach_ms), statistics.fmean(attach_ms)
    messages = [message for outcome in outcomes for message in outcome.messages]
    calls = sum(message.tries for message in messages) / count
    operations = {
        kind: sum(getattr(cost, kind) for ue in costs for cost in ue) / len(costs)
        for kind in ("reads", "writes", "conditional_writes")
    }
    own = calls * statistics.median(null[mode])
    stored = sum(operations[kind] * p50_ms for kind, p50_ms in times.p50().items())
    framework = calls * statistics.fmean(null["sync"])
    queue = calls * (statistics.fmean(null["async"]) - statistics.fmean(null["sync"])) if mode == "async" else 0.0
    inside, codec, store, port = (_mean(costs, name) for name in ("total_ms", "codec_ms", "store_ms", "port_ms"))
    on_the_way = sum(message.ms for message in messages) / count
    parts = {
        "queue": queue,
        "framework": framework,
        "codec and NAS crypto": codec,
        "store": store,
        "procedures, ports and the rest of the functions": inside - codec - store,
        "envelope, signatures and waiting for a core": on_the_way - inside - framework - queue,
        "simulator: UE and eNB": mean - on_the_way,
    }
    return {
        "count": count,
        "failed": sum(run.result.failed for run in runs),
        "p50_ms": round(p50, 2),
        "mean_ms": round(mean, 2),
        "invocations": round(calls, 2),
        "store_operations": {kind: round(value, 2) for kind, value in operations.items()},
        "calls_ms": round(own, 2),
        "store_ms": round(stored, 2),
        "ratio": round(p50 / (own + stored), 2),
        "parts_mean_ms": {name: round(value, 2) for name, value in parts.items()},
        "ports_with_their_store_operations_ms": round(port, 2),
        "per_message": _per_message(runs),
        "samples_ms": [round(ms, 2) for ms in attach_ms],
    }


def _mean(costs: list[list[Cost]], name: str) -> float:
    return statistics.fmean(sum(float(getattr(cost, name)) for cost in ue) for ue in costs)


def _per_message(runs: list[Attached]) -> list[dict[str, Any]]:
    groups: dict[str, list[Any]] = {}
    for run in runs:
        for message in run.result.messages:
            groups.setdefault(message.title, []).append(message)
    return [
        {
            "message": title,
            "function": found[0].function,
            "p50_ms": round(statistics.median(message.ms for message in found), 2),
            "function_p50_ms": round(statistics.median(message.mme_ms or 0.0 for message in found), 2),
            "store": [
                round(statistics.median(getattr(message.store, kind) for message in found))
                for kind in ("reads", "writes", "conditional_writes")
            ],
        }
        for title, found in groups.items()
    ]


def committed_budget() -> dict[str, Counts]:
    """The table "Attach" of docs/store-budget.md, by plain name of the message."""
    return {_plain(name): counts for name, counts in tables()["Attach"].items()}


def _plain(name: str) -> str:
    """Without spaces and case, for messages are spelt as in TS 24.301 there and as in ASN.1 here."""
    return name.replace(" ", "").lower()


def _over_budget(runs: list[Attached], budgets: dict[str, Counts]) -> dict[str, int]:
    """How many messages took more than their budget, by what they took."""
    found: Counter[str] = Counter()
    for run in runs:
        for message in run.result.messages:
            taken = (message.store.reads, message.store.writes, message.store.conditional_writes)
            budget = budgets.get(_plain(message.title))
            if budget is None:
                found[f"{message.title} has no budget"] += 1
            elif _plain(message.title) == _ASKS_FOR_SESSION and taken[:2] == budget[:2] and taken[2] > budget[2]:
                continue  # an address found taken: the page allows one conditional write more for each
            elif any(a > b for a, b in zip(taken, budget, strict=True)):
                found[f"{message.title} took {taken} for {budget}"] += 1
    return dict(sorted(found.items()))


def markdown(figures: Figures) -> list[str]:
    """Lines of the summary."""
    null, store, modes = figures["null"], figures["store"], figures["modes"]
    about = (
        f"Null function (`bench/null`), one caller, {figures['workers']} queue workers: p50 "
        f"{null['sync']['p50_ms']} ms "
        f"synchronous (p99 {null['sync']['p99_ms']}), {null['async']['p50_ms']} ms asynchronous until the callback has "
        f"come (p99 {null['async']['p99_ms']})."
    )
    on = store.get("on", "the functions' own SQLite file")
    lines = [
        about,
        "",
        f"Store operations on {on}, rows of {store['row_octets']} octets, p50: "
        + ", ".join(f"{kind.replace('_', ' ')} {ms} ms" for kind, ms in store["p50_ms"].items())
        + ".",
        "",
        "| one UE at a time | attach p50 ms | calls x null ms | store operations (r, w, c) | their ms | ratio |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for mode, found in modes.items():
        operations = ", ".join(f"{value:g}" for value in found["store_operations"].values())
        lines.append(
            f"| {mode} | {found['p50_ms']} | {found['invocations']:g} calls: {found['calls_ms']} | {operations} "
            f"| {found['store_ms']} | {found['ratio']} |"
        )
    lines += ["", "| part of one attach, mean ms | " + " | ".join(modes) + " |", "| --- |" + " ---: |" * len(modes)]
    for part in modes["sync"]["parts_mean_ms"]:
        lines.append(f"| {part} | " + " | ".join(f"{m['parts_mean_ms'][part]}" for m in modes.values()) + " |")
    lines.append("| **whole attach** | " + " | ".join(f"{m['mean_ms']}" for m in modes.values()) + " |")
    ports = " and ".join(f"{m['ports_with_their_store_operations_ms']} ms ({mode})" for mode, m in modes.items())
    lines += [
        "",
        f"Ports (HSS and gateway, embedded) with their own store operations, part of the rows above: {ports}.",
    ]
    lines += ["", "| message, synchronous | function | p50 ms | inside the function | store r, w, c | budget |"]
    lines.append("| --- | --- | ---: | ---: | ---: | ---: |")
    for row in modes["sync"]["per_message"]:
        budget = figures["budget"].get(_plain(row["message"]), ["-"])
        lines.append(
            f"| {row['message']} | {row['function']} | {row['p50_ms']} | {row['function_p50_ms']} "
            f"| {', '.join(map(str, row['store']))} | {', '.join(map(str, budget))} |"
        )
    cpu = figures["cpu_ms"]
    attaches = [f"{sum(cpu[mode].values()):.1f} ms ({_parts(cpu[mode])}) {mode}" for mode in modes]
    lines += ["", f"Processor time of one attach, which depends less on what else runs: {'; '.join(attaches)}."]
    lines[-1] += f"  Of a null call: {sum(cpu['null'].values()):.2f} ms ({_parts(cpu['null'])})."
    over = [f"{count} x {what}" for what, count in figures["over_budget"].items()]
    count = sum(mode["count"] for mode in modes.values()) * len(figures["budget"])
    return [*lines, "", f"Over the budget, of {count} messages: " + ("; ".join(over) if over else "none") + "."]


def _parts(parts: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in parts.items())
