"""An eNB at work: its association with the MME, the connections on it, and what came for the eNB as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from enb_app import names
from enb_app.device import PATIENCE_S, Connection, Device
from enb_app.effects import SendS1ap
from enb_app.enb import SETUP_STREAM, Cell, EnbUe
from enb_app.exchange import Answer, Clock, Exchange
from enb_app.journal import Journal, UnexpectedError
from enb_app.measure import MessageSample, StoreOperations
from mme import routing
from mme.codec import s1ap
from mme.codec.envelope import Downlink, Item, Reply
from mme.enums import S1apCause
from mme.errors import S1apError
from mme.messages import (
    Cause,
    ErrorIndication,
    Paging,
    Reset,
    S1apMessage,
    S1SetupFailure,
    S1SetupResponse,
    SupportedTa,
)

Kind = TypeVar("Kind")
LOST = "lost"
REMEMBERED = 4096
"""Ids of downlinks for the eNB as a whole: a repeat comes within seconds."""
OnPaging = Callable[["Station", Paging], None]
OnSample = Callable[[MessageSample], None]


@dataclass(frozen=True, slots=True)
class Network:
    """What stations share.  downlink_url: where pushes for an eNB go.  origin: the clock's time that counts as 0 ms."""

    exchange: Exchange
    clock: Clock
    name: str
    downlink_url: Callable[[str], str]
    on_paging: OnPaging
    on_sample: OnSample
    origin: float


