"""Stations and devices of `enb-app life` against the MME's runtime in one process, with what goes wrong on the way.

Air: NAS between UE and eNB; what comes late comes after others, if its connection is still there.  Call: an item on
its way to its function, and the reply on its way back.  Push: what the MME sends of its own.  Each has a list of fates;
when a list is used up, everything arrives.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from enb_app.device import Connection, Device
from enb_app.effects import DeliverNas, EnbEffect, SendNas
from enb_app.journal import UnexpectedError
from enb_app.lab import Lab, LabOptions
from enb_app.outbox import Call
from enb_app.profile import Profile
from enb_app.station import Station
from enb_app.ue import Ue
from enb_app.usim import Subscriber, Usim
from mme.codec import envelope
from mme.codec.envelope import Downlink, Reply, Response
from mme.enums import EmmState, Step, TimerName
from mme.ids import GlobalEnbId
from tests.mme.assembled import MASTER, write_secrets
from tests.mme.runtime.pair import PLMN, Network
from trust import signing
from trust.signing import KEY_HEADER, Signed, Way

TICK_S = 0.5
LATE_S = 1.7
_NAS_TIMERS = {name.value for name in (TimerName.T3450, TimerName.T3460, TimerName.T3470, TimerName.T3489)}


class Fate(Enum):
    """LATE: after others that were sent later.  UNANSWERED: it arrives, and its sender does not hear so."""

    ARRIVES = "arrives"
    TWICE = "twice"
    LOST = "lost"
    LATE = "late"
    UNANSWERED = "unanswered"


AIR = (Fate.ARRIVES, Fate.TWICE, Fate.LATE, Fate.LOST)
CALL = (Fate.ARRIVES, Fate.TWICE, Fate.LATE, Fate.UNANSWERED, Fate.LOST)
PUSH = (Fate.ARRIVES, Fate.TWICE, Fate.LATE, Fate.UNANSWERED, Fate.LOST)


@dataclass
class Fates:
    """lost_on_air: NAS messages that nobody will bring, or that came too late to be taken."""

    air: Iterator[Fate] = field(default_factory=lambda: iter(()))
    call: Iterator[Fate] = field(default_factory=lambda: iter(()))
    push: Iterator[Fate] = field(default_factory=lambda: iter(()))
    lost_on_air: int = 0

    def of_air(self) -> Fate:
        fate = next(self.air, Fate.ARRIVES)
        self.lost_on_air += fate is Fate.LOST
        return fate

    def of_call(self) -> Fate:
        return next(self.call, Fate.ARRIVES)

    def of_push(self) -> Fate:
        return next(self.push, Fate.ARRIVES)


class OnAir(Device):
    """A device whose NAS messages may be lost between UE and eNB, come twice, or be overtaken.

    Nothing overtakes the first message of a connection: there is no connection before it.
    """

    def __init__(self, ue: Ue, station: Station, fates: Fates) -> None:
        super().__init__(ue, station)
        self.fates = fates

    def _uplink(self, message: SendNas) -> None:
        begins = self.connection is None or self.connection.side.mme_ue_s1ap_id is None
        match self.fates.of_air():
            case Fate.LOST:
                pass  # the first message lost: no connection comes of it
            case Fate.TWICE if not begins:
                super()._uplink(message)
                super()._uplink(message)
            case Fate.LATE if not begins:
                asyncio.get_running_loop().call_later(LATE_S, self._late_uplink, self.connection, message)
            case _:
                super()._uplink(message)

    def _late_uplink(self, connection: Connection | None, message: SendNas) -> None:
        if connection is self.connection:
            super()._uplink(message)
        else:
            self.fates.lost_on_air += 1

    def from_enb(self, connection: Connection, happened: list[EnbEffect]) -> None:
        for effect in happened:
            fate = self.fates.of_air() if isinstance(effect, DeliverNas) else Fate.ARRIVES
            if fate is Fate.LATE:
                asyncio.get_running_loop().call_later(LATE_S, self._late_downlink, connection, effect)
            elif fate is not Fate.LOST:
                super().from_enb(connection, [effect])
            if fate is Fate.TWICE:
                super().from_enb(connection, [effect])

    def _late_downlink(self, connection: Connection, effect: EnbEffect) -> None:
        discarded = self.ue.discarded
        super().from_enb(connection, [effect])
        self.fates.lost_on_air += connection is not self.connection or self.ue.discarded > discarded


class Pushed:
    """`mme.push.Pusher` to the stations of this process."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    def push(self, url: str, enb: str, key: bytes, item_id: str, downlinks: list[Downlink]) -> bool:  # noqa: ARG002
        fate = self.wire.fates.of_push()
        if fate is Fate.LOST:
            return False
        for downlink in downlinks:
            self.wire.later(lambda downlink=downlink: self.wire.lab.on_downlink(downlink), fate)
            if fate is Fate.TWICE:
                self.wire.later(lambda downlink=downlink: self.wire.lab.on_downlink(downlink), fate)
        return fate is not Fate.UNANSWERED


