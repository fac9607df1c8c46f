"""The MME's settings, read once per process and frozen.

Every setting is an environment variable of the function (`environment:` in stack.yml), in lower case as
OpenFaaS has it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum

from mme.errors import ConfigError
from mme.ids import Gummei, Plmn, Tai

# Those of mme.crypto.nas_security; EIA0 is never chosen.
IMPLEMENTED_EEA = (0, 2)
IMPLEMENTED_EIA = (2,)
MOST_OUTAGE_S = 7 * 24 * 3600


class EmergencyAttach(Enum):
    """Who may attach for emergency bearer services: the network behaviours of TS 23.401 4.3.12.1.

    OFF: nobody beyond valid UEs, which attach as ever.  AUTHENTICATED: who is authenticated.  IMSI_REQUIRED: who has
    an IMSI, authenticated where it can be.  ALL: also UEs with an IMEI alone.
    """

    OFF = "off"
    AUTHENTICATED = "authenticated"
    IMSI_REQUIRED = "imsi-required"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class MmeConfig:
    """Settings of the network side; seconds end in _s, milliseconds in _ms.

    m_tmsi_key: what new GUTIs are made with; other_m_tmsi_keys: what a UE's GUTI may have been made with, too.
    emergency_attach: a value of EmergencyAttach.  The other emergency settings are what such a UE gets, whatever its
    subscription says.
    """

    plmn: Plmn = field(default=Plmn("00101"))
    mme_group_id: int = 1
    mme_code: int = 1
    mme_name: str = "mme-functions"
    relative_mme_capacity: int = 255
    tacs: tuple[int, ...] = (7,)
    network_full_name: str = "Telco Edge Functions"
    network_short_name: str = "edge"
    eea_order: tuple[int, ...] = (2, 0)
    eia_order: tuple[int, ...] = (2,)
    request_imeisv: bool = False
    blocked_imeis: str = ""
    emergency_attach: str = "off"
    emergency_access_point_name: str = "sos"
    emergency_qci: int = 5
    emergency_priority_level: int = 1
    emergency_ambr_bps: int = 1_000_000
    t3412_s: int = 3240
    t3413_s: float = 6.0
    paging_retransmissions: int = 2
    mobile_reachable_margin_s: float = 240.0
    implicit_detach_s: float = 240.0
    tau_reallocates_guti: bool = True
    authenticate_known: bool = False
    t3422_s: float = 6.0
    t3450_s: float = 6.0
    t3460_s: float = 6.0
    t3470_s: float = 6.0
    t3489_s: float = 4.0
    context_setup_s: float = 10.0
    need_s: float = 5.0
    unused_session_s: float = 30.0
    max_retransmissions: int = 4
    t3489_retransmissions: int = 2
    ack_wait_s: int = 60
    timer_outage_s: int = 3600
    clock_bound_ms: int = 200
    overload_start_ms: int = 500
    overload_shed_ms: int = 800
    overload_stop_ms: int = 150
    t3346_s: int = 30
    s1_setup_time_to_wait_s: int = 10
    m_tmsi_key: bytes = field(default=bytes(32), repr=False)
    other_m_tmsi_keys: tuple[bytes, ...] = field(default=(), repr=False)

    def blocks(self, imeisv: str) -> bool:
        """Whether equipment with that IMEI or IMEISV (14 to 16 digits) is on the list of blocked ones, by prefix."""
        return any(imeisv.startswith(prefix.strip()) for prefix in self.blocked_imeis.split(",") if prefix.strip())

    @property
    def checks_equipment(self) -> bool:
        """Whether a UE has to tell its IMEISV before it is served."""
        return bool(self.blocked_imeis.strip())

    @property
    def emergency_policy(self) -> EmergencyAttach:
        return EmergencyAttach(self.emergency_attach)

    @property
    def gummei(self) -> Gummei:
        return Gummei(self.plmn, self.mme_group_id, self.mme_code)

    def serves(self, tai: Tai) -> bool:
        """Whether a UE may register in that tracking area."""
        return tai.plmn == self.plmn and tai.tac in self.tacs

    def tai_list(self, here: Tai) -> tuple[Tai, ...]:
        """TAIs that a UE is registered in: where it is, and others served, up to the 16 that a TAI list holds."""
        others = [Tai(self.plmn, tac) for tac in self.tacs if tac != here.tac]
        return (here, *others[:15])

    @property
    def duplicates_s(self) -> int:
        """How long an item's id is remembered: three times ack_wait."""
        return 3 * self.ack_wait_s

    @property
    def timer_rows_s(self) -> int:
        """How long a timer's row lives beyond its time: no ticker may be there, or no store, for timer_outage_s."""
        return self.timer_outage_s + self.duplicates_s


_SECRET = ("m_tmsi_key", "other_m_tmsi_keys")
SETTINGS = tuple(each.name for each in fields(MmeConfig) if each.name not in _SECRET)
"""Names of the variables that `load` reads; charts/edge-platform takes no others for its tickers."""


