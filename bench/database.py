"""The Cassandra of a measurement: keyspaces of its own at CASSANDRA_HOSTS, else on a node that is started for it."""

from __future__ import annotations

import contextlib
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import replicas
from cassandra_lab import node
from cassandra_lab.cluster import CACHE, Cluster, running
from mme.store.base import Table
from mme.store.cassandra import CassandraStore
from mme.store.opening import open_store

HEAP_MB = 1024


@dataclass(frozen=True, slots=True)
class Database:
    """hosts: contact points.  cluster: the node that was started for this; None: somebody else's cluster."""

    hosts: str
    cluster: Cluster | None = None

    @property
    def about(self) -> str:
        """For the summary: what it runs on."""
        return "a node of its own on the same cores" if self.cluster is not None else "the cluster at CASSANDRA_HOSTS"

    @contextlib.contextmanager
    def keyspace(self) -> Iterator[str]:
        """URL of a keyspace with tables, dropped afterwards."""
        url = f"cassandra://{self.hosts}/edge_{uuid.uuid4().hex[:12]}"
        store = opened(url)
        try:
            store.migrate()
            yield url
        finally:
            store.close()
            store.drop()

    def pids(self) -> list[int]:
        """Processes of the node; none where it is somebody else's."""
        nodes = self.cluster.nodes if self.cluster is not None else ()
        return [pid for one in nodes if (pid := node.pid_of(one)) is not None]

    def cpu_ms(self) -> float:
        """Processor time that the node has used so far."""
        return replicas.cpu_ms(self.pids())

    def octets_on_disk(self, url: str, table: Table) -> int | None:
        """A table's files, after everything in memory has been written to them; None: somebody else's cluster."""
        if self.cluster is None:
            return None
        [one] = self.cluster.nodes
        keyspace = url.rpartition("/")[2]
        node.tool(one, CACHE, "flush", keyspace, table.value)
        files = (one.folder / "data" / keyspace).glob(f"{table.value}-*/*")
        return sum(file.stat().st_size for file in files if file.is_file())


def opened(url: str) -> CassandraStore:
    """The store."""
    store = open_store(url)
    if not isinstance(store, CassandraStore):
        raise TypeError("this measures Cassandra only")
    return store


@contextlib.contextmanager
def database(say: Callable[[str], None]) -> Iterator[Database]:
    """The one to measure on.  Raises cassandra_lab.jars.LabError."""
    hosts = os.environ.get("CASSANDRA_HOSTS")
    if hosts:
        say(f"Cassandra at {hosts} (CASSANDRA_HOSTS); keyspaces are made there, and dropped")
        yield Database(hosts)
        return
    with tempfile.TemporaryDirectory(prefix="cassandra-") as folder:
        say("CASSANDRA_HOSTS is not set: a Cassandra node is started, and stopped afterwards")
        with running(Path(folder) / "node", say=say, heap_mb=HEAP_MB) as cluster:
            yield Database(cluster.hosts, cluster)
