"""A gateway of one process with the fake MME behind it, over real HTTP."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from aiohttp import ClientSession, web

from enb_app.outbox import run_of
from mme.codec import envelope
from mme.codec.envelope import Response
from tests.enb_app.fake_mme import FakeMme
from trust import signing
from trust.signing import Signed, Way

MASTER = bytes(range(32))


def healthy(_call: int) -> str:
    return "ok"


@dataclass
class FakeGateway:
    """fault: of the n-th call (from 1): "ok", "500", "lost" (async only), "forged"."""

    mme: FakeMme
    fault: Callable[[int], str] = healthy
    calls: int = 0
    batches: list[int] = field(default_factory=list)
    url: str = ""
    in_flight: Counter[str] = field(default_factory=Counter)
    most_in_flight: int = 0
    mmes: dict[str, FakeMme] = field(default_factory=dict)
    _queue: asyncio.Queue[tuple[str, bytes, dict[str, str]]] = field(default_factory=asyncio.Queue)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FakeGateway]:
        app = web.Application()
        app.router.add_post("/function/{function}", self._sync)
        app.router.add_post("/async-function/{function}", self._async)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        worker = asyncio.create_task(self._work())
        try:
            yield self
        finally:
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)
            await runner.cleanup()

    def _invoke(self, function: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
        self.calls += 1
        fault = self.fault(self.calls)
        if fault == "500":
            return 500, b"", {}
        name = headers[signing.KEY_HEADER]
        key = signing.derive_key(MASTER, name)
        url = headers.get("X-Callback-Url", "")
        up = Signed(name, headers[signing.TIMESTAMP_HEADER], Way.UP, function, url, body)
        if not signing.verify(key, up, headers[signing.SIGNATURE_HEADER]):
            return 401, b'{"error":"signature"}', {}
        items = envelope.decode_request(body).items
        self.batches.append(len(items))
        assert len({item.id.rpartition("/")[0] for item in items}) == len(items)
        mme = self._mme_of(name)
        answer = envelope.encode(Response([mme.work(item) for item in items], [mme.cost() for _ in items]))
        down = Signed(name, str(int(time.time())), Way.DOWN, function, "", answer)
        return 200, answer, signing.headers(bytes(32) if fault == "forged" else key, down)

    def _mme_of(self, enb: str) -> FakeMme:
        """The fake MME tells UEs apart by ENB-UE-S1AP-ID only, so each eNB after the first gets one of its own."""
        if enb not in self.mmes:
            self.mmes[enb] = replace(self.mme, networks={}, orders={}, seen={}) if self.mmes else self.mme
        return self.mmes[enb]

    async def _sync(self, request: web.Request) -> web.Response:
        status, body, headers = self._invoke(
            request.match_info["function"], await request.read(), dict(request.headers)
        )
        return web.Response(status=status, body=body, headers=headers)

    async def _async(self, request: web.Request) -> web.Response:
        body = await request.read()
        for item in envelope.decode_request(body).items:
            self.in_flight[run_of(item.id)] += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight[run_of(item.id)])
        self._queue.put_nowait((request.match_info["function"], body, dict(request.headers)))
        return web.Response(status=202)

    async def _work(self) -> None:
        async with ClientSession() as session:
            while True:
                function, body, headers = await self._queue.get()
                if self.fault(self.calls + 1) == "lost":
                    self.calls += 1
                    continue
                status, answer, signature = self._invoke(function, body, headers)
                for item in envelope.decode_request(body).items:
                    self.in_flight[run_of(item.id)] -= 1
                told = {
                    "X-Function-Status": str(status),
                    "X-Function-Name": function,
                    "X-Call-Id": headers["X-Call-Id"],
                }
                async with session.post(headers["X-Callback-Url"], data=answer, headers=signature | told) as response:
                    await response.read()
