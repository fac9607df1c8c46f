"""Durations as OpenFaaS's parts read them from their environment: "30", "30s", "1m5s", "250ms"."""

import re

_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")


def seconds(text: str) -> float:
    """Read a duration in seconds; a bare number is seconds.

    Raises: ValueError for anything else.   Source: contract section 2, timeout defaults.
    """
    stripped = text.strip()
    if re.fullmatch(r"\d+(\.\d+)?", stripped):
        return float(stripped)
    parts = _PART.findall(stripped)
    if not parts or "".join(number + unit for number, unit in parts) != stripped:
        raise ValueError(f"{text!r} is not a duration such as 30, 30s, 1m5s or 250ms")
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)
