"""A run from its beginning to its history: what is started, what lives, what is struck, what is left."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from cassandra_lab import cluster as clusters
from cassandra_lab.cluster import Cluster
from chaos.history import Event
from chaos.lives import Pace, Population
from chaos.nemesis import Nemesis
from chaos.recorder import Recorder, WatchedDevice, WatchedLab
from chaos.remains import busy, remains
from chaos.tickers import TickerProcess
from enb_app import subscribers
from enb_app.failures import RunBrokeError
from enb_app.journal import UnexpectedError
from enb_app.lab import LabOptions
from enb_app.options import Mode
from enb_app.profile import Profile
from enb_app.station import Station
from enb_app.usim import Subscriber
from laptop.site import ROOT, ProvisioningError, Site
from localfaas.process import Running, running
from mme import routing
from mme.errors import StoreUnavailableError
from mme.messages import S1SetupResponse
from mme.store.opening import open_store

LOSE = DUPLICATE = 0.02
DELAY = REORDER = 0.05
SETUP_TRIES = 5
PROVISIONING_TRIES = 4
AGAIN_S = 5.0
QUIET_S = 120.0
SAY_EACH_S = 10.0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """nodes: of Cassandra, 0 = the embedded store.  hosts: contact points of a cluster that is not ours to strike.

    pause_s: mean time between two procedures of a UE, None = what lets each have a few.
    at_once: procedures under way.
    """

    seed: int
    minutes: float = 10.0
    ues: int = 2000
    nodes: int = 3
    hosts: str = ""
    enbs: int = 4
    pause_s: float | None = None
    at_once: int = 24
    workers: int = 8
    folder: Path = Path(".localfaas/chaos")
    heap_mb: int = 512

    @property
    def pace(self) -> Pace:
        live_s = self.minutes * 60
        pause_s = live_s / 4 if self.pause_s is None else self.pause_s
        return Pace(live_s / 3, live_s, pause_s, self.at_once, settle_s=max(180.0, live_s / 2))


@dataclass(frozen=True, slots=True)
class Outcome:
    """wire: faults of the gateway by section and kind.  procedures: by name, also those that failed.

    restless: contexts that were still in a procedure when the wait for quiet was over.
    """

    options: Options
    started_unix_s: float
    duration_s: float
    events: list[Event]
    wire: dict[str, dict[str, int]]
    procedures: dict[str, int]
    faults: int
    restless: int
    resends: int
    retries: int
    calls: int


@dataclass(slots=True)
class _Ground:
    site: Site
    gateway: Running
    ticker: TickerProcess
    cluster: Cluster | None
    recorder: Recorder = field(default_factory=lambda: Recorder(time.monotonic))


def plan(seed: int) -> dict[str, Any]:
    """The gateway's fault plan: asynchronous calls, and their callbacks."""
    shares = {"lose": LOSE, "duplicate": DUPLICATE, "delay": DELAY, "reorder": REORDER}
    return {"seed": seed, "call": shares, "callback": shares}


def run(options: Options, say: Say) -> Outcome:
    """Start everything, live, and read what is left.  Raises RunBrokeError, LabError, StartError and others."""
    with _ground(options, say) as ground:
        return asyncio.run(_live(options, ground, say))


