"""A UE over its whole life: one machine that keeps its context, and a connection after the other through some eNB."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from enb_app.effects import (
    BearersUp,
    DeliverNas,
    EnbEffect,
    Ended,
    NasReceived,
    Released,
    S1apReceived,
    SendNas,
    SendS1ap,
    StartTimer,
    StopTimer,
    UeEffect,
)
from enb_app.enb import UE_STREAM, EnbUe
from enb_app.exchange import Answer, Handle
from enb_app.journal import Journal, Sent, UnexpectedError
from enb_app.ordering import GAP_S, Ordering
from enb_app.ue import Ue
from mme.codec import s1ap
from mme.codec.envelope import Downlink, Reply
from mme.enums import ItemResult, S1apCause
from mme.errors import S1apError
from mme.messages import EmmMessage, S1apMessage

if TYPE_CHECKING:
    from enb_app.station import Station

PATIENCE_S = 12.0
"""How long a script waits for what must come; only a case that fails waits so long."""
_GAP = "gap"
Kind = TypeVar("Kind")


@dataclass(slots=True)
class _Waiting:
    """ends: it asks for the end of the connection."""

    message: SendS1ap
    answered: asyncio.Future[Reply] | None
    ends: bool


class Connection:
    """One UE-associated S1 connection: items one after the other, downlinks in the MME's order."""

    def __init__(self, device: Device, station: Station, side: EnbUe, run: str) -> None:
        self.device = device
        self.station = station
        self.side = side
        self.run = run
        self.ordering: Ordering[tuple[bytes, S1apMessage]] = Ordering()
        self.in_flight = 0
        self.sent = 0
        self._queue: deque[_Waiting] = deque()

    @property
    def busy(self) -> bool:
        return bool(self._queue or self.in_flight or self.ordering.waiting)

    def on_downlink(self, downlink: Downlink) -> None:
        message = self.side.read(downlink.s1ap)
        if isinstance(message, list):
            with contextlib.suppress(S1apError):
                self.device.journal.write(s1ap.decode(downlink.s1ap))
            self.device.from_enb(self, message)
        else:
            self._carry_out(self.ordering.take(downlink.id, downlink.order, (downlink.s1ap, message)))

    def give_up_gap(self) -> None:
        self._carry_out(self.ordering.give_up_gap())

    def _carry_out(self, messages: list[tuple[bytes, S1apMessage]]) -> None:
        for octets, message in messages:
            self.device.journal.write(message)
            self.device.from_enb(self, self.side.receive(octets, message))
        if self.ordering.waiting:
            self.device.start_timer(StartTimer(_GAP, GAP_S))
        else:
            self.device.stop_timer(_GAP)

    def send(self, message: SendS1ap, answered: asyncio.Future[Reply] | None = None, *, ends: bool = False) -> None:
        self._queue.append(_Waiting(message, answered, ends))
        self._pump()

    def _pump(self) -> None:
        while self._queue and (self.device.eager or not self.in_flight):
            waiting = self._queue.popleft()
            self.in_flight += 1
            self.sent += 1
            item_id = f"{self.station.cell.enb}/{self.run}/{self.sent}"
            self.station.submit(waiting.message, item_id, UE_STREAM, partial(self._on_answer, waiting))

    def _on_answer(self, waiting: _Waiting, answer: Answer) -> None:
        self.in_flight -= 1
        message, reply = waiting.message, answer.reply
        name = message.nas or message.name
        if reply is None:
            self.device.journal.write(Sent(name, "lost", answer.why))
            if waiting.answered is not None and not waiting.answered.done():
                waiting.answered.set_exception(UnexpectedError(f"an answer to {name}", answer.why))
        else:
            self.device.journal.write(Sent(name, reply.result, reply.error or reply.label or ""))
            if waiting.answered is not None and not waiting.answered.done():
                waiting.answered.set_result(reply)
        if waiting.ends and (reply is None or reply.result == ItemResult.STALE.value):
            self.device.from_enb(self, self.side.give_up())
        self._pump()
        self.device.journal.ring()

    def drop(self) -> None:
        """The association is gone, and this with it: nothing waits any more."""
        self._queue.clear()
        self.side.released = True


