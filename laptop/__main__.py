"""`python -m laptop demo | up`: see the package's text."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from cassandra_lab.jars import LabError
from enb_app.attach import RunBrokeError
from enb_app.report import console as terminal
from laptop import database, demo, preflight
from laptop.preflight import NotReadyError
from laptop.site import ProvisioningError, Site
from localfaas.errors import StartError
from mme.errors import ConfigError, StoreError


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m laptop", description="The whole system on one machine.")
    p.add_argument("command", choices=("demo", "up"))
    p.add_argument("--ues", type=int, default=200, help="UEs of the demonstration (%(default)s)")
    p.add_argument("--port", type=int, default=8080, help="the gateway's port (%(default)s); 0 = any free one")
    p.add_argument("--workers", type=int, default=4, help="queue workers of `up` (%(default)s)")
    p.add_argument(
        "--folder",
        type=Path,
        help="keys, subscribers, store: demo makes .localfaas/demo anew, up keeps .localfaas",
    )
    p.add_argument(
        "--store",
        choices=("sqlite", "cassandra"),
        default="sqlite",
        help="of the demonstration (%(default)s); cassandra: the cluster at CASSANDRA_HOSTS, else a node is started",
    )
    p.add_argument("--report", type=Path, default=Path("report"), help="where the report is written (%(default)s)")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command -> exit status; 2 = it could not be run."""
    options = parser().parse_args(arguments)
    console = terminal()
    signal.signal(signal.SIGTERM, _interrupt)  # so that whatever was started is stopped on the way out
    try:
        preflight.check(options.port, Path.cwd())
        if options.command == "demo":
            folder = options.folder or Path(".localfaas/demo")
            with preflight.alone(folder), database.url(options.store, console) as store:
                site = Site(folder, store)
                return demo.run(site, console, ues=options.ues, port=options.port, report_folder=options.report)
        site = Site(options.folder or Path(".localfaas"), os.environ.get("STORE_URL"))
        with preflight.alone(site.folder):
            return up(site, console, options.port, options.workers)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; everything that was started is stopped\n")
        return 130
    except OSError as e:
        sys.stderr.write(f"cannot use {e.filename}: {e.strerror}\n")
        return 2
    except (NotReadyError, ProvisioningError, StartError, RunBrokeError, ConfigError, StoreError, LabError) as e:
        sys.stderr.write(f"{e}\n")
        return 2


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def up(site: Site, console: Console, port: int, workers: int) -> int:
    """Serve until SIGINT or SIGTERM."""
    site.provision(1000)
    with site.serve(port=port, workers=workers) as gateway, contextlib.suppress(KeyboardInterrupt):
        demo.say(console, f"{gateway.url} serves the functions of stack.yml; subscribers: {site.subscribers}")
        demo.say(console, "In another terminal: .venv/bin/enb-app attach --ues 20 --ladder      Stop with Ctrl-C.")
        threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
