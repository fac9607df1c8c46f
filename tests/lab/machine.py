"""Start and end what runs in one namespace of the lab, and talk to its supervisor."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.lab import cgroups, network
from tests.lab.errors import LabError
from tests.lab.run import run

_SUPERVISOR = Path(__file__).with_name("supervisor.py")


@dataclass(frozen=True)
class Daemon:
    """What supervisor.py reads: a name for log and control, the command, and who has to listen before it starts."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    after: Sequence[str] = ()


def start(namespace: str, folder: Path, daemons: Sequence[Daemon], path: Sequence[Path], libraries: Path) -> None:
    """Start a supervisor for these daemons in the network namespace.

    path: folders searched for programs before the machine's own.  libraries: where their shared libraries are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    listed = [{**asdict(daemon), "argv": [str(word) for word in daemon.argv]} for daemon in daemons]
    (folder / "processes.json").write_text(json.dumps(listed, indent=1))
    argv = [
        *("/usr/bin/nsenter", f"--net=/run/netns/{namespace}"),
        *("unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc"),
        *(sys.executable, "-I", str(_SUPERVISOR), str(folder)),
    ]
    environment = {
        "HOME": "/root",
        "PATH": ":".join([*(str(one) for one in path), "/usr/sbin:/usr/bin:/sbin:/bin"]),
        "LD_LIBRARY_PATH": str(libraries),
        "XTABLES_LIBDIR": str(libraries / "xtables"),
    }
    # posix_spawn, since nobody is to wait for this process: it outlives us.
    log = str(folder / "supervisor.log")
    pid = os.posix_spawn(
        argv[0],
        argv,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    (folder / "pid").write_text(f"{pid} {_started(pid)}\n")
    deadline = time.monotonic() + 30
    while not is_running(folder):
        if _has_ended(pid) or time.monotonic() > deadline:
            raise LabError(f"the supervisor of {namespace} did not start: {(folder / 'supervisor.log').read_text()}")
        time.sleep(0.02)


def stop(namespace: str, folder: Path) -> None:
    """End everything in the namespace and wait until it is gone; nothing there is no error."""
    with contextlib.suppress(OSError, ValueError):
        pid, started = (folder / "pid").read_text().split()
        if _started(int(pid)) == started:
            os.kill(int(pid), signal.SIGKILL)
            _has_ended(int(pid))
    # What a crash left behind without a pid file still sits in our namespace, and nothing of anybody else does.
    deadline = time.monotonic() + 30
    while left := processes_in(namespace):
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise LabError(f"processes {left} in {namespace} do not end; see `ps -o pid,stat,args {left[0]}`")
        time.sleep(0.05)
    cgroups.remove(namespace)


def control(folder: Path, do: str, daemon: str = "") -> dict[str, Any]:
    """Ask the supervisor: status, or start, stop or kill of one daemon.  Raises LabError when it does not answer."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(folder / "control.sock"))
            connection.sendall(json.dumps({"do": do, "name": daemon}).encode() + b"\n")
            answer: dict[str, Any] = json.loads(connection.makefile("r").readline())
    except (OSError, ValueError) as error:
        raise LabError(f"the supervisor in {folder} does not answer ({error}): make lab-down lab-up") from error
    if isinstance(answer.get("error"), str):
        raise LabError(f"{folder.name}: {answer['error']}")
    return answer


def wait_for(folder: Path, daemon: str, *, running: bool, within_s: float = 70) -> None:
    """Wait until a daemon runs, or has ended.  Raises LabError when the time is up.

    An API server that was asked to stop first finishes its requests, up to a minute of them.
    """
    deadline = time.monotonic() + within_s
    while control(folder, "status")[daemon]["running"] is not running:
        if time.monotonic() > deadline:
            raise LabError(f"{daemon} of {folder.name} is {'not up' if running else 'still up'} after {within_s:.0f} s")
        time.sleep(0.05)


def is_running(folder: Path) -> bool:
    """Tell whether a supervisor answers there."""
    try:
        control(folder, "status")
    except LabError:
        return False
    return True


def _started(pid: int) -> str:
    """Give the start time of a process in clock ticks since boot: with the pid it names one process for ever."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def _has_ended(pid: int) -> bool:
    """Tell whether a process that we started has ended, and reap it; a process of somebody else never has."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False


def processes_in(namespace: str) -> list[int]:
    """Give the processes in a network namespace, daemons and those of pods that share it."""
    if namespace not in network.namespaces():
        return []
    return [int(word) for word in run(["ip", "netns", "pids", namespace], timeout_s=30).split()]


def programs(*names: str) -> list[str]:
    """Give those of the named programs that this machine lacks."""
    return [name for name in names if shutil.which(name) is None]
