"""Make the secrets of an installation, and replace a key of it in steps (docs/operations.md)."""

from __future__ import annotations

import os
from pathlib import Path

from mme.errors import ConfigError
from trust.secrets import MOST_KEYS, NAMES, SECRET_OCTETS, read_keys

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


def add_key(directory: Path, name: str) -> int:
    """Append a new key, which is accepted and not in use yet; how many there are now.  Raises ConfigError."""
    keys = read_keys(name, directory)
    if len(keys) >= MOST_KEYS:
        raise ConfigError(name, f"has {len(keys)} keys, {MOST_KEYS} are the most: `edge secrets drop-keys` first")
    _replace(directory / name, (*keys, os.urandom(SECRET_OCTETS)))
    return len(keys) + 1


def use_key(directory: Path, name: str) -> None:
    """Take the newest key into use; the others go on being accepted.  Raises ConfigError."""
    *others, newest = read_keys(name, directory)
    if not others:
        raise ConfigError(name, "has one key: `edge secrets add-key` first, and wait until everybody has it")
    _replace(directory / name, (newest, *others))


def drop_keys(directory: Path, name: str) -> int:
    """Forget every key but the one in use; how many went.  Raises ConfigError."""
    keys = read_keys(name, directory)
    if len(keys) > 1:
        _replace(directory / name, keys[:1])
    return len(keys) - 1


def _replace(path: Path, keys: tuple[bytes, ...]) -> None:
    """Whoever reads meanwhile has the old keys or the new ones."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    write_new_private_file(new, "".join(f"{key.hex()}\n" for key in keys))
    new.replace(path)


def write_new_private_file(path: Path, text: str) -> None:
    """Write a file that only its owner may read.  Raises FileExistsError."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(text)
