"""Stations, devices and the operator's door over one exchange: the ground that cases and lives are played on."""

from __future__ import annotations

import asyncio
import contextlib
import time
import traceback
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from secrets import token_hex

from enb_app import keys
from enb_app.device import Device
from enb_app.enb import Cell
from enb_app.exchange import Answer, Exchange, Post
from enb_app.initial_nas import s_tmsi
from enb_app.journal import UnexpectedError
from enb_app.measure import MessageSample
from enb_app.options import DEFAULT_GATEWAY, DEFAULT_SUBSCRIBERS, Mode, default_secrets
from enb_app.outbox import Policy
from enb_app.profile import Profile
from enb_app.station import Network, Station
from enb_app.transport import Transport
from enb_app.ue import Ue
from enb_app.usim import Subscriber, Usim
from mme import routing
from mme.codec.envelope import Downlink, Item, Reply
from mme.errors import ConfigError
from mme.ids import GlobalEnbId, Plmn
from mme.messages import Paging

OPERATOR = "operator/enb-app"


@dataclass(frozen=True, slots=True)
class LabOptions:
    """Where the MME is and who may speak to it.  Commands are signed, so the master secret is needed."""

    gateway: str = DEFAULT_GATEWAY
    mode: Mode = Mode.SYNC
    enb: GlobalEnbId = field(default=GlobalEnbId(Plmn("00101"), 0x30000))
    tac: int = 7
    secrets: Path = field(default_factory=default_secrets)
    subscribers: Path = DEFAULT_SUBSCRIBERS
    first_ue: int = 0
    policy: Policy = field(default=Policy())
    callback_host: str = "127.0.0.1"
    callback_port: int = 0
    seed: int | None = None


class Lab:
    """Use it inside `opened`."""

    def __init__(self, options: LabOptions, stations: int) -> None:
        self.options = options
        self.name = token_hex(3)
        self.random = Random(options.seed)
        self.keys = keys.load(None, options.secrets)
        self.samples: list[MessageSample] = []
        self.devices: list[Device] = []
        self.stations: list[Station] = []
        self.fault = ""
        self._commands = 0
        self._exchange: Exchange | None = None
        if not 0 <= options.enb.enb_id <= 0xFFFFF - stations:
            raise ConfigError("--enb-id", "a macro eNB's id has 20 bits")
        self.cells = [
            Cell(
                replace(options.enb, enb_id=options.enb.enb_id + n),
                options.tac,
                f"enb{options.enb.enb_id + n:05x}",
                bytes((127, 0, 1, 1 + n % 250)),
            )
            for n in range(stations)
        ]

    @property
    def exchange(self) -> Exchange:
        if self._exchange is None:
            raise RuntimeError("the lab is not open")
        return self._exchange

    def device(self, subscriber: Subscriber, station: Station, profile: Profile) -> Device:
        """A UE with an empty memory, camping on that station's cell."""
        made = Device(Ue(Usim(subscriber), profile), station)
        self.devices.append(made)
        return made

    async def command(self, action: str, device: Device | str) -> Reply:
        """Tell the MME to page, detach or rename a UE, as the operator (function mme-downlink)."""
        imsi = device if isinstance(device, str) else device.imsi
        self._commands += 1
        item = Item(
            id=f"{OPERATOR}/{self.name}/{self._commands}", enb=OPERATOR, command={"action": action, "imsi": imsi}
        )
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.exchange.submit(item, routing.DOWNLINK, answered.set_result)
        answer = await answered
        if answer.reply is None:
            raise UnexpectedError(f"an answer to the command {action}", answer.why)
        return answer.reply

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Lab]:
        """The transport runs until the block ends."""
        options = self.options
        transport = Transport(
            options.gateway,
            asynchronous=options.mode is Mode.ASYNC,
            host=options.callback_host,
            port=options.callback_port,
        )
        async with transport:
            transport.exchange = self.join(
                transport.post, transport.downlink_url, callback_url=transport.callback_url, unix_s=time.time
            )
            transport.on_fault = self._on_fault
            try:
                yield self
            finally:
                self.leave()

    def join(
        self, post: Post, downlink_url: Callable[[str], str], *, callback_url: str, unix_s: Callable[[], float]
    ) -> Exchange:
        """Set up exchange and stations over anything that carries calls; `opened` does it over HTTP."""
        loop = asyncio.get_running_loop()
        exchange = self._exchange = Exchange(
            policy=self.options.policy,
            random=self.random,
            clock=loop,
            unix_s=unix_s,
            keys=self.keys,
            enbs=frozenset((*(cell.enb for cell in self.cells), OPERATOR)),
            callback_url=callback_url,
            downlink_url=downlink_url,
            post=post,
            on_downlink=self.on_downlink,
        )
        network = Network(exchange, loop, self.name, downlink_url, self._on_paging, self.samples.append, loop.time())
        self.stations = [Station(cell, network) for cell in self.cells]
        self._by_name = {station.cell.enb: station for station in self.stations}
        return exchange

    def leave(self) -> None:
        """Stop what would be sent again, and the devices' timers."""
        self.exchange.close()
        for device in self.devices:
            device.close()

    def on_downlink(self, downlink: Downlink) -> None:
        station = self._by_name.get(downlink.enb)
        if station is not None:
            station.on_downlink(downlink)

    def _on_paging(self, station: Station, message: Paging) -> None:
        for device in self.devices:
            hears = device.station is station and not device.connected and device.ue.guti is not None
            if hears and s_tmsi(device.ue.guti) == message.ue_paging_id:
                device.journal.write(message)
                if device.answers_paging:
                    device.perform(device.ue.service_request(paged=True))

    def _on_fault(self, fault: BaseException) -> None:
        frame = traceback.extract_tb(fault.__traceback__)[-1]
        self.fault = f"a fault of enb-app itself: {type(fault).__name__} in {frame.name}, line {frame.lineno}"
