"""Log lines of the functions' processes, kept in memory for /system/logs."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

LINES_KEPT = 20_000
"""Per function, over all its replicas, dead ones included: a crash is what one reads logs for."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line. instance: name of the replica that wrote it."""

    instance: str
    timestamp: datetime
    text: str


class FunctionLog:
    """Lines of one function, oldest first."""

    def __init__(self) -> None:
        self._lines: deque[LogLine] = deque(maxlen=LINES_KEPT)
        self._followers: set[asyncio.Queue[LogLine]] = set()

    def add(self, instance: str, text: str) -> None:
        """Keep a line and hand it to those that follow."""
        line = LogLine(instance, datetime.now(UTC), text)
        self._lines.append(line)
        for follower in self._followers:
            follower.put_nowait(line)

    def read(self, tail: int | None = None, since: datetime | None = None) -> list[LogLine]:
        """Give the last `tail` lines (None: all) not older than `since`."""
        lines = [line for line in self._lines if since is None or line.timestamp >= since]
        if tail is None:
            return lines
        return lines[-tail:] if tail > 0 else []

    async def follow(self) -> AsyncIterator[LogLine]:
        """Give lines as they come, without end."""
        queue: asyncio.Queue[LogLine] = asyncio.Queue()
        self._followers.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._followers.discard(queue)


def for_people(text: str) -> list[str]:
    """A line as one reads it: of an object with a traceback, what it is of, and the traceback's own lines."""
    try:
        told = json.loads(text)
    except ValueError:
        return [text]
    if not isinstance(told, dict) or not isinstance(told.get("traceback"), str):
        return [text]
    return [str(told.get("event", "")), *told["traceback"].splitlines()]


async def capture(reader: asyncio.StreamReader, instance: str, log: FunctionLog) -> None:
    """Move a process's output into the log until it ends; a line may have any length."""
    rest = b""
    while chunk := await reader.read(65536):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            log.add(instance, line.decode(errors="replace"))
    if rest:
        log.add(instance, rest.decode(errors="replace"))
