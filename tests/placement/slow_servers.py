"""Servers that take a connection and then their time."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

EVERY_S = 0.1


@contextlib.contextmanager
def dripping(begin: bytes = b"") -> Iterator[str]:
    """Its URL: says `begin` at once to whoever connects, and then a blank ten times a second, without an end.

    With nothing to begin with it says nothing at all.
    """
    over = threading.Event()
    threads: list[threading.Thread] = []

    def drip(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            if not begin:
                over.wait()
                return
            connection.recv(65536)
            connection.sendall(begin)
            while not over.wait(EVERY_S):
                connection.sendall(b" ")

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threads.append(threading.Thread(target=drip, args=(connection,), daemon=True))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve, daemon=True)
        server.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
            server.join()
            for thread in threads:
                thread.join()
