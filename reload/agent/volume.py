"""The mounted ConfigMap, and the effective directory that the daemon reads.

kubelet writes a new `..<time>` directory and swaps the symlink `..data` by rename; the names beside it point through
`..data`.  The effective directory is built the same way, so that a daemon that watches by itself sees what it knows.
While what is in place has not been proven, a symlink `..good` names the version to go back to: an agent that is killed
meanwhile finds it when it is started again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path
from typing import Dict, Optional

from reload.agent.digest import digest_of
from reload.agent.settings import SettingsError

DATA = "..data"
GOOD = "..good"
MAX_OCTETS = 4 << 20
_READ_TRIES = 5


class VolumeError(Exception):
    """The directory cannot be read as a configuration; one sentence."""


def require_updatable(directory: Path, mountinfo: str) -> None:
    """Refuse what kubelet never updates.  mountinfo: the text of /proc/self/mountinfo.  Raises SettingsError.

    A volume mounted by subPath (or a single file bound into the container) is fixed when the container starts
    (kubernetes/kubernetes#50345).
    """
    cure = "it never changes; mount the whole ConfigMap as a directory of its own, without subPath"
    if directory.is_file():
        raise SettingsError(f"{directory} is a single file, mounted by subPath: {cure}")
    if not directory.is_dir():
        raise SettingsError(f"{directory} is not there: is the ConfigMap mounted at it?")
    if (directory / DATA).is_symlink():
        return
    inside = str(directory.resolve()) + os.sep
    for mount in mountinfo.splitlines():
        fields = mount.split(" ")
        if len(fields) < 5:
            continue
        root, point = (_unescaped(field) for field in fields[3:5])
        # What is mounted by subPath lies in the version of that moment, a directory like ..2026_11_23_13_17_23.243078.
        if point.startswith(inside) or (point + os.sep == inside and "/.." in root):
            raise SettingsError(f"{point} is mounted by subPath: {cure}")
    raise SettingsError(f"{directory} has no {DATA}, so it is no ConfigMap or Secret volume: {cure}")


def _unescaped(field: str) -> str:
    """mountinfo writes space, tab, line feed and backslash in octal (proc(5))."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, character)
    return field


def version_of(directory: Path) -> Optional[str]:
    """What `..data` points to now, a name that each swap changes; None = it is not there."""
    try:
        return os.readlink(directory / DATA)
    except OSError:
        return None


def read_files(directory: Path) -> Dict[str, bytes]:
    """The files of one version, never a mixture of two.  Raises VolumeError."""
    for _ in range(_READ_TRIES):
        version = version_of(directory)
        if version is None:
            raise VolumeError(f"{directory} has no {DATA} any more")
        try:
            return _files_in(directory / version)
        except FileNotFoundError:
            continue  # swapped and removed under our hands
        except OSError as e:
            raise VolumeError(f"{directory} cannot be read: {e.strerror}") from e
    raise VolumeError(f"{directory} changed {_READ_TRIES} times while it was being read")


def _files_in(folder: Path) -> Dict[str, bytes]:
    files: Dict[str, bytes] = {}
    total = 0
    for entry in sorted(os.listdir(folder)):
        path = folder / entry
        if not stat.S_ISREG(path.stat().st_mode):
            raise VolumeError(f"{entry} is no file: a ConfigMap with items in folders is not served")
        total += path.stat().st_size
        if total > MAX_OCTETS:
            raise VolumeError(f"the files together have more than {MAX_OCTETS} octets")
        files[entry] = path.read_bytes()
    return files


class Effective:
    """The directory that the daemon reads.  Holds the version in place, the one before, and a staged candidate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before: Optional[str] = None
        self._staged: Optional[str] = None

    def open(self) -> str:
        """Go back to what an interrupted run had last proven; its digest, "" = nothing is in place.  Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        current = self._proven()
        if current is not None and (self.folder / current).is_dir():
            self._point(current)
        for entry in os.listdir(self.folder):
            if entry.startswith("..") and entry not in (DATA, current):
                _remove(self.folder / entry)
        if current is None:
            return ""
        try:
            return digest_of(_files_in(self.folder / current))
        except (OSError, VolumeError):
            return ""

    def _proven(self) -> Optional[str]:
        """The version that `..good` names, else the one in place."""
        with contextlib.suppress(OSError):
            good = os.readlink(self.folder / GOOD)
            if (self.folder / good).is_dir():
                return good
        return version_of(self.folder)

    def stage(self, files: Dict[str, bytes]) -> Path:
        """Write a candidate beside what is in place; its directory.  Raises OSError."""
        self.drop()
        name = f"..v{self._next()}"
        self._staged = name
        folder = self.folder / name
        folder.mkdir(mode=0o755)
        for file, content in files.items():
            (folder / file).write_bytes(content)
        return folder

    def _next(self) -> int:
        taken = [int(entry[3:]) for entry in os.listdir(self.folder) if entry[:3] == "..v" and entry[3:].isdecimal()]
        return max(taken, default=0) + 1

    def drop(self) -> None:
        """Forget the staged candidate."""
        if self._staged is not None:
            _remove(self.folder / self._staged)
            self._staged = None

    def take(self) -> None:
        """Put the staged candidate in place, by one rename.  Raises OSError."""
        if self._staged is None:
            raise FileNotFoundError("nothing is staged")
        replaced = version_of(self.folder)
        if self._before is None and replaced is not None:
            _link(GOOD, replaced, self.folder)
        self._point(self._staged)
        self._staged = None
        if self._before is None:
            self._before = replaced
        elif replaced is not None:
            _remove(self.folder / replaced)

    def keep(self) -> None:
        """What is in place is good: forget what `go_back` would put in place."""
        if self._before is not None:
            _remove(self.folder / GOOD)
            _remove(self.folder / self._before)
            self._before = None

    def go_back(self) -> None:
        """Put in place what was there at the last `keep`.  Raises OSError."""
        if self._before is None:
            return
        bad = version_of(self.folder)
        self._point(self._before)
        self._before = None
        _remove(self.folder / GOOD)
        if bad is not None:
            _remove(self.folder / bad)

    def _point(self, version: str) -> None:
        names = set(os.listdir(self.folder / version))
        if version_of(self.folder) != version:
            _link(DATA, version, self.folder)
        for name in names:
            link = self.folder / name
            if not link.is_symlink() or os.readlink(link) != f"{DATA}/{name}":
                _link(name, f"{DATA}/{name}", self.folder)
        for name in os.listdir(self.folder):
            if not name.startswith("..") and name not in names and (self.folder / name).is_symlink():
                (self.folder / name).unlink()


def _link(name: str, target: str, folder: Path) -> None:
    new = folder / "..new"
    if new.is_symlink():
        new.unlink()
    new.symlink_to(target)
    new.replace(folder / name)


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)
