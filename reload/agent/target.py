"""The sidecar's daemon: found in the shared process namespace by name, or by its pid file, and signalled."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional

_COMM_OCTETS = 15  # what the kernel keeps of a name, proc(5)


class AbsentError(Exception):
    """No such process; one sentence."""


@dataclass(frozen=True)
class Found:
    """A process.  started: its start time in clock ticks, so that a pid given again is not taken for it."""

    pid: int
    started: int


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    started: int
    zombie: bool
    comm: str
    words: List[str]


def find(name: str, pid_file: Optional[Path], proc: Path = Path("/proc")) -> Found:
    """The daemon's main process: of several with that name the one whose parent is none of them, the oldest of those.

    Raises AbsentError.
    """
    if pid_file is not None:
        try:
            pid = int(pid_file.read_text().split()[0])
        except (OSError, ValueError, IndexError):
            raise AbsentError(f"{pid_file} holds no pid yet: is it in a volume that both containers mount?") from None
        process = _read(proc, pid)
        if process is None or process.zombie:
            raise AbsentError(f"{pid_file} names process {pid}, which is not there: shareProcessNamespace must be true")
        return Found(process.pid, process.started)
    own = os.getpid()
    processes = [_read(proc, int(entry)) for entry in os.listdir(proc) if entry.isdecimal() and int(entry) != own]
    fitting = [p for p in processes if p is not None and not p.zombie and _is_called(p, name)]
    if not fitting:
        raise AbsentError(f"no process is called {name}: is it running, and shareProcessNamespace true?")
    pids = {process.pid for process in fitting}
    oldest = min((p for p in fitting if p.parent not in pids), key=lambda p: (p.started, p.pid))
    return Found(oldest.pid, oldest.started)


def lives(found: Found, proc: Path = Path("/proc")) -> bool:
    """Whether that very process still runs."""
    process = _read(proc, found.pid)
    return process is not None and not process.zombie and process.started == found.started


def _is_called(process: _Process, name: str) -> bool:
    program = os.path.basename(process.words[0]) if process.words else ""
    return name in (process.comm, program) or (len(name) > _COMM_OCTETS and name[:_COMM_OCTETS] == process.comm)


def _read(proc: Path, pid: int) -> Optional[_Process]:
    try:
        text = (proc / str(pid) / "stat").read_text("utf-8", "replace")
        words = (proc / str(pid) / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return None
    comm = text[text.index("(") + 1 : text.rindex(")")]
    fields = text[text.rindex(")") + 2 :].split()
    return _Process(pid, int(fields[1]), int(fields[19]), fields[0] in "ZX", comm, [word for word in words if word])
