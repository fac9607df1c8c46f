"""An HTTP server that remembers: where callbacks go, and what functions tell about themselves."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Seen:
    """One request that came in."""

    path: str
    headers: HTTPMessage
    body: bytes


class Recorder:
    """Remembers requests in order; answers 500 below /failing/, else 200. url: where callers reach it."""

    def __init__(self, host: str) -> None:
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                recorder._add(Seen(self.path, self.headers, body))
                self.send_response(500 if self.path.startswith("/failing/") else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        # Only a gateway on another machine needs more than loopback.
        self._server = ThreadingHTTPServer(("127.0.0.1" if host == "127.0.0.1" else "0.0.0.0", 0), Handler)  # noqa: S104
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._seen: list[Seen] = []
        self._changed = threading.Condition(threading.RLock())
        self.url = f"http://{host}:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _add(self, seen: Seen) -> None:
        with self._changed:
            self._seen.append(seen)
            self._changed.notify_all()

    def at(self, path: str) -> list[Seen]:
        """List what came to a path and below it."""
        with self._changed:
            return [seen for seen in self._seen if seen.path == path or seen.path.startswith(path + "/")]

    def wait(self, path: str, count: int = 1, within_s: float = 15.0) -> list[Seen]:
        """Wait for `count` requests at a path or below; fails with what there is when they do not come."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: len(self.at(path)) >= count, within_s)
        assert arrived, f"{len(self.at(path))} of {count} requests at {path} within {within_s} s"
        return self.at(path)


def eventually(condition: Callable[[], bool], within_s: float = 15.0) -> None:
    """Ask until it is true, with a bound; for what cannot notify."""
    pause = threading.Event()
    for _ in range(int(within_s / 0.02)):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError(f"not so within {within_s} s")
