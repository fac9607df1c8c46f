"""Start a node of Cassandra; with an empty volume it joins the others as a new one, and fetches its rows.

A node that is among its own seeds fetches nothing when it joins.  So one that has not joined yet is told the others
only, but for cassandra-0 where no other one ever was.  One that has joined is told all of them, itself too: it may be
the first to start after all were stopped.

Argument: the directory with a file `ring` once this installation's first ring holds tables.  Variables: POD_IP;
CASSANDRA_SEEDS, the names of all nodes in their order.  The host's name is the pod's.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
import time
from pathlib import Path

VOLUME = Path("/var/lib/cassandra")
JOINING = "joining"
"""On the volume until the startup probe has found the node joined."""
CQL_PORT = 9042
TIMEOUT_S = 5.0
LOOK_AGAIN_S = 2.0
SAY_AGAIN_S = 60.0
LONG_S = 60.0
"""Who has waited so long begins anew: its startup probe's time is for joining."""
RESOLVER = Path("/etc/resolv.conf")
_STARTUP, _QUERY, _RESULT = 1, 7, 8
_CONSISTENCY_ONE = 1


class WaitError(Exception):
    """What this node has to wait for."""


def absolute(name: str) -> str:
    """A name that ends in `.svc` with the cluster's domain and its dot.

    Without them the resolver also asks for the name as it is, somewhere outside, and on a site whose outside does not
    answer that is no word that there is no such pod.
    """
    for line in RESOLVER.read_text().splitlines():
        for domain in line.split()[1:] if line.startswith("search") else ():
            if domain.startswith("svc."):
                return f"{name}.{domain[len('svc.') :].rstrip('.')}."
    return name


def addresses(name: str) -> set[str]:
    """What the cluster's DNS has under this name: nothing where there is no such pod.  Raises WaitError: no answer."""
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(absolute(name), None)}
    except socket.gaierror as error:
        if error.errno in (socket.EAI_NONAME, socket.EAI_NODATA):
            return set()
        raise WaitError(f"the cluster's DNS does not answer: {error}") from None


def members(host: str) -> int:
    """How many nodes the one there counts in its ring, itself among them, whether up or down.

    In CQL's protocol version 4, for the image has no client without a shell.  Raises OSError: it does not serve.
    """
    query = b"SELECT host_id FROM system.peers_v2"
    requests = (
        (_STARTUP, b"\0\1\0\x0bCQL_VERSION\0\x053.0.0"),
        (_QUERY, struct.pack(f">i{len(query)}sHB", len(query), query, _CONSISTENCY_ONE, 0)),
    )
    with socket.create_connection((host, CQL_PORT), TIMEOUT_S) as connection, connection.makefile("rb") as answers:
        for opcode, request in requests:
            connection.sendall(struct.pack(">BBhBi", 4, 0, 0, opcode, len(request)) + request)
            head = answers.read(9)
            if len(head) < 9:
                raise OSError("it ends the connection")
            answer, size = head[4], struct.unpack(">i", head[5:])[0]
            body = answers.read(size)
            if len(body) < size:
                raise OSError("it ends the connection")
    if answer != _RESULT:
        raise OSError("it refuses to tell its nodes")
    # Kind, flags and number of columns; keyspace, table, the column's name and type; number of rows.
    at = 12
    for _ in range(3):
        at += 2 + int(struct.unpack_from(">H", body, at)[0])
    rows = int(struct.unpack_from(">i", body, at + 2)[0])
    # A length and 16 octets each; a node whose address has changed may have two.
    return 1 + len({body[at + 6 + 20 * row : at + 26 + 20 * row] for row in range(rows)})


def seeds(own: str, names: list[str], address: str, *, founded: bool, begun: bool) -> list[str]:
    """The nodes by which this one joins; itself where it founds the ring.

    founded: some node has, before.  begun: this one has been let in before, so that the ring may count it already.
    Raises WaitError.
    """
    # Who knows this pod knows the others, too: an answer of before would say that nobody is there.
    if address not in addresses(own):
        raise WaitError(f"the cluster's DNS does not lead from {own} to {address} yet")
    there = [name for name in names if name != own and addresses(name)]
    if not there:
        if own == names[0] and not founded:
            return [own]
        raise WaitError(
            "this volume is empty and no other node is there: where all volumes were lost or given up, delete "
            "the ConfigMap cassandra-founded and this pod; otherwise start the others first"
        )
    for name in () if begun else there:
        try:
            known = members(name)
        except OSError as error:
            raise WaitError(f"{name} does not serve ({error}): no node joins while another one is down") from None
        if known != len(there):
            raise WaitError(
                f"this volume is empty, and {name} counts {known} nodes where {len(there)} others are there: "
                "the node that is lost has to be removed first (docs/operations.md, A lost volume)"
            )
    return there


def allowed(own: str, names: list[str], founded: Path) -> list[str]:
    """Wait until this node may start, and give its seeds.  Says what it waits for."""
    said, again_s = "", 0.0
    # Cassandra makes this folder when it starts.
    begun = (VOLUME / "data/system").exists()
    while True:
        try:
            return seeds(own, names, os.environ["POD_IP"], founded=founded.exists(), begun=begun)
        except WaitError as error:
            if str(error) != said or time.monotonic() > again_s:
                said, again_s = str(error), time.monotonic() + SAY_AGAIN_S
                sys.stdout.write(f"waiting: {said}\n")
                sys.stdout.flush()
        time.sleep(LOOK_AGAIN_S)


def main() -> None:
    """Become the image's entry point."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # the first process of a container ignores it otherwise
    names = os.environ["CASSANDRA_SEEDS"].split(",")
    (own,) = (name for name in names if name.partition(".")[0] == socket.gethostname())
    if not (VOLUME / "data/system").exists():
        (VOLUME / JOINING).touch()
    environment = dict(os.environ)
    if (VOLUME / JOINING).exists():
        begin_s = time.monotonic()
        environment["CASSANDRA_SEEDS"] = ",".join(allowed(own, names, Path(sys.argv[1]) / "ring"))
        if time.monotonic() - begin_s > LONG_S:
            sys.stdout.write("may join now, and begins anew, with all the time that the startup probe gives it\n")
            sys.exit(0)
        # One that was killed while it joined would find what it has fetched, and refuse to go on from it.
        options = (environment.get("JVM_EXTRA_OPTS", ""), "-Dcassandra.reset_bootstrap_progress=true")
        environment["JVM_EXTRA_OPTS"] = " ".join(filter(None, options))
        sys.stdout.write(f"joining by {environment['CASSANDRA_SEEDS']}\n")
        sys.stdout.flush()
    os.execvpe("docker-entrypoint.sh", ["docker-entrypoint.sh", "cassandra", "-f"], environment)  # noqa: S606, S607


if __name__ == "__main__":
    main()
