"""spgw-hss-stub as a process, and a site whose functions ask it."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from laptop import programs
from laptop.site import ROOT, Site

WAIT_MS = 1500
"""How long a function waits in line for HSS and gateway: longer than they take in any run."""
_READY_S = 20.0


@contextlib.contextmanager
def kept_port() -> Iterator[int]:
    """A port of 127.0.0.1 that until the block ends goes only to who asks for it by its number.

    It is bound and not listened on: neither a connection nor a listener that leaves the choice to the system gets it,
    while one by number does that may reuse addresses (SO_REUSEADDR), as those of Go, waitress and http.server may.
    """
    with socket.socket() as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeper.bind(("127.0.0.1", 0))
        port: int = keeper.getsockname()[1]
        yield port


def settings(gateway_port: int, stub_port: int, **more: str) -> dict[str, str]:
    """What the functions are told: where HSS and gateway are, and where late answers go."""
    return {
        "hss_url": f"http://127.0.0.1:{stub_port}/hss",
        "sgw_url": f"http://127.0.0.1:{stub_port}/sgw",
        "answer_url": f"http://127.0.0.1:{gateway_port}/async-function/mme-answer",
        **more,
    }


def in_line(gateway_port: int, stub_port: int) -> dict[str, str]:
    """`settings` of replicas that handle one call at a time, and wait for HSS and gateway meanwhile."""
    return settings(gateway_port, stub_port, port_wait_ms=str(WAIT_MS), WAITRESS_THREADS="1")


@contextlib.contextmanager
def stub(site: Site, port: int, arguments: Sequence[str] = ()) -> Iterator[None]:
    """Serve the site's subscribers until the block ends."""
    secrets = {path.name: path for path in Path(site.secrets).iterdir()}
    command = [sys.executable, "-m", "spgw_hss_stub.cli", "--port", str(port), "--store", site.store_url]
    command += ["--subscriber-key", str(secrets["subscriber-key"]), "--signing-key", str(secrets["edge-signing-key"])]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    log = site.folder / "stub.log"
    with programs.running([*command, *arguments], log, environment=environment, told=True) as process:
        _wait_ready(process, log)
        yield


def _wait_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    """Its first line says that it listens."""
    if process.stdout is None:
        raise RuntimeError("the output is a pipe")
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(_READY_S) or b"listens on" not in process.stdout.readline():
            raise RuntimeError(f"spgw-hss-stub did not start: {log.read_text(errors='replace').strip()[-300:]}")
