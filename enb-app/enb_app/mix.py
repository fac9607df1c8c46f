"""The mix of procedures in a life, by shares; what this MME has not built is left out, and said so."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from random import Random

from mme.errors import ConfigError

MOBILITY = "mobility"
PAGING = "paging"
SERVICE_REQUEST = "service request"
RELEASE = "release"
ATTACH = "attach"
DETACH = "detach"
SERVED = (MOBILITY, PAGING, SERVICE_REQUEST, RELEASE, ATTACH, DETACH)
NOT_SERVED = ("bearers", "handover")
NOT_BUILT = "not built"
DEFAULT_SHARES = {
    MOBILITY: 30.0,
    PAGING: 30.0,
    SERVICE_REQUEST: 20.0,
    RELEASE: 10.0,
    ATTACH: 4.0,
    DETACH: 1.0,
    "bearers": 5.0,
}


@dataclass(frozen=True, slots=True)
class Mix:
    """shares: of those that can be done, any positive numbers.  left_out: shares of those that cannot."""

    shares: dict[str, float]
    left_out: dict[str, float]

    def choose(self, random: Random) -> str:
        return random.choices(list(self.shares), list(self.shares.values()))[0]

    def note(self) -> str:
        """One line on what is left out: what the mix has of it, and what no mix can have."""
        told = ", ".join(
            name + (f" ({self.left_out[name]:g} %)" if name in self.left_out else "") for name in NOT_SERVED
        )
        return f"left out, as the MME does not have it yet: {told}"


def mix_of(shares: dict[str, float]) -> Mix:
    """Raises ConfigError for a name or number that cannot be."""
    for name, share in shares.items():
        if name not in SERVED and name not in NOT_SERVED:
            raise ConfigError("--mix", f"{name} is none of {', '.join((*SERVED, *NOT_SERVED))}")
        if isinstance(share, bool) or not isinstance(share, int | float) or not share >= 0:
            raise ConfigError("--mix", f"the share of {name} must be a number from 0 upwards")
    served = {name: float(share) for name, share in shares.items() if name in SERVED and share}
    if not served:
        raise ConfigError("--mix", f"at least one of {', '.join(SERVED)} needs a share")
    return Mix(served, {name: float(share) for name, share in shares.items() if name in NOT_SERVED and share})


def load(path: Path | None) -> Mix:
    """From a JSON file {"paging": 30, ...}; None = the default.  Raises ConfigError."""
    if path is None:
        return mix_of(DEFAULT_SHARES)
    try:
        shares = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise ConfigError("--mix", f"cannot read {path} ({type(e).__name__})") from e
    if not isinstance(shares, dict):
        raise ConfigError("--mix", f'{path} must hold an object like {{"paging": 30, "attach": 4}}')
    return mix_of(shares)
