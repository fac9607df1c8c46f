"""`enb-app case`: run conformance cases against any gateway."""

from __future__ import annotations

import argparse
import asyncio
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from enb_app import conformance
from enb_app.command_line import lab_options
from enb_app.conformance import CaseOptions, CaseResult

_STYLES = {"pass": "green", "fail": "bold red", "skip": "yellow", "deviates": "magenta"}

EXAMPLES = """\
examples:
  enb-app case --list
  enb-app case attach_detach                          one case, and what came if it failed
  enb-app case --all --markdown docs/cases.md         all that this MME can be put to
  enb-app case --all --timers 0.1                     the MME's timers are a tenth of the specification's

A case prints "pass NAME", "skip NAME: why", "fail NAME: expected ..., came ...", or "deviates NAME: ..." where the MME
does something else on purpose, with the reason and the page that has it.
exit status: 0 none failed, 1 some did, 2 the run could not be made"""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """What `case` takes beside the network's options."""
    command.add_argument("names", nargs="*", metavar="NAME", help="cases to run")
    command.add_argument("--all", action="store_true", help="every case")
    command.add_argument("--list", action="store_true", help="list the cases and what they expect")
    command.add_argument("--only", metavar="GROUP", help="with --all: one group of them")
    command.add_argument(
        "--timers",
        type=float,
        metavar="FACTOR",
        help="the MME runs with timers of at most FACTOR times the specification's; without it timer cases are skipped",
    )
    command.add_argument(
        "--long", action="store_true", help="without --timers: also the cases that wait for more than four minutes"
    )
    command.add_argument("--concurrency", type=int, default=4, metavar="C", help="cases side by side (%(default)s)")
    command.add_argument("--json", type=Path, metavar="FILE", help="results as JSON")
    command.add_argument("--markdown", type=Path, metavar="FILE", help="results as the table of docs/cases.md")
    command.add_argument("--story", action="store_true", help="of a failed case, every message of its UEs")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Exit status 0 or 1.  Raises ConfigError."""
    if arguments.list:
        console.print(conformance.listed(), markup=False, highlight=False, soft_wrap=True)
        return 0
    names = conformance.chosen(arguments.names, everything=arguments.all, only=arguments.only)
    story = arguments.story or len(names) == 1

    def on_result(result: CaseResult) -> None:
        style = _STYLES[result.outcome]
        console.print(result.line(), style=style, markup=False, highlight=False, soft_wrap=True)
        for line in result.story if story else ():
            console.print(f"    {line}", markup=False, highlight=False, soft_wrap=True)

    options = CaseOptions(
        lab_options(arguments),
        names,
        arguments.timers,
        arguments.long,
        max(1, arguments.concurrency),
    )
    results = asyncio.run(conformance.run(options, on_result))
    console.print(conformance.summary(results), style="bold", highlight=False)
    if arguments.json is not None:
        conformance.write_json(results, arguments.json)
    if arguments.markdown is not None:
        table = conformance.markdown(results, told_again(arguments), datetime.now(UTC).date())
        arguments.markdown.write_text(table, encoding="utf-8")
    return 1 if any(result.outcome == "fail" for result in results) else 0


def told_again(arguments: argparse.Namespace) -> str:
    """The command that was given, as far as it says which cases ran and how; not where, nor with whose keys."""
    words = ["enb-app case", *arguments.names]
    words += ["--all"] * arguments.all
    words += ["--only", arguments.only] if arguments.only else []
    words += ["--timers", f"{arguments.timers:g}"] if arguments.timers is not None else []
    words += ["--long"] * arguments.long
    words += ["--concurrency", str(arguments.concurrency)]
    return " ".join(words)
