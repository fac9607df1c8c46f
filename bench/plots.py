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


def operations(figures: dict[str, Any], path: Path) -> None:
    """Boxes of each kind over the rows that were there, and a session per process beside one per call."""
    figure = _figure(height=3.4)
    levels = figures["levels"]
    kinds = figures["boxes"]
    several = figure.subplots(1, len(kinds) + 1, width_ratios=[*([1.0] * len(kinds)), 0.8])
    limit = max(level["kinds"][kind]["p99"] for level in levels for kind in kinds) * 1.1
    for axes, kind in zip(several, kinds, strict=False):
        boxes = [_box(level["kinds"][kind], f"{level['rows'] // 1000} k") for level in levels]
        axes.bxp(boxes, showfliers=False)
        axes.set(title=kind, xlabel="rows there", ylim=(0, limit))
        axes.grid(axis="y", alpha=0.3)
    several[0].set_ylabel("ms (box: quartiles; whiskers: p1, p99)")
    sessions = figures["sessions"]
    several[-1].bxp(
        [_box(sessions[name], name.removeprefix("per ")) for name in ("per process", "per call")], showfliers=False
    )
    several[-1].set(title="read, a session per", yscale="log")
    for axes in several:
        axes.title.set_fontsize(8)
        axes.tick_params(labelsize=7)
    _save(figure, path)


def _box(found: dict[str, float], label: str) -> dict[str, Any]:
    named = {"med": "p50", "q1": "p25", "q3": "p75", "whislo": "p1", "whishi": "p99"}
    return {"label": label, **{name: found[of] for name, of in named.items()}}


def growth(figures: dict[str, Any], path: Path) -> None:
    """Attach p50 over resident contexts, and beside it where they are the fewest."""
    figure = _figure(height=3.2)
    axes = figure.subplots()
    rows = figures["rows"]
    sizes = [row["resident"] for row in rows]
    axes.plot(sizes, [row["p50_ms"] for row in rows], "o-", color=_COLOURS["sync"], label="with so many")
    beside = f"in the same minutes, with {sizes[0]}"
    axes.plot(sizes, [row["fewest_p50_ms"] for row in rows], "o--", color=_COLOURS["async"], label=beside)
    axes.set(xscale="log", xlabel="resident UE contexts", ylabel="attach p50, ms")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    _save(figure, path)


def scaling(figures: dict[str, Any], path: Path) -> None:
    """Load against its threshold, replicas, attach times and waits, over the time of the run."""
    figure = _figure(height=8.0)
    load, replicas, attaches, waits = figure.subplots(4, 1, sharex=True)
    series = figures["series"]
    for name, colour in (("invocations", _COLOURS["sync"]), ("messages", _COLOURS["async"])):
        load.plot(*_columns(series[name]), color=colour, label=f"{name}/s, as recorded")
    limit = figures["thresholds"][figures["by"]]
    if figures["by"] != "queue_seconds":
        load.axhline(limit, color="black", linestyle=":", label=f"threshold of {figures['by']}")
    load.set(ylabel=figures["function"])
    end = max(step["at_s"] for step in figures["steps"]) + 10
    seen = [*figures["replicas"], [end, *figures["replicas"][-1][1:]]]
    at = [row[0] for row in seen]
    replicas.step(at, [row[1] for row in seen], where="post", color="black", linewidth=1, label="replicas wanted")
    replicas.fill_between(at, [row[2] for row in seen], step="post", color=_COLOURS["sync"], alpha=0.3, label="ready")
    replicas.set(ylabel="replicas")
    windows = figures["windows"]
    middle = [window["at_s"] + 5 for window in windows]
    attaches.plot(middle, [window["p50_ms"] for window in windows], color=_COLOURS["sync"], label="attach p50")
    attaches.plot(middle, [window["p99_ms"] for window in windows], "--", color=_COLOURS["sync"], label="attach p99")
    attaches.set(ylabel="ms")
    waits.plot(*_columns([[at, 1000 * value] for at, value in series["queue_s"]]), color=_COLOURS["async"])
    if figures["by"] == "queue_seconds":
        waits.axhline(1000 * limit, color="black", linestyle=":")
    waits.set(ylabel="mean wait in\nthe queue, ms", xlabel="s")
    for axes in (load, replicas, attaches, waits):
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    for axes in (load, replicas, attaches):
        axes.legend(frameon=False, fontsize=7, loc="upper left")
    _save(figure, path)


def _columns(rows: list[list[float]]) -> tuple[list[float], list[float]]:
    return [row[0] for row in rows], [row[1] for row in rows]


PLOTS = {
    "table": table,
    "attach": attach,
    "memory": memory,
    "operations": operations,
    "growth": growth,
    "scaling": scaling,
    "scaling-batched": scaling,
    "scaling-waits": scaling,
}
"""By section."""
COPIED = {
    "operations": "cassandra-operations",
    "growth": "cassandra-growth",
    "scaling": "scaling",
    "scaling-batched": "scaling-batched",
    "scaling-waits": "scaling-waits",
}
"""Shown in docs, too: there under this name."""


def _figure(height: float = 4.0) -> Figure:
    return Figure(figsize=(7, height), layout="constrained")


def _save(figure: Figure, path: Path) -> None:
    # No date, and ids that follow from the content: the same figures make the same file.
    with mpl.rc_context({"svg.hashsalt": path.stem, "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None})
