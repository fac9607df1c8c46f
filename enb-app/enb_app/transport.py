"""HTTP: a client towards the gateway, and a small server for callbacks and pushes."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from types import TracebackType
from urllib.parse import quote, unquote

import aiohttp
from aiohttp import web

from enb_app.exchange import Exchange
from enb_app.outbox import Call

CALL_S = 60.0
_MOST_CONNECTIONS = 512


class Transport:
    """`async with` starts the server; then set `exchange`.  The URLs hold a part that nobody can guess.

    on_fault: told of exceptions that no peer can cause; without it a UE would wait for ever.
    """

    def __init__(self, gateway: str, *, asynchronous: bool, host: str = "127.0.0.1", port: int = 0) -> None:
        """host, port: where the gateway's queue workers and functions reach this process; port 0 = any free one."""
        self.exchange: Exchange | None = None
        self.on_fault: Callable[[BaseException], None] = lambda _: None
        self._gateway = gateway.rstrip("/")
        self._route = "async-function" if asynchronous else "function"
        self._asynchronous = asynchronous
        self._host = host
        self._port = port
        self._token = secrets.token_urlsafe(12)
        self._base = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Transport:
        app = web.Application(client_max_size=4_000_000)
        app.router.add_post("/callback/{token}", self._guarded(self._on_callback))
        app.router.add_post("/downlink/{token}/{enb}", self._guarded(self._on_push))
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, backlog=1024)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self._base = f"http://{host}:{port}"
        connector = aiohttp.TCPConnector(limit=_MOST_CONNECTIONS, keepalive_timeout=15)
        timeout = aiohttp.ClientTimeout(total=CALL_S)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def callback_url(self) -> str:
        """ "" for synchronous calls."""
        return f"{self._base}/callback/{self._token}" if self._asynchronous else ""

    def downlink_url(self, enb: str) -> str:
        return f"{self._base}/downlink/{self._token}/{quote(enb)}"

    def post(self, call: Call, headers: dict[str, str], body: bytes) -> None:
        """Start a request; the exchange hears of its end."""
        task = asyncio.get_running_loop().create_task(self._post(call, headers, body))
        self._tasks.add(task)
        task.add_done_callback(self._on_posted)

    def _on_posted(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            self.on_fault(fault)

    async def _post(self, call: Call, headers: dict[str, str], body: bytes) -> None:
        if self._session is None or self.exchange is None:
            raise RuntimeError("the transport is not open")
        url = f"{self._gateway}/{self._route}/{call.function}"
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                octets = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as e:
            self.exchange.on_failure(call, f"{type(e).__name__}: {self._gateway} cannot be reached or does not answer")
            return
        self.exchange.on_response(call, response.status, response.headers, octets)

    def _guarded(
        self, handler: Callable[[Exchange, web.Request], Awaitable[int]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            known = secrets.compare_digest(request.match_info["token"].encode(), self._token.encode())
            if not known or self.exchange is None:
                return web.Response(status=404)
            try:
                return web.Response(status=await handler(self.exchange, request))
            except Exception as fault:
                self.on_fault(fault)
                raise

        return handle

    async def _on_callback(self, exchange: Exchange, request: web.Request) -> int:
        return exchange.on_callback(request.headers, await request.read())

    async def _on_push(self, exchange: Exchange, request: web.Request) -> int:
        return exchange.on_push(unquote(request.match_info["enb"]), request.headers, await request.read())