class Station:
    """epoch: of the association, a new one for each `set_up`; "" before the first.

    repeats: downlinks for the eNB as a whole that came once more, and were dropped (a push may come twice).
    """

    def __init__(self, cell: Cell, network: Network) -> None:
        self.cell = cell
        self.clock = network.clock
        self.journal = Journal()
        self.epoch = ""
        self.connections: dict[int, Connection] = {}
        self._network = network
        self.repeats = 0
        self._setups = 0
        self._numbers = 0
        self._items = 0
        self._seen: dict[str, None] = {}

    # ------------------------------------------------------------------ the association

    async def set_up(self, *, message: S1apMessage | None = None) -> S1SetupResponse | S1SetupFailure | ErrorIndication:
        """S1 SETUP in a new epoch; whatever ran over the one before is void.  message: another one instead."""
        self.drop_connections()
        self._setups += 1
        self.epoch = f"{self._network.name}.{self._setups}#0"
        octets = self.cell.setup_request().octets if message is None else s1ap.encode(message)
        self.journal.skip()
        reply = await self.post(octets, "S1SetupRequest", downlink_url=self._network.downlink_url(self.cell.enb))
        for entry in self.journal.entries[self.journal.read :]:
            if isinstance(entry, S1SetupResponse | S1SetupFailure | ErrorIndication):
                return entry
        raise UnexpectedError("S1SetupResponse", f"{reply.result}: {reply.error or reply.label}")

    async def reset(self) -> Reply:
        """RESET of the whole interface: from this message on, what ran over it is void."""
        self.drop_connections()
        name, _, count = self.epoch.partition("#")
        self.epoch = f"{name}#{int(count) + 1}"
        return await self.send(Reset(Cause(*S1apCause.MISC_UNSPECIFIED.value), None))

    async def lose_association(self) -> Reply:
        """SCTP is gone: the gateway in front of the functions says so, and every connection with it."""
        self.drop_connections()
        return await self._posted(
            Item(id=self._item_id(), enb=self.cell.enb, epoch=self.epoch, event="association-lost")
        )

    async def give_up(self, mme_ue_s1ap_id: int) -> Reply:
        """The gateway in front of the functions has given up on this UE."""
        item = Item(
            id=self._item_id(),
            enb=self.cell.enb,
            epoch=self.epoch,
            event="release-ue",
            mme_ue_s1ap_id=mme_ue_s1ap_id,
        )
        return await self._posted(item)

    def drop_connections(self) -> None:
        for connection in list(self.connections.values()):
            if connection.device.connection is connection:
                connection.device.lose_radio()
            self.forget(connection)

    async def send(self, message: S1apMessage) -> Reply:
        """A message of the eNB as a whole, and the MME's judgement; what came with it is in the journal."""
        return await self.post(s1ap.encode(message), names.of_s1ap(message))

    async def expect(self, kind: type[Kind], within: float = PATIENCE_S, **fields: Any) -> Kind:
        return await self.journal.expect(kind, within, **fields)

    def supported_tas(self) -> tuple[SupportedTa, ...]:
        return (SupportedTa(self.cell.tac, (self.cell.plmn,)),)

    # ------------------------------------------------------------------ connections

    def connect(self, device: Device) -> Connection:
        """A connection with an ENB-UE-S1AP-ID that was not used before in this run."""
        self._numbers += 1
        run = f"{self._network.name}-{self._setups}-{self._numbers}"
        connection = Connection(device, self, EnbUe(self.cell, self._numbers), run)
        self.connections[self._numbers] = connection
        return connection

    def retire(self, connection: Connection) -> None:
        """Released: nothing but the answer to the release is to come."""
        self.connections.pop(connection.side.enb_ue_s1ap_id, None)

    forget = retire

    # ------------------------------------------------------------------ items

    def _item_id(self) -> str:
        self._items += 1
        return f"{self.cell.enb}/{self._network.name}-{self._setups}-enb/{self._items}"

    async def post(
        self,
        octets: bytes,
        name: str,
        *,
        item_id: str | None = None,
        stream: int = SETUP_STREAM,
        epoch: str | None = None,
        downlink_url: str | None = None,
    ) -> Reply:
        """Any octets as an item.  Raises UnexpectedError when no answer comes."""
        item = Item(
            id=item_id or self._item_id(),
            enb=self.cell.enb,
            epoch=self.epoch if epoch is None else epoch,
            stream=stream,
            s1ap=octets,
            downlink_url=downlink_url,
        )
        return await self._posted(item, name)

    async def _posted(self, item: Item, name: str = "") -> Reply:
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        function = routing.UE_CONTEXT if item.event == "release-ue" else routing.ENB
        if item.s1ap is not None:
            function = routing.function_of(item.s1ap[1])

        def on_answer(answer: Answer) -> None:
            self._measure(SendS1ap(item.s1ap or b"", name or item.event or "?"), answer)
            answered.set_result(answer)

        self._network.exchange.submit(item, function, on_answer)
        answer = await answered
        if answer.reply is None:
            raise UnexpectedError(f"an answer to {name or item.event}", answer.why)
        return answer.reply

    def submit(self, message: SendS1ap, item_id: str, stream: int, waiter: Callable[[Answer], None]) -> None:
        """A message of a connection; waiter is called after the downlinks that came with its answer."""
        item = Item(id=item_id, enb=self.cell.enb, epoch=self.epoch, stream=stream, s1ap=message.octets)

        def on_answer(answer: Answer) -> None:
            self._measure(message, answer)
            waiter(answer)

        self._network.exchange.submit(item, routing.function_of(message.octets[1]), on_answer)

    def _measure(self, message: SendS1ap, answer: Answer) -> None:
        cost, reply = answer.cost, answer.reply
        self._network.on_sample(
            MessageSample(
                s1ap=message.name,
                nas=message.nas,
                function=answer.function,
                at_ms=(answer.posted - self._network.origin) * 1000,
                ms=(answer.answered - answer.posted) * 1000,
                result=reply.result if reply else LOST,
                label=reply.label if reply else None,
                tries=answer.tries,
                store=StoreOperations(cost.reads, cost.writes, cost.conditional_writes) if cost else StoreOperations(),
                mme_ms=cost.total_ms if cost else None,
            )
        )

    # ------------------------------------------------------------------ what comes down

    def on_downlink(self, downlink: Downlink) -> None:
        connection = self.connections.get(downlink.ue) if downlink.ue is not None else None
        if connection is not None:
            connection.on_downlink(downlink)
            return
        try:
            message = s1ap.decode(downlink.s1ap)
        except S1apError:
            self.journal.write(ErrorIndication(cause=Cause(*S1apCause.TRANSFER_SYNTAX_ERROR.value)))
            return
        addressed = self.connections.get(getattr(message, "enb_ue_s1ap_id", None) or 0)
        if addressed is not None and isinstance(message, ErrorIndication):
            addressed.on_downlink(downlink)
            return
        if downlink.id in self._seen:
            self.repeats += 1
            return
        self._seen[downlink.id] = None
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        self.journal.write(message)
        if isinstance(message, Paging):
            self._network.on_paging(self, message)
