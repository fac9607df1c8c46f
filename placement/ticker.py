"""The ticker of the calls that last longer than an invocation, of the functions placement and config-reload."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from enum import Enum, auto

from durable.errors import StoreError, TablesMissingError
from durable.opening import open_store
from durable.ticker import HttpFire, Ticker
from placement import logs, metrics
from placement.tables import TABLES as PLACEMENT
from reload.tables import TABLES as RELOAD
from trust.errors import ConfigError
from trust.lines import log_in_lines
from trust.probes import UNREADY_AFTER_S, Readiness, serve
from trust.secrets import SIGNING_KEY, read_secret


class Look(Enum):
    """What came of a ticker's look at its store.

    NO_TABLES: it answers, and the job that makes them may wait for this program to be ready (helm's --wait).
    """

    DONE = auto()
    NO_TABLES = auto()
    SILENT = auto()


TICK_S = 0.1
FUNCTIONS = {"placement": PLACEMENT, "config-reload": RELOAD}


def tickers(gateway: str, store_url: str) -> list[Ticker]:
    """One for each function.  Raises ConfigError."""
    master = read_secret(SIGNING_KEY)

    def trouble(why: str) -> None:
        logs.log("warning", "step got no answer", why=why)

    return [
        Ticker(open_store(store_url, tables), HttpFire(gateway, function, master, trouble))
        for function, tables in FUNCTIONS.items()
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a ticker until SIGTERM or SIGINT; any number of them may run."""
    parser = argparse.ArgumentParser(prog="python -m placement.ticker", description=__doc__)
    parser.add_argument("--gateway", default=os.environ.get("OPENFAAS_URL", "http://127.0.0.1:8080"))
    parser.add_argument("--store", default=os.environ.get("STORE_URL"), help="store URL, default: env STORE_URL")
    parser.add_argument(
        "--metrics-port",
        type=int,
        default=0,
        metavar="PORT",
        help="serve Prometheus metrics there, and /ready (0: not at all)",
    )
    parser.add_argument(
        "--unready-after-s",
        type=float,
        default=UNREADY_AFTER_S,
        metavar="S",
        help="/ready is 503 once a store has not answered for so long (%(default)s)",
    )
    options = parser.parse_args(arguments)
    log_in_lines(logs.log)
    try:
        if not options.store:
            raise ConfigError("STORE_URL", "must name the functions' store, or give --store")
        running = tickers(options.gateway, options.store)
    except ConfigError as e:
        logs.log("error", "configuration", why=str(e))
        return 1
    readiness = Readiness(options.unready_after_s)
    if options.metrics_port:
        serve(options.metrics_port, readiness)
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    while not stop.wait(TICK_S):
        looks = [_tick(ticker, readiness) for ticker in running]
        if all(look is Look.DONE for look in looks):
            metrics.LAST_TICK.set_to_current_time()
        if Look.SILENT not in looks:
            readiness.answered()
    for ticker in running:
        ticker.close()
    return 0


def _tick(ticker: Ticker, readiness: Readiness) -> Look:
    try:
        ticker.tick()
    except StoreError as e:
        logs.log("warning", "the store did not answer", why=str(e))
        if isinstance(e, TablesMissingError):
            return Look.NO_TABLES
        readiness.failed(str(e))
        return Look.SILENT
    return Look.DONE


if __name__ == "__main__":
    sys.exit(main())
