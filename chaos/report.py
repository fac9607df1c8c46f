"""What a run says of itself: injected, checked, and a verdict; a failure with its seed and its shortest history."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from chaos import history
from chaos.checker import INVARIANTS, Violation
from chaos.history import Challenged, Context, Event, Injected, Last, Named, Nas, shows_attached
from chaos.run import Outcome

_MOST_SHOWN = 3


def strikes(events: list[Event]) -> dict[str, int]:
    """By what was done; replicas that had calls under way are counted apart."""
    found: Counter[str] = Counter()
    for event in events:
        if isinstance(event, Injected):
            found[event.what] += 1
            if event.hit:
                found["replica killed in the middle of a call"] += 1
    return dict(sorted(found.items()))


def looked_at(events: list[Event]) -> dict[str, int]:
    """Of what kind the checker had how many."""
    kinds: dict[str, type[Any]] = {
        "UEs": Last,
        "contexts in the store": Context,
        "GUTIs and addresses taken": Named,
        "protected NAS messages": Nas,
        "challenges": Challenged,
    }
    return {name: sum(isinstance(event, kind) for event in events) for name, kind in kinds.items()}


def show(console: Console, outcome: Outcome, violations: list[Violation]) -> None:
    """The tables, and the verdict in the last line."""
    _show_injected(console, outcome)
    found = Counter(violation.invariant for violation in violations)
    checked = Table(title="Checked", box=box.SIMPLE_HEAD, title_justify="left")
    checked.add_column("what must hold")
    checked.add_column("violations", justify="right")
    for name, (text, _) in INVARIANTS.items():
        checked.add_row(text, str(found[name]), style="bold red" if found[name] else None)
    checked.caption = ", ".join(f"{count} {name}" for name, count in looked_at(outcome.events).items())
    console.print(checked)
    for name in found:
        _show_violations(console, [violation for violation in violations if violation.invariant == name])
    console.print(verdict(outcome, violations), markup=False, highlight=False, soft_wrap=True)


def _show_injected(console: Console, outcome: Outcome) -> None:
    injected = Table(title="Injected", box=box.SIMPLE_HEAD, title_justify="left")
    injected.add_column("what")
    injected.add_column("times", justify="right")
    for what, count in strikes(outcome.events).items():
        injected.add_row(what, str(count))
    for section, counts in outcome.wire.items():
        total = sum(counts.values())
        for kind, count in counts.items():
            if kind != "none" and count:
                injected.add_row(f"{section}: {kind}", f"{count} of {total}")
    console.print(injected)
    procedures = ", ".join(f"{count} {name}" for name, count in outcome.procedures.items())
    text = f"{procedures}; {outcome.faults} of them failed and were tried again; "
    text += f"{outcome.resends} messages sent again, {outcome.retries} asked to retry, in {outcome.duration_s:.0f} s"
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _show_violations(console: Console, violations: list[Violation]) -> None:
    for violation in violations[:_MOST_SHOWN]:
        ues = ", ".join(f"UE {ue}" for ue in violation.ues)
        console.print(f"\n{ues}: {violation.text}", style="red", markup=False, highlight=False, soft_wrap=True)
        for event in violation.witnesses:
            console.print(f"  {history.line(event)}", markup=False, highlight=False, soft_wrap=True)
    if len(violations) > _MOST_SHOWN:
        console.print(f"  and {len(violations) - _MOST_SHOWN} more of this kind", highlight=False)


def verdict(outcome: Outcome, violations: list[Violation]) -> str:
    """One line."""
    options = outcome.options
    told = f"seed {options.seed}, {options.ues} UEs, {options.minutes:g} minutes"
    if violations:
        again = f"make chaos SEED={options.seed} MINUTES={options.minutes:g} UES={options.ues}"
        again += f" NODES={options.nodes}" if options.nodes else " STORE=sqlite"
        return f"\nFAILED: {len(violations)} violations ({told}); the strikes of this seed again: {again}"
    attached = _attached(outcome.events)
    return f"\nPASSED: no violation, {attached}/{options.ues} UEs attached ({told})"


def _attached(events: list[Event]) -> int:
    """UEs that the MME has shown to be attached at least once."""
    return len({event.ue for event in events if shows_attached(event)})


def as_json(outcome: Outcome, violations: list[Violation]) -> dict[str, Any]:
    """The run in figures."""
    options = asdict(outcome.options)
    del options["folder"]
    options["hosts"] = bool(options["hosts"])
    return {
        "options": options,
        "started_unix_s": round(outcome.started_unix_s, 1),
        "duration_s": round(outcome.duration_s, 1),
        "cores": os.cpu_count(),
        "injected": strikes(outcome.events),
        "wire": outcome.wire,
        "procedures": outcome.procedures,
        "failed_and_tried_again": outcome.faults,
        "calls": outcome.calls,
        "resends": outcome.resends,
        "retries": outcome.retries,
        "contexts_not_at_rest": outcome.restless,
        "looked_at": looked_at(outcome.events),
        "attached": _attached(outcome.events),
        "violations": [
            {
                "invariant": violation.invariant,
                "ues": list(violation.ues),
                "text": violation.text,
                "history": [json.loads(history.line(event)) for event in violation.witnesses],
            }
            for violation in violations
        ],
    }


def write(path: Path, outcome: Outcome, violations: list[Violation]) -> None:
    """As JSON."""
    path.write_text(json.dumps(as_json(outcome, violations), indent=1) + "\n", encoding="utf-8")
