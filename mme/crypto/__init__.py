"""Security functions of EPS: pure, octets in and octets out, no state, no clock, no random source.

Raises: ValueError for an argument of wrong size or range; the text names the argument and never holds its value.
"""


def require_octets(name: str, value: bytes, size: int) -> None:
    """Raise ValueError, naming the argument and the sizes only, unless value has exactly `size` octets."""
    if len(value) != size:
        raise ValueError(f"{name} must be {size} octets, not {len(value)}")


def require_range(name: str, value: int, highest: int) -> None:
    """Raise ValueError, naming the argument and its bounds only, unless 0 <= value <= highest."""
    if not 0 <= value <= highest:
        raise ValueError(f"{name} must be from 0 to {highest}")
