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
    """Exactly one of the two is set.  own: keys of the only eNB, 32 octets each.  masters: 32 octets or more each.

    The first of several signs; replies and pushes may be signed with any, while one is replaced.
    """

    own: tuple[bytes, ...] = field(default=(), repr=False)
    masters: tuple[bytes, ...] = field(default=(), repr=False)

    def keys_of(self, enb: str) -> tuple[bytes, ...]:
        return self.own or tuple(signing.derive_key(master, enb) for master in self.masters)


def _read_hex(path: Path, option: str) -> tuple[bytes, ...]:
    try:
        lines = path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError(option, f"cannot read {path} ({type(e).__name__})") from e
    if not lines or not all(_HEX.match(line) and len(line) % 2 == 0 and len(line) >= 64 for line in lines):
        raise ConfigError(option, f"{path} must hold 64 or more hex digits a line")
    return tuple(bytes.fromhex(line) for line in lines)


def load(enb_key_file: Path | None, secrets: Path) -> KeyRing:
    """Read the keys.  Raises ConfigError that names the option."""
    if enb_key_file is not None:
        return KeyRing(own=_read_hex(enb_key_file, "--enb-key-file"))
    path = secrets / MASTER_FILE
    if not path.is_file():
        detail = (
            f"{path} is missing: name the directory of the site's secrets (`make up` and `edge secrets init DIR` make "
            "them), or use --enb-key-file"
        )
        raise ConfigError("--secrets", detail)
    return KeyRing(masters=_read_hex(path, "--secrets"))
