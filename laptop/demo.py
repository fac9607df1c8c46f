"""What the system does, shown in a minute: attaches, a ladder, a refusal, a replica killed in the middle."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from enb_app import report
from enb_app.attach import attach
from enb_app.effects import Verdict
from enb_app.measure import UeOutcome
from enb_app.options import AttachOptions, Fault
from enb_app.result import Result
from laptop.site import Site
from localfaas.process import Running

MORE_UES = 10
KILL_AMONG = 8  # attaches under way when the replica is killed
KILLED = "mme-uplink-nas"


def run(site: Site, console: Console, *, ues: int, port: int, report_folder: Path) -> int:
    """Run the demonstration -> exit status: 0 = every UE attached that should, and the one that should not did not."""
    shutil.rmtree(site.folder, ignore_errors=True)
    subscribers = ues + MORE_UES + 1
    with console.status(f"provisioning {subscribers} subscribers"):
        site.provision(subscribers)
    say(console, f"1. {subscribers} subscribers with keys of their own are in the store, K and OPc encrypted.")
    with contextlib.ExitStack() as stack:
        with console.status("starting localfaas with the functions of stack.yml, and the ticker"):
            gateway = stack.enter_context(site.serve(port=port))
        say(console, f"2. localfaas serves the functions of stack.yml at {gateway.url}; the ticker runs.")
        results = asyncio.run(_show(site, gateway, console, ues=ues))
    return _conclude(console, site, results, report_folder)


async def _show(site: Site, gateway: Running, console: Console, *, ues: int) -> tuple[Result, Result, Result]:
    options = AttachOptions(gateway=gateway.url, ues=ues, secrets=site.secrets, subscribers=site.subscribers)
    say(console, f"3. {ues} UEs attach over asynchronous invocations, {options.concurrency} at a time:")
    with report.progress(console, ues) as on_outcome:
        attached = await attach(options, on_outcome)
    report.print_ladder(console, attached.outcomes[0])
    report.print_tables(console, attached)

    say(console, "4. A UE whose key is wrong: it must be refused.")
    refused = await attach(replace(options, ues=1, first_ue=ues, fault=Fault.WRONG_KEY))
    report.print_ladder(console, refused.outcomes[0])

    say(console, f"5. {MORE_UES} more UEs, and after the first of them the only replica of {KILLED} is killed:")
    killed: list[str] = []

    def kill_once(_outcome: UeOutcome) -> None:
        if not killed:
            killed.append(str(gateway.kill(KILLED).get("instance", "?")))

    more = await attach(replace(options, ues=MORE_UES, first_ue=ues + 1, concurrency=KILL_AMONG), kill_once)
    say(
        console,
        f"   {killed[0] if killed else 'no replica'} was killed; {more.attached}/{MORE_UES} attached, "
        f"{more.resends} messages were sent again.",
    )
    for cause in sorted({outcome.cause for outcome in more.outcomes if outcome.verdict is not Verdict.ATTACHED}):
        say(console, f"   not attached: {cause}")
    if more.failed:
        say(console, "   A new replica costs a second of processor time: busy machines need longer than a UE waits.")
    return attached, refused, more


def _conclude(console: Console, site: Site, results: tuple[Result, Result, Result], report_folder: Path) -> int:
    attached, refused, more = results
    page = report.write_html(attached, report_folder)
    report.write_json(attached, report_folder / "attach.json")
    say(console, f"\nThe report with its plots: {page}\n\nTry next:")
    say(console, "  make up                                        # the same functions, until Ctrl-C")
    say(console, "  .venv/bin/enb-app attach --ues 20 --ladder     # in another terminal, meanwhile")
    say(console, f"  .venv/bin/edge subscribers list --store '{site.store_url}' | head\n")
    good = attached.failed == 0 and more.failed == 0 and refused.outcomes[0].verdict is Verdict.REJECTED
    say(console, f"attached {attached.attached}/{attached.options.ues}")
    return 0 if good else 1


def say(console: Console, text: str) -> None:
    """One line, as it is."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)