@contextlib.contextmanager
def _ground(options: Options, say: Say) -> Iterator[_Ground]:
    folder = options.folder
    shutil.rmtree(folder / "site", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        cluster, url = None, None
        if options.hosts:
            url = f"cassandra://{options.hosts}/chaos_{options.seed}_{int(time.time())}?rf={options.nodes}"
            say("CASSANDRA_HOSTS names the cluster: its nodes are not ours to kill, all else is struck")
        elif options.nodes:
            say(f"{options.nodes} Cassandra nodes start: a minute or so")
            nodes = clusters.running(folder / "cassandra", options.nodes, say=say, heap_mb=options.heap_mb)
            cluster = stack.enter_context(nodes)
            url = f"cassandra://{cluster.hosts}/chaos?rf={options.nodes}"
        site = Site(folder / "site", url)
        _provision(site, options.ues, say)
        say(f"{options.ues} subscribers are in the store; localfaas starts with the functions of stack.yml")
        gateway = stack.enter_context(
            running(
                ROOT / "stack.yml",
                replicas=dict.fromkeys((routing.INITIAL_UE, routing.UPLINK_NAS, routing.UE_CONTEXT), 2),
                workers=options.workers,
                env={"store_url": site.store_url},
                secrets_dir=site.secrets,
                fault_plan=plan(options.seed),
                state_dir=site.state,
            )
        )
        ticker = TickerProcess(site, gateway.url)
        stack.callback(ticker.stop)
        ticker.start()
        yield _Ground(site, gateway, ticker, cluster)


def _provision(site: Site, count: int, say: Say) -> None:
    """Again where it fails: nodes that have only just started may not answer in time, and every step is repeatable."""
    for left in reversed(range(PROVISIONING_TRIES)):
        try:
            site.provision(count)
            break
        except ProvisioningError:
            if not left:
                raise
            say("provisioning is tried again")
            time.sleep(AGAIN_S)


async def _live(options: Options, ground: _Ground, say: Say) -> Outcome:
    site, recorder = ground.site, ground.recorder
    told = LabOptions(
        gateway=ground.gateway.url,
        mode=Mode.ASYNC,
        secrets=site.secrets,
        subscribers=site.subscribers,
        seed=options.seed,
    )
    lab = WatchedLab(told, options.enbs)
    lab.watch(recorder)
    cards = subscribers.load(site.subscribers, options.ues)
    started_unix_s, begin = time.time(), time.monotonic()
    async with lab.opened():
        for station in lab.stations:
            await _set_up(station)
        devices = [_device(lab, number, cards[number]) for number in range(options.ues)]
        population = Population(lab, devices, options.pace, Random(options.seed))
        async with _telling(population, lab, say):
            async with _struck(options, ground, say):
                lives = asyncio.ensure_future(population.live())
                await asyncio.wait((lives,), timeout=options.pace.live_s)
            await lives
        if lab.fault:
            raise RunBrokeError(lab.fault)
        say("all have come to rest; waiting until the MME has, too")
        restless = await _quiet(site)
        events = [*recorder.events, *population.last()]
        numbers = {card.imsi.digits: number for number, card in enumerate(cards, start=1)}
        events += await asyncio.to_thread(_read, site, numbers, recorder.now())
        counters = lab.exchange.counters
        return Outcome(
            options=options,
            started_unix_s=started_unix_s,
            duration_s=time.monotonic() - begin,
            events=events,
            wire=ground.gateway.manage("GET", "/localfaas/queue")["faults"],
            procedures=dict(sorted(population.done.items())),
            faults=population.faults,
            restless=restless,
            resends=lab.exchange.outbox.resends,
            retries=counters.retries,
            calls=counters.calls,
        )


def _device(lab: WatchedLab, number: int, card: Subscriber) -> WatchedDevice:
    station = lab.stations[number % len(lab.stations)]
    return lab.device(card, station, Profile(station.cell.plmn))


async def _set_up(station: Station) -> None:
    for _ in range(SETUP_TRIES):
        with contextlib.suppress(UnexpectedError):
            if isinstance(await station.set_up(), S1SetupResponse):
                return
    raise RunBrokeError(f"S1 Setup of {station.cell.enb} got no response: see gateway.log")


@contextlib.asynccontextmanager
async def _struck(options: Options, ground: _Ground, say: Say) -> AsyncIterator[None]:
    """The nemesis is at work until the block ends; then all it has struck is made whole."""
    nemesis = Nemesis(ground.recorder, options.seed, options.minutes)
    lanes = [nemesis.replicas(ground.gateway), nemesis.ticker(ground.ticker)]
    if ground.cluster is not None and options.nodes > 1:
        lanes.append(nemesis.nodes(ground.cluster))
    tasks = [asyncio.ensure_future(lane) for lane in lanes]
    try:
        yield
    finally:
        say("the nemesis rests; nodes and ticker are made whole")
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        if ground.cluster is not None:
            await asyncio.to_thread(ground.cluster.start)
        for fault in ended:
            if isinstance(fault, Exception):
                raise fault


@contextlib.asynccontextmanager
async def _telling(population: Population, lab: WatchedLab, say: Say) -> AsyncIterator[None]:
    async def tell() -> None:
        begin = time.monotonic()
        while True:
            await asyncio.sleep(SAY_EACH_S)
            gone_s = time.monotonic() - begin
            done = sum(population.done.values())
            say(
                f"{gone_s:4.0f} s: {population.attached()}/{len(population.devices)} UEs have attached, {done} "
                f"procedures ({done / gone_s:.1f}/s), {population.faults} failed and tried again, "
                f"{population.unsettled} UEs at it, {lab.exchange.outbox.resends} messages sent again"
            )

    task = asyncio.ensure_future(tell())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _quiet(site: Site) -> int:
    """Wait until no context is in a procedure, QUIET_S at most -> how many still are."""
    deadline = time.monotonic() + QUIET_S
    left = -1
    while left != 0 and time.monotonic() < deadline:
        await asyncio.sleep(2)
        left = await asyncio.to_thread(_busy, site)
    return left


def _busy(site: Site) -> int:
    store = open_store(site.store_url)
    try:
        return busy(store)
    except StoreUnavailableError:
        return -1
    finally:
        store.close()


def _read(site: Site, numbers: dict[str, int], at_ms: float) -> list[Event]:
    store = open_store(site.store_url)
    try:
        return remains(store, numbers, at_ms)
    finally:
        store.close()
