"""UEs and eNBs against the MME's runtime in one process: no sockets, no clock but the one given, every message kept.

What goes wrong is asked for: `network.faults.plan` for the store, `network.pushes.works` for the eNB's listener,
`Held` for ports that answer late, `network.between` for what happens just before a conditional write.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import msgspec

from enb_app.association import Association, Leave, Plan
from enb_app.effects import Done, Effect, SendNas, SendS1ap
from enb_app.enb import Cell, EnbUe
from enb_app.protection import NasSecurity
from enb_app.ue import Profile, Ue
from enb_app.usim import Subscriber as Sim
from enb_app.usim import Usim
from mme import needs
from mme.codec import nas, s1ap
from mme.codec import needs as needs_json
from mme.codec.envelope import Cost, Downlink, Item, Reply
from mme.config import MmeConfig
from mme.context import UeContext
from mme.crypto import kdf, nas_security
from mme.enums import Direction, SecurityHeader
from mme.hss.embedded import EmbeddedHss
from mme.hss.subscribers import KeyCipher, Keys, Subscriber, decode, encode
from mme.ids import GlobalEnbId, Imsi, Plmn
from mme.messages import InitialContextSetupRequest, S1apMessage
from mme.routing import function_of
from mme.runtime import Runtime
from mme.sgw.embedded import EmbeddedGateway
from mme.store.base import Row, Store, Table, TimerRow, WriteResult
from mme.store.bulk import BulkStore
from mme.store.counting import CountingStore
from mme.store.faulty import FaultyStore
from mme.store.sqlite import SqliteStore
from mme.ticker import Ticker
from mme.work import TIMER_SHARDS, Ports
from tests.mme.apart import Apart, part_name

PLMN = Plmn("00101")
ENB = "00101-0019b"
OTHER_ENB = "00101-0019c"
EPOCH = "epoch-1"
DOWNLINK_URL = "http://127.0.0.1:9/downlink"
SUBSCRIBER_KEY = bytes(range(32))
M_TMSI_KEY = bytes(range(100, 132))
# TS 35.208 test set 1.
K = bytes.fromhex("465b5ce8b199b49faa5f0a2ee238a6bc")
OPC = bytes.fromhex("cd63cb71954a9f4e48a5994e37a02baf")
APN = needs.ApnConfiguration("internet", 9, 8, 100_000_000, 50_000_000)
PROFILE = needs.Profile(100_000_000, 50_000_000, (APN,))
IMSI = "001010123456780"

Snapshot = dict[str, dict[str, tuple[bytes, int]]]


@dataclass
class Clock:
    """Unix seconds that only the test moves."""

    now_s: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now_s


class PusherDiedError(Exception):
    """The process that pushed is gone."""


@dataclass
class KeptPushes:
    """eNBs that take (or refuse) pushes.  attempts: (eNB, ids) of all; dies: the pushing process is killed."""

    taken: list[Downlink] = field(default_factory=list)
    attempts: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    works: bool = True
    dies: bool = False

    def push(self, url: str, enb: str, key: bytes, item_id: str, downlinks: list[Downlink]) -> bool:  # noqa: ARG002
        if self.dies:
            raise PusherDiedError
        self.attempts.append((enb, tuple(d.id for d in downlinks)))
        if self.works:
            self.taken.extend(downlinks)
        return self.works


@dataclass
class Exchange:
    """One item and what came back."""

    function: str
    item: Item
    reply: Reply
    cost: Cost
    message: str


class Between:
    """A store that lets the test act just before a conditional write, once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.act: tuple[Table, Callable[[], None]] | None = None

    def load(self, table: Table, key: str, *, serial: bool = False) -> Row | None:
        return self._store.load(table, key, serial=serial)

    def save(
        self, table: Table, key: str, value: bytes | None, *, expect: int | None, writer: str, ttl_s: int | None = None
    ) -> WriteResult:
        if self.act is not None and self.act[0] is table:
            (_, act), self.act = self.act, None
            act()
        return self._store.save(table, key, value, expect=expect, writer=writer, ttl_s=ttl_s)

    def insert_timer(self, timer: TimerRow, *, ttl_s: int) -> None:
        self._store.insert_timer(timer, ttl_s=ttl_s)

    def due_timers(self, shard: int, second: int) -> list[TimerRow]:
        return self._store.due_timers(shard, second)

    def now_ms(self) -> int:
        return self._store.now_ms()

    def scan(self, table: Table) -> list[tuple[str, Row]]:
        return self._store.scan(table)

    def close(self) -> None:
        self._store.close()


