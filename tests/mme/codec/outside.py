"""Messages of others, read from tests/vectors: each file names its source and licence."""

from __future__ import annotations

from pathlib import Path

_VECTORS = Path(__file__).resolve().parents[2] / "vectors"


def vectors(name: str) -> dict[str, bytes]:
    """name: for example "s1ap/lab".  Lines are "<name> <hex>", comments begin with #."""
    lines = (_VECTORS / f"{name}.hex").read_text(encoding="utf-8").splitlines()
    pairs = (line.split() for line in lines if line and not line.startswith("#"))
    return {key: bytes.fromhex(octets) for key, octets in pairs}
