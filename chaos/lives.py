"""UEs that attach, go idle, come back and leave, and do not take no for an answer: what fails is tried again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

from chaos import wire
from chaos.history import ATTACH, DETACH, IDLE, MOVE, RETURN, Began, Ended, Last, shows_attached
from chaos.recorder import WatchedDevice, WatchedLab, guti_text
from enb_app import procedures
from enb_app.journal import Sent, UnexpectedError
from enb_app.profile import State
from enb_app.station import LOST
from enb_app.ue import NORMAL

PATIENCE_S = 16.0
"""Longer than T3410, T3421 and T3430, so that the UE's own timers come first."""
RELEASE_PATIENCE_S = 8.0
RETRY_S = (2.0, 6.0)
NOT_YET = "not yet done"
_JOURNAL_KEPT = 60


@dataclass(frozen=True, slots=True)
class Pace:
    """arrivals_s: within which the UEs arrive.  pause_s: mean between two procedures of a UE.  at_once: procedures.

    live_s: how long nothing fails to begin for being late.  settle_s: how long UEs try on after that.
    """

    arrivals_s: float
    live_s: float
    pause_s: float
    at_once: int
    settle_s: float


def _lost(entries: list[object]) -> list[str]:
    """Names of messages that the eNB gave up: to the UE they are as good as unsent."""
    return [entry.name for entry in entries if isinstance(entry, Sent) and entry.result == LOST]


class Population:
    """All UEs.  done, faults: procedures so far."""

    def __init__(self, lab: WatchedLab, devices: list[WatchedDevice], pace: Pace, random: Random) -> None:
        self.devices = devices
        self.pace = pace
        self.done: dict[str, int] = {}
        self.faults = 0
        self.lab = lab
        self.turn = asyncio.Semaphore(pace.at_once)
        self._lives = [Life(self, device, Random(random.random())) for device in devices]

    async def live(self) -> None:
        """Until all have come to rest, or the time to settle is over."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        async with asyncio.TaskGroup() as group:
            for life in self._lives:
                group.create_task(life.live(begin))

    @property
    def unsettled(self) -> int:
        """UEs whose last procedure has not gone as it should."""
        return sum(life.fault != "" for life in self._lives)

    def attached(self) -> int:
        """UEs that the MME has shown to be attached at least once."""
        return sum(life.served or life.device.journal.taken_in > 0 for life in self._lives)

    def last(self) -> list[Last]:
        """How each UE holds things to be."""
        return [life.last() for life in self._lives]


class Life:
    """One UE."""

    def __init__(self, population: Population, device: WatchedDevice, random: Random) -> None:
        self.population = population
        self.device = device
        self.random = random
        self.fault = NOT_YET
        self.served = False
        self.recorder = population.lab.recorder
        self._acts: dict[str, Callable[[], Awaitable[None]]] = {
            ATTACH: self._attach,
            DETACH: self._detach,
            IDLE: self._go_idle,
            RETURN: self._return,
            MOVE: self._move,
        }

    async def live(self, begin: float) -> None:
        """Arrive, do one thing after the other, and end with something that went as it should."""
        clock = asyncio.get_running_loop().time
        pace, random = self.population.pace, self.random
        await asyncio.sleep(random.uniform(0, pace.arrivals_s))
        while not await self._do(self._next()):
            if clock() >= begin + pace.live_s + pace.settle_s:
                return
            await asyncio.sleep(random.uniform(*RETRY_S))
        while True:
            pause = random.expovariate(1 / pace.pause_s)
            if clock() + pause >= begin + pace.live_s:
                return
            await asyncio.sleep(pause)
            while not await self._do(self._next()):
                if clock() >= begin + pace.live_s + pace.settle_s:
                    return
                await asyncio.sleep(random.uniform(*RETRY_S))

    def _next(self) -> str:
        """What the UE does next, from where it is."""
        device = self.device
        if device.ue.state is not State.REGISTERED:
            return ATTACH
        if device.connected:
            return self.random.choices((IDLE, MOVE, DETACH), (80, 8, 12))[0]
        return self.random.choices((RETURN, MOVE, DETACH, ATTACH), (60, 25, 10, 5))[0]

    async def _do(self, procedure: str) -> bool:
        """One procedure, when it is this UE's turn; False: it has to be tried again."""
        async with self.population.turn:
            recorder, number = self.recorder, self.device.number
            recorder.write(Began(recorder.now(), number, procedure))
            self.fault = NOT_YET
            fault = ""
            journal = self.device.journal
            before = len(journal.entries)
            try:
                await self._acts[procedure]()
                if lost := _lost(journal.entries[before:]):
                    raise UnexpectedError("all messages answered", f"{', '.join(lost)} lost")
            except UnexpectedError as e:
                fault = str(e)
                await self._recover()
            ended = Ended(recorder.now(), number, procedure, fault)
            recorder.write(ended)
            self.served = self.served or shows_attached(ended)
        self.fault = fault
        population = self.population
        population.done[procedure] = population.done.get(procedure, 0) + 1
        population.faults += bool(fault)
        del self.device.journal.entries[:-_JOURNAL_KEPT]
        self.device.journal.skip()
        return not fault

    async def _recover(self) -> None:
        """Local release: the eNB asks for it, and lets go of a connection whose release does not come."""
        device = self.device
        device.close()
        if device.connected:
            with contextlib.suppress(UnexpectedError):
                await procedures.release(device, within=RELEASE_PATIENCE_S)
        device.lose_radio()
        device.close()

    async def _attach(self) -> None:
        """With its old name and keys, or, one time in four, as with a new battery."""
        device = self.device
        if device.connected:
            await procedures.release(device, within=RELEASE_PATIENCE_S)
        if self.random.random() < 1 / 4:
            device.ue.forget()
        before = device.journal.taken_in
        await procedures.attach(device, PATIENCE_S)
        if device.journal.taken_in == before:
            # A UE whose connection ended before that has to show itself again.
            raise UnexpectedError("Attach Complete taken", "the end of the connection")

    async def _detach(self) -> None:
        await procedures.detach(self.device, within=PATIENCE_S)

    async def _go_idle(self) -> None:
        await procedures.release(self.device, within=PATIENCE_S)

    async def _return(self) -> None:
        await procedures.service_request(self.device, within=PATIENCE_S)

    async def _move(self) -> None:
        """A tracking area update: connected where it is, idle in a cell of another eNB."""
        device = self.device
        if not device.connected:
            device.move(self.random.choice(self.population.lab.stations))
        await procedures.update_area(device, NORMAL, within=PATIENCE_S)

    def last(self) -> Last:
        """At the end of the run."""
        device, ue = self.device, self.device.ue
        security, connection = ue.security, device.connection
        registered = ue.state is State.REGISTERED
        return Last(
            self.recorder.now(),
            device.number,
            fault=self.fault,
            registered=registered,
            guti=guti_text(ue.guti),
            address=device.address() if registered else "",
            key=wire.name_of(security.k_asme) if security is not None else "",
            uplink_count=security.ul_count if security is not None else 0,
            downlink_count=security.dl_count if security is not None else 0,
            enb=device.station.cell.enb if connection is not None else "",
            enb_ue_s1ap_id=connection.side.enb_ue_s1ap_id if connection is not None else 0,
        )