@dataclass
class Held:
    """A port whose answers may come late.  late: kinds of need that are answered by `Pending` first."""

    port: needs.Port
    late: tuple[type[needs.Need], ...] = ()
    held: list[tuple[needs.Need, needs.Answer]] = field(default_factory=list)
    asked: list[needs.Need] = field(default_factory=list)

    def ask(self, need: needs.Need) -> needs.Answer | needs.Pending:
        self.asked.append(need)
        answer = self.port.ask(need)
        if isinstance(need, self.late) and not isinstance(answer, needs.Pending):
            self.held.append((need, answer))
            return needs.Pending()
        return answer


class Network:
    """An MME with one eNB set up."""

    def __init__(
        self,
        folder: Path,
        *,
        config: MmeConfig | None = None,
        seed: int = 1,
        shared: tuple[str, BulkStore] | None = None,
    ) -> None:
        """shared: URL and store that other tests use, too: this network has a part; None = a database file of its own.

        url, part: what another process opens to come to the same rows; part None = all of it.
        """
        self.path = folder / "edge.db"
        self.clock = Clock()
        self.config = config or MmeConfig(m_tmsi_key=M_TMSI_KEY)
        self.url, self.part = f"sqlite:///{self.path}", None if shared is None else part_name()
        self.database: Apart | SqliteStore
        if shared is None or self.part is None:
            self.database = SqliteStore(self.path, clock=self.clock)
        else:
            self.url, store = shared
            self.database = Apart(store, self.clock, self.part)
        self.faults = FaultyStore(self.database, sleep=lambda _s: None)
        self.between = Between(self.faults)
        self.store = CountingStore(self.between)
        self.pushes = KeptPushes()
        self.exchanges: list[Exchange] = []
        self.runs = 0
        self.talks: list[Talk] = []
        self._random = random.Random(seed).randbytes
        self.hss = Held(EmbeddedHss(self.store, SUBSCRIBER_KEY, random_octets=self._random, pause=lambda _s: None))
        self.gateway = Held(
            EmbeddedGateway(
                self.store,
                pool=IPv4Network("10.45.0.0/16"),
                sgw_address=IPv4Address("127.0.0.1"),
                dns=(IPv4Address("9.9.9.9"),),
                mtu=1400,
                clock=self.clock,
            )
        )
        self.ports = Ports(self.hss, self.gateway)
        # Nothing is older than the network: a real database takes seconds to say so of every second before.
        shards = dict.fromkeys(range(TIMER_SHARDS), int(self.clock.now_s))
        self.ticker = Ticker(self.store, self.fire, clock=self.clock, shards=lambda: shards)
        self.fired: list[Exchange] = []
        self.cell = self._cell(0x19B)
        self.cells = {ENB: self.cell}
        self.epochs = {ENB: EPOCH}
        self.set_up()

    def close(self) -> None:
        self.database.close()

    @staticmethod
    def _cell(number: int) -> Cell:
        return Cell(GlobalEnbId(PLMN, number), 7, f"enb{number:05x}", bytes((127, 0, 1, 1)))

    # ------------------------------------------------------------------ the MME

    def runtime(self, function: str) -> Runtime:
        """A fresh runtime each time: functions keep nothing between calls."""
        return Runtime(
            function,
            self.config,
            store=self.store,
            ports=self.ports,
            pusher=self.pushes,
            key_of_party=lambda _name: bytes(32),
            clock=self.clock,
            random_octets=self._random,
            pause=lambda _seconds: None,
        )

    def send(self, function: str, item: Item) -> Exchange:
        self.clock.now_s += 0.001  # no two items of a UE in one millisecond; tests/mme/test_ticker.py has that case
        reply, cost, message = self.runtime(function).work(item)
        exchange = Exchange(function, item, reply, cost, message)
        self.exchanges.append(exchange)
        return exchange

    def again(self, exchange: Exchange) -> Exchange:
        """The same item once more."""
        return self.send(exchange.function, exchange.item)

    def s1ap(
        self, octets: bytes, *, run: str = "run", number: int = 1, epoch: str | None = None, enb: str = ENB
    ) -> Exchange:
        """One S1AP message of the eNB, to the function that takes its procedure code."""
        if epoch is None:
            epoch = self.epochs[enb]
        item = Item(id=f"{enb}/{run}/{number}", enb=enb, epoch=epoch, stream=1, s1ap=octets)
        return self.send(function_of(octets[1]), item)

    def set_up(self, epoch: str = EPOCH, *, enb: str = ENB) -> Exchange:
        """S1 Setup of an eNB, a new association where the epoch is new."""
        if enb not in self.cells:
            self.cells[enb] = self._cell(int(enb.partition("-")[2], 16))
        self.epochs[enb] = epoch
        item = Item(
            id=f"{enb}/setup-{epoch}/1",
            enb=enb,
            epoch=epoch,
            s1ap=self.cells[enb].setup_request().octets,
            downlink_url=DOWNLINK_URL,
        )
        return self.send("mme-enb", item)

    def event(self, event: str, *, enb: str = ENB, mme_ue_s1ap_id: int | None = None, run: str = "event") -> Exchange:
        item = Item(id=f"{enb}/{run}/1", enb=enb, epoch=self.epochs[enb], event=event, mme_ue_s1ap_id=mme_ue_s1ap_id)
        return self.send("mme-uplink-nas", item)

    def answer(self, need: needs.Need, answer: needs.Answer, number: int = 1) -> Exchange:
        """A late answer comes to `mme-answer`."""
        item = Item(id=f"{need.id}/answer{number}", answer=needs_json.encode_answer(need, answer))
        return self.send("mme-answer", item)

    def answer_held(self) -> list[Exchange]:
        """All answers that were held back come now, and lead to what they lead to; bounded."""
        done = []
        for _ in range(10):
            held = self.hss.held + self.gateway.held
            self.hss.held, self.gateway.held = [], []
            if not held:
                return done
            done += [self.answer(need, answer) for need, answer in held]
        raise AssertionError("answers without end")

    def fire(self, items: list[Item]) -> dict[str, str]:
        exchanges = [self.send("mme-timer", item) for item in items]
        self.fired += exchanges
        return {exchange.reply.id: exchange.reply.result for exchange in exchanges}

    def wait(self, seconds: float, step_s: float = 1.0) -> None:
        """Let time pass with the ticker ticking, and bring what is pushed to the UEs."""
        end = self.clock.now_s + seconds
        while self.clock.now_s < end:
            self.clock.now_s = min(end, self.clock.now_s + step_s)
            self.ticker.tick()
            self.deliver()

    def pass_over(self, seconds: float) -> None:
        """Let time pass with nobody doing anything; rows expire."""
        self.clock.now_s += seconds
        if isinstance(self.database, Apart):
            self.database.expire(seconds)

    # ------------------------------------------------------------------ subscribers and UEs

    def subscribe(self, imsi: str = IMSI, *, k: bytes = K, profile: needs.Profile = PROFILE) -> Sim:
        """Provision a subscriber, and hand out its SIM."""
        identity = Imsi(imsi)
        sealed = KeyCipher(SUBSCRIBER_KEY).seal(identity, Keys(k, OPC))
        record = Subscriber(imsi=identity, sealed=sealed, profile=profile)
        self.database.save(Table.SUBSCRIBER, imsi, encode(record), expect=None, writer="test")
        return Sim(identity, k, OPC)

    def ue(
        self,
        sim: Sim,
        *,
        profile: Profile | None = None,
        leave: Leave = Leave.STAY,
        replay: bool = False,
        enb: str = ENB,
        usim: Usim | None = None,
    ) -> Talk:
        """A UE of that SIM on an eNB.  usim: the card of an earlier talk, which has seen sequence numbers."""
        self.runs += 1
        talk = Talk(self, usim or Usim(sim), profile or Profile(plmn=PLMN), Plan(leave, replay), self.runs, enb)
        self.talks.append(talk)
        return talk

    def deliver(self) -> None:
        """Bring what was pushed to the UEs that it is for."""
        taken, self.pushes.taken = self.pushes.taken, []
        for downlink in taken:
            talk = next((t for t in self.talks if (t.enb, t.number) == (downlink.enb, downlink.ue)), None)
            if talk is not None:
                talk.hear(downlink)

    # ------------------------------------------------------------------ what is stored

    def snapshot(self) -> Snapshot:
        """Everything that is stored."""
        tables = {
            table.value: {key: (row.value, row.version) for key, row in self.database.scan(table)} for table in Table
        }
        if isinstance(self.database, Apart):
            return tables | {"timer": {repr(row): (b"", 1) for row in self.database.timers()}}
        with closing(sqlite3.connect(self.path)) as connection:
            timers = connection.execute("SELECT shard, due_ms, name, token, owner FROM timer").fetchall()
        return tables | {"timer": {repr(row): (b"", 1) for row in timers}}

    def contexts(self) -> list[UeContext]:
        return [msgspec.msgpack.decode(row.value, type=UeContext) for _, row in self.database.scan(Table.UE_CONTEXT)]

    def context_of(self, talk: Talk) -> UeContext | None:
        """The context that this UE's first message made."""
        origin = f"{talk.enb}/{talk.run_name}/1"
        return next((ctx for ctx in self.contexts() if ctx.origin == origin), None)

    def context(self, talk: Talk) -> UeContext:
        """As `context_of`, and it is there."""
        found = self.context_of(talk)
        assert found is not None
        return found

    def keys(self, table: Table) -> list[str]:
        return [key for key, _ in self.database.scan(table)]

    def sqn(self, imsi: str = IMSI) -> int:
        """The last sequence number given for a subscriber."""
        row = self.database.load(Table.SUBSCRIBER, imsi)
        assert row is not None
        return decode(Imsi(imsi), row.value).sqn

    def sessions(self) -> list[str]:
        """Addresses that are taken."""
        return self.keys(Table.ADDRESS)

    def indexed(self, imsi: str = IMSI) -> Any:
        """The context that the IMSI's index row names."""
        row = self.database.load(Table.IMSI, imsi)
        return None if row is None else msgspec.msgpack.decode(row.value)[0]


