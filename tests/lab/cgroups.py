"""The control groups of a lab: kubelet's root, and how little processor time all of a cluster may weigh.

Version 1, version 2, and both beside each other.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.errors import LabError

TOP = Path("/sys/fs/cgroup")
YIELDING = 8
_DAEMONS = "daemons"
_OF_KUBELET = ("cpu", "cpuset", "memory", "pids", "hugetlb", "io")
"""What kubelet and containerd ask for; version 2 hands down to a group only what its parent names."""
_SHARES = (("cpu.shares", 1024), ("cpu.weight", 100))
"""A group's share of the processors, as versions 1 and 2 call it, and the share that it has at first."""


def make(name: str, top: Path = TOP) -> None:
    """Make the group that a kubelet gets as its root, in every hierarchy (version 1) or in the one (version 2)."""
    if _is_version_2(top):
        _hand_down(top)
    for parent in hierarchies(top):
        child = parent / name
        child.mkdir(exist_ok=True)
        # A version 1 cpuset is born without CPUs, and takes no process until it has some.
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if not _is_version_2(top) and (child / setting).exists() and not (child / setting).read_text().strip():
                (child / setting).write_text((parent / setting).read_text())


def left(name: str, top: Path = TOP) -> list[Path]:
    """Give the groups of that name which exist."""
    return [parent / name for parent in hierarchies(top) if (parent / name).is_dir()]


def remove(name: str) -> None:
    """Remove them and what is in them.  Raises LabError where processes stay in one."""
    deadline = time.monotonic() + 20
    while found := left(name):
        for group in found:
            for folder, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()
        if time.monotonic() > deadline:
            raise LabError(f"{found[0]} still has processes in it; end them and run make lab-down again")
        time.sleep(0.05)


@contextlib.contextmanager
def yielding(processes: Mapping[str, Sequence[int]], top: Path = TOP) -> Iterator[bool]:
    """Give all that is of each of these names, daemons and pods, together an eighth of what one process elsewhere gets
    where processors are short: as if they were other machines, as far as that goes here.  With much less an API server
    does not answer in time.

    processes: the daemons by name; pods are in a group of that name already.  Gives False, and says so, where this
    machine's groups cannot do it: nothing yields then.
    """
    groups = [group for name in processes if (group := _sharing(name, top)) is not None]
    if len(groups) < len(processes):
        sys.stderr.write(f"{top} shares out no processor time among groups here: the clusters do not yield\n")
        yield False
        return
    for group, daemons in zip(groups, processes.values(), strict=True):
        (group.folder / _DAEMONS).mkdir(exist_ok=True)
        group.weigh(group.usual // YIELDING)
        _move(daemons, group.folder / _DAEMONS)
    try:
        yield True
    finally:
        for group in groups:
            _move(
                [int(word) for word in (group.folder / _DAEMONS / "cgroup.procs").read_text().split()],
                group.folder.parent,
            )
            group.weigh(group.usual)


def hierarchies(top: Path = TOP) -> list[Path]:
    """Give the one of version 2, or those of version 1."""
    if _is_version_2(top):
        return [top]
    # Also the one of version 2 beside those of version 1, where runc puts containers too.
    return sorted({child.resolve() for child in top.iterdir() if (child / "cgroup.procs").exists()})


def _is_version_2(top: Path) -> bool:
    return (top / "cgroup.controllers").exists()


def _hand_down(top: Path) -> None:
    """Have groups directly below have every controller that kubelet wants, each if it can be."""
    there = (top / "cgroup.controllers").read_text().split()
    for controller in _OF_KUBELET:
        if controller in there:
            # Not in a container's group that has processes of its own; kubelet then says what it misses.
            with contextlib.suppress(OSError):
                (top / "cgroup.subtree_control").write_text(f"+{controller}")


@dataclass(frozen=True)
class _Sharing:
    """A group among which processors are shared out.  file: holds its share.  usual: that at first."""

    folder: Path
    file: str
    usual: int

    def weigh(self, share: int) -> None:
        (self.folder / self.file).write_text(str(share))


def _sharing(name: str, top: Path) -> _Sharing | None:
    """The group of that name, made where there is none yet; None where this machine has none such."""
    if _is_version_2(top):
        _hand_down(top)
    for parent in hierarchies(top):
        for file, usual in _SHARES:
            # In version 1 the top has a share too, in version 2 only what is below it.
            if _is_version_2(top) or (parent / file).exists():
                (parent / name).mkdir(exist_ok=True)
                if (parent / name / file).exists():
                    return _Sharing(parent / name, file, usual)
    return None


def _move(processes: Sequence[int], group: Path) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            (group / "cgroup.procs").write_text(str(process))
