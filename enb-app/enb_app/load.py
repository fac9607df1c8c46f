"""Load: closed loop (so many workers, each running whole attaches) or open loop (so many attaches begun a second)."""

from __future__ import annotations

import asyncio
from asyncio import sleep
from collections.abc import Awaitable, Callable, Sequence

Job = Callable[[], Awaitable[None]]


async def closed_loop(jobs: Sequence[Job], workers: int) -> None:
    """Each worker takes the next job when its last one is over, as a cell site would."""
    waiting = iter(jobs)

    async def work() -> None:
        for job in waiting:
            await job()

    async with asyncio.TaskGroup() as group:
        for _ in range(min(workers, len(jobs))):
            group.create_task(work())


async def open_loop(jobs: Sequence[Job], rate_per_s: float) -> None:
    """Job i begins at i / rate, however the earlier ones fare."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    async with asyncio.TaskGroup() as group:
        for number, job in enumerate(jobs):
            await sleep(begin + number / rate_per_s - loop.time())
            group.create_task(_run(job))


async def _run(job: Job) -> None:
    await job()