class Talk:
    """A UE on its eNB: what it wants to send is queued, and goes when the test says so."""

    def __init__(  # noqa: PLR0917
        self, network: Network, usim: Usim, profile: Profile, plan: Plan, number: int, enb: str
    ) -> None:
        self.deaf = False
        self.network = network
        self.enb = enb
        self.ue = Ue(usim, profile)
        self.side = EnbUe(network.cells[enb], number)
        self.association = Association(self.ue, self.side, plan)
        self.number = number
        self.run_name = f"ue{number}"
        self.sent = 0
        self.queue: list[SendS1ap] = []
        self.posted: dict[str, SendS1ap] = {}
        self.done: Done | None = None
        self.names: list[str] = []
        self.heard: list[Downlink] = []
        self.securities: list[NasSecurity] = []
        self._take(self.association.start())

    def _take(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, SendS1ap):
                self.queue.append(effect)
            elif isinstance(effect, Done):
                self.done = effect

    def hear(self, downlink: Downlink) -> None:
        """One downlink reaches the eNB; a UE that has left for another attach hears nothing there any more."""
        if self.deaf:
            return
        self.heard.append(downlink)
        self._take(self.association.downlink(downlink))
        security = self.ue.security
        if security is not None and security not in self.securities:
            self.securities.append(security)

    def post(self, index: int = 0) -> Exchange:
        """Send a queued message; what comes back is not looked at yet."""
        message = self.queue.pop(index)
        self.sent += 1
        self.names.append(message.nas or message.name)
        exchange = self.network.s1ap(message.octets, run=self.run_name, number=self.sent, enb=self.enb)
        self.posted[exchange.item.id] = message
        return exchange

    def take(self, exchange: Exchange) -> None:
        """What came back reaches the eNB; `retry` leaves the message outstanding."""
        for downlink in exchange.reply.downlink:
            self.hear(downlink)
        if exchange.reply.result != "retry":
            message = self.posted.pop(exchange.item.id, None)
            if message is not None:
                reply = exchange.reply
                self._take(self.association.answered(message, reply.result, reply.label))

    def step(self, index: int = 0) -> Exchange:
        """Send the next message and take what comes back; the same item again for as long as it is to be tried."""
        exchange = self.post(index)
        for _ in range(8):
            if exchange.reply.result != "retry":
                break
            exchange = self.network.again(exchange)
        self.take(exchange)
        return exchange

    def flow(self, limit: int = 40) -> list[Exchange]:
        """Send until nothing is left to send; bounded."""
        exchanges = []
        while self.queue:
            assert len(exchanges) < limit, self.names
            exchanges.append(self.step())
        return exchanges

    def until(self, name: str, limit: int = 40) -> SendS1ap:
        """Send until that message is next."""
        for _ in range(limit):
            if self.queue and (self.queue[0].nas or self.queue[0].name) == name:
                return self.queue[0]
            self.step()
        raise AssertionError(f"after {self.names}: no {name}")

    def run(self, limit: int = 40) -> Done:
        """Send until nothing is left to send, and the run is over."""
        self.flow(limit)
        if self.done is None:
            raise AssertionError(f"after {self.names}: not done")
        return self.done

    def say(self, sends: SendNas) -> SendS1ap:
        """Queue a NAS message of the UE."""
        message = self.side.uplink(sends)
        self.queue.append(message)
        return message

    def detach(self, *, switch_off: bool = False) -> None:
        """Queue a detach of a UE that stayed."""
        for effect in self.ue.detach(switch_off=switch_off):
            if isinstance(effect, SendNas):
                self.say(effect)

    def messages(self) -> list[S1apMessage]:
        """What the eNB heard."""
        return [s1ap.decode(downlink.s1ap) for downlink in self.heard]


