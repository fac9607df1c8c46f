"""summary.md: all sections' latest figures, with machine, load and command of each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.plots import COPIED, PLOTS
from bench.section import Section

_EARLIER = """\
## Beside earlier systems

Cited, not measured here: another stack and another run, so no ratio is made of it.  A published thesis MME (Go, JSON
messages of its own, no NAS, no keys, three invocations per attach), on OpenFaaS CE on a real Kubernetes of one two-core
machine, synchronous, took p50 99.5 ms with 1 caller (136 ms when forked per request, as its template did), 332 ms with
10 (29 attaches/s) and 1267 ms with 50 (36/s).  A null Flask function took p50 3.2 ms synchronous and 7.2 ms
asynchronous there.
"""


def write(
    folder: Path, sections: Mapping[str, Section], command: str = "make bench", images: Path | None = None
) -> Path:
    """Make summary.md and the plots from the sections' JSON in `folder`; the file made.

    images: where copies of the plots go, too.
    """
    found = {name: json.loads(file.read_text()) for name in sections if (file := folder / f"{name}.json").is_file()}
    lines = [
        "# Bench",
        "",
        f"Made by `{command}`; the raw figures lie beside this file.  docs/bench.md says what they mean.",
    ]
    lines += ["", "| target | value | at most | |", "| --- | ---: | ---: | --- |"]
    for run in found.values():
        for target in run["targets"]:
            value = "not measured" if target["value"] is None else f"{target['value']:.4g}{target['unit']}"
            verdict = "reached" if target["reached"] else "**MISSED**"
            lines.append(f"| {target['what']} | {value} | {target['limit']:g}{target['unit']} | {verdict} |")
    for name, run in found.items():
        lines += ["", f"## {sections[name].title}", "", _circumstances(run), ""]
        lines += sections[name].markdown(run["figures"])
        if name in PLOTS:
            PLOTS[name](run["figures"], folder / f"{name}.svg")
            if images is not None and name in COPIED:
                PLOTS[name](run["figures"], images / f"{COPIED[name]}.svg")
            lines += ["", f"![{sections[name].title}]({name}.svg)"]
    path = folder / "summary.md"
    path.write_text("\n".join([*lines, "", _EARLIER]))
    return path


def _circumstances(run: dict[str, Any]) -> str:
    machine, load = run["machine"], run["load"]
    quick = "  A quick run: too few samples for anything but a look." if run["quick"] else ""
    return (
        f"`{run['command']}`, {run['started']}, {run['took_s']:.0f} s; {machine['processor']}, "
        f"{machine['cores']} cores, "
        f"{machine['memory_gib']:g} GiB, {machine['system']}, Python {machine['python']}, SQLite {machine['sqlite']}; "
        f"load average {load['before']['load_1']:g} before and {load['after']['load_1']:g} after, cores busy with "
        f"other work just before {load['before']['busy']:.0%}, just after {load['after']['busy']:.0%}.{quick}"
    )
