"""One Cassandra node: its folder, its configuration and its process."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from cassandra_lab import jars
from cassandra_lab.jars import LabError

RING_DELAY_MS: Final = 5000
START_S: Final = 240
"""Longest that a node may take until it serves: ~20 s on an idle machine."""
STOP_S: Final = 60
TOOL_S: Final = 120
_POLL_S: Final = 0.2
_OPTIONS: Final = bytes((0x04, 0, 0, 0, 0x05, 0, 0, 0, 0))
"""A frame of the CQL binary protocol, version 4: what do you support?"""
_SUPPORTED: Final = b"\x06"
"""The opcode of its answer."""

_EXPORTS: Final = (
    "java.base/jdk.internal.misc",
    "java.management/com.sun.jmx.remote.security",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "java.base/java.lang.ref",
    "jdk.unsupported/sun.misc",
)
_OPENS: Final = (
    "java.base/java.lang.module",
    "java.base/java.net",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.util.jar",
    "jdk.management/com.sun.management.internal",
    "java.base/sun.nio.ch",
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.reflect",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/java.nio",
    "java.rmi/sun.rmi.transport.tcp",
)
MODULES: Final = (
    *(word for name in _EXPORTS for word in ("--add-exports", f"{name}=ALL-UNNAMED")),
    *(word for name in _OPENS for word in ("--add-opens", f"{name}=ALL-UNNAMED")),
)
_LOGBACK: Final = """\
<configuration>
  <appender name="FILE" class="ch.qos.logback.core.rolling.RollingFileAppender">
    <file>{log}</file>
    <rollingPolicy class="ch.qos.logback.core.rolling.FixedWindowRollingPolicy">
      <fileNamePattern>{log}.%i</fileNamePattern><minIndex>1</minIndex><maxIndex>2</maxIndex>
    </rollingPolicy>
    <triggeringPolicy class="ch.qos.logback.core.rolling.SizeBasedTriggeringPolicy">
      <maxFileSize>20MB</maxFileSize>
    </triggeringPolicy>
    <encoder><pattern>%-5level [%thread] %date{{ISO8601}} %F:%L - %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="FILE"/></root>
</configuration>
"""


@dataclass(frozen=True, slots=True)
class Node:
    """A node by its folder and addresses.  options: laid over its cassandra.yaml.

    number: from 1.  seed: address of the node that the others ask first.  of: nodes in the cluster.
    """

    folder: Path
    number: int
    of: int
    address: str
    cql_port: int
    storage_port: int
    jmx_port: int
    seed: str
    heap_mb: int = 512
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def log(self) -> Path:
        return self.folder / "system.log"

    @property
    def pid_file(self) -> Path:
        return self.folder / "pid"

    @property
    def contact(self) -> str:
        return f"{self.address}:{self.cql_port}"


def pid_of(node: Node) -> int | None:
    """The node's process; None: it does not run.  A pid that is another program's by now does not count."""
    try:
        pid = int(node.pid_file.read_text())
        process = Path(f"/proc/{pid}")
        ended = (process / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
        if ended and len(list((process / "task").iterdir())) <= 1:
            return None
        command = (process / "cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    # Empty while it becomes Java, and while its last threads end, which still hold its ports.
    return pid if not command or os.fsencode(_storage(node)) in command.split(b"\0") else None


def start(node: Node, cache: Path) -> None:
    """Start the process; `wait_ready` waits until it serves.  Nothing where it runs.  Raises LabError."""
    if pid_of(node) is not None:
        return
    for address, port, variable in (
        (node.address, node.cql_port, "CQL_PORT=9142"),
        (node.address, node.storage_port, "STORAGE_PORT=7100"),
        ("127.0.0.1", node.jmx_port, "JMX_PORT=7299"),
    ):
        if not port_is_free(address, port):
            raise LabError(
                f"port {port} of {address} is in use: stop what listens there, or choose another: "
                f"make cassandra-up {variable}"
            )
    java = jars.java()
    path = jars.classpath(cache, lambda _: None)
    node.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (node.folder / "cassandra.yaml").write_text(yaml.safe_dump(_configuration(node)))
    (node.folder / "logback.xml").write_text(_LOGBACK.format(log=node.log))
    command = [
        java,
        f"-Xms{node.heap_mb}M",
        f"-Xmx{node.heap_mb}M",
        "-XX:+UseG1GC",
        "-XX:+ExitOnOutOfMemoryError",
        # Two C1 threads and few collectors: three nodes share a laptop with the functions.
        "-XX:ParallelGCThreads=2",
        "-XX:ConcGCThreads=1",
        f"-XX:ErrorFile={node.folder / 'jvm-error.log'}",
        "-Djdk.attach.allowAttachSelf=true",
        *MODULES,
        "-Dcassandra-foreground=yes",
        f"-Dcassandra.config=file://{node.folder / 'cassandra.yaml'}",
        f"-Dlogback.configurationFile={node.folder / 'logback.xml'}",
        f"-Dcassandra.ring_delay_ms={RING_DELAY_MS}",
        f"-Dcassandra.jmx.local.port={node.jmx_port}",
        # The first superuser of a node with logins is there about when it serves, not ten seconds later.
        "-Dcassandra.superuser_setup_delay_ms=0",
        *(["-Dcassandra.skip_wait_for_gossip_to_settle=0"] if node.of == 1 else []),
        _storage(node),
        "-cp",
        path,
        "org.apache.cassandra.service.CassandraDaemon",
    ]
    output = str(node.folder / "output.log")
    # Not by subprocess: the node outlives this program, or is waited for by whoever stops it.
    pid = os.posix_spawn(
        java,
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    node.pid_file.write_text(f"{pid}\n")


def wait_ready(node: Node, timeout_s: float = START_S) -> None:
    """Wait until it answers CQL.  Raises LabError: the process ended, or took too long."""
    deadline = time.monotonic() + timeout_s
    while True:
        if pid_of(node) is None:
            raise LabError(f"node {node.number} ended before it served: see {node.log} and output.log beside it")
        try:
            with _connected(node) as connection:
                connection.sendall(_OPTIONS)
                if connection.recv(16)[4:5] == _SUPPORTED:
                    return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise LabError(f"node {node.number} did not serve within {timeout_s:.0f} s: see {node.log}")
        time.sleep(_POLL_S)


def _connected(node: Node) -> socket.socket:
    """A connection to its CQL port, over TLS where the node asks for it; whose certificate it is does not matter here.

    Raises OSError.
    """
    plain = socket.create_connection((node.address, node.cql_port), timeout=1)
    if not node.options.get("client_encryption_options", {}).get("enabled"):
        return plain
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname = False
    anybody.verify_mode = ssl.CERT_NONE
    try:
        plain.settimeout(5)
        return anybody.wrap_socket(plain)
    except OSError:
        plain.close()
        raise


def stop(node: Node, timeout_s: float = STOP_S) -> None:
    """Let it finish (SIGTERM) and wait until its process is gone; after timeout_s it is killed."""
    pid = pid_of(node)
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGCONT)
    if not _gone(node, pid, timeout_s):
        kill(node)


def kill(node: Node) -> None:
    """SIGKILL, and wait until its process is gone: its ports are free then."""
    pid = pid_of(node)
    if pid is None:
        return
    os.kill(pid, signal.SIGKILL)
    if not _gone(node, pid, STOP_S):
        raise LabError(f"process {pid} of node {node.number} does not end")


def tool(node: Node, cache: Path, *command: str) -> str:
    """Cassandra's own nodetool, over JMX on this machine; what it prints.  Raises LabError."""
    path = jars.classpath(cache, lambda _: None)
    name = "org.apache.cassandra.tools.NodeTool"
    home = f"-Duser.home={node.folder}"  # it keeps a history there
    arguments = [
        jars.java(),
        "-Xmx64M",
        *MODULES,
        home,
        "-cp",
        path,
        name,
        "-h",
        "127.0.0.1",
        "-p",
        str(node.jmx_port),
        *command,
    ]
    try:
        run = subprocess.run(arguments, check=False, capture_output=True, text=True, timeout=TOOL_S, cwd=node.folder)
    except subprocess.TimeoutExpired:
        raise LabError(f"nodetool {command[0]} took more than {TOOL_S} s") from None
    if run.returncode:
        raise LabError(f"nodetool {command[0]} failed: {run.stderr.strip()[:300]}")
    return run.stdout


