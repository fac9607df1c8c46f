"""What must hold before anything is started; each failure is one line with its cure."""

from __future__ import annotations

import shutil
import socket
import sys
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 13)
NEEDED_MB = 300


class NotReadyError(Exception):
    """The machine lacks something; the text says what, and the cure."""


def check(port: int, folder: Path) -> None:
    """Python's version, the gateway's port (0: any), free disk under `folder`.  Raises NotReadyError."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        version = ".".join(str(part) for part in sys.version_info[:2])
        raise NotReadyError(f"Python {version} is not served: run make clean, then make PYTHON=python3.12 demo")
    if port and not port_is_free(port):
        raise NotReadyError(f"port {port} is in use: stop what listens there, or choose another: make demo PORT=8180")
    free_mb = shutil.disk_usage(folder).free // 1_000_000
    if free_mb < NEEDED_MB:
        raise NotReadyError(f"only {free_mb} MB are free here, {NEEDED_MB} are needed: make room first")


def port_is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1:port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
