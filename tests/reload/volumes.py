"""A ConfigMap volume as kubelet's AtomicWriter leaves it: a new `..<time>` directory, `..data` swapped by rename."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

_COUNT = itertools.count(1)
DEADLINE_S = 30.0


class MountedConfig:
    """directory: what the pod would see at its mount point."""

    def __init__(self, directory: Path, files: Mapping[str, str]) -> None:
        self.directory = directory
        directory.mkdir(parents=True)
        self.swap(files)

    def swap(self, files: Mapping[str, str]) -> None:
        """Do as kubelet does (kubernetes/kubernetes pkg/volume/util/atomic_writer.go, steps 5 to 12)."""
        fresh = self.directory / f"..2026_11_22_05_15_{next(_COUNT)}"
        fresh.mkdir()
        for name, text in files.items():
            (fresh / name).write_text(text)
        data = self.directory / "..data"
        old = data.readlink() if data.is_symlink() else None
        (self.directory / "..data_tmp").symlink_to(fresh.name)
        (self.directory / "..data_tmp").replace(data)
        for name in files:
            if not (self.directory / name).is_symlink():
                (self.directory / name).symlink_to(f"..data/{name}")
        for entry in list(self.directory.iterdir()):
            if not entry.name.startswith("..") and entry.name not in files:
                entry.unlink()
        if old is not None:
            shutil.rmtree(self.directory / old)


def eventually(holds: Callable[[], bool], what: str) -> None:
    """Wait for a condition, with a deadline that a loaded machine keeps."""
    until = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < until, what
        time.sleep(0.01)