def pause(node: Node) -> None:
    """SIGSTOP: its connections stay open and nothing answers."""
    _signal(node, signal.SIGSTOP)


def resume(node: Node) -> None:
    """SIGCONT."""
    _signal(node, signal.SIGCONT)


def _signal(node: Node, number: signal.Signals) -> None:
    pid = pid_of(node)
    if pid is None:
        raise LabError(f"node {node.number} does not run")
    os.kill(pid, number)


def _gone(node: Node, pid: int, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while pid_of(node) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S / 4)
    # A child of this process stays a zombie until it is waited for.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
    node.pid_file.unlink(missing_ok=True)
    return True


def _storage(node: Node) -> str:
    """The argument that tells this node's process from all others."""
    return f"-Dcassandra.storagedir={node.folder}"


def port_is_free(address: str, port: int) -> bool:
    """Whether a server could listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def _configuration(node: Node) -> dict[str, Any]:
    folder = node.folder
    return {
        "cluster_name": "edge",
        # Tokens are given, so that nodes of a fresh cluster need not agree on them one after the other.
        "num_tokens": 1,
        "initial_token": str(-(2**63) + (node.number - 1) * 2**64 // node.of),
        "auto_bootstrap": False,
        "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
        "endpoint_snitch": "SimpleSnitch",
        "seed_provider": [
            {
                "class_name": "org.apache.cassandra.locator.SimpleSeedProvider",
                "parameters": [{"seeds": f"{node.seed}:{node.storage_port}"}],
            }
        ],
        "listen_address": node.address,
        "rpc_address": node.address,
        "native_transport_port": node.cql_port,
        "storage_port": node.storage_port,
        "data_file_directories": [str(folder / "data")],
        "commitlog_directory": str(folder / "commitlog"),
        "saved_caches_directory": str(folder / "saved_caches"),
        "hints_directory": str(folder / "hints"),
        "cdc_raw_directory": str(folder / "cdc_raw"),
        "commitlog_sync": "periodic",
        # A killed node loses no write either way (the operating system has it); a power cut up to this much.
        "commitlog_sync_period": "1000ms",
        "commitlog_total_space": "256MiB",
        "commitlog_segment_size": "16MiB",
        "memtable_heap_space": f"{node.heap_mb // 4}MiB",
        "memtable_offheap_space": f"{node.heap_mb // 4}MiB",
        "key_cache_size": "16MiB",
        "networking_cache_size": "32MiB",
        "file_cache_size": "64MiB",
        "concurrent_reads": 16,
        "concurrent_writes": 16,
        "concurrent_counter_writes": 2,
        "concurrent_compactors": 1,
        "native_transport_max_threads": 64,
        # Two of the three steps of a Paxos round instead of four, and reads at SERIAL without a write.
        "paxos_variant": "v2",
        "hinted_handoff_enabled": True,
        "authenticator": "AllowAllAuthenticator",
        "authorizer": "AllowAllAuthorizer",
        "materialized_views_enabled": False,
        "dynamic_snitch": False,
        **node.options,
    }
