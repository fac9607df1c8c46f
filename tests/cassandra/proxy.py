"""A TCP proxy between driver and node that loses or holds one message: what a network does to a conditional write."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum


class Fault(Enum):
    """What becomes of the next message in its direction; then all pass again."""

    LOSE_REQUEST = "the server never sees it"
    HOLD_REQUEST = "the server sees it when `release` is called"
    LOSE_ANSWER = "the server has done it, the client never hears"


@dataclass
class Proxy:
    """address, port: of the server.  happened: set when the armed fault has struck."""

    address: str
    port: int
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    happened: threading.Event = field(default_factory=threading.Event)
    _armed: Fault | None = None
    _holding: bytes = b""
    _asker: socket.socket | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _held: list[tuple[socket.socket, bytes]] = field(default_factory=list)
    _open: list[socket.socket] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    @property
    def contact(self) -> str:
        return "{}:{}".format(*self.listener.getsockname())

    def arm(self, fault: Fault, holding: bytes = b"") -> None:
        """holding: only a request that holds these octets, or the answer on the connection of such a request."""
        self.happened.clear()
        with self._lock:
            self._armed, self._holding, self._asker = fault, holding, None

    def release(self) -> None:
        """Send on what was held."""
        with self._lock:
            held, self._held = self._held, []
        for to, octets in held:
            to.sendall(octets)

    def _asks(self, client: socket.socket, octets: bytes) -> Fault | None:
        with self._lock:
            if self._armed is None or self._holding not in octets:
                return None
            self._asker = client
        return self._take(Fault.LOSE_REQUEST, Fault.HOLD_REQUEST)

    def _answers(self, client: socket.socket) -> Fault | None:
        with self._lock:
            if self._holding and self._asker is not client:
                return None
        return self._take(Fault.LOSE_ANSWER)

    def _take(self, *faults: Fault) -> Fault | None:
        with self._lock:
            if self._armed not in faults:
                return None
            fault, self._armed = self._armed, None
        self.happened.set()
        return fault

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection((self.address, self.port))
                self._open += [client, server]
                self._begin(self._pass, client, server, True)
                self._begin(self._pass, server, client, False)

    def _begin(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _pass(self, source: socket.socket, to: socket.socket, up: bool) -> None:
        with contextlib.suppress(OSError):
            while octets := source.recv(1 << 20):
                match self._asks(source, octets) if up else self._answers(to):
                    case None:
                        to.sendall(octets)
                    case Fault.HOLD_REQUEST:
                        self._held.append((to, octets))
                    case _:
                        pass
        for end in (source, to):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for end in self._open:
            end.close()


@contextlib.contextmanager
def proxy(address: str, port: int) -> Iterator[Proxy]:
    """Until the block ends."""
    one = Proxy(address, port)
    one._begin(one._accept)
    try:
        yield one
    finally:
        one.close()
