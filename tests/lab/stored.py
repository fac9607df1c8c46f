"""The store of an installed platform as its clients have it: programs of ours in the client's pod.

Each takes the store's URL first, and further arguments as it says.
"""

from __future__ import annotations

from typing import Final

from mme.codec import envelope
from tests.lab.installed import Platform, gateway_calls
from tests.lab.kubectl import eventually

_ROWS: Final = """
import sys
from mme.store.base import Table
from mme.store.opening import open_store

store = open_store(sys.argv[1])
for table in (Table.UE_CONTEXT, Table.SUBSCRIBER):
    for key, row in store.scan(table):
        print(table.value, key, row.version, row.value.hex())
"""
_TIMER: Final = """
import sys
from mme.enums import TimerName
from mme.store.base import TimerRow
from mme.store.opening import open_store

store = open_store(sys.argv[1])
due_ms = store.now_ms() + int(sys.argv[2])
store.insert_timer(TimerRow(0, due_ms, TimerName.UNUSED_SESSION.value, sys.argv[3], "4096"), ttl_s=600)
"""
"""Of a UE that is not there: the timer of a session, which mme-timer judges; any other would be taken for stale."""


def rows(one: Platform, store: str = "") -> dict[str, str]:
    """Every UE context and subscriber of the store: version and value by table and key."""
    lines = one.python(_ROWS, store or one.store).splitlines()
    return {" ".join(line.split()[:2]): " ".join(line.split()[2:]) for line in lines}


def fires(one: Platform, token: str) -> None:
    """Write a timer, and wait until a ticker has called mme-timer with it."""
    one.python(_TIMER, one.store, "1000", token)
    eventually(lambda: token in _fired(one), f"timer {token} at the gateway", within_s=120)


def _fired(one: Platform) -> set[str]:
    """Tokens of the timers that tickers have called mme-timer with."""
    return {
        item.timer.token
        for path, body in gateway_calls(one)
        if path == "/function/mme-timer"
        for item in envelope.decode_request(body).items
        if item.timer
    }
