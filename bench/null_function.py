"""How long a function takes that does nothing: one caller, through the same gateway, queue and template."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import web

STACK = Path(__file__).resolve().parent / "null" / "stack.yml"
NAME = "null"
BODY = b"x" * 420
"""As long as a usual request of one message."""
WARM_CALLS = 10
_ANSWER_S = 10.0
_numbers = itertools.count()


async def measure(url: str, calls: int) -> tuple[list[float], list[float]]:
    """(synchronous, asynchronous until its callback has come) in ms, by turns, one at a time."""
    async with _caller(url) as caller:
        for _ in range(WARM_CALLS):
            await caller.sync()
            await caller.asynchronous()
        sync_ms, async_ms = [], []
        for _ in range(calls):
            sync_ms.append(await caller.sync())
            async_ms.append(await caller.asynchronous())
        return sync_ms, async_ms


class _Caller:
    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.callback_url = ""
        self._url = url
        self._session = session
        self._waiting: dict[str, asyncio.Event] = {}

    async def sync(self) -> float:
        begin = time.perf_counter()
        async with self._session.post(f"{self._url}/function/{NAME}", data=BODY) as response:
            _check(await response.read() == BODY)
        return (time.perf_counter() - begin) * 1000

    async def asynchronous(self) -> float:
        call = f"null-{next(_numbers)}"
        called = self._waiting[call] = asyncio.Event()
        headers = {"X-Callback-Url": self.callback_url, "X-Call-Id": call}
        begin = time.perf_counter()
        async with self._session.post(f"{self._url}/async-function/{NAME}", data=BODY, headers=headers) as response:
            _check(response.status == 202)
            await response.read()
        await asyncio.wait_for(called.wait(), _ANSWER_S)
        del self._waiting[call]
        return (time.perf_counter() - begin) * 1000

    async def on_callback(self, request: web.BaseRequest) -> web.Response:
        _check(await request.read() == BODY)
        self._waiting[request.headers["X-Call-Id"]].set()
        return web.Response()


@asynccontextmanager
async def _caller(url: str) -> AsyncIterator[_Caller]:
    async with aiohttp.ClientSession() as session:
        caller = _Caller(url, session)
        server = await asyncio.get_running_loop().create_server(web.Server(caller.on_callback), "127.0.0.1", 0)
        caller.callback_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        try:
            yield caller
        finally:
            server.close()


def _check(holds: bool) -> None:
    if not holds:
        raise RuntimeError("the null function did not answer with the body it got")
