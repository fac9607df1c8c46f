"""The functions' processes of a gateway: who they are and what they hold in memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from localfaas.process import Running


def pids(gateway: Running) -> dict[int, str]:
    """Function by process id of each replica."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            if _parent(folder) == gateway.pid and (name := _function(folder)):
                found[int(folder.name)] = name
    return found


def resident_kib(pid: int) -> int:
    """VmRSS.   Raises OSError: no such process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1])


def resident(gateway: Running) -> dict[str, int]:
    """VmRSS in KiB of each function with one replica."""
    return {name: resident_kib(pid) for pid, name in sorted(pids(gateway).items(), key=lambda entry: entry[1])}


def cpu_ms(pids_: Iterable[int]) -> float:
    """Processor time that these processes have used so far, all threads; in steps of a clock tick, 10 ms each."""
    ticks = 0
    for pid in pids_:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks * 1000 / os.sysconf("SC_CLK_TCK")


def _parent(folder: Path) -> int:
    # The name in brackets may hold anything, so what follows it is counted from its end.
    return int((folder / "stat").read_text().rpartition(")")[2].split()[1])


def _function(folder: Path) -> str:
    for entry in (folder / "environ").read_bytes().split(b"\0"):
        name, _, value = entry.partition(b"=")
        if name == b"OPENFAAS_NAME":
            return value.decode()
    return ""
