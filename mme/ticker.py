"""Fires due timers: reads (shard, second) partitions, calls `mme-timer` in batches, judges each timer by its own reply.

Rows are never deleted; a fired row whose token its context does not hold any more is answered `stale`.  Closed seconds
are read again for LATE_S, because a row may be written after its second was first read; a ticker that starts looks back
FIRST_LOOK_S, longer than rows live beyond their time.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import requests

from mme import logs
from mme.codec import envelope
from mme.codec.envelope import Item, Request, Timer
from mme.enums import ItemResult, TimerName
from mme.errors import ConfigError, StoreError
from mme.needs import session_id_of
from mme.routing import TIMER
from mme.rows import ue_context
from mme.store.base import Store, Table, TimerRow
from mme.store.opening import open_store
from mme.work import TIMER_SHARDS
from trust import signing
from trust.access import TICKER
from trust.secrets import SIGNING_KEY, read_secret
from trust.signing import Signed, Way

LATE_S = 5
FIRST_LOOK_S = 240
BATCH = 50
TRIES = 8
TICK_S = 0.25
_TIMEOUT_S = 10.0
_TRACE_OCTETS = 100

Fire = Callable[[list[Item]], dict[str, str]]
"""Items to `mme-timer`; out: result by item id, without those that got no answer."""


@dataclass(slots=True)
class _Pending:
    row: TimerRow
    tries: int = 0
    next_ms: int = 0


@dataclass(slots=True)
class Ticker:
    """store: where the rows are.  fire: carries items to the function.  clock: Unix seconds."""

    store: Store
    fire: Fire
    clock: Callable[[], float] = time.time
    dead: int = 0
    _known: dict[str, int] = field(default_factory=dict)
    _pending: dict[str, _Pending] = field(default_factory=dict)
    _since_s: int | None = None

    def tick(self) -> int:
        """Read what has become due, fire it, and return how many timers were done with."""
        now_ms = int(self.clock() * 1000)
        now_s = now_ms // 1000
        first = now_s - FIRST_LOOK_S if self._since_s is None else min(self._since_s, now_s) - LATE_S
        for second in range(first, now_s + 1):
            for shard in range(TIMER_SHARDS):
                for row in self.store.due_timers(shard, second):
                    self._learn(row)
        self._since_s = now_s
        self._known = {item: due for item, due in self._known.items() if due // 1000 >= now_s - FIRST_LOOK_S - LATE_S}
        return self._fire_due(now_ms)

    def _learn(self, row: TimerRow) -> None:
        item = item_id(row)
        if item not in self._known:
            self._known[item] = row.due_ms
            self._pending[item] = _Pending(row, next_ms=row.due_ms)

    def _is_stale(self, row: TimerRow) -> bool:
        """Whether the row's context shows, in one read, that nothing waits for it any more."""
        found = self.store.load(Table.UE_CONTEXT, row.owner)
        if row.name == TimerName.UNUSED_SESSION.value:
            bearer = ue_context(found).bearer if found is not None else None
            return bearer is not None and bearer.session.session_id == session_id_of(row.token)
        if found is None:
            return True
        running = ue_context(found).timers.get(row.name)
        return running is None or (running.token, running.due_ms) != (row.token, row.due_ms)

    def _fire_due(self, now_ms: int) -> int:
        due = []
        done = 0
        for item, pending in list(self._pending.items()):
            if pending.next_ms > now_ms:
                continue
            if self._is_stale(pending.row):
                del self._pending[item]
                done += 1
            else:
                due.append((item, pending))
        for start in range(0, len(due), BATCH):
            batch = due[start : start + BATCH]
            results = self.fire([_item(item, pending.row) for item, pending in batch])
            for item, pending in batch:
                done += self._judge(item, pending, results.get(item), now_ms)
        return done

    def _judge(self, item: str, pending: _Pending, result: str | None, now_ms: int) -> int:
        if result is not None and result != ItemResult.RETRY.value:
            del self._pending[item]
            return 1
        pending.tries += 1
        pending.next_ms = now_ms + 250 * 2**pending.tries
        if pending.tries >= TRIES:
            del self._pending[item]
            self.dead += 1
            logs.log("error", "timer is dead", item=item, trace=logs.trace_of(pending.row.token))
        return 0


def item_id(row: TimerRow) -> str:
    """One id for each timer, under the trace of what started it: a repeated firing is a duplicate."""
    token = hashlib.blake2b(row.token.encode(), digest_size=4).hexdigest()
    return f"{logs.trace_of(row.token)[:_TRACE_OCTETS]}/{row.name}@{row.due_ms}~{token}"


def _item(item: str, row: TimerRow) -> Item:
    return Item(id=item, timer=Timer(int(row.owner), row.name, row.token, row.due_ms))


class HttpFire:
    """Carries timers to the gateway's synchronous route, signed as the ticker."""

    def __init__(self, gateway: str, master: bytes) -> None:
        self._url = f"{gateway.rstrip('/')}/function/{TIMER}"
        self._key = signing.derive_key(master, TICKER)
        self._session = requests.Session()
        self._session.trust_env = False

    def __call__(self, items: list[Item]) -> dict[str, str]:
        body = envelope.encode(Request(items))
        signed = Signed(TICKER, str(int(time.time())), Way.UP, TIMER, "", body)
        headers = signing.headers(self._key, signed) | {"Content-Type": "application/json"}
        try:
            answer = self._session.post(self._url, data=body, headers=headers, timeout=_TIMEOUT_S)
            answer.raise_for_status()
            return {reply.id: reply.result for reply in envelope.decode_response(answer.content).replies}
        except (requests.RequestException, ValueError) as e:
            logs.log("warning", "timers got no answer", count=len(items), why=type(e).__name__)
            return {}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a ticker until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m mme.ticker", description=__doc__)
    parser.add_argument("--gateway", default=os.environ.get("OPENFAAS_URL", "http://127.0.0.1:8080"))
    parser.add_argument("--store", default=os.environ.get("STORE_URL"), help="store URL, default: env STORE_URL")
    options = parser.parse_args(arguments)
    try:
        if not options.store:
            raise ConfigError("STORE_URL", "must name the functions' store, or give --store")
        ticker = Ticker(open_store(options.store), HttpFire(options.gateway, read_secret(SIGNING_KEY)))
    except ConfigError as e:
        sys.stderr.write(f"{e}\n")
        return 1
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while not stop.wait(TICK_S):
        try:
            ticker.tick()
        except StoreError as e:
            logs.log("warning", "the store did not answer", why=str(e))
    return 0


if __name__ == "__main__":
    sys.exit(main())
