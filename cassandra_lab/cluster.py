"""Several nodes as one cluster in a folder: laid out, started, stopped."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from cassandra_lab import jars, node
from cassandra_lab.jars import LabError
from cassandra_lab.node import Node

CACHE: Final = Path(".cache/cassandra")
"""From the root: the class path, and the folder of `make cassandra-up`."""
_LAYOUT: Final = "layout.json"


def silent(_: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a cluster listens.  Node n of `nodes` has the address `network` with .n at its end.

    network: three numbers of a loopback address, for example "127.0.0".
    """

    nodes: int = 1
    network: str = "127.0.0"
    cql_port: int = 9042
    storage_port: int = 7000
    jmx_port: int = 7199
    heap_mb: int = 512


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster in a folder.  options: laid over every node's cassandra.yaml."""

    folder: Path
    layout: Layout
    options: Mapping[str, Any]
    cache: Path

    @property
    def nodes(self) -> tuple[Node, ...]:
        layout = self.layout
        return tuple(
            Node(
                folder=self.folder.resolve() / f"node{number}",
                number=number,
                of=layout.nodes,
                address=f"{layout.network}.{number}",
                cql_port=layout.cql_port,
                storage_port=layout.storage_port,
                jmx_port=layout.jmx_port + number - 1,
                seed=f"{layout.network}.1",
                heap_mb=layout.heap_mb,
                options=self.options,
            )
            for number in range(1, layout.nodes + 1)
        )

    @property
    def hosts(self) -> str:
        """The contact points, as CASSANDRA_HOSTS has them."""
        return ",".join(n.contact for n in self.nodes)

    def start(self, say: Callable[[str], None] = silent) -> None:
        """Start every node that does not run, and wait until all serve.  Raises LabError.

        The first one first: the others ask it who else there is.
        """
        jars.check()
        jars.classpath(self.cache, say)
        self._agree()
        begin = time.monotonic()
        for number, one in enumerate(self.nodes, start=1):
            known = node.pid_of(one) is not None
            node.start(one, self.cache)
            if not known:
                say(f"node {number} of {self.layout.nodes} starts on {one.contact}: about 20 s on an idle machine")
            node.wait_ready(one)
            say(f"node {number} serves, {time.monotonic() - begin:.0f} s")

    def stop(self, say: Callable[[str], None] = silent) -> int:
        """Stop every node that runs; how many there were."""
        running = [one for one in self.nodes if node.pid_of(one) is not None]
        for one in running:
            say(f"node {one.number} stops")
            node.stop(one)
        return len(running)

    def _agree(self) -> None:
        """Data laid out for another number of nodes is not touched.  Raises LabError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self.folder / _LAYOUT
        known = read(self.folder)
        if known is not None and known.nodes != self.layout.nodes:
            raise LabError(
                f"the data there is of {known.nodes} nodes: `make cassandra-down CLEAN=1` removes it, "
                f"`make cassandra-up NODES={known.nodes}` uses it"
            )
        file.write_text(json.dumps(asdict(self.layout)))


def read(folder: Path) -> Layout | None:
    """How the cluster in that folder is laid out; None: none has been started there."""
    try:
        return Layout(**json.loads((folder / _LAYOUT).read_text()))
    except FileNotFoundError:
        return None


def remove(cluster: Cluster) -> None:
    """Remove the data of a stopped cluster."""
    shutil.rmtree(cluster.folder, ignore_errors=True)


def free_layout(nodes: int, *, network: str = "127.0.0", heap_mb: int = 512) -> Layout:
    """A layout with ports that are free on all of its addresses: several clusters may run side by side."""
    cql, storage = (_free_port(network, nodes) for _ in range(2))
    jmx = _free_port("127.0.0", 1, run=nodes)
    return Layout(nodes, network, cql, storage, jmx, heap_mb)


def _free_port(network: str, nodes: int, run: int = 1) -> int:
    """A port that is free on each address, and `run` of them in a row."""
    for _ in range(100):
        with socket.socket() as probe:
            probe.bind((f"{network}.1", 0))
            port: int = probe.getsockname()[1]
        addresses = [f"{network}.{number}" for number in range(1, nodes + 1)]
        if all(node.port_is_free(address, port + more) for address in addresses for more in range(run)):
            return port
    raise LabError("no free port on this machine")


@contextmanager
def running(
    folder: Path,
    nodes: int = 1,
    *,
    options: Mapping[str, Any] | None = None,
    cache: Path = CACHE,
    say: Callable[[str], None] = silent,
    heap_mb: int = 512,
) -> Iterator[Cluster]:
    """A fresh cluster on free ports, stopped and removed when the block ends.  Raises LabError."""
    cluster = Cluster(folder, free_layout(nodes, heap_mb=heap_mb), options or {}, cache)
    owner = os.getpid()
    try:
        cluster.start(say)
        yield cluster
    finally:
        if os.getpid() == owner:
            for one in cluster.nodes:
                node.kill(one)
            remove(cluster)
