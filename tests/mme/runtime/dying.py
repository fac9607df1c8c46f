"""A process that works off one timer and is killed at a chosen point: `python -m tests.mme.runtime.dying`.

On standard input: JSON of store URL and part, time, item and point; on standard output: the downlinks the eNB took.
"""

from __future__ import annotations

import json
import os
import sys
from enum import Enum
from ipaddress import IPv4Address, IPv4Network
from typing import NoReturn

import msgspec

from mme.codec import envelope
from mme.codec.envelope import Downlink, Item
from mme.config import MmeConfig
from mme.hss.embedded import EmbeddedHss
from mme.runtime import Runtime
from mme.sgw.embedded import EmbeddedGateway
from mme.store.base import Store, Table, TimerRow, WriteResult
from mme.store.opening import open_store
from mme.work import Ports
from tests.mme.apart import Apart

KILLED = 77


class Point(Enum):
    """Where it dies."""

    BEFORE_SAVE = "before the save"
    AFTER_SAVE = "between save and push"
    BEFORE_TAKING_OUT = "between push and taking out of the outbox"
    NOWHERE = "nowhere"


def die() -> NoReturn:
    """As SIGKILL: nothing is flushed, closed or released."""
    os._exit(KILLED)


class DyingStore:
    """Kills the process at a write of a UE context.  survives: so many of them go through before."""

    def __init__(self, store: Store, point: Point) -> None:
        self._store = store
        self._point = point
        self._saves = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def insert_timer(self, timer: TimerRow, *, ttl_s: int) -> None:
        self._store.insert_timer(timer, ttl_s=ttl_s)

    def save(
        self, table: Table, key: str, value: bytes | None, *, expect: int | None, writer: str, ttl_s: int | None = None
    ) -> WriteResult:
        self._saves += table is Table.UE_CONTEXT
        second = table is Table.UE_CONTEXT and self._saves == 2
        if self._point is Point.BEFORE_SAVE or (self._point is Point.BEFORE_TAKING_OUT and second):
            die()
        return self._store.save(table, key, value, expect=expect, writer=writer, ttl_s=ttl_s)


class Listener:
    """The eNB: what it takes is written down at once."""

    def __init__(self, point: Point) -> None:
        self._point = point

    def push(self, url: str, enb: str, key: bytes, item_id: str, downlinks: list[Downlink]) -> bool:  # noqa: ARG002
        if self._point is Point.AFTER_SAVE:
            die()
        os.write(1, b"".join(envelope.encode(downlink) + b"\n" for downlink in downlinks))
        return True


def main() -> None:
    """Work off the item."""
    told = json.load(sys.stdin)
    point, now_s = Point(told["point"]), told["now_s"]
    opened = open_store(told["store"])
    mine = opened if told["part"] is None else Apart(opened, lambda: now_s, told["part"])
    store: Store = DyingStore(mine, point)  # type: ignore[assignment]
    gateway = EmbeddedGateway(
        store,
        pool=IPv4Network("10.45.0.0/16"),
        sgw_address=IPv4Address("127.0.0.1"),
        dns=(IPv4Address("9.9.9.9"),),
        mtu=1400,
    )
    runtime = Runtime(
        "mme-timer",
        MmeConfig(m_tmsi_key=bytes.fromhex(told["m_tmsi_key"])),
        store=store,
        ports=Ports(EmbeddedHss(store, bytes(range(32))), gateway),
        pusher=Listener(point),
        key_of_party=lambda _name: bytes(32),
        clock=lambda: now_s,
    )
    reply, _, _ = runtime.work(msgspec.json.decode(told["item"], type=Item))
    assert reply.result == "done", reply


if __name__ == "__main__":
    main()
