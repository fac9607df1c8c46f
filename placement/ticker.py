"""Drives operations: reads which steps are due and calls the placement function for each, a few at a time.

Any number of tickers may run: an operation is taken by one step at a time.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
import urllib3
from urllib3.exceptions import HTTPError

from placement import logs
from placement.callbacks import FUNCTION
from placement.errors import StoreError
from placement.function import StepCall, StepDone
from placement.store.base import Store
from placement.store.opening import open_store
from trust import signing
from trust.access import TICKER
from trust.errors import ConfigError
from trust.secrets import SIGNING_KEY, read_secret
from trust.signing import Signed, Way

TICK_S = 0.1
AT_ONCE = 3
TIMEOUT_S = 15.0
NO_ANSWER_S = 1.0

Fire = Callable[[str], bool]
"""One step of the operation with that key; whether the function answered."""


class Ticker:
    """store: where the due steps are.  fire: carries a step to the function."""

    def __init__(self, store: Store, fire: Fire, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._fire = fire
        self._clock = clock
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="step")
        self._lock = threading.Lock()
        self._busy: set[str] = set()
        self._not_before: dict[str, float] = {}

    def tick(self) -> int:
        """Fire what is due and not being fired; how many were begun.  Raises StoreError."""
        now = self._clock()
        begun = 0
        for key in self._store.due(int(now * 1000)):
            with self._lock:
                if key in self._busy or self._not_before.get(key, 0) > now or len(self._busy) >= AT_ONCE:
                    continue
                self._busy.add(key)
            self._pool.submit(self._one, key)
            begun += 1
        return begun

    def close(self) -> None:
        """Wait for the steps that run."""
        self._pool.shutdown(wait=True)

    def _one(self, key: str) -> None:
        answered = False
        try:
            answered = self._fire(key)
        finally:
            with self._lock:
                self._busy.discard(key)
                self._not_before.pop(key, None)
                if not answered:
                    self._not_before[key] = self._clock() + NO_ANSWER_S


class HttpFire:
    """Over the gateway's synchronous route, signed as the ticker: the queue stays free for others."""

    def __init__(self, gateway: str, master: bytes) -> None:
        self._url = f"{gateway.rstrip('/')}/function/{FUNCTION}"
        self._key = signing.derive_key(master, TICKER)
        self._pool = urllib3.PoolManager(timeout=TIMEOUT_S, retries=False, maxsize=AT_ONCE)

    def __call__(self, key: str) -> bool:
        body = msgspec.json.encode(StepCall(key))
        signed = Signed(TICKER, str(int(time.time())), Way.UP, FUNCTION, "", body)
        headers = signing.headers(self._key, signed) | {"Content-Type": "application/json"}
        try:
            answer = self._pool.request("POST", self._url, body=body, headers=headers)
            if answer.status == 200:
                msgspec.json.decode(answer.data, type=StepDone)
                return True
            logs.log("warning", "step refused", status=answer.status)
        except (HTTPError, OSError, msgspec.MsgspecError) as e:
            logs.log("warning", "step got no answer", why=type(e).__name__)
        return False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a ticker until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m placement.ticker", description=__doc__)
    parser.add_argument("--gateway", default=os.environ.get("OPENFAAS_URL", "http://127.0.0.1:8080"))
    parser.add_argument("--store", default=os.environ.get("STORE_URL"), help="store URL, default: env STORE_URL")
    options = parser.parse_args(arguments)
    try:
        if not options.store:
            raise ConfigError("STORE_URL", "must name the function's store, or give --store")
        ticker = Ticker(open_store(options.store), HttpFire(options.gateway, read_secret(SIGNING_KEY)))
    except ConfigError as e:
        sys.stderr.write(f"{e}\n")
        return 1
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    while not stop.wait(TICK_S):
        try:
            ticker.tick()
        except StoreError as e:
            logs.log("warning", "the store did not answer", why=str(e))
    ticker.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
