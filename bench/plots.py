"""Pictures beside the summary, as SVG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

_COLOURS = {"sync": "#1f6f8b", "async": "#c8553d"}


def table(figures: dict[str, Any], path: Path) -> None:
    """p50 and p99 over concurrency."""
    figure = _figure()
    axes = figure.subplots()
    for mode, colour in _COLOURS.items():
        rows = [row for row in figures["rows"] if row["mode"] == mode and row["p50_ms"] is not None]
        levels = [row["concurrency"] for row in rows]
        axes.plot(levels, [row["p50_ms"] for row in rows], "o-", color=colour, label=f"{mode}, p50")
        axes.plot(levels, [row["p99_ms"] for row in rows], "o--", color=colour, label=f"{mode}, p99", alpha=0.6)
    axes.set(xscale="log", yscale="log", xlabel="UEs attaching at a time", ylabel="attach, ms")
    levels = sorted({row["concurrency"] for row in figures["rows"]})
    axes.set_xticks(levels, [str(level) for level in levels])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    _save(figure, path)


def attach(figures: dict[str, Any], path: Path) -> None:
    """Where the time of one attach goes."""
    figure = _figure(height=2.6)
    axes = figure.subplots()
    modes = figures["modes"]
    left = dict.fromkeys(modes, 0.0)
    for number, part in enumerate(modes["sync"]["parts_mean_ms"]):
        widths = [max(0.0, modes[mode]["parts_mean_ms"][part]) for mode in modes]
        axes.barh(list(modes), widths, left=list(left.values()), label=part, color=mpl.colormaps["tab10"](number))
        left = {mode: left[mode] + width for mode, width in zip(modes, widths, strict=True)}
    axes.set(xlabel="ms of one attach, mean")
    axes.legend(frameon=False, fontsize=7, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.3))
    _save(figure, path)


def memory(figures: dict[str, Any], path: Path) -> None:
    """Resident memory over attaches."""
    figure = _figure()
    axes = figure.subplots()
    points = figures["points"]
    for name in figures["growth_mib"]:
        axes.plot([p["attaches"] for p in points], [p["kib"][name] / 1024 for p in points], label=name)
    axes.set(xlabel="attaches", ylabel="VmRSS of a replica, MiB")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    _save(figure, path)


PLOTS = {"table": table, "attach": attach, "memory": memory}
"""By section."""


def _figure(height: float = 4.0) -> Figure:
    return Figure(figsize=(7, height), layout="constrained")


def _save(figure: Figure, path: Path) -> None:
    # No date, and ids that follow from the content: the same figures make the same file.
    with mpl.rc_context({"svg.hashsalt": path.stem, "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None})
