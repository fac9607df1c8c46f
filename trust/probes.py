"""What a program that works by itself tells over HTTP: /metrics to Prometheus, /ready to kubelet.

/ready is 200 while its store answers, and 503 with the reason once it has not for `unready_after_s`: the last error
since the last answer, if any.  Not at once: a store that is restarted, or that loses a node, is back after seconds, and
readiness that follows each says nothing.

What goes wrong in an answer is logged by `logging`, which trust.lines makes lines of.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

UNREADY_AFTER_S: Final = 30.0
"""Three of the longest pauses between two tries to reach a store's node (10 s), and of a lease's lengths."""
REASON_LENGTH: Final = 300
"""Characters of an error that /ready gives: whoever reaches the port reads them."""

_LOG = logging.getLogger(__name__)


class Readiness:
    """Whether the store has answered lately.  clock: seconds that only grow."""

    def __init__(
        self, unready_after_s: float = UNREADY_AFTER_S, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._unready_after_s = unready_after_s
        self._clock = clock
        self._answered_s: float | None = None
        self._error = ""

    def answered(self) -> None:
        """It did, just now."""
        self._error = ""
        self._answered_s = self._clock()

    def failed(self, error: str) -> None:
        """It did not, or with an answer that is of no use.  error: what for, without anything secret."""
        words = " ".join(error.split())
        self._error = words if len(words) <= REASON_LENGTH else f"{words[: REASON_LENGTH - 1]}…"

    def why_not(self) -> str:
        """A sentence; "" = ready."""
        answered_s, error = self._answered_s, self._error
        since = "yet"
        if answered_s is not None:
            silent_s = self._clock() - answered_s
            if silent_s <= self._unready_after_s:
                return ""
            since = f"for {silent_s:.0f} s"
        if not error:
            return f"the store has not answered {since}"
        return f"no look at the store has gone well {since}: {error}"


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002  socketserver's
        """Log what broke a connection, which socketserver writes as plain text; but not that a client went away."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            _LOG.exception("connection failed")


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Probes and scrapes are no events."""


def serve(port: int, readiness: Readiness) -> WSGIServer:
    """Serve both on every address, from a thread that ends with the process.  port 0: any.  Raises OSError."""
    metrics: Callable[..., Iterable[bytes]] = make_wsgi_app()

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/ready":
            try:
                return metrics(environ, start_response)
            except Exception:  # noqa: BLE001  wsgiref would write whatever a gauge's function raises as plain text
                _LOG.exception("metrics failed")
                start_response("500 Internal Server Error", [("Content-Type", "text/plain; charset=utf-8")])
                return [b"metrics failed\n"]
        why = readiness.why_not()
        status = "503 Service Unavailable" if why else "200 OK"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{why or 'ready'}\n".encode()]

    server = make_server("0.0.0.0", port, app, _Server, _Silent)  # noqa: S104  kubelet and Prometheus are elsewhere
    threading.Thread(target=server.serve_forever, name="probes", daemon=True).start()
    return server
