"""Secrets as files: one store, and for each function a folder with only those it names.

A function finds its folder in EDGE_SECRETS_DIR; on a cluster the same files are under /var/openfaas/secrets.
"""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
"""What Kubernetes takes as the name of a Secret; it also keeps a name from leaving the folder."""


def _write(file: Path, value: bytes) -> None:
    partial = file.with_name(f".{file.name}.new")
    partial.touch(mode=0o600)
    partial.write_bytes(value)
    partial.replace(file)


class SecretFiles:
    """The secrets of one gateway, below a folder of its own (0700, files 0600)."""

    def __init__(self, folder: Path) -> None:
        self._store = folder / "store"
        self._mounts = folder / "mounts"
        for each in (self._store, self._mounts):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._mounted: dict[str, tuple[str, ...]] = {}

    def names(self) -> list[str]:
        """List the names, sorted."""
        return sorted(file.name for file in self._store.iterdir() if not file.name.startswith("."))

    def take_from(self, folder: Path) -> None:
        """Copy every file of a folder whose name a Secret may have.   Raises: OSError."""
        for file in sorted(folder.iterdir()):
            if file.is_file() and NAME.fullmatch(file.name):
                self.put(file.name, file.read_bytes())

    def put(self, name: str, value: bytes) -> None:
        """Create or replace a secret; functions that name it see it at once. name: matches NAME."""
        _write(self._store / name, value)
        for function, names in self._mounted.items():
            if name in names:
                _write(self._mounts / function / name, value)

    def delete(self, name: str) -> None:
        """Remove a secret. Functions keep the file they have, as running pods do."""
        (self._store / name).unlink()

    def missing(self, names: Iterable[str]) -> list[str]:
        """List those of the names that the store does not have."""
        have = set(self.names())
        return [name for name in names if name not in have]

    def mount(self, function: str, names: tuple[str, ...]) -> Path:
        """Make the function's folder hold exactly these secrets, and return it.   Raises: FileNotFoundError."""
        folder = self._mounts / function
        folder.mkdir(mode=0o700, exist_ok=True)
        self._mounted[function] = names
        for name in names:
            _write(folder / name, (self._store / name).read_bytes())
        for file in folder.iterdir():
            if file.name not in names:
                file.unlink()
        return folder

    def unmount(self, function: str) -> None:
        """Forget the function's folder."""
        self._mounted.pop(function, None)
        shutil.rmtree(self._mounts / function, ignore_errors=True)
