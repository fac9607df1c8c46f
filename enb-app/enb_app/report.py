"""What a person sees of a run: progress, ladder and tables in the terminal, JSON, and the HTML report."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from enb_app.effects import Verdict
from enb_app.measure import Distribution, LadderLine, UeOutcome
from enb_app.result import Result

_MOST_CAUSES = 8
_FILE_WIDTH = 132
_WIDE = 118
_TIMES = ("count", "min", "mean", "p50", "p95", "p99", "max")
_TENTHS_BELOW_MS = 1000


@contextmanager
def progress(console: Console, ues: int) -> Iterator[Callable[[UeOutcome], None]]:
    """A live bar; yields what is to be called as each UE ends."""
    columns = (
        SpinnerColumn(),
        TextColumn("attaching"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.0f}/s  {task.fields[failed]} failed"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, refresh_per_second=8) as bar:
        task = bar.add_task("", total=ues, failed=0, rate=0.0)
        counts = {"failed": 0, "all": 0}

        def on_outcome(outcome: UeOutcome) -> None:
            counts["all"] += 1
            counts["failed"] += outcome.verdict is not Verdict.ATTACHED
            elapsed = bar.tasks[0].elapsed or 0.001
            bar.update(task, advance=1, failed=counts["failed"], rate=counts["all"] / elapsed)

        yield on_outcome


def _ms(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1f}" if value < _TENTHS_BELOW_MS else f"{value:.0f}"


def ladder_table(outcome: UeOutcome, *, narrow: bool = False) -> Table:
    """Every S1AP and NAS message of one UE, as it passed.  narrow: one name for each message, and no function."""
    verdict = f"{outcome.verdict.value}: {outcome.cause}" if outcome.verdict is not Verdict.ATTACHED else "attached"
    title = f"UE {outcome.number}  {outcome.run}  {escape(verdict)}"
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("at ms", justify="right", style="dim")
    table.add_column("", no_wrap=True)
    for name in ("message",) if narrow else ("S1AP", "NAS"):
        table.add_column(name, no_wrap=True)
    if not narrow:
        table.add_column("function", style="cyan", no_wrap=True)
    table.add_column("ms", justify="right")
    table.add_column("store", justify="right", no_wrap=True)
    table.add_column("result", no_wrap=True)
    for line in outcome.ladder:
        table.add_row(*_ladder_row(line, outcome.started_ms, narrow=narrow))
    table.caption = "store: reads, writes, conditional writes"
    return table


def _ladder_row(line: LadderLine, begin_ms: float, *, narrow: bool) -> tuple[str, ...]:
    arrow = "[green]──▶[/]" if line.up else "[magenta]◀──[/]"
    result = line.result if line.result in ("", "done") else f"[yellow]{line.result}[/]"
    store = str(line.store) if line.store is not None else ""
    names = (line.nas or line.s1ap,) if narrow else (line.s1ap, line.nas or "", line.function)
    return f"{line.at_ms - begin_ms:.1f}", arrow, *names, _ms(line.ms), store, result


def console() -> Console:
    """For a terminal as wide as it is; a file or pipe gets lines that hold a whole table."""
    found = Console()
    return found if found.is_terminal else Console(width=_FILE_WIDTH)


def print_ladder(console: Console, outcome: UeOutcome) -> None:
    console.print(ladder_table(outcome, narrow=console.width < _WIDE))


def cells(times: Distribution | None) -> tuple[str, ...]:
    """min, mean, p50, p95, p99, max as they stand in tables."""
    if times is None:
        return ("-",) * 6
    return tuple(
        _ms(ms) for ms in (times.min_ms, times.mean_ms, times.p50_ms, times.p95_ms, times.p99_ms, times.max_ms)
    )


def figures_table(result: Result, *, narrow: bool = False) -> Table:
    """Times per message and in all, with the store operations of each.  narrow: without function, min and store."""
    options = result.options
    shape = f"{options.rate_per_s:g}/s" if options.rate_per_s else f"{options.concurrency} at a time"
    batch = f", batches of up to {options.policy.batch}" if options.policy.batch > 1 else ""
    title = f"{options.ues} UEs, {shape}, {options.mode.value}{batch}"
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("message", no_wrap=True)
    if not narrow:
        table.add_column("function", style="cyan", no_wrap=True)
    for name in ("count", "mean", "p50", "p95", "p99", "max") if narrow else _TIMES:
        table.add_column(name, justify="right", no_wrap=True)
    table.caption = "milliseconds from request to answer"
    if not narrow:
        table.add_column("store each", justify="right", no_wrap=True)
        table.caption += "; store: reads, writes, conditional writes"
    for figures in result.per_message():
        count, store = figures.times.count, figures.store
        each = f"{store.reads / count:.1f}r {store.writes / count:.1f}w {store.conditional_writes / count:.1f}c"
        times = cells(figures.times)
        row = (str(count), *times[1:]) if narrow else (figures.function, str(count), *times, each)
        table.add_row(figures.title, *row)
    table.add_section()
    attaches, times = str(len(result.attach_ms)), cells(result.times)
    row = (attaches, *times[1:]) if narrow else ("", attaches, *times, "")
    table.add_row("whole attach", *row, style="bold")
    return table


def causes(result: Result) -> list[tuple[str, int]]:
    """Why UEs failed, the most frequent first."""
    counts: dict[str, int] = {}
    for outcome in result.outcomes:
        if outcome.verdict is not Verdict.ATTACHED:
            counts[outcome.cause] = counts.get(outcome.cause, 0) + 1
    return sorted(counts.items(), key=lambda pair: -pair[1])


def print_tables(console: Console, result: Result) -> None:
    console.print(figures_table(result, narrow=console.width < _WIDE))
    for cause, count in causes(result)[:_MOST_CAUSES]:
        console.print(f"  {count} x {cause}", style="red", markup=False, highlight=False, soft_wrap=True)
    console.print("\n".join(notes(result)), markup=False, highlight=False, soft_wrap=True)
    style = "bold green" if not result.failed else "bold red"
    console.print(f"attached {result.attached}/{len(result.outcomes)}", style=style, highlight=False)


def notes(result: Result) -> list[str]:
    """The figures that are no times, in sentences; what did not happen is left out."""
    counters, store = result.counters, result.store
    operations = f"{store.reads} reads, {store.writes} writes, {store.conditional_writes} conditional writes"
    calls = f"{counters.calls} invocations for {counters.items} messages"
    lines = [f"{result.rate_per_s:.1f} attaches/s over {result.duration_s:.2f} s, {calls}, store: {operations}"]
    others = {
        "detached": result.detached,
        "sent again": result.resends,
        "unanswered": result.silences,
        "asked to retry": counters.retries,
        "failed invocations": counters.failed_calls,
        "answers that nobody waited for": counters.late,
        "pushes": counters.pushes,
        "replies with a wrong signature refused": counters.refused_signatures,
        "downlinks repeated": sum(outcome.repeats for outcome in result.outcomes),
        "gaps in downlinks": sum(outcome.gaps for outcome in result.outcomes),
        "downlinks discarded by UEs": sum(outcome.discarded_downlinks for outcome in result.outcomes),
    }
    happened = [f"{name}: {count}" for name, count in others.items() if count]
    if happened:
        lines.append("; ".join(happened))
    if result.copies:
        told = ", ".join(f"{count} {name}" for name, count in sorted(result.copies.items()))
        lines.append(f"replayed messages: {told}")
    return lines


def write_json(result: Result, path: Path) -> None:
    path.write_text(json.dumps(result.as_json(), indent=1) + "\n", encoding="utf-8")


def write_html(result: Result, directory: Path) -> Path:
    """DIR/index.html, all in one file -> its path."""
    from enb_app import html  # noqa: PLC0415  matplotlib takes a second to import

    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "index.html"
    path.write_text(html.page(result), encoding="utf-8")
    return path
