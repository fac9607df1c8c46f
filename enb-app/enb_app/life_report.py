"""What a person sees of lives: the live view, tables, JSON and the HTML page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table

from enb_app import mix, report
from enb_app.life import LifeResult, Progress
from enb_app.measure import Distribution, distribution
from enb_app.result import figures_json, message_figures, message_json, plain

_MOST_LINES = 10


@contextmanager
def view(console: Console) -> Iterator[Callable[[Progress], None]]:
    """The live view; yields what is to be called as things go on."""
    with Live(console=console, transient=True, refresh_per_second=4) as live:

        def show(progress: Progress) -> None:
            live.update(screen(progress))

        yield show


def screen(progress: Progress) -> Table:
    """What the live view shows at one moment."""
    states = ", ".join(f"{count} {name}" for name, count in progress.states().items())
    if progress.phase == "life":
        title = f"{progress.left_s:.0f} s left: {states}; {progress.invocations()} invocations"
        title += f"; {progress.faults} faults"
    else:
        title = f"checking: {progress.checked} UEs looked at; {states}"
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("procedure")
    table.add_column("done", justify="right")
    for name, count in sorted(progress.done.items()):
        table.add_row(name, str(count))
    for name in progress.left_out:
        table.add_row(name, mix.NOT_BUILT)
    return table


def groups(result: LifeResult) -> list[tuple[str, int, int, int, Distribution | None]]:
    """Of each procedure: name, how often chosen, how often needed first, faults, times."""
    names = dict.fromkeys(sample.name for sample in result.procedures)
    rows = []
    for name in sorted(names):
        samples = [sample for sample in result.procedures if sample.name == name]
        chosen = sum(sample.chosen for sample in samples)
        faults = sum(bool(sample.fault) for sample in samples)
        times = distribution(sample.ms for sample in samples if not sample.fault)
        rows.append((name, chosen, len(samples) - chosen, faults, times))
    return rows


def print_tables(console: Console, result: LifeResult) -> None:
    options = result.options
    title = f"{options.ues} UEs over {options.enbs} eNBs for {result.duration_s:.0f} s, {options.lab.mode.value}"
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("procedure", no_wrap=True)
    for name in ("chosen", "share", "first", "faults", "mean", "p50", "p95", "p99", "max"):
        table.add_column(name, justify="right", no_wrap=True)
    rows = groups(result)
    total = sum(row[1] for row in rows) or 1
    for name, chosen, first, faults, times in rows:
        by_the_mix = (str(chosen), f"{100 * chosen / total:.0f} %") if chosen else ("-", "-")
        table.add_row(name, *by_the_mix, str(first), str(faults), *report.cells(times)[1:])
    for name, planned in options.mix.left_out.items():
        table.add_row(name, mix.NOT_BUILT, f"({planned:g} %)")
    table.caption = "chosen: by the mix; first: done because the next one needed it; milliseconds"
    console.print(table)
    for line in notes(result):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for sample in result.faults[:_MOST_LINES]:
        text = f"  UE {sample.ue} {sample.name}: {sample.fault}"
        console.print(text, style="red", markup=False, highlight=False, soft_wrap=True)
    for found in result.disagreements[:_MOST_LINES]:
        text = f"  UE {found.ue} {found.imsi} ({found.about}): expected {found.expected}, came {found.came}"
        console.print(text, style="red", markup=False, highlight=False, soft_wrap=True)
    agree = f"{result.checked - len(result.disagreements)} of {result.checked} UEs agree with the MME"
    good = not result.exit_code
    console.print(f"{agree}; {len(result.faults)} faults", style="bold green" if good else "bold red", highlight=False)


def notes(result: LifeResult) -> list[str]:
    """The figures that are no times, in sentences."""
    counters = result.counters
    count = len(result.procedures)
    rate = count / result.duration_s if result.duration_s else 0.0
    calls = f"{counters.calls} invocations for {counters.items} messages, {counters.pushes} pushes"
    lines = [
        f"{count} procedures, {rate:.1f}/s; {calls}; simulator {1000 * result.cpu_s / max(1, count):.1f} ms CPU each"
    ]
    others = {
        "sent again": result.resends,
        "unanswered": result.silences,
        "asked to retry": counters.retries,
        "failed invocations": counters.failed_calls,
        "refused signatures": counters.refused_signatures,
        "downlinks discarded by UEs": result.discarded_by_ue,
    }
    happened = [f"{name}: {number}" for name, number in others.items() if number]
    if happened:
        lines.append("; ".join(happened))
    lines.append(result.options.mix.note())
    return lines


def as_json(result: LifeResult) -> dict[str, Any]:
    return {
        "procedures": len(result.procedures),
        "faults": len(result.faults),
        "checked": result.checked,
        "disagreements": [plain(found) for found in result.disagreements],
        "duration_s": round(result.duration_s, 3),
        "invocations": result.counters.calls,
        "messages_sent": result.counters.items,
        "pushes": result.counters.pushes,
        "results": result.counters.results,
        "resends": result.resends,
        "silences": result.silences,
        "retries": result.counters.retries,
        "failed_calls": result.counters.failed_calls,
        "discarded_by_ue": result.discarded_by_ue,
        "simulator_cpu_s": round(result.cpu_s, 3),
        "left_out": result.options.mix.left_out,
        "per_procedure": [
            {"name": name, "chosen": chosen, "first": first, "faults": faults, **figures_json(times)}
            for name, chosen, first, faults, times in groups(result)
        ],
        "per_message": [message_json(figures) for figures in message_figures(result.messages)],
        "options": plain(result.options),
        "started_unix_s": round(result.started_unix_s, 3),
        "samples": [plain(sample) for sample in result.procedures],
    }


def write_json(result: LifeResult, path: Path) -> None:
    path.write_text(json.dumps(as_json(result), indent=1) + "\n", encoding="utf-8")


def write_html(result: LifeResult, directory: Path) -> Path:
    """DIR/index.html, all in one file -> its path."""
    from enb_app import life_html  # noqa: PLC0415  matplotlib takes a second to import

    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "index.html"
    path.write_text(life_html.page(result), encoding="utf-8")
    return path
