"""Drive one UE: its machines on one side, the exchange and the clock on the other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from enb_app.association import Association
from enb_app.effects import (
    AttachAnswered,
    Done,
    Effect,
    NasReceived,
    S1apReceived,
    SendS1ap,
    StartTimer,
    StopTimer,
)
from enb_app.enb import UE_STREAM, Cell
from enb_app.exchange import Answer, Clock, Exchange, Handle
from enb_app.measure import LadderLine, MessageSample, StoreOperations, UeOutcome
from mme import routing
from mme.codec.envelope import Downlink, Item

LOST = "lost"


class Capture(Protocol):
    """Where S1AP messages are written as they pass; up: towards the MME."""

    def write(self, enb: str, octets: bytes, stream: int, *, up: bool) -> None: ...


class Drive:
    """One UE-associated item in flight, the others wait; eager: none waits."""

    def __init__(
        self,
        association: Association,
        *,
        number: int,
        run: str,
        epoch: str,
        exchange: Exchange,
        clock: Clock,
        origin: float,
        eager: bool = False,
        capture: Capture | None = None,
        ladder: bool = False,
        on_broken: Callable[[str], None] = lambda _: None,
    ) -> None:
        """run: unique among the runs of this eNB.  origin: the clock's time that counts as 0 ms."""
        self.association = association
        self.cell: Cell = association.side.cell
        self._number = number
        self._run = run
        self._epoch = epoch
        self._exchange = exchange
        self._clock = clock
        self._origin = origin
        self._eager = eager
        self._capture = capture
        self._keep_ladder = ladder
        self._on_broken = on_broken
        self._waiting: deque[SendS1ap] = deque()
        self._in_flight = 0
        self._sent = 0
        self._timers: dict[str, Handle] = {}
        self._messages: list[MessageSample] = []
        self._ladder: list[LadderLine] = []
        self._heard: LadderLine | None = None
        self._started = 0.0
        self._attached_at: float | None = None
        self._done: asyncio.Future[Done] | None = None

    async def run(self) -> UeOutcome:
        """Attach, and what else the plan says; returns when nothing more will happen."""
        self._done = asyncio.get_running_loop().create_future()
        self._started = self._clock.time()
        self._perform(self.association.start())
        try:
            done = await self._done
        finally:
            self._stop_timers()
        return self._outcome(done)

    def on_downlink(self, downlink: Downlink) -> None:
        self._perform(self.association.downlink(downlink))

    # ------------------------------------------------------------------ effects

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case SendS1ap():
                    self._waiting.append(effect)
                case S1apReceived():
                    self._hear(effect)
                case NasReceived():
                    if self._heard is not None:
                        self._heard.nas = effect.name
                case StartTimer():
                    self._start_timer(effect)
                case StopTimer():
                    self._stop_timer(effect.name)
                case AttachAnswered():
                    self._attached_at = self._clock.time()
                case Done():
                    if self._done is not None and not self._done.done():
                        self._done.set_result(effect)
        self._pump()

    def _hear(self, effect: S1apReceived) -> None:
        if self._capture is not None:
            self._capture.write(self.cell.enb, effect.octets, UE_STREAM, up=False)
        if self._keep_ladder:
            self._heard = LadderLine(self._ms(self._clock.time()), up=False, s1ap=effect.name)
            self._ladder.append(self._heard)

    def _start_timer(self, effect: StartTimer) -> None:
        self._stop_timer(effect.name)
        name = effect.name
        self._timers[name] = self._clock.call_at(self._clock.time() + effect.seconds, lambda: self._on_timer(name))

    def _stop_timer(self, name: str) -> None:
        handle = self._timers.pop(name, None)
        if handle is not None:
            handle.cancel()

    def _stop_timers(self) -> None:
        for name in list(self._timers):
            self._stop_timer(name)

    def _on_timer(self, name: str) -> None:
        self._timers.pop(name, None)
        self._perform(self.association.expire(name))

    # ------------------------------------------------------------------ messages

    def _pump(self) -> None:
        while self._waiting and (self._eager or not self._in_flight):
            self._post(self._waiting.popleft())

    def _post(self, message: SendS1ap) -> None:
        self._in_flight += 1
        self._sent += 1
        item = Item(
            id=f"{self.cell.enb}/{self._run}/{self._sent}",
            enb=self.cell.enb,
            epoch=self._epoch,
            stream=UE_STREAM,
            s1ap=message.octets,
        )
        function = routing.function_of(message.octets[1])  # APER: choice, procedure code
        if self._capture is not None:
            self._capture.write(self.cell.enb, message.octets, UE_STREAM, up=True)
        line = None
        if self._keep_ladder:
            line = LadderLine(self._ms(self._clock.time()), True, message.name, message.nas, function)
            self._ladder.append(line)
        self._exchange.submit(item, function, lambda answer: self._on_answer(message, line, answer))

    def _on_answer(self, message: SendS1ap, line: LadderLine | None, answer: Answer) -> None:
        self._in_flight -= 1
        reply = answer.reply
        cost = answer.cost
        store = StoreOperations(cost.reads, cost.writes, cost.conditional_writes) if cost else StoreOperations()
        sample = MessageSample(
            s1ap=message.name,
            nas=message.nas,
            function=answer.function,
            at_ms=self._ms(answer.posted),
            ms=(answer.answered - answer.posted) * 1000,
            result=reply.result if reply else LOST,
            label=reply.label if reply else None,
            tries=answer.tries,
            store=store,
            mme_ms=cost.total_ms if cost else None,
            copy=message.copy,
        )
        self._messages.append(sample)
        if line is not None:
            line.ms, line.store, line.result = sample.ms, store, sample.result
        if reply is None:
            if answer.broken:
                self._on_broken(answer.why)
            self._perform(self.association.lost(message, answer.why))
        else:
            reason = reply.error or (reply.label if reply.label != "ok" else None)
            self._perform(self.association.answered(message, reply.result, reason))

    def _ms(self, at: float) -> float:
        return (at - self._origin) * 1000

    def _outcome(self, done: Done) -> UeOutcome:
        association = self.association
        attached = None if self._attached_at is None else (self._attached_at - self._started) * 1000
        return UeOutcome(
            number=self._number,
            imsi=str(association.ue.usim.imsi),
            enb=self.cell.enb,
            run=self._run,
            verdict=done.verdict,
            cause=done.cause,
            emm_cause=done.emm_cause,
            started_ms=self._ms(self._started),
            ended_ms=self._ms(self._clock.time()),
            attach_ms=attached,
            detached=done.detached,
            gaps=association.ordering.gaps,
            repeats=association.ordering.repeats,
            discarded_downlinks=association.ue.discarded,
            copies=dict(association.copies),
            messages=tuple(self._messages),
            ladder=tuple(self._ladder),
        )
