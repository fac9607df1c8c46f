"""Secrets: 32 octets or more as hex text in a file, as OpenFaaS mounts them (one file per secret)."""

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


def secrets_directory() -> Path:
    """EDGE_SECRETS_DIR, or where OpenFaaS mounts secrets."""
    return Path(os.environ.get(DIRECTORY_VARIABLE) or DEFAULT_DIRECTORY)


def read_secret(name: str, directory: Path | None = None) -> bytes:
    """The octets (32 or more) of a secret.  directory: None = `secrets_directory()`.

    Raises ConfigError with the name and what to do, never with the content.
    """
    return read_secret_file((directory or secrets_directory()) / name, name)


def read_secret_file(path: Path, name: str) -> bytes:
    """As `read_secret`, from a file of any name."""
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
        octets = bytes.fromhex(text)
    except ValueError:
        # The error's text would show where the content stops being hex: not chained.
        raise ConfigError(name, f"{path} is no hex text; `edge secrets init DIR` makes a good one") from None
    if len(octets) < SECRET_OCTETS:
        raise ConfigError(name, f"{path} holds {len(octets)} octets, {SECRET_OCTETS} or more are needed")
    return octets
