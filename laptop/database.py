"""The Cassandra that a demonstration or a measurement uses: the one at CASSANDRA_HOSTS, else a node of its own."""

from __future__ import annotations

import contextlib
import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from cassandra_lab.cluster import running


@contextlib.contextmanager
def url(kind: str, console: Console) -> Iterator[str | None]:
    """URL of a keyspace that is new; None: the embedded file.  Raises cassandra_lab.jars.LabError."""
    if kind != "cassandra":
        yield None
        return
    keyspace = f"edge_{uuid.uuid4().hex[:12]}"
    hosts = os.environ.get("CASSANDRA_HOSTS")
    if hosts:
        console.print(f"Cassandra at {hosts} (CASSANDRA_HOSTS), keyspace {keyspace}, which stays", highlight=False)
        yield f"cassandra://{hosts}/{keyspace}"
        return
    with tempfile.TemporaryDirectory(prefix="cassandra-") as folder:

        def say(text: str) -> None:
            console.print(text, highlight=False)

        say("CASSANDRA_HOSTS is not set: a Cassandra node is started, and stopped afterwards")
        with running(Path(folder) / "node", say=say) as cluster:
            yield f"cassandra://{cluster.hosts}/{keyspace}"
