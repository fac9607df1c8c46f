"""`python -m chaos`: see --help."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from cassandra_lab import jars
from cassandra_lab.jars import LabError
from chaos import checker, history, report
from chaos.run import Options, run
from enb_app.command_line import positive, positive_real
from enb_app.failures import RunBrokeError
from enb_app.report import console as terminal
from laptop import preflight
from laptop.preflight import NotReadyError
from laptop.site import ProvisioningError
from localfaas.errors import LocalfaasError
from mme.errors import ConfigError, StoreError

EXAMPLES = """\
examples:
  python -m chaos                                   three Cassandra nodes, 2000 UEs, 10 minutes, a new seed
  python -m chaos --seed 7 --minutes 2 --ues 150    the strikes of seed 7, short
  python -m chaos --store sqlite --ues 100 --minutes 1       no Cassandra: no nodes to kill, all else
  python -m chaos --check .localfaas/chaos/history.jsonl     judge a recorded history again

exit status: 0 nothing was violated, 1 something was, 2 the run broke or could not begin"""


MOST_NODES = 3


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m chaos",
        description="UEs live while nodes, replicas and the ticker die and messages get lost; then all is checked.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--seed", type=int, metavar="N", help="of the nemesis, the wire and the UEs (a new one)")
    p.add_argument("--minutes", type=positive_real, default=10.0, metavar="M", help="of strikes (%(default)s)")
    p.add_argument("--ues", type=positive, default=2000, metavar="N", help="(%(default)s)")
    p.add_argument("--store", choices=("cassandra", "sqlite"), default="cassandra", help="(%(default)s)")
    p.add_argument(
        "--nodes",
        type=int,
        choices=(1, MOST_NODES),
        help="Cassandra nodes, replication the same (3; with CASSANDRA_HOSTS 1 where it names fewer than 3)",
    )
    p.add_argument("--pause", type=positive_real, metavar="S", help="mean time between two procedures of a UE")
    p.add_argument("--at-once", type=positive, default=24, metavar="N", help="procedures under way (%(default)s)")
    p.add_argument("--workers", type=positive, default=8, metavar="N", help="queue workers (%(default)s)")
    p.add_argument("--heap-mb", type=positive, default=512, metavar="MIB", help="of each node (%(default)s)")
    p.add_argument("--folder", type=Path, default=Path(".localfaas/chaos"), help="what a run leaves (%(default)s)")
    p.add_argument("--json", type=Path, metavar="FILE", help="the figures and violations (FOLDER/result.json)")
    p.add_argument("--check", type=Path, metavar="FILE", help="run nothing: judge this history")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Run -> exit status."""
    options = parser().parse_args(arguments)
    console = terminal()
    signal.signal(signal.SIGTERM, _interrupt)  # so that whatever was started is stopped on the way out
    try:
        if options.check is not None:
            return _judge(options.check, console)
        hosts = os.environ.get("CASSANDRA_HOSTS", "") if options.store == "cassandra" else ""
        if options.store == "cassandra" and not hosts:
            jars.check()
        with preflight.alone(options.folder):
            return _run(_options(options, hosts), options.json, console)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; everything that was started is stopped\n")
        return 130
    except OSError as e:
        sys.stderr.write(f"cannot use {e.filename}: {e.strerror}\n")
    except (NotReadyError, ProvisioningError, LocalfaasError, RunBrokeError, ConfigError, StoreError) as e:
        sys.stderr.write(f"{e}\n")
    except LabError as e:
        sys.stderr.write(f"{e}\nwithout Cassandra: make chaos STORE=sqlite\n")
    return 2


def _nodes(told: argparse.Namespace, hosts: str) -> int:
    """How many nodes: a cluster that is not ours has at least as many as are named."""
    if told.store != "cassandra":
        return 0
    if told.nodes is not None:
        return int(told.nodes)
    named = [host for host in hosts.split(",") if host.strip()]
    return 1 if named and len(named) < MOST_NODES else MOST_NODES


def _options(told: argparse.Namespace, hosts: str) -> Options:
    return Options(
        seed=told.seed if told.seed is not None else int(time.time()) % 100_000,
        minutes=told.minutes,
        ues=told.ues,
        nodes=_nodes(told, hosts),
        hosts=hosts,
        pause_s=told.pause,
        at_once=told.at_once,
        workers=told.workers,
        folder=told.folder,
        heap_mb=told.heap_mb,
    )


def _run(options: Options, result: Path | None, console: Console) -> int:
    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    say(f"chaos, seed {options.seed}: {options.ues} UEs, {options.minutes:g} minutes; what it leaves: {options.folder}")
    outcome = run(options, say)
    history.write(options.folder / "history.jsonl", outcome.events)
    violations = checker.check(outcome.events)
    report.show(console, outcome, violations)
    report.write(result or options.folder / "result.json", outcome, violations)
    return 1 if violations else 0


def _judge(path: Path, console: Console) -> int:
    violations = checker.check(history.read(path))
    for violation in violations:
        console.print(f"{violation.invariant}: {violation.text}", markup=False, highlight=False, soft_wrap=True)
        for event in violation.witnesses:
            console.print(f"  {history.line(event)}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"{len(violations)} violations", highlight=False)
    return 1 if violations else 0


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
