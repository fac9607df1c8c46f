"""A client that is gone in the middle of its request."""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
from collections.abc import Callable

import pytest


def reset_in_mid_request(port: int) -> None:
    """Half a request line, and a reset in place of the rest."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sendall(b"GET /rea")


def broken(server: socketserver.BaseServer, monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """Wait until the server has been through with a connection that broke; False: none has within 20 s."""
    done = threading.Event()
    handle = server.handle_error

    def handled(request: object, client_address: object) -> None:
        handle(request, client_address)  # type: ignore[arg-type]
        done.set()

    monkeypatch.setattr(server, "handle_error", handled)
    return lambda: done.wait(20)
