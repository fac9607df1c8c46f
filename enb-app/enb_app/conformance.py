"""The conformance run: cases side by side against one MME, a line for each, and the table for docs/cases.md."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

from enb_app import subscribers
from enb_app.cases import CASES, GROUPS, Case, SkipError, Stage
from enb_app.cases.case import DeviationError, Needs
from enb_app.cases.not_taken import NOT_TAKEN, OTHERWISE_NAMED
from enb_app.device import Device
from enb_app.journal import Sent, UnexpectedError, described
from enb_app.lab import Lab, LabOptions
from enb_app.station import Station
from enb_app.usim import Subscriber
from mme.errors import ConfigError

ENBS_PER_CASE = 3
UES_PER_CASE = 9
LONGEST_S = 90.0
LONGEST_PATIENT_S = 600.0


@dataclass(frozen=True, slots=True)
class CaseOptions:
    """timers: what this MME's timers are of the specification's, None = the same.  long: also what takes minutes."""

    lab: LabOptions
    names: tuple[str, ...]
    timers: float | None = None
    long: bool = False
    concurrency: int = 4


@dataclass(frozen=True, slots=True)
class CaseResult:
    """outcome: pass, fail, skip or deviates.  story: what each UE heard and sent, of a case that failed."""

    case: Case
    outcome: str
    detail: str
    took_s: float
    story: tuple[str, ...] = ()

    def line(self) -> str:
        return f"{self.outcome} {self.case.name}" + (f": {self.detail}" if self.detail else "")


OnResult = Callable[[CaseResult], None]


def chosen(names: Sequence[str], *, everything: bool, only: str | None) -> tuple[str, ...]:
    """Names of the cases that were asked for.  Raises ConfigError for one that does not exist."""
    for name in names:
        if name not in CASES:
            near = [known for known in CASES if name in known][:5]
            raise ConfigError("NAME", f"there is no case {name}" + (f"; {', '.join(near)}?" if near else ""))
    if only is not None and only not in GROUPS:
        raise ConfigError("--only", f"a group is one of {', '.join(GROUPS)}")
    found = [name for name in CASES if everything or name in names]
    found = [name for name in found if only is None or CASES[name].group == only]
    if not found:
        raise ConfigError("NAME", "say which case, or --all, or --list")
    return tuple(sorted(found, key=lambda name: list(GROUPS).index(CASES[name].group)))


async def run(options: CaseOptions, on_result: OnResult = lambda _: None) -> list[CaseResult]:
    """Run the cases.  Raises ConfigError for keys and subscribers that are missing."""
    waiting = iter(sorted(options.names, key=_shortest))
    workers = min(options.concurrency, len(options.names))
    lab = Lab(options.lab, workers * ENBS_PER_CASE)
    needed = options.lab.first_ue + len(options.names) * UES_PER_CASE
    cards = _endless(subscribers.load(options.lab.subscribers, min(needed, _available(options.lab.subscribers))))
    results: list[CaseResult] = []

    async def work(free: list[Station]) -> None:
        for name in waiting:
            result = await _one(options, CASES[name], Stage(lab, cards, list(free), options.timers))
            results.append(result)
            on_result(result)

    async with lab.opened(), asyncio.TaskGroup() as group:
        for number in range(workers):
            group.create_task(work(lab.stations[number * ENBS_PER_CASE : (number + 1) * ENBS_PER_CASE]))
    return sorted(results, key=lambda result: options.names.index(result.case.name))


def _shortest(name: str) -> int:
    """What waits longest begins first, so that nothing is left to wait for alone at the end."""
    needs = CASES[name].needs
    return 0 if Needs.PATIENCE in needs else 1 if needs else 2


def _available(path: Path) -> int:
    try:
        with path.open(encoding="utf-8") as file:
            return max(1, sum(1 for line in file if line.strip()) - 1)
    except OSError:
        return 1


def _endless(found: list[Subscriber]) -> Iterator[Subscriber]:
    """The subscribers in turn; a case after the last of them meets UEs that an earlier one has used."""
    return (found[number % len(found)] for number in count())


async def _one(options: CaseOptions, case: Case, stage: Stage) -> CaseResult:
    loop = asyncio.get_running_loop()
    lacking = _lacking(options, case)
    if lacking is not None:
        return CaseResult(case, "skip", f"needs {lacking.value}", 0.0)
    begin = loop.time()
    patient = Needs.PATIENCE in case.needs and options.timers is None
    longest = LONGEST_PATIENT_S if patient else LONGEST_S
    outcome, detail = "pass", ""
    try:
        async with asyncio.timeout(longest):
            await case.script(stage)
    except SkipError as e:
        outcome, detail = "skip", str(e)
    except DeviationError as e:
        outcome, detail = _deviates(case, e)
    except UnexpectedError as e:
        outcome, detail = "fail", str(e)
    except ExceptionGroup as e:
        outcome, detail = "fail", "; ".join(sorted({str(inner) for inner in e.exceptions}))
    except TimeoutError:
        outcome, detail = "fail", f"expected the end of the case, came nothing within {longest:g} s"
    story = tuple(_story(stage.devices)) if outcome == "fail" else ()
    stage.release()
    return CaseResult(case, outcome, detail, loop.time() - begin, story)


def _deviates(case: Case, found: DeviationError) -> tuple[str, str]:
    """(outcome, detail); a failure where the case admits no deviation."""
    if case.deviation is None:
        return "fail", str(found)
    return "deviates", f"{found}: {case.deviation.reason} ({case.deviation.decision})"


def _lacking(options: CaseOptions, case: Case) -> Needs | None:
    for need in case.needs:
        if need is Needs.SHORT_TIMERS and options.timers is None:
            return need
        if need is Needs.PATIENCE and options.timers is None and not options.long:
            return need
    return None


def _story(devices: Sequence[Device]) -> Iterator[str]:
    for number, device in enumerate(devices, start=1):
        for entry in device.journal.entries:
            told = f"{entry.name}: {entry.result}, {entry.label}" if isinstance(entry, Sent) else described(entry)
            yield f"UE {number} {'->' if isinstance(entry, Sent) else '<-'} {told}"


# --------------------------------------------------------------------------- what comes out


def as_json(results: Sequence[CaseResult]) -> dict[str, Any]:
    return {
        "passed": sum(result.outcome == "pass" for result in results),
        "deviating": sum(result.outcome == "deviates" for result in results),
        "failed": sum(result.outcome == "fail" for result in results),
        "skipped": sum(result.outcome == "skip" for result in results),
        "cases": [
            {
                "name": result.case.name,
                "group": result.case.group,
                "clause": result.case.clause,
                "expected": result.case.expected,
                "outcome": result.outcome,
                "detail": result.detail,
                "took_s": round(result.took_s, 2),
            }
            for result in results
        ],
    }


def summary(results: Sequence[CaseResult]) -> str:
    """How many of each outcome, in one line."""
    figures = as_json(results)
    told = f"{figures['passed']} passed, {figures['failed']} failed, {figures['skipped']} skipped"
    return f"{told}, {figures['deviating']} deviating" if figures["deviating"] else told


def write_json(results: Sequence[CaseResult], path: Path) -> None:
    path.write_text(json.dumps(as_json(results), indent=1) + "\n", encoding="utf-8")


def markdown(results: Sequence[CaseResult], command: str, day: date) -> str:
    """The table for docs/cases.md.  command: what made it, without where the gateway is.  day: UTC."""
    lines = [
        "# Conformance cases",
        "",
        f"Made by `{command}`; do not edit.",
        f"Last run, {day.isoformat()}: {summary(results)}.",
        "Clauses without a document are of TS 24.301. A case that Magma's s1aptests have too is named as there.",
    ]
    for group, title in GROUPS.items():
        rows = [result for result in results if result.case.group == group]
        if not rows:
            continue
        lines += ["", f"## {title} (`--only {group}`)", "", "| case | clause | what is expected | last result |"]
        lines.append("| --- | --- | --- | --- |")
        for result in rows:
            case = result.case
            told = result.outcome + (f": {result.detail}" if result.detail else "")
            cells = (f"`{case.name}`", case.clause.removeprefix("TS 24.301 "), case.expected, told)
            lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    return "\n".join([*lines, *_not_taken()]) + "\n"


def _not_taken() -> list[str]:
    """What of Magma's list for these groups is not here, and what is under another name."""
    left_out = [f"| {', '.join(f'`{name}`' for name in entry.names)} | {entry.because} |" for entry in NOT_TAKEN]
    renamed = [f"| `{there}` | `{here}` |" for there, here in OTHERWISE_NAMED.items()]
    return [
        "",
        "## Not taken, because",
        "",
        "Of the same groups of Magma's s1aptests. Its groups of handover, several PDN connections, dedicated bearers",
        "and restarts are left out as a whole.",
        "",
        "| there | because |",
        "| --- | --- |",
        *left_out,
        "",
        "Named otherwise:",
        "",
        "| there | here |",
        "| --- | --- |",
        *renamed,
    ]


def listed() -> str:
    """Every case with its group and what it expects."""
    lines = []
    for group, title in GROUPS.items():
        lines.append(f"{title} (--only {group})")
        for case in CASES.values():
            if case.group == group:
                lines.append(f"  {case.name}: {case.expected} ({case.clause})")
    return "\n".join(lines)
