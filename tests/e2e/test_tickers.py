"""Ticker processes on one store: two, one killed, one stopped for longer than its lease; every timer's effect, once."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import msgspec
import pytest

from laptop.site import ROOT
from mme.codec import envelope
from mme.codec.envelope import Downlink, Response
from mme.config import MmeConfig
from mme.context import Connection, OutboxEntry, RunningTimer, UeContext
from mme.enb_context import EnbContext
from mme.enums import EmmState
from mme.hss.embedded import EmbeddedHss
from mme.ids import Ecgi, GlobalEnbId, Plmn, Tai
from mme.lease import Leases
from mme.rows import pack, ue_context
from mme.runtime import Runtime
from mme.sgw.embedded import EmbeddedGateway
from mme.store.base import Store, Table, TimerRow
from mme.store.opening import open_store
from mme.ticker import SHARD_LEASES
from mme.work import TIMER_SHARDS, Ports

ENB = "00101-0019b"
EPOCH = "epoch-1"
PLMN = Plmn("00101")
BOUND_MS = 200
UES = 48
LEASE_S = 3.0
PATIENCE_S = 100.0

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition, at most PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


@dataclass
class TimerFunction:
    """`mme-timer` behind a gateway's route.  fired: (UE's key, ms left) of each item.  pushed: downlink ids."""

    store: Store
    fired: list[tuple[int, int]] = field(default_factory=list)
    pushed: list[str] = field(default_factory=list)
    results: Counter[str] = field(default_factory=Counter)
    on_batch: Callable[[], None] = lambda: None

    def push(self, url: str, enb: str, key: bytes, item_id: str, downlinks: list[Downlink]) -> bool:  # noqa: ARG002
        self.pushed += [downlink.id for downlink in downlinks]
        return True

    def work(self, body: bytes) -> bytes:
        items = envelope.decode_request(body).items
        self.on_batch()
        ports = Ports(
            EmbeddedHss(self.store, bytes(32)),
            EmbeddedGateway(
                self.store,
                pool=IPv4Network("10.45.0.0/16"),
                sgw_address=IPv4Address("127.0.0.1"),
                dns=(IPv4Address("9.9.9.9"),),
                mtu=1400,
            ),
        )
        runtime = Runtime(
            "mme-timer",
            MmeConfig(clock_bound_ms=BOUND_MS),
            store=self.store,
            ports=ports,
            pusher=self,
            key_of_party=lambda _name: bytes(32),
        )
        replies = []
        for item in items:
            assert item.timer is not None
            self.fired.append((item.timer.owner, item.timer.due_ms - self.store.now_ms()))
            reply, _, _ = runtime.work(item)
            self.results[reply.result] += 1
            replies.append(reply)
        return envelope.encode(Response(replies))


@dataclass
class Site:
    url: str
    store: Store
    function: TimerFunction
    gateway: str
    folder: Path
    tickers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "mme.ticker", "--gateway", self.gateway, "--store", self.url]
        command += ["--lease-s", str(LEASE_S)]
        environment = {**os.environ, "EDGE_SECRETS_DIR": str(self.folder), "PYTHONPATH": str(ROOT)}
        with (self.folder / f"ticker{len(self.tickers)}.log").open("wb") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.tickers.append(process)
        return process

    def shards_of(self, process: subprocess.Popen[bytes]) -> int:
        """How many leases the store shows for that process, by the process id in its name."""
        row = self.store.load(Table.LEASE, "ticker")
        leases = msgspec.msgpack.decode(row.value, type=Leases) if row is not None else Leases()
        now_ms = self.store.now_ms()
        timers = [lease for name, lease in leases.held.items() if name in SHARD_LEASES]
        mine = [lease for lease in timers if lease.holder.split("/")[1:2] == [str(process.pid)]]
        return sum(lease.until_ms > now_ms for lease in mine)

    def timers(self, first_s: float, spread_s: float) -> None:
        """Each UE has a downlink that waits in its outbox, and the timer that pushes it."""
        now_ms = self.store.now_ms()
        enb = EnbContext(GlobalEnbId(PLMN, 0x19B), EPOCH, (), downlink_url="http://127.0.0.1:9/downlink")
        self.store.save(Table.ENB, ENB, pack(enb), expect=None, writer="test")
        for ue in range(UES):
            due_ms = now_ms + int((first_s + spread_s * ue / UES) * 1000)
            downlink = Downlink(f"push-{ue}", ENB, 1, b"\x00\x0b", ue=ue)
            connection = Connection(ue << 4, ENB, EPOCH, ue, Tai(PLMN, 7), Ecgi(PLMN, 1))
            row = TimerRow(ue % TIMER_SHARDS, due_ms, "outbox", f"{ENB}/ue{ue}/1", str(ue))
            ctx = UeContext(
                ue,
                emm=EmmState.REGISTERED,
                connections=(connection,),
                outbox=(OutboxEntry(downlink.id, ENB, EPOCH, envelope.encode(downlink)),),
                timers={"outbox": RunningTimer(row.token, due_ms)},
            )
            self.store.insert_timer(row, ttl_s=300)
            self.store.save(Table.UE_CONTEXT, str(ue), pack(ctx), expect=None, writer="test")


def _listen(function: TimerFunction) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            answer = function.work(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)
            except OSError:
                return  # whoever asked has been killed

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(params=["sqlite", pytest.param("cassandra", marks=pytest.mark.cassandra)])
def own_store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store of this test's own: tickers fire whatever timers they find."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    from mme.store.cassandra import CassandraStore  # noqa: PLC0415  the driver is heavy

    hosts: str = request.getfixturevalue("cassandra_hosts")
    url = f"cassandra://{hosts}/edge_tickers_{secrets.token_hex(4)}?rf=1"
    store = open_store(url)
    assert isinstance(store, CassandraStore)
    store.migrate()
    store.close()
    return url


@pytest.fixture
def site(own_store_url: str, tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "edge-signing-key").write_text(secrets.token_hex(32))
    store = open_store(own_store_url)
    function = TimerFunction(store)
    server = _listen(function)
    made = Site(own_store_url, store, function, f"http://127.0.0.1:{server.server_address[1]}", tmp_path)
    yield made
    for process in made.tickers:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait(30)
    for log in sorted(tmp_path.glob("ticker*.log")):
        sys.stdout.write(f"{log.name}\n{log.read_text()}")  # shown where the test fails
    server.shutdown()
    server.server_close()
    store.close()


def assert_every_effect_once(site: Site) -> None:
    function = site.function
    assert Counter(function.pushed) == {f"push-{ue}": 1 for ue in range(UES)}
    assert {owner for owner, _ in function.fired} == set(range(UES))
    assert max(left_ms for _, left_ms in function.fired) <= BOUND_MS
    for ue in range(UES):
        row = site.store.load(Table.UE_CONTEXT, str(ue))
        assert row is not None
        assert ue_context(row).outbox == ()


def test_a_killed_and_a_stopped_ticker(site: Site) -> None:
    """A is killed while its batch is at work, B stopped so; C does the rest, then B goes on where it was."""
    a, b = site.start(), site.start()
    until(lambda: site.shards_of(a) == site.shards_of(b) == TIMER_SHARDS // 2, "two tickers to divide the shards")
    killed, stopped = threading.Event(), threading.Event()

    def on_batch() -> None:
        if not killed.is_set():
            a.send_signal(signal.SIGKILL)
            killed.set()
        elif not stopped.is_set() and len(site.function.pushed) > UES // 4:
            b.send_signal(signal.SIGSTOP)
            stopped.set()

    site.function.on_batch = on_batch
    site.timers(first_s=0.5, spread_s=6)
    until(stopped.is_set, "the second ticker to be stopped")
    c = site.start()
    until(lambda: site.shards_of(c) == TIMER_SHARDS, "the third ticker to hold every shard")
    until(lambda: len(set(site.function.pushed)) == UES, "all timers to be fired")
    b.send_signal(signal.SIGCONT)
    until(lambda: site.shards_of(b) == TIMER_SHARDS // 2, "the stopped ticker to have its share again")
    assert_every_effect_once(site)
    assert a.wait(30) == -signal.SIGKILL
    for process in (b, c):
        process.terminate()
        assert process.wait(30) == 0
    row = site.store.load(Table.LEASE, "ticker")
    assert row is not None
    left = msgspec.msgpack.decode(row.value, type=Leases)
    assert left.members.keys() <= {name for name in left.members if f"/{a.pid}/" in name}
    assert not any(lease.holder for lease in left.held.values())
