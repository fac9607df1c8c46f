"""Make the secrets of an installation."""

from __future__ import annotations

import os
from pathlib import Path

from mme.errors import ConfigError
from trust.secrets import NAMES, SECRET_OCTETS

EMPTY = {
    "edge-kubeconfigs": "apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers: []\n",
    "reload-policy": "callers: {}\n",
    "placement-policy": "# who may place what where: docs/placement.md\ncallers: {}\n",
    "placement-credentials": "# chart registries, and the S3 server: docs/placement.md\nregistries: []\n",
}
"""Secrets that an operator fills in: without clusters, and nobody may change anything."""


def create_secrets(directory: Path) -> list[Path]:
    """Write each key as hex text into a file of its own (mode 0600), and EMPTY; the files.

    Raises ConfigError when one of them is there already: nothing is written then.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths = [directory / name for name in NAMES]
    for path in paths:
        if path.exists():
            raise ConfigError(path.name, f"{path} is there already; a new key would make what is stored unreadable")
    for path in paths:
        write_new_private_file(path, os.urandom(SECRET_OCTETS).hex() + "\n")
    return paths + add_empty(directory)


def add_empty(directory: Path) -> list[Path]:
    """Write those of EMPTY that are not there; which."""
    missing = [directory / name for name in EMPTY if not (directory / name).exists()]
    for path in missing:
        write_new_private_file(path, EMPTY[path.name])
    return missing


def write_new_private_file(path: Path, text: str) -> None:
    """Write a file that only its owner may read.  Raises FileExistsError."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(text)