def protected_downlinks(talk: Talk) -> Iterator[tuple[int, bytes, bytes]]:
    """(NAS COUNT, octets as sent, plain octets) of each protected message that the eNB got, under the UE's own keys."""
    for _, count, octets, plain in _opened(talk):
        yield count, octets, plain


def _opened(talk: Talk) -> Iterator[tuple[bytes, int, bytes, bytes]]:
    """K_ASME as well; a message under a context that the UE never took into use is left out."""
    for message in talk.messages():
        pdus = [getattr(message, "nas_pdu", None)]
        if isinstance(message, InitialContextSetupRequest):
            pdus = [erab.nas_pdu for erab in message.e_rabs]
        for pdu in pdus:
            envelope = nas.open_envelope(pdu) if isinstance(pdu, bytes) else None
            if envelope is None:
                continue
            count = envelope.sequence_number  # these talks are far from the first overflow
            for security in talk.securities:
                k_int = kdf.k_nas_int(security.k_asme, security.eia)
                if nas_security.mac(security.eia, k_int, count, 0, Direction.DOWNLINK, pdu[5:]) != envelope.mac:
                    continue
                plain = envelope.payload
                if envelope.header in (SecurityHeader.INTEGRITY_CIPHERED, SecurityHeader.INTEGRITY_CIPHERED_NEW):
                    k_enc = kdf.k_nas_enc(security.k_asme, security.eea)
                    plain = nas_security.cipher(security.eea, k_enc, count, 0, Direction.DOWNLINK, plain)
                yield security.k_asme, count, pdu, plain


def assert_no_count_used_twice(talk: Talk) -> None:
    """No NAS COUNT stands over two different messages under one key (TS 33.401 6.5, 8.1.1)."""
    seen: dict[tuple[bytes, int], bytes] = {}
    for k_asme, count, octets, _ in _opened(talk):
        assert seen.setdefault((k_asme, count), octets) == octets, f"NAS COUNT {count} was used twice"
    assert seen or talk.ue.security is None