class Wire:
    """An MME, a lab of stations, and the way between them."""

    def __init__(self, folder: Path, fates: Fates, *, stations: int = 2) -> None:
        write_secrets(folder / "secrets")
        self.fates = fates
        self.network = Network(folder, seed=5)
        options = LabOptions(
            gateway="in this process", enb=GlobalEnbId(PLMN, 0x30000), secrets=folder / "secrets", seed=1
        )
        self.lab = _InProcess(options, stations)
        self.lab.name = "t"
        self.lab.fates = fates
        self._tasks: list[asyncio.Task[object]] = []
        self._faults: list[BaseException] = []
        self._counts: dict[bytes, tuple[int, int]] = {}
        self.begin_s = self.network.clock.now_s
        self.network.ticker.tick()  # the first one looks far back
        self.network.pushes = Pushed(self)  # type: ignore[assignment]  # the same Protocol, told to others

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Wire]:
        """Stations are set up, time passes, the ticker ticks until the block ends."""
        self.lab.join(self._post, lambda enb: f"http://127.0.0.1:9/{enb}", callback_url="", unix_s=self._now_s)
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_fault)
        ticking = loop.create_task(self._tick())
        ticking.add_done_callback(self._on_ticked)
        try:
            for station in self.lab.stations:
                await station.set_up()
            yield self
        finally:
            ticking.cancel()
            self.lab.leave()
            self.network.close()

    def later(self, act: Callable[[], None], fate: Fate) -> None:
        """Next, or when others that were sent later have passed."""
        loop = asyncio.get_running_loop()
        loop.call_later(LATE_S if fate is Fate.LATE else 0.001, act)

    def background(self, doing: Coroutine[Any, Any, object]) -> None:
        """Let something go on beside; what it raises is raised by `quiet`."""
        self._tasks.append(asyncio.get_running_loop().create_task(doing))

    def _on_fault(self, _loop: asyncio.AbstractEventLoop, happened: dict[str, Any]) -> None:
        """What a callback raised would only be logged by asyncio."""
        self._faults.append(happened.get("exception") or RuntimeError(happened["message"]))

    def _on_ticked(self, ticking: asyncio.Task[None]) -> None:
        fault = None if ticking.cancelled() else ticking.exception()
        if fault is not None:
            self._faults.append(fault)

    def quiet(self) -> None:
        """Everything that went on beside is over; a command may have been given up, its sender then knows nothing."""
        self.faultless()
        for task in self._tasks:
            assert task.done()
            with contextlib.suppress(UnexpectedError):
                task.result()
        self._tasks.clear()

    def faultless(self) -> None:
        """Nothing was found amiss on the way (`look`), and nothing broke.  Raises what was."""
        if self._faults:
            raise self._faults[0]

    def _now_s(self) -> float:
        return self.begin_s + asyncio.get_running_loop().time()

    def _sync(self) -> None:
        clock = self.network.clock
        clock.now_s = max(clock.now_s, self._now_s())

    async def _tick(self) -> None:
        looked_ms = 0
        with contextlib.closing(sqlite3.connect(self.network.path)) as connection:
            while True:
                await asyncio.sleep(TICK_S)
                self._sync()
                now_ms = int(self.network.clock.now_s * 1000)
                due = "SELECT 1 FROM timer WHERE due_ms BETWEEN ? AND ? LIMIT 1"
                # A tick looks into 16 shards for each second; most seconds have nothing.
                if connection.execute(due, (looked_ms - LATE_S * 1000, now_ms)).fetchone():
                    self.network.ticker.tick()
                    self.look()
                looked_ms = now_ms

    # ------------------------------------------------------------------ calls

    def _post(self, call: Call, headers: dict[str, str], _body: bytes) -> None:
        fate = self.fates.of_call()
        if fate is Fate.LOST:
            return  # silence: the exchange sends it again
        self.later(lambda: self._work(call, headers[KEY_HEADER], answered=fate is not Fate.UNANSWERED), fate)
        if fate is Fate.TWICE:
            self.later(lambda: self._work(call, headers[KEY_HEADER], answered=True), Fate.LATE)

    def _work(self, call: Call, party: str, *, answered: bool) -> None:
        self._sync()
        replies = [self.network.send(call.function, item).reply for item in call.items]
        self.look()
        if answered:
            self.later(lambda: self._answer(call, party, replies), Fate.ARRIVES)

    def _answer(self, call: Call, party: str, replies: list[Reply]) -> None:
        body = envelope.encode(Response(replies))
        signed = Signed(party, str(int(self._now_s())), Way.DOWN, call.function, "", body)
        headers = signing.headers(signing.derive_key(MASTER, party), signed)
        self.lab.exchange.on_response(call, 200, headers, body)

    # ------------------------------------------------------------------ what holds at any time

    def look(self) -> None:
        """No timer of a procedure that is over; nothing waits without a timer; nothing is given to two.

        No NAS COUNT of a key goes back.
        """
        contexts = self.network.contexts()
        for ctx in contexts:
            if ctx.security is not None:
                counts = (ctx.security.ul_count, ctx.security.dl_count)
                seen = self._counts.get(ctx.security.k_asme, (0, 0))
                assert all(now >= before for now, before in zip(counts, seen, strict=True)), (seen, counts)
                self._counts[ctx.security.k_asme] = counts
            if (ctx.emm, ctx.step) == (EmmState.REGISTERED, Step.NONE):
                assert not _NAS_TIMERS & set(ctx.timers), (ctx.emm, ctx.timers)
            if ctx.emm in (EmmState.COMMON_PROCEDURE_INITIATED, EmmState.DEREGISTERED_INITIATED):
                assert ctx.timers, ctx.step
            assert ctx.old_guti is None or ctx.old_guti != ctx.guti
        gutis = [guti for ctx in contexts for guti in (ctx.guti, ctx.old_guti) if guti is not None]
        assert len(gutis) == len(set(gutis))


class _InProcess(Lab):
    fates: Fates

    def device(self, subscriber: Subscriber, station: Station, profile: Profile) -> Device:
        made = OnAir(Ue(Usim(subscriber), profile), station, self.fates)
        self.devices.append(made)
        return made
