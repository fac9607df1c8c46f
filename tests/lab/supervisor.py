"""The first process of a namespace of the lab: starts its daemons, starts again the ones that die, reaps the rest.

Run by `machine.start` as process 1 of new process and mount namespaces, so that its death ends every daemon, every
container and every mount of that cluster, whatever state they are in. It imports nothing of this project: what it runs
stands in FOLDER/processes.json, a list of {"name", "argv", "env", "after"}; "after" lists what has to accept
connections before the start, as "host:port" or the path of a Unix socket.

FOLDER/control.sock takes one JSON object per connection: {"do": "status"}, or {"do": "start" | "stop" | "kill",
"name": n}.  A stopped daemon stays down until it is started; `kill` is SIGKILL, to act a crash, and stays down too.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TICK_S = 0.1
RESTART_S = 1.0
NICE_NAME_BYTES = 15

# What kubelet demands of the kernel. It reads these files and writes them when they differ, for the whole machine; it
# finds its wish fulfilled in files of ours laid over them, and the machine keeps its own values.
KUBELET_SYSCTLS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


@dataclass
class Daemon:
    """One daemon and how it stands.  pid: None while it is not running.  due: monotonic time of the next start."""

    name: str
    argv: list[str]
    env: dict[str, str]
    after: list[str]
    wanted: bool = True
    pid: int | None = None
    due: float = 0.0
    starts: int = 0
    last_exit: int | None = field(default=None)


def private_mounts(folder: Path) -> None:
    """Give this namespace its own /run, /tmp, /var/lib and /var/log, and the sysctls that kubelet wants to read.

    weed names its sockets in /tmp after its ports, which a second lab's has too.
    """

    def mount(*words: str) -> None:
        subprocess.run(["/usr/bin/mount", *words], check=True, stdin=subprocess.DEVNULL)

    mount("--make-rshared", "/")
    for name in ("var/lib", "var/log", "tmp"):
        upper, work = folder / "own" / name, folder / "own" / ".work" / name
        upper.mkdir(parents=True, exist_ok=True)
        work.mkdir(parents=True, exist_ok=True)
        mount("-t", "overlay", "overlay", "-o", f"lowerdir=/{name},upperdir={upper},workdir={work}", f"/{name}")
    mount("-t", "tmpfs", "-o", "mode=755,size=512m", "tmpfs", "/run")
    for path, value in KUBELET_SYSCTLS.items():
        target = Path("/proc/sys") / path
        ours = folder / "sysctl" / path.replace("/", ".")
        ours.parent.mkdir(exist_ok=True)
        ours.write_text(value + "\n")
        if target.exists():
            mount("--bind", str(ours), str(target))
    hosts = folder / "hosts"
    if hosts.exists():
        mount("--bind", str(hosts), "/etc/hosts")


def accepts(address: str) -> bool:
    """Tell whether a server listens at "host:port" or at a Unix socket's path."""
    try:
        if address.startswith("/"):
            with socket.socket(socket.AF_UNIX) as unix:
                unix.settimeout(0.5)
                unix.connect(address)
        else:
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=0.5).close()
    except OSError:
        return False
    return True


class Supervisor:
    """The loop: children that ended, requests on the control socket, daemons that are due."""

    def __init__(self, folder: Path) -> None:
        self._logs = folder / "log"
        self._logs.mkdir(exist_ok=True)
        listed = json.loads((folder / "processes.json").read_text())
        self._daemons = {one["name"]: Daemon(**one) for one in listed}
        self._selector = selectors.DefaultSelector()
        control = folder / "control.sock"
        control.unlink(missing_ok=True)
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(control))
        control.chmod(0o600)
        self._server.listen(8)
        self._server.setblocking(False)
        self._selector.register(self._server, selectors.EVENT_READ)

    def run(self) -> None:
        while True:
            self._reap()
            waiting = self._start_due()
            if self._selector.select(TICK_S if waiting else 1.0):
                self._answer()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for daemon in self._daemons.values():
                if daemon.pid == pid:
                    daemon.pid = None
                    daemon.last_exit = os.waitstatus_to_exitcode(status)
                    daemon.due = time.monotonic() + RESTART_S

    def _start_due(self) -> bool:
        """Start what is due; tell whether a daemon still waits for its turn."""
        waiting = False
        for daemon in self._daemons.values():
            if not daemon.wanted or daemon.pid is not None:
                continue
            if daemon.due <= time.monotonic() and all(accepts(address) for address in daemon.after):
                self._start(daemon)
            else:
                waiting = True
        return waiting

    def _start(self, daemon: Daemon) -> None:
        log = os.open(self._logs / f"{daemon.name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        try:
            daemon.pid = os.posix_spawnp(
                daemon.argv[0],
                daemon.argv,
                {**os.environ, **daemon.env},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, null, 0),
                    (os.POSIX_SPAWN_DUP2, log, 1),
                    (os.POSIX_SPAWN_DUP2, log, 2),
                ],
                setsid=True,
                setsigmask=[],
            )
            daemon.starts += 1
        except OSError as error:
            os.write(log, f"cannot start {daemon.argv[0]}: {error}\n".encode())
            daemon.due = time.monotonic() + RESTART_S
        finally:
            os.close(log)
            os.close(null)

    def _answer(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._server.accept()
            with connection:
                connection.settimeout(2)
                request = connection.makefile("r").readline()
                try:
                    answer = self._obey(json.loads(request))
                except (ValueError, KeyError) as error:
                    answer = {"error": f"{type(error).__name__}: {error}"}
                connection.sendall(json.dumps(answer).encode() + b"\n")

    def _obey(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["do"] == "status":
            return {
                name: {"running": one.pid is not None, "starts": one.starts, "last_exit": one.last_exit}
                for name, one in self._daemons.items()
            }
        daemon = self._daemons[request["name"]]
        match request["do"]:
            case "start":
                daemon.wanted, daemon.due = True, 0.0
            case "stop" | "kill":
                daemon.wanted = False
                if daemon.pid is not None:
                    os.kill(daemon.pid, signal.SIGTERM if request["do"] == "stop" else signal.SIGKILL)
            case other:
                raise ValueError(f"cannot {other}")
        return {"name": daemon.name, "running": daemon.pid is not None}


def main() -> None:
    folder = Path(sys.argv[1])
    title = f"{folder.name}-supervisor".encode()[:NICE_NAME_BYTES]
    ctypes.CDLL(None).prctl(15, title, 0, 0, 0)  # PR_SET_NAME, for `ps`
    # Process 1 gets no default action for signals: without handlers these are ignored, and only the kill from outside
    # ends the namespace.
    os.chdir("/")
    private_mounts(folder)
    Supervisor(folder).run()


if __name__ == "__main__":
    main()
