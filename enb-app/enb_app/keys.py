"""The eNBs' signing keys: one given in a file, or derived from the master secret."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from mme.errors import ConfigError
from trust import signing

MASTER_FILE = "edge-signing-key"
_HEX = re.compile(r"[0-9a-fA-F]+\Z")


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Exactly one of the two is set.  one: 32 octets, the key of the only eNB.  master: 32 octets or more."""

    one: bytes | None = field(default=None, repr=False)
    master: bytes | None = field(default=None, repr=False)

    def key_of(self, enb: str) -> bytes:
        if self.one is not None:
            return self.one
        return signing.derive_key(self.master or b"", enb)


def _read_hex(path: Path, option: str) -> bytes:
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError(option, f"cannot read {path} ({type(e).__name__})") from e
    if not _HEX.match(text) or len(text) % 2 or len(text) < 64:
        raise ConfigError(option, f"{path} must hold 64 or more hex digits")
    return bytes.fromhex(text)


def load(enb_key_file: Path | None, secrets: Path) -> KeyRing:
    """Read the keys.  Raises ConfigError that names the option."""
    if enb_key_file is not None:
        return KeyRing(one=_read_hex(enb_key_file, "--enb-key-file"))
    path = secrets / MASTER_FILE
    if not path.is_file():
        detail = (
            f"{path} is missing: name the directory of the site's secrets (`make up` and `edge secrets init DIR` make "
            "them), or use --enb-key-file"
        )
        raise ConfigError("--secrets", detail)
    return KeyRing(master=_read_hex(path, "--secrets"))
