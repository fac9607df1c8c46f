"""What a person sees of a run: progress, ladder and tables in the terminal, JSON, and the HTML report."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from enb_app.effects import Verdict
from enb_app.measure import Distribution, LadderLine, UeOutcome
from enb_app.result import Result

_MOST_CAUSES = 8
_FILE_WIDTH = 132
_ANY_WIDTH = 1000
_TENTHS_BELOW_MS = 1000
_NARROW_TENTHS_BELOW_MS = 100


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


def _ms(value: float | None, tenths_below_ms: int = _TENTHS_BELOW_MS) -> str:
    if value is None:
        return ""
    return f"{value:.1f}" if value < tenths_below_ms else f"{value:.0f}"


def _table(title: str, *, narrow: bool) -> Table:
    if narrow:
        return Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", padding=0, pad_edge=False, show_edge=False)
    return Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")


def ladder_table(outcome: UeOutcome, *, narrow: bool = False) -> Table:
    """Every S1AP and NAS message of one UE, as it passed.  narrow: one name for each message, NAS's if it has one."""
    verdict = f"{outcome.verdict.value}: {outcome.cause}" if outcome.verdict is not Verdict.ATTACHED else "attached"
    table = _table(f"UE {outcome.number}  {outcome.run}  {escape(verdict)}", narrow=narrow)
    table.add_column("at ms", justify="right", style="dim", no_wrap=True)
    table.add_column("", no_wrap=True)
    if narrow:
        table.add_column("message", overflow="fold")
    else:
        table.add_column("S1AP", no_wrap=True)
        table.add_column("NAS", no_wrap=True)
    table.add_column("function", style="cyan", no_wrap=True)
    table.add_column("ms", justify="right", no_wrap=True)
    table.add_column("store", justify="right", no_wrap=True)
    table.add_column("result", no_wrap=True)
    for line in outcome.ladder:
        table.add_row(*_ladder_row(line, outcome.started_ms, narrow=narrow))
    table.caption = "store: reads, writes, conditional writes"
    return table


def _ladder_row(line: LadderLine, begin_ms: float, *, narrow: bool) -> tuple[str, ...]:
    shaft = "─" if narrow else "──"
    arrow = f"[green]{shaft}▶[/]" if line.up else f"[magenta]◀{shaft}[/]"
    result = line.result if line.result in ("", "done") else f"[yellow]{line.result}[/]"
    store = str(line.store) if line.store is not None else ""
    at_ms = line.at_ms - begin_ms
    at = _ms(at_ms) if narrow else f"{at_ms:.1f}"
    names = (line.nas or line.s1ap,) if narrow else (line.s1ap, line.nas or "")
    return at, arrow, *names, line.function, _ms(line.ms), store, result


def console() -> Console:
    """For a terminal as wide as it is; a file or pipe gets lines that hold a whole table."""
    found = Console()
    return found if found.is_terminal else Console(width=_FILE_WIDTH)


def _fits(console: Console, table: Table) -> bool:
    """Is there room for all of its columns?  rich would cut them short."""
    options = console.options.update(max_width=_ANY_WIDTH)
    return Measurement.get(console, options, table).maximum <= console.width


def print_ladder(console: Console, outcome: UeOutcome) -> None:
    wide = ladder_table(outcome)
    console.print(wide if _fits(console, wide) else ladder_table(outcome, narrow=True))


def cells(times: Distribution | None, tenths_below_ms: int = _TENTHS_BELOW_MS) -> tuple[str, ...]:
    """min, mean, p50, p95, p99, max as they stand in tables."""
    if times is None:
        return ("-",) * 6
    values = (times.min_ms, times.mean_ms, times.p50_ms, times.p95_ms, times.p99_ms, times.max_ms)
    return tuple(_ms(ms, tenths_below_ms) for ms in values)


def _title(result: Result) -> str:
    options = result.options
    shape = f"{options.rate_per_s:g}/s" if options.rate_per_s else f"{options.concurrency} at a time"
    batch = f", batches of up to {options.policy.batch}" if options.policy.batch > 1 else ""
    return f"{options.ues} UEs, {shape}, {options.mode.value}{batch}"


def figures_table(result: Result, *, narrow: bool = False) -> Table:
    """Times per message and in all, with the store operations of each.

    narrow: function and count stand below the message's name, and times from 100 ms on have no tenths.
    """
    table = _table(_title(result), narrow=narrow)
    table.add_column("message", no_wrap=not narrow, overflow="fold")
    if not narrow:
        table.add_column("function", style="cyan", no_wrap=True)
        table.add_column("count", justify="right", no_wrap=True)
    for name in ("min", "mean", "p50", "p95", "p99", "max", "store each"):
        table.add_column(name, justify="right", no_wrap=True)
    table.caption = "milliseconds from request to answer; store: reads, writes, conditional writes"
    tenths_below_ms = _NARROW_TENTHS_BELOW_MS if narrow else _TENTHS_BELOW_MS
    for figures in result.per_message():
        count, store = figures.times.count, figures.store
        each = [f"{part / count:.1f}" for part in (store.reads, store.writes, store.conditional_writes)]
        times = cells(figures.times, tenths_below_ms)
        if narrow:
            name = f"{figures.title}\n  [cyan]{figures.function}[/] x {count}"
            table.add_row(name, *times, " ".join(each))
        else:
            told = " ".join(f"{part}{unit}" for part, unit in zip(each, "rwc", strict=True))
            table.add_row(figures.title, figures.function, str(count), *times, told)
    table.add_section()
    attaches, times = len(result.attach_ms), cells(result.times, tenths_below_ms)
    row = (f"whole attach x {attaches}",) if narrow else ("whole attach", "", str(attaches))
    table.add_row(*row, *times, "", style="bold")
    return table


def causes(result: Result) -> list[tuple[str, int]]:
    """Why UEs failed, the most frequent first."""
    counts: dict[str, int] = {}
    for outcome in result.outcomes:
        if outcome.verdict is not Verdict.ATTACHED:
            counts[outcome.cause] = counts.get(outcome.cause, 0) + 1
    return sorted(counts.items(), key=lambda pair: -pair[1])


def print_tables(console: Console, result: Result) -> None:
    wide = figures_table(result)
    console.print(wide if _fits(console, wide) else figures_table(result, narrow=True))
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