def _numbers(key: str, text: str) -> tuple[int, ...]:
    """ "7,9-12" -> (7, 9, 10, 11, 12)."""
    numbers: list[int] = []
    try:
        for part in text.split(","):
            first, _, last = part.strip().partition("-")
            numbers.extend(range(int(first), int(last or first) + 1))
    except ValueError as e:
        raise ConfigError(key, "must be numbers and ranges, for example 7,9-12") from e
    return tuple(numbers)


def load(
    environment: Mapping[str, str] | None = None,
    *,
    m_tmsi_key: bytes = bytes(32),
    other_m_tmsi_keys: tuple[bytes, ...] = (),
) -> MmeConfig:
    """Read the settings; the keys (32 octets each) are secrets and come apart.  Raises ConfigError with the name."""
    env = os.environ if environment is None else environment
    default = MmeConfig()
    values: dict[str, object] = {}
    for name in SETTINGS:
        text = env.get(name)
        if text is None:
            continue
        old = getattr(default, name)
        try:
            match old:
                case bool():
                    if text not in ("true", "false"):
                        raise ConfigError(name, "must be true or false")
                    values[name] = text == "true"
                case int():
                    values[name] = int(text)
                case float():
                    values[name] = float(text)
                case tuple():
                    values[name] = _numbers(name, text)
                case Plmn():
                    values[name] = Plmn(text)
                case _:
                    values[name] = text
        except ValueError as e:
            raise ConfigError(name, f"{text!r} is no {type(old).__name__.lower()}") from e
    config = MmeConfig(**values, m_tmsi_key=m_tmsi_key, other_m_tmsi_keys=other_m_tmsi_keys)  # type: ignore[arg-type]
    for name, top in (("mme_group_id", 0xFFFF), ("mme_code", 0xFF), ("relative_mme_capacity", 0xFF)):
        if not 0 <= getattr(config, name) <= top:
            raise ConfigError(name, f"must be 0 to {top}")
    if any(not 0 <= tac <= 0xFFFF for tac in config.tacs) or not config.tacs:
        raise ConfigError("tacs", "must be one or more numbers from 0 to 65535")
    _check_security(config)
    _check_emergency(config)
    _check_timers(config)
    return config


def _check_security(config: MmeConfig) -> None:
    """No null integrity: a UE that is not unauthenticated by policy is never served without (TS 33.401 5.1.4.2)."""
    for name, order, known in (
        ("eea_order", config.eea_order, IMPLEMENTED_EEA),
        ("eia_order", config.eia_order, IMPLEMENTED_EIA),
    ):
        if not order or any(algorithm not in known for algorithm in order):
            raise ConfigError(name, f"must be one or more of {', '.join(str(algorithm) for algorithm in known)}")


def _check_emergency(config: MmeConfig) -> None:
    policies = [policy.value for policy in EmergencyAttach]
    if config.emergency_attach not in policies:
        raise ConfigError("emergency_attach", f"must be one of {', '.join(policies)}")
    if not config.emergency_access_point_name:
        raise ConfigError("emergency_access_point_name", "must not be empty")
    for name, low, high in (
        ("emergency_qci", 1, 9),
        ("emergency_priority_level", 1, 15),
        ("emergency_ambr_bps", 1, 10_000_000_000),
    ):
        if not low <= getattr(config, name) <= high:
            raise ConfigError(name, f"must be {low} to {high}")


def _check_timers(config: MmeConfig) -> None:
    units = [unit for unit in (2, 60, 360) if config.t3412_s % unit == 0 and 0 <= config.t3412_s // unit <= 31]
    if not units:
        raise ConfigError("t3412_s", "must be 0 to 31 times 2 s, 60 s or 360 s (TS 24.008 10.5.7.3)")
    if config.s1_setup_time_to_wait_s not in (1, 2, 5, 10, 20, 60):
        raise ConfigError("s1_setup_time_to_wait_s", "must be 1, 2, 5, 10, 20 or 60 (TS 36.413 9.2.1.61)")
    if not 0 < config.overload_stop_ms < config.overload_start_ms < config.overload_shed_ms:
        raise ConfigError(
            "overload_stop_ms", "must be above 0, below overload_start_ms, which is below overload_shed_ms"
        )
    if config.t3346_s % 2 or not 2 <= config.t3346_s <= 30:
        raise ConfigError("t3346_s", "must be an even number from 2 to 30; each UE is told this to twice this")
    if not 0 < config.timer_outage_s <= MOST_OUTAGE_S:
        raise ConfigError("timer_outage_s", f"must be 1 to {MOST_OUTAGE_S}, in seconds")
    if config.clock_bound_ms < 0:
        raise ConfigError("clock_bound_ms", "must be 0 or more")
    for name, value in ((f.name, getattr(config, f.name)) for f in fields(config)):
        if isinstance(value, float) and not (math.isfinite(value) and value > 0):
            raise ConfigError(name, "must be a number of seconds above 0")
        if name.endswith("retransmissions") and value < 0:
            raise ConfigError(name, "must be 0 or more")
