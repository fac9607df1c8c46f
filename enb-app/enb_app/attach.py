"""Set up S1 with each eNB and attach the UEs: `result = await attach(AttachOptions(ues=10))`."""

from __future__ import annotations

import asyncio
import contextlib
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from random import Random
from secrets import token_hex

from enb_app import keys, load, subscribers
from enb_app.association import Association, Plan
from enb_app.attempts import AttemptCounter
from enb_app.drive import Capture, Drive
from enb_app.enb import SETUP_STREAM, Cell, EnbUe, setup_answer, ue_of
from enb_app.exchange import Answer, Exchange
from enb_app.failures import RunBrokeError, cure
from enb_app.measure import MessageSample, StoreOperations, UeOutcome
from enb_app.options import AttachOptions, Fault, Mode
from enb_app.overload import MO_SIGNALLING, RadioAccess
from enb_app.pcap import PcapFile
from enb_app.result import Result
from enb_app.tracelog import TraceLog
from enb_app.transport import Transport
from enb_app.ue import Profile, Ue
from enb_app.usim import Subscriber, Usim
from mme import routing
from mme.codec import s1ap
from mme.codec.envelope import Downlink, Item
from mme.enums import EmmCause
from mme.errors import S1apError
from mme.messages import S1SetupFailure, S1SetupResponse

__all__ = ["RunBrokeError", "attach", "cells"]

OnOutcome = Callable[[UeOutcome], None]


async def attach(options: AttachOptions, on_outcome: OnOutcome = lambda _: None) -> Result:
    """Attach options.ues UEs and say what became of each.

    on_outcome: called as each UE ends.  Raises RunBrokeError (no gateway, no such function, S1 Setup refused, a file
    that cannot be written) and ConfigError (keys, subscribers).
    """
    run = _Run(options, on_outcome)
    try:
        return await run.go()
    except OSError as e:
        raise RunBrokeError(f"{type(e).__name__}: {e}") from e


def cells(options: AttachOptions) -> list[Cell]:
    """The eNBs: the first as told, the others with the following eNB identities."""
    made = []
    for number in range(options.enbs):
        identity = replace(options.enb, enb_id=options.enb.enb_id + number)
        made.append(Cell(identity, options.tac, f"enb{identity.enb_id:05x}", bytes((127, 0, 1, 1 + number % 250))))
    return made


