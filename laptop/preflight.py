"""What must hold before anything is started; each failure is one line with its cure.

Only the standard library: `python3 laptop/preflight.py PORT` runs before there is an environment.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 13)
NEEDED_MB = 300


class NotReadyError(Exception):
    """The machine lacks something; the text says what, and the cure."""


def check(port: int, folder: Path) -> None:
    """Python's version, the gateway's port (0: any), free disk under `folder`.  Raises NotReadyError."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        version = ".".join(str(part) for part in sys.version_info[:2])
        raise NotReadyError(f"Python {version} is not served: install 3.11 to 3.13, or make PYTHON=python3.12 demo")
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise NotReadyError("the venv module is missing: on Debian, apt-get install python3-venv")
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


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder for this process.  Raises NotReadyError when another one serves from it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotReadyError(f"another one is running from {folder}: stop it, or choose another --folder") from None
        yield


def main(arguments: list[str]) -> int:
    """PORT -> 0, or 2 and one line."""
    try:
        check(int(arguments[0]) if arguments else 0, Path.cwd())
    except (NotReadyError, ValueError) as e:
        sys.stderr.write(f"{e}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
