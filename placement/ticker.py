"""The ticker of the calls that last longer than an invocation, of the functions placement and config-reload."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence

from prometheus_client import start_http_server

from durable.errors import StoreError
from durable.opening import open_store
from durable.ticker import HttpFire, Ticker
from placement import logs, metrics
from placement.tables import TABLES as PLACEMENT
from reload.tables import TABLES as RELOAD
from trust.errors import ConfigError
from trust.lines import log_in_lines
from trust.secrets import SIGNING_KEY, read_secret

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
        "--metrics-port", type=int, default=0, metavar="PORT", help="serve Prometheus metrics there (0: not at all)"
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
    if options.metrics_port:
        start_http_server(options.metrics_port)
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    while not stop.wait(TICK_S):
        answered = [_tick(ticker) for ticker in running]
        if all(answered):
            metrics.LAST_TICK.set_to_current_time()
    for ticker in running:
        ticker.close()
    return 0


def _tick(ticker: Ticker) -> bool:
    """Whether its store answered."""
    try:
        ticker.tick()
    except StoreError as e:
        logs.log("warning", "the store did not answer", why=str(e))
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
