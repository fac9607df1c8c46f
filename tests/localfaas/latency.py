"""Measure a null function behind localfaas, one caller: `python tests/localfaas/latency.py [calls]`, from the root.

Prints p50 and p99 in ms of a synchronous call, of an asynchronous one until its callback has come, and async calls/s
with 50 in flight and 4 workers.
"""

import asyncio
import statistics
import sys
import time
from pathlib import Path

import aiohttp
from aiohttp import web

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from localfaas.gateway import Gateway
from localfaas.options import Options

STACK = Path(__file__).resolve().parents[1] / "contract" / "stack" / "stack.yml"


def _line(what: str, times_s: list[float]) -> str:
    cuts = statistics.quantiles(times_s, n=100)
    return f"{what:<28} p50 {cuts[49] * 1000:6.2f} ms   p99 {cuts[98] * 1000:6.2f} ms   n={len(times_s)}"


async def measure(calls: int) -> list[str]:
    """Run everything once; a gateway per kind, so that none warms the other's connections."""
    lines = []
    waiting: dict[str, asyncio.Event] = {}

    async def recorder(request: web.BaseRequest) -> web.Response:
        await request.read()
        waiting[request.headers["X-Call-Id"]].set()
        return web.Response()

    receiver = await asyncio.get_running_loop().create_server(web.Server(recorder), "127.0.0.1", 0)
    callback = f"http://127.0.0.1:{receiver.sockets[0].getsockname()[1]}/"
    async with Gateway(Options(STACK, port=0, workers=4)) as gateway, aiohttp.ClientSession() as session:

        async def sync() -> float:
            begun = time.perf_counter()
            async with session.post(f"{gateway.url}/function/behave", data=b"x" * 300) as response:
                await response.read()
            return time.perf_counter() - begun

        async def asynchronous(name: str) -> float:
            waiting[name] = asyncio.Event()
            headers = {"X-Callback-Url": callback, "X-Call-Id": name}
            begun = time.perf_counter()
            async with session.post(
                f"{gateway.url}/async-function/behave", data=b"x" * 300, headers=headers
            ) as response:
                await response.read()
            await waiting[name].wait()
            return time.perf_counter() - begun

        for _ in range(20):
            await sync()
        lines.append(_line("sync, 1 caller", [await sync() for _ in range(calls)]))
        lines.append(_line("async + callback, 1 caller", [await asynchronous(f"a{n}") for n in range(calls)]))
        slots = asyncio.Semaphore(50)

        async def limited(name: str) -> float:
            async with slots:
                return await asynchronous(name)

        begun = time.perf_counter()
        times_s = await asyncio.gather(*(limited(f"b{n}") for n in range(calls)))
        lines.append(_line("async + callback, 50 callers", list(times_s)))
        lines.append(f"{'':<28} {calls / (time.perf_counter() - begun):.0f} calls/s with 4 workers")
    receiver.close()
    return lines


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    sys.stdout.write("\n".join(asyncio.run(measure(count))) + "\n")
