"""The report of lives: one HTML file with its plots inside."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from html import escape

from matplotlib.axes import Axes

from enb_app import life_report, report
from enb_app.html import STYLE, boxes, card, figure, message_table, row, table
from enb_app.life import LifeResult
from enb_app.mix import NOT_BUILT
from enb_app.result import message_figures

_MOST_LINES = 100


def _over_time(result: LifeResult) -> Callable[[Axes], None]:
    names = sorted({sample.name for sample in result.procedures})
    width = max(1.0, result.duration_s / 60)

    def draw(axes: Axes) -> None:
        times = [[s.at_ms / 1000 for s in result.procedures if s.name == name] for name in names]
        bins = max(1, int(result.duration_s / width))
        axes.hist(times, bins=bins, stacked=True, label=names)
        axes.legend(fontsize=8, ncols=3)
        axes.set_xlabel("seconds since the run began")
        axes.set_ylabel(f"procedures in {width:.0f} s")

    return draw


def _times(result: LifeResult) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        for name in sorted({sample.name for sample in result.procedures}):
            ordered = sorted(s.ms for s in result.procedures if s.name == name and not s.fault)
            share = [100 * (rank + 1) / len(ordered) for rank in range(len(ordered))]
            axes.step(ordered, share, where="post", label=name)
        axes.legend(fontsize=8)
        axes.set_xlabel("ms from the procedure's begin to its end")
        axes.set_ylabel("% of procedures done by then")

    return draw


def page(result: LifeResult) -> str:
    """The whole document."""
    options = result.options
    when = datetime.fromtimestamp(result.started_unix_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
    told = f"{options.ues} UEs, {options.enbs} eNBs, {result.duration_s:.0f} s, {options.lab.mode.value} · {when}"
    good = "bad" if result.exit_code else "good"
    agreeing = result.checked - len(result.disagreements)
    cards = (
        card("UEs agree with the MME", f"{agreeing}/{result.checked}", good),
        card("procedures", str(len(result.procedures))),
        card("faults", str(len(result.faults)), "bad" if result.faults else "good"),
        card("per second", f"{len(result.procedures) / max(result.duration_s, 0.001):.1f}"),
        card("invocations", str(result.counters.calls)),
        card("pushes", str(result.counters.pushes)),
    )
    heads = ("procedure", "chosen", "needed first", "faults", "min", "mean", "p50", "p95", "p99", "max ms")
    rows = [
        row([name, str(chosen), str(first), str(faults), *report.cells(times)], 1)
        for name, chosen, first, faults, times in life_report.groups(result)
    ]
    rows += [row([name, NOT_BUILT, *["-"] * (len(heads) - 2)], 1) for name in options.mix.left_out]
    plots = ""
    if result.procedures and result.messages:
        drawn = (
            ("Procedures over time", figure(_over_time(result))),
            ("Time of each procedure", figure(_times(result))),
            ("Each message", figure(boxes(result.messages), height=6.0)),
        )
        plots = "".join(f"<section><h2>{escape(title)}</h2>{svg}</section>" for title, svg in drawn)
    notes = "".join(f'<p class="soft">{escape(note)}</p>' for note in life_report.notes(result))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Life report</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style></head><body><main>'
        f'<h1>Life report</h1><p class="soft">{escape(told)}</p><div class="cards">{"".join(cards)}</div>'
        f'<div class="grid">{plots}</div><section><h2>Procedures</h2>{table(heads, rows, 1)}{notes}</section>'
        f"<section><h2>Messages</h2>{message_table(message_figures(result.messages))}</section>"
        f"{_wrong(result)}</main></body></html>\n"
    )


def _wrong(result: LifeResult) -> str:
    rows = [row([str(s.ue), s.name, f"{s.at_ms / 1000:.1f} s", s.fault], 99) for s in result.faults[:_MOST_LINES]]
    rows += [
        row([str(d.ue), d.about, "check", f"expected {d.expected}, came {d.came}"], 99)
        for d in result.disagreements[:_MOST_LINES]
    ]
    if not rows:
        return ""
    return f'<section><h2 class="bad">What went wrong</h2>{table(("UE", "what", "when", "detail"), rows, 99)}</section>'
