"""Kubernetes' quantities and times as numbers: CPU in millicores, memory in octets, Unix seconds."""

from __future__ import annotations

import re
from datetime import datetime
from fractions import Fraction
from math import ceil

_FORM = re.compile(r"\s*([+-]?[0-9]+(?:\.[0-9]*)?|[+-]?\.[0-9]+)(?:[eE]([+-]?[0-9]{1,2})|([numkKMGTPE]i?)?)\s*\Z")
_SCALE: dict[str | None, Fraction] = {
    None: Fraction(1),
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "k": Fraction(1000),
    **{letter: Fraction(1000**power) for power, letter in enumerate("MGTPE", 2)},
    **{f"{letter}i": Fraction(1024**power) for power, letter in enumerate("KMGTPE", 1)},
}


def _number(text: object) -> Fraction:
    found = _FORM.match(str(text)) if not isinstance(text, bool) else None
    if found is None or found[3] not in _SCALE:
        raise ValueError(f"{text!r} is no Kubernetes quantity")
    scale = Fraction(10) ** int(found[2]) if found[2] else _SCALE[found[3]]
    value = Fraction(found[1]) * scale
    if value < 0:
        raise ValueError(f"{text!r} is negative")
    return value


def cpu_m(text: object) -> int:
    """Millicores, rounded up: "0.5" and "500m" are 500.  Raises ValueError."""
    return ceil(_number(text) * 1000)


def memory_b(text: object) -> int:
    """Octets, rounded up: "64Mi" is 67108864.  Raises ValueError."""
    return ceil(_number(text))


def whole(text: object) -> int:
    """A count, rounded up.  Raises ValueError."""
    return ceil(_number(text))


def unix_s(text: object, unknown_s: float = 0.0) -> float:
    """A time as Kubernetes writes it; unknown_s where it is none."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return unknown_s
