"""Nodes that have moved: the driver resolves its contact points once, and a pod started anew has another address."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

PAUSE_S: Final = 3.0
"""Between two looks at where the names lead to."""


@dataclass(slots=True)
class Whereabouts:
    """hosts: contact points, as names or addresses.  stop_watch: seconds that only grow."""

    hosts: Iterable[str]
    stop_watch: Callable[[], float] = time.monotonic
    _next_s: float = field(default=0.0, init=False)

    def left(self, cluster: Any) -> bool:
        """Whether the names lead only to addresses that this session's `Cluster` has never heard of.

        To be asked after a failure; looked up at most every PAUSE_S.  A name that leads nowhere, as that of a pod that
        is not ready, says nothing.
        """
        now = self.stop_watch()
        if now < self._next_s:
            return False
        self._next_s = now + PAUSE_S
        found: set[str] = set()
        for host in self.hosts:
            with contextlib.suppress(OSError):
                found |= {str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
        known = {str(host.endpoint.address) for host in cluster.metadata.all_hosts()}
        return bool(found) and not found & known


class Seeking:
    """What a store has that holds one session of the driver, and opens it where there is none."""

    def __init__(self, hosts: tuple[str, ...]) -> None:
        self._whereabouts = Whereabouts(hosts)
        self._lock = threading.Lock()
        self._cluster: Any = None
        self._session: Any = None

    def _seek(self) -> None:
        """After a failure: nodes that are elsewhere by now are found by the next call, which opens a session anew."""
        cluster = self._cluster
        if cluster is None or self._session is None:
            return
        # Names are looked up without the lock: that may take seconds, and others fail at the same time.
        if not self._whereabouts.left(cluster):
            return
        with self._lock:
            if self._cluster is not cluster:
                return
            self._cluster = self._session = None
        cluster.shutdown()
