"""`edge placements`: what the placement function has placed where."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import closing

from durable.opening import open_store
from edge.table import columns
from placement.inventory import Inventory, Placement
from placement.tables import TABLES


def add_commands(p: argparse.ArgumentParser) -> None:
    """The command line."""
    p.add_argument("--cluster", help="only this one")
    p.add_argument("--namespace", help="only this one")
    p.add_argument("--history", action="store_true", help="the last 20 operations on each release, the newest last")
    p.add_argument("--all", action="store_true", help="also what was uninstalled")
    p.add_argument("--store", metavar="URL", help="the functions' store (default: variable STORE_URL)")
    p.set_defaults(run=show)


def show(args: argparse.Namespace) -> int:
    """Show."""
    with closing(open_store(args.store, TABLES)) as store:
        placements = Inventory(store).all()
    found = [
        p
        for p in placements
        if (p.is_placed or args.all) and args.cluster in (None, p.cluster) and args.namespace in (None, p.namespace)
    ]
    if args.history:
        sys.stdout.write(_history(found))
    else:
        sys.stdout.write(_table(found))
    return 0


def _table(found: list[Placement]) -> str:
    rows = []
    for p in found:
        last = p.history[-1]
        name = f"{p.namespace}/{p.release}"
        rows.append(
            (p.cluster, name, p.chart, str(p.revision), p.values_digest, last.outcome, last.who, _at(last.at_ms))
        )
    return columns(("CLUSTER", "RELEASE", "CHART", "REVISION", "VALUES", "LAST", "BY", "AT (UTC)"), rows)


def _history(found: list[Placement]) -> str:
    rows = [
        (
            _at(e.at_ms),
            p.cluster,
            f"{p.namespace}/{p.release}",
            e.action,
            e.chart or "-",
            str(e.revision or "-"),
            e.values_digest or "-",
            e.outcome,
            f"{e.duration_s:.1f}",
            e.who,
        )
        for p in found
        for e in p.history
    ]
    titles = ("AT (UTC)", "CLUSTER", "RELEASE", "ACTION", "CHART", "REVISION", "VALUES", "OUTCOME", "SECONDS", "BY")
    return columns(titles, sorted(rows))


def _at(at_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at_ms / 1000))
