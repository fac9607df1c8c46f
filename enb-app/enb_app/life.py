"""Lives of UEs: attach, idle, paged, back, elsewhere, gone, and at the end a check that both sides agree."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from random import Random

from enb_app import mix as mixes
from enb_app import procedures, subscribers
from enb_app.checker import Disagreement, check_device
from enb_app.device import Device
from enb_app.exchange import Counters
from enb_app.failures import RunBrokeError
from enb_app.journal import UnexpectedError
from enb_app.lab import Lab, LabOptions
from enb_app.measure import MessageSample
from enb_app.mix import Mix
from enb_app.profile import Profile, State
from enb_app.station import Station
from enb_app.ue import COMBINED, NORMAL, PERIODIC
from enb_app.usim import Subscriber
from mme.enums import S1apCause
from mme.messages import S1SetupResponse

PATIENCE_S = 15.0
_JOURNAL_KEPT = 400


@dataclass(frozen=True, slots=True)
class LifeOptions:
    """pause_s: mean of the (exponential) time between two procedures of a UE.  tacs: eNBs take them in turn."""

    lab: LabOptions
    ues: int = 50
    minutes: float = 1.0
    enbs: int = 3
    pause_s: float = 2.0
    tacs: tuple[int, ...] = (7,)
    checks: int = 16
    mix: Mix = field(default_factory=lambda: mixes.load(None))


@dataclass(frozen=True, slots=True)
class ProcedureSample:
    """One procedure of one UE.  chosen: by the mix; others were needed first, such as a release before a paging.

    fault: what was expected and what came, "" = it went as it should.
    """

    ue: int
    name: str
    at_ms: float
    ms: float
    chosen: bool
    fault: str = ""


@dataclass(frozen=True, slots=True)
class LifeResult:
    """disagreements: of the check at the end, which looked at `checked` UEs."""

    options: LifeOptions
    started_unix_s: float
    duration_s: float
    cpu_s: float
    procedures: tuple[ProcedureSample, ...]
    messages: tuple[MessageSample, ...]
    disagreements: tuple[Disagreement, ...]
    checked: int
    counters: Counters
    resends: int
    silences: int
    discarded_by_ue: int

    @property
    def faults(self) -> list[ProcedureSample]:
        return [sample for sample in self.procedures if sample.fault]

    @property
    def exit_code(self) -> int:
        """0: every procedure went as it should, and all UEs and the MME agree."""
        return 1 if self.faults or self.disagreements else 0


@dataclass(slots=True)
class Progress:
    """What the live view shows.  phase: "life" or "check".  left_out: shares of what is not built."""

    phase: str = "life"
    left_s: float = 0.0
    done: dict[str, int] = field(default_factory=dict)
    faults: int = 0
    checked: int = 0
    left_out: dict[str, float] = field(default_factory=dict)
    states: Callable[[], dict[str, int]] = dict
    invocations: Callable[[], int] = int


OnProgress = Callable[[Progress], None]


async def live(options: LifeOptions, on_progress: OnProgress = lambda _: None) -> LifeResult:
    """Let the UEs live for so many minutes, then check.  Raises RunBrokeError and ConfigError."""
    run = _Lives(options, on_progress)
    try:
        return await run.go()
    except OSError as e:
        raise RunBrokeError(f"{type(e).__name__}: {e}") from e


class _Lives:
    def __init__(self, options: LifeOptions, on_progress: OnProgress) -> None:
        self.options = options
        self.random = Random(options.lab.seed)
        self.lab = Lab(options.lab, options.enbs)
        self.cards = subscribers.load(options.lab.subscribers, options.lab.first_ue + options.ues)
        self.samples: list[ProcedureSample] = []
        self.disagreements: list[Disagreement] = []
        self.progress = Progress(left_out=options.mix.left_out)
        self.on_progress = on_progress
        self.begin = 0.0

    async def go(self) -> LifeResult:
        options = self.options
        loop = asyncio.get_running_loop()
        async with self.lab.opened() as lab:
            started_unix_s = time.time()
            for number, station in enumerate(lab.stations):
                await self._set_up(station, options.tacs[number % len(options.tacs)])
            self.begin, cpu = loop.time(), time.process_time()
            cards = self.cards[options.lab.first_ue :]
            devices = [self._device(number, card) for number, card in enumerate(cards)]
            self.progress.states = lambda: _states(devices)
            self.progress.invocations = lambda: lab.exchange.counters.calls
            until = self.begin + options.minutes * 60
            watcher = loop.create_task(self._watch(until))
            try:
                async with asyncio.TaskGroup() as group:
                    for number, device in enumerate(devices):
                        group.create_task(_Life(self, number, device, Random(self.random.random())).live(until))
                duration_s, cpu_s = loop.time() - self.begin, time.process_time() - cpu
                messages = tuple(lab.samples)
                self.progress.phase = "check"
                await self._check(devices)
            finally:
                watcher.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await watcher
            if lab.fault:
                raise RunBrokeError(lab.fault)
            return LifeResult(
                options=options,
                started_unix_s=started_unix_s,
                duration_s=duration_s,
                cpu_s=cpu_s,
                procedures=tuple(self.samples),
                messages=messages,
                disagreements=tuple(self.disagreements),
                checked=len(devices),
                counters=lab.exchange.counters,
                resends=lab.exchange.outbox.resends,
                silences=lab.exchange.outbox.silences,
                discarded_by_ue=sum(device.ue.discarded for device in devices),
            )

    async def _set_up(self, station: Station, tac: int) -> None:
        station.cell = replace(station.cell, tac=tac)
        try:
            answer = await station.set_up()
        except UnexpectedError as e:
            raise RunBrokeError(f"S1 Setup of {station.cell.enb}: {e.came}; is the gateway up?") from e
        if not isinstance(answer, S1SetupResponse):
            text = f"S1 Setup of {station.cell.enb} was refused; check PLMN and TAC {tac} against the MME's"
            raise RunBrokeError(text)

    def _device(self, number: int, card: Subscriber) -> Device:
        station = self.lab.stations[number % len(self.lab.stations)]
        return self.lab.device(card, station, Profile(station.cell.plmn))

    async def _watch(self, until: float) -> None:
        while True:
            self.progress.left_s = max(0.0, until - asyncio.get_running_loop().time())
            self.on_progress(self.progress)
            await asyncio.sleep(0.25)

    async def _check(self, devices: list[Device]) -> None:
        waiting = iter(enumerate(devices))

        async def work() -> None:
            for number, device in waiting:
                self.disagreements += await check_device(self.lab, device, number + 1)
                self.progress.checked += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self.options.checks, len(devices))):
                group.create_task(work())


def _states(devices: list[Device]) -> dict[str, int]:
    counts = {"connected": 0, "idle": 0, "detached": 0}
    for device in devices:
        registered = device.ue.state is not State.DEREGISTERED
        counts["connected" if device.connected else "idle" if registered else "detached"] += 1
    return counts


class _Life:
    """One UE: waits, chooses, does; what goes wrong is noted, and the UE begins anew."""

    def __init__(self, lives: _Lives, number: int, device: Device, random: Random) -> None:
        self.lives = lives
        self.lab = lives.lab
        self.number = number
        self.device = device
        self.random = random
        self.doing: dict[str, Callable[[], Awaitable[None]]] = {
            mixes.MOBILITY: self._mobility,
            mixes.PAGING: self._paging,
            mixes.SERVICE_REQUEST: self._service_request,
            mixes.RELEASE: self._release,
            mixes.ATTACH: self._attach,
            mixes.DETACH: self._detach,
        }

    async def live(self, until: float) -> None:
        loop = asyncio.get_running_loop()
        options = self.lives.options
        await asyncio.sleep(self.random.uniform(0, min(options.pause_s * 2, 5.0)))
        await self._do(mixes.ATTACH, self._attach, chosen=False)
        while True:
            pause = self.random.expovariate(1 / options.pause_s)
            if loop.time() + pause >= until:
                return
            await asyncio.sleep(pause)
            name = options.mix.choose(self.random)
            if await self._prepared(name):
                await self._do(name, self.doing[name], chosen=True)

    async def _prepared(self, name: str) -> bool:
        """Bring the UE to where the procedure can begin; False: that went wrong."""
        registered = self.device.ue.state is State.REGISTERED
        first = not registered and name != mixes.ATTACH
        if first and not await self._do(mixes.ATTACH, self._attach, chosen=False):
            return False
        if name in (mixes.PAGING, mixes.SERVICE_REQUEST) and self.device.connected:
            return await self._do(mixes.RELEASE, self._release, chosen=False)
        if name == mixes.RELEASE and not self.device.connected:
            return await self._do(mixes.SERVICE_REQUEST, self._service_request, chosen=False)
        return True

    async def _do(self, name: str, act: Callable[[], Awaitable[None]], *, chosen: bool) -> bool:
        clock = asyncio.get_running_loop().time
        begin = clock()
        fault = ""
        try:
            await act()
        except UnexpectedError as e:
            fault = str(e)
            self._begin_anew()
        progress = self.lives.progress
        progress.done[name] = progress.done.get(name, 0) + 1
        progress.faults += bool(fault)
        at_ms = (begin - self.lives.begin) * 1000
        sample = ProcedureSample(self.number + 1, name, at_ms, (clock() - begin) * 1000, chosen, fault)
        self.lives.samples.append(sample)
        del self.device.journal.entries[:-_JOURNAL_KEPT]
        self.device.journal.skip()
        return not fault

    def _begin_anew(self) -> None:
        self.device.close()
        self.device.lose_radio()
        self.device.ue.forget()

    # ------------------------------------------------------------------ procedures

    async def _attach(self) -> None:
        """Registered UEs do it with their context; one in three has forgotten it."""
        device = self.device
        if device.ue.state is State.REGISTERED and device.connected:
            await procedures.release(device, within=PATIENCE_S)
        if self.random.random() < 1 / 3:
            device.ue.forget()
        await procedures.attach(device, PATIENCE_S)

    async def _detach(self) -> None:
        way = self.random.choice(("normal", "switch-off", "network"))
        if way == "network":
            if not self.device.connected:
                await procedures.service_request(self.device, within=PATIENCE_S)
            await procedures.detached_by_network(self.lab, self.device, reattach=False, within=PATIENCE_S)
        else:
            await procedures.detach(self.device, switch_off=way == "switch-off", within=PATIENCE_S)

    async def _mobility(self) -> None:
        """From idle in a cell of another eNB, or connected, where it stays: handover is not built."""
        device = self.device
        if device.connected:
            await procedures.update_area(device, NORMAL, within=PATIENCE_S)
            return
        others = [station for station in self.lab.stations if station is not device.station]
        kind = self.random.choice((NORMAL, NORMAL, COMBINED, PERIODIC))
        if others and kind != PERIODIC:
            device.move(self.random.choice(others))
        active = self.random.random() < 1 / 4
        bearers = device.ue.bearer_status() if self.random.random() < 1 / 2 else None
        await procedures.update_area(device, kind, active=active, bearers=bearers, within=PATIENCE_S)

    async def _paging(self) -> None:
        await procedures.page(self.lab, self.device, PATIENCE_S)

    async def _service_request(self) -> None:
        await procedures.service_request(self.device, within=PATIENCE_S)

    async def _release(self) -> None:
        causes = (S1apCause.USER_INACTIVITY, S1apCause.RADIO_CONNECTION_WITH_UE_LOST)
        await procedures.release(self.device, self.random.choice(causes), PATIENCE_S)
