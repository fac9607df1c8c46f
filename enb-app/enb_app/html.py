"""The report: one HTML file with its plots inside, nothing to load from anywhere."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from enb_app import report
from enb_app.effects import Verdict
from enb_app.measure import LadderLine, MessageSample, UeOutcome
from enb_app.result import MessageFigures, Result

_BLUE, _RED, _GREY, _ORANGE = "#2563eb", "#dc2626", "#94a3b8", "#f59e0b"
_MOST_TIMELINE_ROWS = 400
_MOST_FAILURES = 50
_BINS = 40
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)

STYLE = """
:root{--ink:#0f172a;--soft:#64748b;--line:#e2e8f0;--card:#fff;--ground:#f8fafc;
--blue:#2563eb;--red:#dc2626;--green:#16a34a}
*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1120px;margin:0 auto;padding:32px 20px 64px}h1{font-size:26px;margin:0}h2{font-size:18px;margin:0 0 12px}
.soft{color:var(--soft)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:12px;margin:20px 0}
.card,section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:16px}
section{margin:16px 0;overflow-x:auto}.card b{display:block;font-size:24px;font-variant-numeric:tabular-nums}
.good{color:var(--green)}.bad{color:var(--red)}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(420px,1fr));gap:16px}
.grid section{margin:0}svg{max-width:100%;height:auto}table{border-collapse:collapse;width:100%;font-size:13.5px}
th{text-align:left;white-space:nowrap;color:var(--soft);border-bottom:2px solid var(--line);padding:6px 8px}
td{border-bottom:1px solid var(--line);padding:6px 8px;white-space:nowrap;font-variant-numeric:tabular-nums}
.n{text-align:right}tr.all td{font-weight:700;border-top:2px solid var(--line)}code{font:13px ui-monospace,monospace}
.up{color:var(--blue)}.down{color:#9333ea}
"""


def figure(draw: Callable[[Axes], None], width: float = 6.4, height: float = 3.6) -> str:
    """An SVG of one plot.  Text stays text, ids do not depend on the run."""
    settings: Any = {  # matplotlib types its settings by hundreds of literal names
        "svg.fonttype": "none",
        "svg.hashsalt": "enb-app",
        "font.family": "sans-serif",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": _GREY,
        "axes.grid": True,
        "grid.color": "#e2e8f0",
        "axes.axisbelow": True,
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure.subplots())
        target = io.StringIO()
        figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    svg = target.getvalue()
    return _METADATA.sub("", svg[svg.index("<svg") :])


def _histogram(samples: Sequence[float]) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        axes.hist(samples, bins=min(_BINS, max(5, len(samples) // 4)), color=_BLUE, alpha=0.85)
        axes.set_xlabel("attach time, ms")
        axes.set_ylabel("UEs")

    return draw


def _cdf(result: Result) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        ordered = sorted(result.attach_ms)
        share = [100 * (rank + 1) / len(ordered) for rank in range(len(ordered))]
        axes.step(ordered, share, where="post", color=_BLUE, linewidth=2)
        times = result.times
        if times is not None:
            for name, value in (("p50", times.p50_ms), ("p95", times.p95_ms), ("p99", times.p99_ms)):
                axes.axvline(value, color=_ORANGE, linewidth=1, linestyle="--")
                axes.annotate(f"{name} {value:.0f}", (value, 3), rotation=90, fontsize=8, ha="right", va="bottom")
        axes.set_ylim(0, 102)
        axes.set_xlabel("attach time, ms")
        axes.set_ylabel("% of UEs attached by then")

    return draw


def _timeline(outcomes: Sequence[UeOutcome]) -> Callable[[Axes], None]:
    step = max(1, len(outcomes) // _MOST_TIMELINE_ROWS)
    shown = sorted(outcomes, key=lambda outcome: outcome.started_ms)[::step]

    def draw(axes: Axes) -> None:
        for verdict, color in ((True, _BLUE), (False, _RED)):
            rows = [(y, o) for y, o in enumerate(shown) if (o.verdict is Verdict.ATTACHED) is verdict]
            starts = [o.started_ms / 1000 for _, o in rows]
            axes.hlines([y for y, _ in rows], starts, [o.ended_ms / 1000 for _, o in rows], color=color, linewidth=1.2)
        axes.set_xlabel("seconds since the run began")
        axes.set_ylabel("UE, in the order of their start")

    return draw


def boxes(messages: Sequence[MessageSample]) -> Callable[[Axes], None]:
    groups: dict[str, list[float]] = {}
    for message in messages:
        groups.setdefault(message.title + (" (replayed)" if message.copy else ""), []).append(message.ms)

    def draw(axes: Axes) -> None:
        names = list(groups)[::-1]
        axes.boxplot(
            [groups[name] for name in names],
            orientation="horizontal",
            whis=(1, 99),
            showfliers=False,
            patch_artist=True,
            boxprops={"facecolor": "#dbeafe", "edgecolor": _BLUE},
            medianprops={"color": _ORANGE, "linewidth": 2},
            whiskerprops={"color": _BLUE},
            capprops={"color": _BLUE},
        )
        axes.set_yticks(range(1, len(names) + 1), names)
        axes.set_xlim(left=0)
        axes.set_xlabel("ms from request to answer; box: quartiles, whiskers: 1 % and 99 %")

    return draw


def card(name: str, value: str, kind: str = "") -> str:
    return f'<div class="card"><b class="{kind}">{escape(value)}</b><span class="soft">{escape(name)}</span></div>'


def row(cells: Sequence[str], numbers_from: int, kind: str = "") -> str:
    tds = (f'<td class="{"n" if at >= numbers_from else ""}">{escape(cell)}</td>' for at, cell in enumerate(cells))
    return f'<tr class="{kind}">{"".join(tds)}</tr>'


def table(heads: Sequence[str], rows: Sequence[str], numbers_from: int) -> str:
    head = "".join(
        f'<th class="{"n" if at >= numbers_from else ""}">{escape(name)}</th>' for at, name in enumerate(heads)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def message_table(figures_of_all: Sequence[MessageFigures], last: str = "") -> str:
    """Times and store operations of each message; last: a row under them."""
    heads = ("message", "function", "count", "min", "mean", "p50", "p95", "p99", "max ms", "reads", "writes", "cond.")
    rows = []
    for figures in figures_of_all:
        times, store, count = figures.times, figures.store, figures.times.count
        each = [f"{part / count:.1f}" for part in (store.reads, store.writes, store.conditional_writes)]
        rows.append(row([figures.title, figures.function, str(count), *report.cells(times), *each], 2))
    return table(heads, [*rows, last] if last else rows, 2)


def _figures_table(result: Result) -> str:
    store = result.store
    total = [str(store.reads), str(store.writes), str(store.conditional_writes)]
    whole = ["whole attach", "", str(len(result.attach_ms)), *report.cells(result.times), *total]
    return message_table(result.per_message(), row(whole, 2, "all"))


def _ladder_line(line: LadderLine, begin_ms: float) -> str:
    arrow = '<td class="up">UE ⟶ MME</td>' if line.up else '<td class="down">UE ⟵ MME</td>'
    cells = [
        f'<td class="n">{line.at_ms - begin_ms:.1f}</td>',
        arrow,
        f"<td><code>{escape(line.s1ap)}</code></td>",
        f"<td>{escape(line.nas or '')}</td>",
        f"<td>{escape(line.function)}</td>",
        f'<td class="n">{"" if line.ms is None else f"{line.ms:.1f}"}</td>',
        f"<td>{escape(str(line.store) if line.store else '')}</td>",
        f"<td>{escape(line.result)}</td>",
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _ladder(outcome: UeOutcome) -> str:
    heads = ("at ms", "", "S1AP", "NAS", "function", "ms", "store", "result")
    rows = [_ladder_line(line, outcome.started_ms) for line in outcome.ladder]
    title = f"UE {outcome.number}, message by message"
    told = f"trace {outcome.run}: {outcome.verdict.value}, {outcome.cause}; store: reads, writes, conditional writes"
    return f'<section><h2>{title}</h2><p class="soft">{escape(told)}</p>{table(heads, rows, 99)}</section>'


def _failures(result: Result) -> str:
    failed = [outcome for outcome in result.outcomes if outcome.verdict is not Verdict.ATTACHED]
    if not failed:
        return ""
    rows = [row([str(o.number), o.run, o.imsi, o.verdict.value, o.cause], 99) for o in failed[:_MOST_FAILURES]]
    more = f"<p>and {len(failed) - _MOST_FAILURES} more in the JSON</p>" if len(failed) > _MOST_FAILURES else ""
    listed = table(("UE", "trace", "IMSI", "verdict", "cause"), rows, 99)
    return f'<section><h2 class="bad">Not attached</h2>{listed}{more}</section>'


def _plots(result: Result) -> str:
    plots = []
    if result.attach_ms:
        plots.append(("Attach time: share of UEs", figure(_cdf(result))))
        plots.append(("Attach time: histogram", figure(_histogram(result.attach_ms))))
    plots.append(("Attaches over time", figure(_timeline(result.outcomes), height=4.2)))
    if result.messages:
        plots.append(("Each message", figure(boxes(result.messages), height=4.2)))
    sections = (f"<section><h2>{escape(title)}</h2>{svg}</section>" for title, svg in plots)
    return f'<div class="grid">{"".join(sections)}</div>'


def page(result: Result) -> str:
    """The whole document."""
    options, times = result.options, result.times
    shape = f"{options.rate_per_s:g} attaches begun per second" if options.rate_per_s else ""
    shape = shape or f"{options.concurrency} workers"
    batch = f", batches of up to {options.policy.batch}" if options.policy.batch > 1 else ""
    eager = ", eager" if options.eager else ""
    when = datetime.fromtimestamp(result.started_unix_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
    told = f"{options.ues} UEs, {options.mode.value}, {shape}{batch}{eager} · {when}"
    good = "good" if not result.failed else "bad"
    cards = [
        card("attached", f"{result.attached}/{len(result.outcomes)}", good),
        card("attaches per second", f"{result.rate_per_s:.1f}"),
        card("p50", "-" if times is None else f"{times.p50_ms:.0f} ms"),
        card("p99", "-" if times is None else f"{times.p99_ms:.0f} ms"),
        card("invocations", str(result.counters.calls)),
        card("sent again", str(result.resends)),
    ]
    ladders = "".join(_ladder(outcome) for outcome in result.outcomes if outcome.ladder)
    notes = "".join(f'<p class="soft">{escape(note)}</p>' for note in report.notes(result))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Attach report</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style></head><body><main>'
        f'<h1>Attach report</h1><p class="soft">{escape(told)}</p><div class="cards">{"".join(cards)}</div>'
        f"{_plots(result)}<section><h2>Times and store operations</h2>{_figures_table(result)}{notes}</section>"
        f"{_failures(result)}{ladders}</main></body></html>\n"
    )