class _Run:
    def __init__(self, options: AttachOptions, on_outcome: OnOutcome) -> None:
        self.options = options
        self.on_outcome = on_outcome
        self.random = Random(options.seed)
        self.cells = cells(options)
        self.keys = keys.load(options.enb_key_file, options.secrets)
        self.subscribers = self._subscribers()
        self.drives: dict[tuple[str, int], Drive] = {}
        self.radio = {
            cell.enb: RadioAccess(self.random, not options.ignore_overload, options.rrc_wait_s) for cell in self.cells
        }
        self.setups: dict[str, asyncio.Future[bytes]] = {}
        self.outcomes: list[UeOutcome] = []
        self.heard: set[str] = set()
        self.broken: asyncio.Future[str] | None = None
        self.name = token_hex(3)
        self.refused = 0
        self.rrc_given_up = 0
        self.origin = 0.0
        self.capture: Capture | None = None

    def _subscribers(self) -> list[Subscriber]:
        options = self.options
        if options.fault is Fault.UNKNOWN_IMSI:
            return subscribers.unknown(options.ues, options.enb.plmn, self.random)
        found = subscribers.load(options.subscribers, options.first_ue + options.ues)[options.first_ue :]
        if options.fault is Fault.WRONG_KEY:
            return [replace(subscriber, k=bytes(octet ^ 0xFF for octet in subscriber.k)) for subscriber in found]
        return found

    async def go(self) -> Result:
        options = self.options
        loop = asyncio.get_running_loop()
        self.broken = loop.create_future()
        transport = Transport(
            options.gateway,
            asynchronous=options.mode is Mode.ASYNC,
            host=options.callback_host,
            port=options.callback_port,
        )
        async with contextlib.AsyncExitStack() as stack:
            if options.pcap is not None:
                self.capture = stack.enter_context(PcapFile(options.pcap, time.time))
            log = stack.enter_context(TraceLog(options.log)) if options.log is not None else None
            await stack.enter_async_context(transport)
            exchange = Exchange(
                policy=options.policy,
                random=self.random,
                clock=loop,
                unix_s=time.time,
                keys=self.keys,
                enbs=frozenset(cell.enb for cell in self.cells),
                callback_url=transport.callback_url,
                downlink_url=transport.downlink_url,
                post=transport.post,
                on_downlink=self._on_downlink,
                on_end=log.write if log is not None else None,
            )
            transport.exchange = exchange
            transport.on_fault = self._on_fault
            stack.callback(exchange.close)
            self.origin = loop.time()
            started_unix_s = time.time()
            setup = [await self._set_up(exchange, cell, transport.downlink_url(cell.enb)) for cell in self.cells]
            begin, cpu = loop.time(), time.process_time()
            await self._attach_all(exchange)
            return Result(
                options=options,
                started_unix_s=started_unix_s,
                duration_s=loop.time() - begin,
                cpu_s=time.process_time() - cpu,
                setup=tuple(setup),
                outcomes=tuple(sorted(self.outcomes, key=lambda outcome: outcome.number)),
                counters=exchange.counters,
                resends=exchange.outbox.resends,
                silences=exchange.outbox.silences,
                rrc_rejected=sum(radio.rejected for radio in self.radio.values()),
                rrc_given_up=self.rrc_given_up,
                refused_before=self.refused,
                overload_starts=sum(radio.starts for radio in self.radio.values()),
                overload_stops=sum(radio.stops for radio in self.radio.values()),
            )

    async def _set_up(self, exchange: Exchange, cell: Cell, downlink_url: str) -> MessageSample:
        """S1 SETUP; its answer may come in the reply or by a push."""
        loop = asyncio.get_running_loop()
        message = cell.setup_request()
        heard = self.setups[cell.enb] = loop.create_future()
        answered: asyncio.Future[Answer] = loop.create_future()
        if self.capture is not None:
            self.capture.write(cell.enb, message.octets, SETUP_STREAM, up=True)
        item = Item(
            id=f"{cell.enb}/{self.name}-setup/1",
            enb=cell.enb,
            epoch=self.name,
            stream=SETUP_STREAM,
            s1ap=message.octets,
            downlink_url=downlink_url,
        )
        exchange.submit(item, routing.function_of(message.octets[1]), answered.set_result)
        answer = await answered
        reply = answer.reply
        if reply is None:
            key_file = self.options.enb_key_file or self.options.secrets / keys.MASTER_FILE
            raise RunBrokeError(f"S1 Setup of {cell.enb}: {answer.why}. {cure(answer.why, key_file)}")
        octets = heard.result() if heard.done() else b""
        if self.capture is not None and octets:
            self.capture.write(cell.enb, octets, SETUP_STREAM, up=False)
        match setup_answer(octets):
            case S1SetupResponse():
                pass
            case S1SetupFailure() as failure:
                text = f"S1 Setup Failure for {cell.enb}: {failure.cause.value}; check PLMN and TAC against the MME's"
                raise RunBrokeError(text)
            case _:
                why = reply.error or reply.label or "no S1 Setup Response in it"
                raise RunBrokeError(f"S1 Setup of {cell.enb} was answered {reply.result}: {why}")
        cost = answer.cost
        return MessageSample(
            s1ap=message.name,
            nas=None,
            function=answer.function,
            at_ms=(answer.posted - self.origin) * 1000,
            ms=(answer.answered - answer.posted) * 1000,
            result=reply.result,
            label=reply.label,
            tries=answer.tries,
            store=StoreOperations(cost.reads, cost.writes, cost.conditional_writes) if cost else StoreOperations(),
            mme_ms=cost.total_ms if cost else None,
        )

    def _on_downlink(self, downlink: Downlink) -> None:
        if downlink.ue is None:
            heard = self.setups.get(downlink.enb)
            # During an overload a push may come before the answer to S1 SETUP REQUEST.
            if heard is not None and not heard.done() and setup_answer(downlink.s1ap) is not None:
                heard.set_result(downlink.s1ap)
                return
            self._on_enb_downlink(downlink)
        ue = ue_of(downlink.s1ap) if downlink.ue is None else downlink.ue
        drive = None if ue is None else self.drives.get((downlink.enb, ue))
        if drive is not None:
            drive.on_downlink(downlink)

    def _on_enb_downlink(self, downlink: Downlink) -> None:
        """What is for the eNB as a whole: once, however often it is pushed."""
        if downlink.id in self.heard or downlink.enb not in self.radio:
            return
        self.heard.add(downlink.id)
        with contextlib.suppress(S1apError):
            self.radio[downlink.enb].hear(s1ap.decode(downlink.s1ap), downlink.order)

    async def _attach_all(self, exchange: Exchange) -> None:
        options = self.options
        jobs = [self._job(exchange, number) for number in range(options.ues)]
        if options.rate_per_s is None:
            work = asyncio.ensure_future(load.closed_loop(jobs, options.concurrency))
        else:
            work = asyncio.ensure_future(load.open_loop(jobs, options.rate_per_s))
        broken = self.broken
        if broken is None:
            raise RuntimeError("not running")
        await asyncio.wait((work, broken), return_when=asyncio.FIRST_COMPLETED)
        if broken.done():
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work
            raise RunBrokeError(f"after {len(self.outcomes)} of {options.ues} UEs: {broken.result()}")
        await work

    def _job(self, exchange: Exchange, number: int) -> load.Job:
        async def one() -> None:
            cell = self.cells[number % len(self.cells)]
            ue = self._ue(number)
            counter = AttemptCounter(self.options.t3411_s, self.options.t3402_s)
            for attempt in range(1, self.options.attempts + 1):
                if not await self._gets_connection(cell):
                    return
                outcome = await self._one_attach(exchange, number, cell, ue, attempt)
                if outcome.emm_cause != EmmCause.CONGESTION.value or attempt == self.options.attempts:
                    break
                self.refused += 1
                await asyncio.sleep(self.random.uniform(*counter.wait_s(ue.back_off_s, ue.t3402_s)))
            self.outcomes.append(outcome)
            self.on_outcome(outcome)

        return one

    async def _gets_connection(self, cell: Cell) -> bool:
        """Ask for an RRC connection until there is one; False: the UE has asked for long enough."""
        limit_s = self.options.ask_for_s
        while (wait_s := self.radio[cell.enb].asks(MO_SIGNALLING)) is not None:
            if limit_s is not None and asyncio.get_running_loop().time() - self.origin > limit_s:
                self.rrc_given_up += 1
                return False
            await asyncio.sleep(wait_s)
        return True

    async def _one_attach(self, exchange: Exchange, number: int, cell: Cell, ue: Ue, attempt: int) -> UeOutcome:
        """On a connection of its own."""
        per_enb = -(-self.options.ues // len(self.cells))
        enb_ue_s1ap_id = (attempt - 1) * per_enb + number // len(self.cells) + 1
        run = f"{self.name}-{number + 1}" + (f".{attempt}" if attempt > 1 else "")
        drive = self._drive(exchange, number, EnbUe(cell, enb_ue_s1ap_id), ue, run)
        self.drives[cell.enb, enb_ue_s1ap_id] = drive
        try:
            return await drive.run()
        finally:
            del self.drives[cell.enb, enb_ue_s1ap_id]

    def _ue(self, number: int) -> Ue:
        options = self.options
        profile = Profile(
            plmn=options.enb.plmn,
            access_point_name=options.access_point_name if options.esm_information else None,
            esm_information=options.esm_information,
            wrong_res=options.fault is Fault.WRONG_RES,
            t3410_s=options.t3410_s,
        )
        return Ue(Usim(self.subscribers[number]), profile)

    def _drive(self, exchange: Exchange, number: int, side: EnbUe, ue: Ue, run: str) -> Drive:
        options = self.options
        association = Association(ue, side, Plan(options.leave, options.replay))
        return Drive(
            association,
            number=number + 1,
            run=run,
            epoch=self.name,
            exchange=exchange,
            clock=asyncio.get_running_loop(),
            origin=self.origin,
            eager=options.eager,
            capture=self.capture,
            ladder=number < options.ladder_ues,
            on_broken=self._on_broken,
        )

    def _on_fault(self, fault: BaseException) -> None:
        frame = traceback.extract_tb(fault.__traceback__)[-1]
        self._on_broken(f"a fault of enb-app itself: {type(fault).__name__} in {frame.name}, line {frame.lineno}")

    def _on_broken(self, why: str) -> None:
        if self.broken is not None and not self.broken.done():
            self.broken.set_result(why)
