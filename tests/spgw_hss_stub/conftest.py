"""The stub in a thread, and the place its late answers go to."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from mme.hss.embedded import EmbeddedHss, provision
from mme.hss.subscribers import KeyCipher, Keys, Subscriber
from mme.ids import Imsi
from mme.sgw.embedded import EmbeddedGateway
from mme.store.sqlite import SqliteStore
from spgw_hss_stub.behaviour import Behaviour
from spgw_hss_stub.server import Stub, application

CIPHER_KEY = bytes(range(32))
KEYS = Keys(b"K" * 16, b"O" * 16)
IMSIS = [Imsi(f"0010101234567{number:02}") for number in range(40)]


@dataclass
class Sink:
    """Takes answers as `mme-answer` would.  statuses: of the next requests, then 202."""

    statuses: list[int] = field(default_factory=list)
    requests: queue.Queue[tuple[dict[str, str], bytes]] = field(default_factory=queue.Queue)
    url: str = ""

    def next(self) -> tuple[dict[str, str], bytes]:
        return self.requests.get(timeout=10)

    def next_item(self) -> Any:
        (item,) = json.loads(self.next()[1])["items"]
        return item


@pytest.fixture
def sink() -> Iterator[Sink]:
    taken = Sink()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = taken.statuses.pop(0) if taken.statuses else 202
            taken.requests.put(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    taken.url = f"http://127.0.0.1:{server.server_port}/async-function/mme-answer"
    yield taken
    server.shutdown()
    thread.join(10)
    server.server_close()


@contextmanager
def served(stub: Stub) -> Iterator[str]:
    """Serve the stub; its URL."""
    started: queue.Queue[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = queue.Queue()

    async def serve() -> None:
        runner = web.AppRunner(application(stub), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        stop = asyncio.Event()
        started.put((asyncio.get_running_loop(), stop, runner.addresses[0][1]))
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    loop, stop, port = started.get(timeout=10)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.db")
    for imsi in IMSIS:
        assert provision(opened, KeyCipher(CIPHER_KEY), Subscriber(imsi, b""), KEYS)
    yield opened
    opened.close()


StubUrl = Callable[..., AbstractContextManager[str]]


@pytest.fixture
def stub_url(store: SqliteStore) -> StubUrl:
    """Serve a stub with that behaviour; further arguments are the Stub's."""

    def start(behaviour: Behaviour | None = None, **arguments: Any) -> AbstractContextManager[str]:
        ports = {
            "hss": EmbeddedHss(store, CIPHER_KEY),
            "sgw": EmbeddedGateway(store, IPv4Network("10.45.0.0/24"), IPv4Address("127.0.0.1"), [], 1400),
        }
        arguments = {"ports": ports} | arguments
        return served(Stub(behaviour=behaviour or Behaviour(), **arguments))

    return start
