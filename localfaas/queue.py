"""The asynchronous route: an in-memory broker as NATS Streaming is used by OpenFaaS, and queue-workers.

202 means that the broker has the message. A worker acknowledges when its call is over, whatever came of it, so failed
work is never done again; what is not acknowledged within ack_wait is delivered again.   Source: contract section 3.
"""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from localfaas.answers import Answer
from localfaas.errors import QueueError
from localfaas.faults import FaultStream
from localfaas.options import MAX_ASYNC_BODY_BYTES
from localfaas.proxy import Call, strip_hop_by_hop

MAX_MESSAGES = 1_000_000
MAX_BYTES = 1_024_000_000


@dataclass(frozen=True, slots=True)
class Message:
    """A queued request. target: path and query after the name, "" when there is none."""

    sequence: int
    function: str
    target: str
    headers: CIMultiDict[str]
    body: bytes
    callback_url: str


class Subscription:
    """One worker's end of the queue group. pending: delivered to it and not acknowledged, with the timer of each."""

    def __init__(self) -> None:
        self.mailbox: asyncio.Queue[Message] = asyncio.Queue()
        self.pending: dict[int, asyncio.TimerHandle] = {}


class Broker:
    """Messages in memory, delivered in order to whoever of the group has none pending (MaxInflight 1).

    What is pending longer than ack_wait_s goes to the member with the fewest pending, even to one that is busy: it
    then waits in that one's mailbox. An acknowledgement counts only while the message is pending with who sends it.
    """

    def __init__(self, ack_wait_s: float) -> None:
        self._ack_wait_s = ack_wait_s
        self._backlog: deque[Message] = deque()
        self._backlog_bytes = 0
        self._group: deque[Subscription] = deque()
        self._gone: list[Subscription] = []
        self._sequence = itertools.count(1)
        self.redelivered = 0
        self.dropped = 0

    @property
    def backlog(self) -> int:
        """Messages no worker has got yet."""
        return len(self._backlog)

    @property
    def pending(self) -> int:
        """Messages delivered and not acknowledged."""
        return sum(len(member.pending) for member in (*self._group, *self._gone))

    def publish(self, function: str, target: str, headers: CIMultiDict[str], body: bytes, callback_url: str) -> None:
        """Take a message.   Raises: QueueError like check()."""
        self.check(body)
        self._backlog.append(Message(next(self._sequence), function, target, headers, body, callback_url))
        self._backlog_bytes += len(body)
        while len(self._backlog) > MAX_MESSAGES or self._backlog_bytes > MAX_BYTES:
            self._backlog_bytes -= len(self._backlog.popleft().body)
            self.dropped += 1
        self._deliver()

    def check(self, body: bytes) -> None:
        """Refuse what is too large.   Raises: QueueError with OpenFaaS's text."""
        if len(body) > MAX_ASYNC_BODY_BYTES:
            raise QueueError(
                f"request body too large for OpenFaaS CE ({len(body)} bytes), maximum: {MAX_ASYNC_BODY_BYTES} bytes"
            )

    def subscribe(self) -> Subscription:
        """Join the group."""
        member = Subscription()
        self._group.append(member)
        self._deliver()
        return member

    def leave(self, member: Subscription) -> None:
        """Leave without a word, as a killed worker does: its messages stay pending until ack_wait is over."""
        self._group.remove(member)
        self._gone = [each for each in (*self._gone, member) if each.pending]

    def acknowledge(self, member: Subscription, message: Message) -> None:
        """Note that a member has done with a message."""
        timer = member.pending.pop(message.sequence, None)
        if timer is not None:
            timer.cancel()
            self._deliver()

    def restart(self) -> int:
        """Lose everything, as a memory store does on a restart; return how many messages that were.

        What a worker is doing goes on, what waits in its mailbox is gone with the rest.
        """
        lost = len(self._backlog)
        self._backlog.clear()
        self._backlog_bytes = 0
        for member in (*self._group, *self._gone):
            for timer in member.pending.values():
                timer.cancel()
            member.pending.clear()
            while not member.mailbox.empty():
                member.mailbox.get_nowait()
                lost += 1
        return lost

    def _deliver(self) -> None:
        while self._backlog:
            free = next((member for member in self._group if not member.pending), None)
            if free is None:
                return
            message = self._backlog.popleft()
            self._backlog_bytes -= len(message.body)
            self._hand_to(free, message)

    def _hand_to(self, member: Subscription, message: Message) -> None:
        loop = asyncio.get_running_loop()
        member.pending[message.sequence] = loop.call_later(self._ack_wait_s, self._expired, member, message)
        member.mailbox.put_nowait(message)
        # Next time it is another's turn, where several are free.
        if member in self._group:
            self._group.remove(member)
            self._group.append(member)

    def _expired(self, member: Subscription, message: Message) -> None:
        member.pending.pop(message.sequence, None)
        if not self._group:
            self._backlog.appendleft(message)
            self._backlog_bytes += len(message.body)
            return
        self.redelivered += 1
        self._hand_to(min(self._group, key=lambda each: len(each.pending)), message)
        self._deliver()


