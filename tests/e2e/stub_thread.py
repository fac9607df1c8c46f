"""The stub served from a thread of the test, for behaviours of which many are tried: a process each would take long."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network

from aiohttp import web

from laptop.site import Site
from mme.hss.embedded import EmbeddedHss
from mme.sgw.embedded import EmbeddedGateway
from mme.store.opening import open_store
from spgw_hss_stub.behaviour import Behaviour
from spgw_hss_stub.server import Stub, application
from trust.secrets import SIGNING_KEY, SUBSCRIBER_KEY, read_keys

_BOUND_S = 20.0


@contextmanager
def served(site: Site, port: int, behaviour: Behaviour) -> Iterator[None]:
    """Serve the site's subscribers and addresses until the block ends."""
    store = open_store(site.store_url)
    stub = Stub(
        ports={
            "hss": EmbeddedHss(store, *read_keys(SUBSCRIBER_KEY, site.secrets)),
            "sgw": EmbeddedGateway(store, IPv4Network("10.46.0.0/16"), IPv4Address("127.0.0.1"), [], 1400),
        },
        behaviour=behaviour,
        signing_masters=read_keys(SIGNING_KEY, site.secrets),
    )
    started: queue.Queue[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = queue.Queue()

    async def serve() -> None:
        runner = web.AppRunner(application(stub), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        stop = asyncio.Event()
        started.put((asyncio.get_running_loop(), stop))
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    loop, stop = started.get(timeout=_BOUND_S)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(_BOUND_S)
        store.close()
