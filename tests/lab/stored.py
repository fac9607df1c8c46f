"""The store of an installed platform as its clients have it: programs of ours in the client's pod.

Each takes the store's URL first, and further arguments as it says.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from mme.codec import envelope
from tests.lab.installed import CLIENT, Platform, gateway_calls
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
_WRITERS: Final = """
import os, pathlib, sys, threading, time
from mme.errors import StoreError
from mme.store.base import Saved, Table, save_resolved
from mme.store.opening import open_store

store, stop = open_store(sys.argv[1]), pathlib.Path(sys.argv[2])

def save(key, value, expect):
    try:
        done = save_resolved(store, Table.UE_CONTEXT, key, value.encode(), expect=expect, writer=value)
    except StoreError as error:
        done = (error, error.__cause__)
    if isinstance(done, Saved):
        return f"{key}={done.version}"
    return f"-{key}:{done!r}".replace(" ", "_")

def write(name):
    number, version = 0, None
    while not stop.exists():
        new, old = save(f"{name}{number}", f"{name}{number}", None), save(f"{name}old", f"{name}{number}", version)
        if not old.startswith("-"):
            version = (version or 0) + 1
        os.write(1, f"{new}\\n{old}\\n".encode())  # at once: what two print gets mixed
        number += 1
        time.sleep(0.02)

threads = [threading.Thread(target=write, args=(f"{sys.argv[3]}{letter}",)) for letter in "abc"]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("end", flush=True)
"""
"""Three at a time, each a new row every 20 ms, and its old one anew: key and version of what is acknowledged, "-" and
why where it is not.

As functions write: of a conditional write whose answer was lost they read what became of it.
"""
_ONE_NODE: Final = """
import sys
from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import WhiteListRoundRobinPolicy

here = WhiteListRoundRobinPolicy([sys.argv[1]])
profile = ExecutionProfile(here, consistency_level=ConsistencyLevel.ONE, request_timeout=30)
session = Cluster([sys.argv[1]], execution_profiles={EXEC_PROFILE_DEFAULT: profile}).connect("edge")
for row in session.execute("SELECT key FROM ue_context WHERE version > 0 ALLOW FILTERING"):
    print(row.key)
"""


@dataclass
class Writers:
    """Clients that write while something happens.

    acknowledged, refused: in the end: each row's newest version by key; what was not, with why.
    """

    one: Platform
    name: str
    acknowledged: dict[str, int]
    refused: list[str]

    def written(self) -> list[str]:
        """What has become of each write until now."""
        return self.one.cluster.exec(CLIENT, "cat", f"/tmp/{self.name}.rows", namespace=self.one.functions).split()  # noqa: S108

    def go_on(self, count: int = 50) -> None:
        """Wait until so many more writes are acknowledged."""

        def known() -> int:
            return len([row for row in self.written() if not row.startswith("-")])

        wanted = known() + count
        eventually(lambda: known() >= wanted, f"{count} more writes of {self.name}", within_s=60)


@contextlib.contextmanager
def writing(one: Platform, name: str) -> Iterator[Writers]:
    """Write from the client's pod until the block ends."""
    files = [f"/tmp/{name}.{what}" for what in ("stop", "rows", "errors")]  # noqa: S108
    command = 'python -c "$1" "$2" "$3" "$4" > "$5" 2> "$6" &'
    words = [_WRITERS, one.store, files[0], f"{name}-", *files[1:]]
    one.cluster.exec(CLIENT, "sh", "-c", command, "writers", *words, namespace=one.functions)
    writers = Writers(one, name, {}, [])
    try:
        writers.go_on()
        yield writers
        writers.go_on()
    finally:
        one.cluster.exec(CLIENT, "touch", files[0], namespace=one.functions)
    eventually(lambda: writers.written()[-1] == "end", f"the end of {name}", within_s=60)
    for row in writers.written()[:-1]:
        if row.startswith("-"):
            writers.refused.append(row)
        else:
            key, _, version = row.partition("=")
            writers.acknowledged[key] = int(version)


def keys_on(one: Platform, address: str) -> set[str]:
    """Every UE context's key by the node at this address, at consistency level ONE: its own while no other is up."""
    return set(one.python(_ONE_NODE, address).split())


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