class Workers:
    """The queue-worker replicas.

    invoke: calls a function as the gateway's synchronous route does.  host: "ip:port" that the function sees as caller.
    """

    def __init__(
        self, count: int, broker: Broker, invoke: Callable[[Call], Awaitable[Answer]], host: str, faults: FaultStream
    ) -> None:
        self._count = count
        self._broker = broker
        self._invoke = invoke
        self._host = host
        self._faults = faults
        self._running: dict[asyncio.Task[None], Subscription] = {}
        self._busy: dict[asyncio.Task[None], float] = {}
        self._late: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self.failed_callbacks = 0

    async def start(self) -> None:
        """Start them all."""
        # Without keep-alive, as the real worker: a connection the other side has just closed would cost a callback.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=30),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )
        for _ in range(self._count):
            self._add()

    async def close(self) -> None:
        """Stop them in the middle of what they do."""
        tasks = [*self._running, *self._late]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    @property
    def busy(self) -> int:
        """Workers with a call in flight."""
        return len(self._busy)

    def kill(self) -> bool:
        """Kill a worker, the one that is longest at its call if any is; another takes its place. True: it was busy."""
        victim = min(self._busy, key=self._busy.__getitem__, default=None)
        busy = victim is not None
        if victim is None:
            victim = next(iter(self._running))
        self._broker.leave(self._running.pop(victim))
        self._busy.pop(victim, None)
        victim.cancel()
        self._add()
        return busy

    def _add(self) -> None:
        subscription = self._broker.subscribe()
        self._running[asyncio.create_task(self._work(subscription))] = subscription

    async def _work(self, subscription: Subscription) -> None:
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("runs as a task")
        while True:
            message = await subscription.mailbox.get()
            self._busy[task] = time.perf_counter()
            try:
                await self._handle(message)
            finally:
                self._busy.pop(task, None)
            self._broker.acknowledge(subscription, message)

    async def _handle(self, message: Message) -> None:
        begun = time.perf_counter()
        headers = CIMultiDict(message.headers)
        target = message.target if message.target.startswith("/") else "/" + message.target
        # The function runs on when a worker is killed, as it does when a real worker drops its connection.
        call = Call(message.function, "POST", target, headers, message.body, host=self._host, remote=self._host)
        answer = await asyncio.shield(asyncio.ensure_future(self._invoke(call)))
        took_s = time.perf_counter() - begun
        if not message.callback_url:
            return
        if answer.cut:
            answer = Answer(503)
        callback = strip_hop_by_hop(answer.headers)
        callback["X-Duration-Seconds"] = f"{took_s:f}"
        callback["X-Function-Status"] = str(answer.status)
        callback["X-Function-Name"] = message.function
        if call_id := message.headers.get("X-Call-Id"):
            callback["X-Call-Id"] = call_id
        if self._faults.quiet:
            await self._post(message.callback_url, callback, answer.body)
        else:
            # The network is at fault, not the worker: it does not wait.
            self._later(self._post_with_faults(message.callback_url, callback, answer.body))

    async def _post_with_faults(self, url: str, headers: CIMultiDict[str], body: bytes) -> None:
        for _ in range(await self._faults.passes()):
            await self._post(url, headers, body)
        self._faults.passed()

    async def _post(self, url: str, headers: CIMultiDict[str], body: bytes) -> None:
        """Send one callback; what comes of it changes nothing."""
        if self._session is None:
            raise AssertionError("start() was not called")
        try:
            async with self._session.post(URL(url), data=body or None, headers=headers) as response:
                await response.read()
        except (aiohttp.ClientError, OSError, ValueError):
            self.failed_callbacks += 1

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._late.add(task)
        task.add_done_callback(self._late.discard)
