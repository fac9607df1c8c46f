"""What a case is: a name, what the specification says, and a short script over a stage."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, NoReturn

from enb_app import procedures
from enb_app.device import Device
from enb_app.journal import UnexpectedError
from enb_app.lab import Lab
from enb_app.profile import Profile
from enb_app.station import Station
from enb_app.usim import Subscriber
from mme.codec.envelope import Reply
from mme.enums import ItemResult
from mme.messages import S1SetupResponse

GROUPS = {
    "s1": "S1 setup, reset, errors",
    "attach": "Attach, detach",
    "security": "Authentication, security, identity",
    "esm": "ESM information",
    "tau": "Tracking area update",
    "service": "Service request, paging, idle",
    "timers": "Timers",
}
LATE_S = 20.0
"""How much later than its time a timer may be noticed on a busy machine; only a case that fails waits so long."""


class Needs(Enum):
    """What the MME must have been started with."""

    SHORT_TIMERS = "shortened timers: start the MME with them, and tell --timers FACTOR"
    PATIENCE = "more than four minutes, or an MME with shortened timers; --long, or --timers FACTOR"


class SkipError(Exception):
    """This MME cannot be put to this test; the text says why."""


class DeviationError(UnexpectedError):
    """What came is not what the specification says, and what the case's deviation admits."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """Where the MME does something else on purpose.  decision: the page that says why, from the root of the source."""

    reason: str
    decision: str


class Stage:
    """What a case plays on: eNBs and UEs of its own, and the operator's door."""

    def __init__(self, lab: Lab, subscribers: Iterator[Subscriber], free: list[Station], timers: float | None) -> None:
        self.lab = lab
        self.devices: list[Device] = []
        self.leased: list[Station] = []
        self._subscribers = subscribers
        self._free = free
        self._timers = timers

    async def enb(self, *, tac_offset: int = 0, set_up: bool = True) -> Station:
        """An eNB of the case's own, after its S1 Setup; tac_offset: in another tracking area."""
        station = self._free.pop()
        self.leased.append(station)
        station.cell = replace(station.cell, tac=self.lab.options.tac + tac_offset)
        station.journal.skip()
        if set_up:
            answer = await station.set_up()
            if tac_offset and not isinstance(answer, S1SetupResponse):
                raise SkipError(f"the MME does not serve TAC {station.cell.tac} (tacs)")
            if not isinstance(answer, S1SetupResponse):
                raise UnexpectedError("S1SetupResponse", str(answer))
        else:
            station.drop_connections()
        return station

    def ue(self, station: Station, **profile: Any) -> Device:
        """A UE that nobody has used before in this run."""
        built = Profile(station.cell.plmn, **profile)
        device = self.lab.device(next(self._subscribers), station, built)
        self.devices.append(device)
        return device

    async def attached(self, station: Station | None = None, **profile: Any) -> Device:
        """A UE that is registered and connected."""
        device = self.ue(station or await self.enb(), **profile)
        await procedures.attach(device)
        return device

    async def idle(self, station: Station | None = None, **profile: Any) -> Device:
        """A UE that is registered and idle."""
        device = await self.attached(station, **profile)
        await procedures.release(device)
        return device

    async def stranger(self, **profile: Any) -> Device:
        """A UE that has keys and a GUTI of before, under which no MME knows it."""
        device = await self.attached(**profile)
        await procedures.detach(device)
        guti = device.ue.guti
        check(guti is not None, "a GUTI", "none")
        device.ue.guti = None if guti is None else replace(guti, m_tmsi=guti.m_tmsi ^ 0x5A5A5A5A)
        return device

    async def command(self, action: str, device: Device | str) -> Reply:
        return await self.lab.command(action, device)

    def timer_s(self, specified_s: float) -> float:
        """How long a timer with that value in the specification runs in this MME."""
        return specified_s * (1.0 if self._timers is None else self._timers)

    def within(self, specified_s: float, expiries: int = 1) -> float:
        """By when a timer's n-th expiry must have shown."""
        return expiries * (self.timer_s(specified_s) + LATE_S)

    def release(self) -> list[Station]:
        """The end of the case: stations for the next one."""
        for device in self.devices:
            device.close()
            self.lab.devices.remove(device)
        for station in self.leased:
            station.drop_connections()
        return self.leased


Script = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    group: str
    clause: str
    expected: str
    script: Script
    needs: tuple[Needs, ...] = ()
    deviation: Deviation | None = None


CASES: dict[str, Case] = {}


def case(
    group: str, clause: str, expected: str, *needs: Needs, deviation: Deviation | None = None
) -> Callable[[Script], Script]:
    """Register a script under its own name.  clause: of TS 24.301 where it begins with a digit.

    deviation: what a script that calls `deviates` admits; whatever else it finds is a failure all the same.
    """

    def register(script: Script) -> Script:
        name = getattr(script, "__name__", "")
        if name in CASES or group not in GROUPS:
            raise ValueError(f"case {name} of group {group}")
        full = f"TS 24.301 {clause}" if clause[0].isdigit() else clause
        CASES[name] = Case(name, group, full, expected, script, needs, deviation)
        return script

    return register


def check(held: bool, expected: str, came: object) -> None:
    """Raises UnexpectedError."""
    if not held:
        raise UnexpectedError(expected, str(came))


def deviates(expected: str, came: str) -> NoReturn:
    """What came is what the case's deviation admits; the last thing in a script.  Raises DeviationError."""
    raise DeviationError(expected, came)


def discarded(reply: Reply, what: str) -> None:
    procedures.resulted(reply, ItemResult.DISCARDED, what)