class Device:
    """A UE and where it is.  journal: what it and its eNB's side of it heard, and how each uplink was answered.

    silent_enb: types of S1AP messages that its eNB does not react to.  answers_paging: by a service request of its own.
    eager: a message does not wait for the answer to the one before.
    """

    def __init__(self, ue: Ue, station: Station) -> None:
        self.ue = ue
        self.station = station
        self.journal = Journal()
        self.connection: Connection | None = None
        self.ended: Ended | None = None
        self.silent_enb: set[type[S1apMessage]] = set()
        self.answers_paging = False
        self.eager = False
        self._timers: dict[str, Handle] = {}

    @property
    def connected(self) -> bool:
        return self.connection is not None

    @property
    def imsi(self) -> str:
        """Whole, for commands; never to be shown."""
        return self.ue.usim.imsi.digits

    # ------------------------------------------------------------------ what a script does

    def perform(self, effects: list[UeEffect]) -> None:
        """What the UE machine wants done."""
        for effect in effects:
            match effect:
                case SendNas():
                    self._uplink(effect)
                case NasReceived():
                    if effect.message is not None:
                        self.journal.write(effect.message)
                case StartTimer():
                    self.start_timer(effect)
                case StopTimer():
                    self.stop_timer(effect.name)
                case Ended():
                    self.ended = effect
                    self.journal.write(effect)
                    if effect.connection_lost:
                        self._ask_for_release(S1apCause.RADIO_CONNECTION_WITH_UE_LOST)
                case _:
                    self.journal.write(effect)

    async def say(self, message: EmmMessage | SendNas) -> Reply:
        """Send a NAS message of the script's own, protected like the UE's, and wait for the MME's judgement."""
        nas_message = message if isinstance(message, SendNas) else self.ue.protected(message)
        connection = self._on_air()
        return await self._sent(connection, connection.side.uplink(nas_message))

    async def send(self, message: S1apMessage) -> Reply:
        """Send an S1AP message of this connection, and wait for the MME's judgement."""
        connection = self._on_air()
        return await self._sent(connection, connection.side.associated(message))

    async def _sent(self, connection: Connection, message: SendS1ap) -> Reply:
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        connection.send(message, answered)
        return await answered

    async def expect(self, kind: type[Kind], within: float = PATIENCE_S, **fields: Any) -> Kind:
        """Wait for a downlink message or an event of the UE, once what was to be sent is sent."""
        return await self.journal.expect(kind, within, **fields)

    async def until(self, held: Callable[[], bool], expected: str, within: float = PATIENCE_S) -> None:
        """Wait until something holds of it.  Raises UnexpectedError."""
        try:
            async with asyncio.timeout(within):
                while not held():
                    await self.journal.changed()
        except TimeoutError:
            raise UnexpectedError(expected, self.journal.unread() or f"nothing within {within:g} s") from None

    async def settled(self, within: float = PATIENCE_S) -> None:
        """Wait until nothing is on its way.  Raises UnexpectedError."""
        try:
            async with asyncio.timeout(within):
                while self.connection is not None and self.connection.busy:
                    await self.journal.changed()
        except TimeoutError:
            raise UnexpectedError("all messages answered", f"silence for {within:g} s") from None

    async def idle(self, within: float = PATIENCE_S) -> None:
        """Wait until the connection is released and its release is answered.  Raises UnexpectedError."""
        connection = self.connection
        try:
            async with asyncio.timeout(within):
                while self.connection is not None or (connection is not None and connection.busy):
                    await self.journal.changed()
        except TimeoutError:
            came = self.journal.unread() or f"nothing within {within:g} s"
            raise UnexpectedError("UEContextReleaseCommand", came) from None

    def move(self, station: Station) -> None:
        """Camp on another eNB's cell: its next connection goes there."""
        self.station = station

    def lose_radio(self) -> None:
        """The eNB forgets the connection without a word; the UE finds itself idle."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.drop()
            connection.station.forget(connection)
            self.perform(self.ue.connection_released("radio link failure"))

    def request_release(self, cause: S1apCause = S1apCause.USER_INACTIVITY) -> None:
        """The eNB asks for the release of the connection."""
        self._ask_for_release(cause)

    def open(self) -> Connection:
        """A new connection, on the cell where the UE is."""
        self.connection = self.station.connect(self)
        self.connection.side.silent_to = self.silent_enb
        return self.connection

    # ------------------------------------------------------------------ between the machines

    def from_enb(self, connection: Connection, happened: list[EnbEffect]) -> None:
        for effect in happened:
            match effect:
                case DeliverNas():
                    if connection is self.connection:
                        self.perform(self.ue.receive(effect.octets))
                case BearersUp():
                    if connection is self.connection:
                        self.perform(self.ue.bearers_established(effect.k_enb))
                case Released():
                    self._on_released(connection, effect)
                case SendS1ap():
                    connection.send(effect)
                case S1apReceived():
                    pass

    def _on_released(self, connection: Connection, effect: Released) -> None:
        if connection is self.connection:
            self.connection = None
            self.perform(self.ue.connection_released(effect.cause))
        self.journal.write(effect)
        connection.station.retire(connection)

    def _uplink(self, message: SendNas) -> None:
        connection = self.connection or self.open()
        connection.send(connection.side.uplink(message))

    def _ask_for_release(self, cause: S1apCause) -> None:
        connection = self.connection
        request = connection.side.request_release(cause) if connection is not None else None
        if connection is not None and request is not None:
            connection.send(request, ends=True)

    def _on_air(self) -> Connection:
        return self.connection or self.open()

    def start_timer(self, effect: StartTimer) -> None:
        self.stop_timer(effect.name)
        name = effect.name
        clock = self.station.clock
        self._timers[name] = clock.call_at(clock.time() + effect.seconds, lambda: self._on_timer(name))

    def stop_timer(self, name: str) -> None:
        handle = self._timers.pop(name, None)
        if handle is not None:
            handle.cancel()

    def _on_timer(self, name: str) -> None:
        self._timers.pop(name, None)
        if name == _GAP:
            if self.connection is not None:
                self.connection.give_up_gap()
        else:
            self.perform(self.ue.expire(name))

    def close(self) -> None:
        """Stop its timers."""
        for name in list(self._timers):
            self.stop_timer(name)
