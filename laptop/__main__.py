"""`python -m laptop demo | up`: see the package's text."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from enb_app.attach import RunBrokeError
from enb_app.report import console as terminal
from laptop import demo, preflight
from laptop.preflight import NotReadyError
from laptop.site import ProvisioningError, Site
from localfaas.errors import StartError
from mme.errors import ConfigError


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m laptop", description="The whole system on one machine.")
    p.add_argument("command", choices=("demo", "up"))
    p.add_argument("--ues", type=int, default=200, help="UEs of the demonstration (%(default)s)")
    p.add_argument("--port", type=int, default=8080, help="the gateway's port (%(default)s); 0 = any free one")
    p.add_argument("--workers", type=int, default=4, help="queue workers of `up` (%(default)s)")
    p.add_argument("--folder", type=Path, default=Path(".localfaas"), help="keys, subscribers and store (%(default)s)")
    p.add_argument("--report", type=Path, default=Path("report"), help="where the report is written (%(default)s)")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command -> exit status; 2 = it could not be run."""
    options = parser().parse_args(arguments)
    console = terminal()
    site = Site(options.folder)
    try:
        preflight.check(options.port, Path.cwd())
        if options.command == "demo":
            return demo.run(site, console, ues=options.ues, port=options.port, report_folder=options.report)
        return up(site, console, options.port, options.workers)
    except (NotReadyError, ProvisioningError, StartError, RunBrokeError, ConfigError) as e:
        sys.stderr.write(f"{e}\n")
        return 2


def up(site: Site, console: Console, port: int, workers: int) -> int:
    """Serve until SIGINT or SIGTERM."""
    site.provision(1000)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with site.serve(port=port, workers=workers) as gateway:
        demo.say(console, f"{gateway.url} serves the functions of stack.yml; subscribers: {site.subscribers}")
        demo.say(console, "In another terminal: .venv/bin/enb-app attach --ues 20 --ladder      Stop with Ctrl-C.")
        stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
