"""Secrets: 32 octets or more as hex text in a file, as OpenFaaS mounts them (one file per secret).

While a key is replaced the file holds several, one a line: the first is in use, the others are accepted, too
(docs/operations.md).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from trust.errors import ConfigError

DIRECTORY_VARIABLE: Final = "EDGE_SECRETS_DIR"
DEFAULT_DIRECTORY: Final = "/var/openfaas/secrets"
SIGNING_KEY: Final = "edge-signing-key"
SUBSCRIBER_KEY: Final = "subscriber-key"
M_TMSI_KEY: Final = "m-tmsi-key"
NAMES: Final = (SIGNING_KEY, SUBSCRIBER_KEY, M_TMSI_KEY)
SECRET_OCTETS: Final = 32
MOST_KEYS: Final = 3
"""In one file: the key in use, the one before or after it, and one to spare."""


def secrets_directory() -> Path:
    """EDGE_SECRETS_DIR, or where OpenFaaS mounts secrets."""
    return Path(os.environ.get(DIRECTORY_VARIABLE) or DEFAULT_DIRECTORY)


def read_secret(name: str, directory: Path | None = None) -> bytes:
    """The octets (32 or more) of a secret's key that is in use.  Otherwise as `read_keys`."""
    return read_keys(name, directory)[0]


def read_keys(name: str, directory: Path | None = None) -> tuple[bytes, ...]:
    """The keys of a secret (32 octets or more each), the one in use first.  directory: None = `secrets_directory()`.

    Raises ConfigError with the name and what to do, never with the content.
    """
    return read_keys_file((directory or secrets_directory()) / name, name)


def read_keys_file(path: Path, name: str) -> tuple[bytes, ...]:
    """As `read_keys`, from a file of any name."""
    try:
        text = path.read_text("ascii").strip()
    except FileNotFoundError as e:
        raise ConfigError(
            name, f"no file {path}: `edge secrets init DIR` makes one, {DIRECTORY_VARIABLE} names its directory"
        ) from e
    except OSError as e:
        raise ConfigError(name, f"cannot read {path}: {e.strerror}") from e
    except UnicodeDecodeError:
        raise ConfigError(name, f"{path} is no hex text") from None
    try:
        keys = tuple(bytes.fromhex(line) for line in text.splitlines()) or (b"",)
    except ValueError:
        # The error's text would show where the content stops being hex: not chained.
        raise ConfigError(name, f"{path} is no hex text; `edge secrets init DIR` makes a good one") from None
    if len(keys) > MOST_KEYS:
        raise ConfigError(name, f"{path} holds {len(keys)} keys, {MOST_KEYS} are the most: `edge secrets drop-keys`")
    shortest = min(len(key) for key in keys)
    if shortest < SECRET_OCTETS:
        where = f"{path} holds a key of" if len(keys) > 1 else f"{path} holds"
        raise ConfigError(name, f"{where} {shortest} octets, {SECRET_OCTETS} or more are needed")
    return keys
