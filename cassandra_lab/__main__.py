"""`python -m cassandra_lab up | down | check`: see the package's text."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cassandra_lab import cluster, jars
from cassandra_lab.cluster import CACHE, Cluster, Layout
from cassandra_lab.jars import LabError

FOLDER = CACHE / "cluster"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m cassandra_lab", description="Real Cassandra nodes on this machine.")
    p.add_argument("--folder", type=Path, default=FOLDER, help="data, logs and pids (%(default)s)")
    commands = p.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start the nodes, and wait until they serve")
    up.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="(%(default)s)")
    up.add_argument("--network", default="127.0.0", help="node n listens on this with .n at its end (%(default)s)")
    up.add_argument("--cql-port", type=int, default=9042, metavar="PORT", help="(%(default)s)")
    up.add_argument("--storage-port", type=int, default=7000, metavar="PORT", help="between nodes (%(default)s)")
    up.add_argument("--jmx-port", type=int, default=7199, metavar="PORT", help="of node 1; +1, +2 of the others")
    up.add_argument("--heap-mb", type=int, default=512, metavar="MIB", help="(%(default)s)")
    down = commands.add_parser("down", help="stop them; their data stays")
    down.add_argument("--clean", action="store_true", help="remove the data, too")
    commands.add_parser("check", help="say what is missing here, if anything")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command -> exit status; 2 = it could not be run, and one line says why."""
    options = parser().parse_args(arguments)
    try:
        match options.command:
            case "up":
                return _up(options)
            case "down":
                return _down(options)
            case _:
                jars.check()
    except LabError as e:
        sys.stderr.write(f"cassandra: {e}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: `make cassandra-down` stops what has been started\n")
        return 130
    return 0


def _up(options: argparse.Namespace) -> int:
    layout = Layout(
        options.nodes, options.network, options.cql_port, options.storage_port, options.jmx_port, options.heap_mb
    )
    one = Cluster(options.folder, layout, {}, CACHE)
    one.start(_say)
    _say(f"Cassandra {jars.version()} serves; `make cassandra-down` stops it.  In shells that are to use it:")
    _say(f"export CASSANDRA_HOSTS={one.hosts}")
    return 0


def _down(options: argparse.Namespace) -> int:
    layout = cluster.read(options.folder)
    if layout is None:
        _say("no Cassandra has been started here")
        return 0
    one = Cluster(options.folder, layout, {}, CACHE)
    stopped = one.stop(_say)
    if options.clean:
        cluster.remove(one)
    _say(f"{stopped} nodes stopped, " + ("data removed" if options.clean else "data kept: CLEAN=1 removes it"))
    return 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
