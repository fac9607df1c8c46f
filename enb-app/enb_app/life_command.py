"""`enb-app life`: UEs that live for some minutes, and a check at the end."""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from enb_app import life_report, mix
from enb_app.command_line import lab_options
from enb_app.life import LifeOptions, LifeResult, live
from mme.errors import ConfigError

EXAMPLES = """\
examples:
  enb-app life --ues 20 --minutes 1
  enb-app life --ues 200 --minutes 10 --enbs 5 --pause 5 --report report/
  enb-app life --ues 50 --minutes 5 --mix paging.json       {"paging": 80, "service request": 20}

exit status: 0 every procedure went as it should and all UEs agree with the MME, 1 not so, 2 the run broke"""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """What `life` takes beside the network's options."""
    lives = command.add_argument_group("lives")
    lives.add_argument("--ues", type=int, default=50, metavar="N", help="UEs (%(default)s)")
    lives.add_argument("--minutes", type=float, default=1.0, metavar="M", help="how long they live (%(default)s)")
    lives.add_argument("--enbs", type=int, default=3, metavar="K", help="eNBs (%(default)s)")
    lives.add_argument("--pause", type=float, default=2.0, metavar="S", help="mean time between two of its procedures")
    shares = ", ".join(f"{name} {share:g}" for name, share in mix.DEFAULT_SHARES.items())
    missing = " and ".join(mix.NOT_SERVED)
    lives.add_argument(
        "--mix",
        type=Path,
        metavar="FILE",
        help=f"JSON with the shares of procedures (default: {shares}); {missing} are left out: not built in the MME",
    )
    lives.add_argument("--tacs", metavar="LIST", help="tracking areas of the eNBs in turn, as 7,8 (--tac)")
    lives.add_argument("--first-ue", type=int, default=0, metavar="M", help="skip the first M subscribers")
    lives.add_argument("--seed", type=int, metavar="S", help="of what the UEs choose and when")
    output = command.add_argument_group("what comes out")
    output.add_argument("--json", type=Path, metavar="FILE", help="every figure and sample as JSON")
    output.add_argument("--report", type=Path, metavar="DIR", help="write DIR/index.html: one file, plots inside")
    output.add_argument("--quiet", action="store_true", help="no live view and no table")


def options_from(arguments: argparse.Namespace) -> LifeOptions:
    """Raises ConfigError."""
    for name in ("ues", "minutes", "enbs", "pause"):
        if not getattr(arguments, name) > 0:
            raise ConfigError(f"--{name}", "must be more than 0")
    if arguments.first_ue < 0:
        raise ConfigError("--first-ue", "must be 0 or more")
    try:
        tacs = tuple(int(part) for part in (arguments.tacs or str(arguments.tac)).split(","))
    except ValueError as e:
        raise ConfigError("--tacs", "must be numbers, as 7,8,9") from e
    if any(not 0 <= tac <= 0xFFFF for tac in tacs):
        raise ConfigError("--tacs", "must be 0 to 65535")
    return LifeOptions(
        lab=replace(lab_options(arguments, seed=arguments.seed), first_ue=arguments.first_ue),
        ues=arguments.ues,
        minutes=arguments.minutes,
        enbs=arguments.enbs,
        pause_s=arguments.pause,
        tacs=tacs,
        mix=mix.load(arguments.mix),
    )


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Exit status 0 or 1.  Raises ConfigError and RunBrokeError."""
    options = options_from(arguments)
    if not arguments.quiet:
        console.print(options.mix.note(), markup=False, highlight=False, soft_wrap=True)
    result = asyncio.run(_live(options, console, quiet=arguments.quiet))
    if not arguments.quiet:
        life_report.print_tables(console, result)
    if arguments.json is not None:
        life_report.write_json(result, arguments.json)
    if arguments.report is not None:
        path = life_report.write_html(result, arguments.report)
        console.print(f"report: {path}", markup=False, highlight=False, soft_wrap=True)
    return result.exit_code


async def _live(options: LifeOptions, console: Console, *, quiet: bool) -> LifeResult:
    if quiet or not console.is_terminal:
        return await live(options)
    with life_report.view(console) as show:
        return await live(options, show)
