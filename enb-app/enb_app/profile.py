"""How a UE is built, and its timers (TS 24.301 tables 10.2.1 and 10.3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from enb_app import capability
from mme.enums import AttachType, PdnType, RequestType
from mme.ids import Plmn

T3410 = "T3410"
T3417 = "T3417"
T3421 = "T3421"
T3430 = "T3430"
T3410_S = 15.0
T3411_S = 10.0
T3417_S = 5.0
T3421_S = 15.0
T3430_S = 15.0
T3402_S = 720.0
UNPROTECTED_T3346_S = (15 * 60.0, 30 * 60.0)
"""What a UE takes for T3346 where the message that tells it is not protected (TS 24.301 5.5.1.2.5, TS 24.008 11.2)."""
NO_KEY = 7


class State(Enum):
    """EMM main states of the UE (TS 24.301 5.1.3.2)."""

    DEREGISTERED = "EMM-DEREGISTERED"
    REGISTERED_INITIATED = "EMM-REGISTERED-INITIATED"
    REGISTERED = "EMM-REGISTERED"
    DEREGISTERED_INITIATED = "EMM-DEREGISTERED-INITIATED"
    SERVICE_REQUEST_INITIATED = "EMM-SERVICE-REQUEST-INITIATED"
    TRACKING_AREA_UPDATING_INITIATED = "EMM-TRACKING-AREA-UPDATING-INITIATED"


@dataclass(frozen=True, slots=True)
class Profile:
    """How this UE is built.  wrong_res: answers challenges wrongly.  esm_information: keeps the APN until asked.

    knows_capability False: it finds the capabilities that SECURITY MODE COMMAND repeats wrong.
    tells_imeisv False: not in SECURITY MODE COMPLETE, but when it is asked by itself.
    drx_parameter: 2 octets (TS 24.008 10.5.5.6), None = the cell's cycle.
    has_usim False: it has an IMEI and no IMSI, so that all it can do is call for help.
    """

    plmn: Plmn
    ue_network_capability: bytes = capability.SRSUE_NETWORK_CAPABILITY
    ms_network_capability: bytes | None = None
    attach_type: int = AttachType.EPS
    pdn_type: int = PdnType.IPV4
    request_type: int = RequestType.INITIAL
    access_point_name: str | None = None
    esm_information: bool = False
    pco: bytes | None = None
    imeisv: str = "3534900698733001"
    tells_imeisv: bool = True
    drx_parameter: bytes | None = None
    pti: int = 1
    wrong_res: bool = False
    knows_capability: bool = True
    has_usim: bool = True
    t3410_s: float = T3410_S

    @property
    def imei(self) -> str:
        """15 digits, of the same equipment as imeisv; the check digit is sent as 0 (TS 23.003 6.2.1)."""
        return f"{self.imeisv[:14]}0"

    @property
    def emergency(self) -> bool:
        return self.attach_type == AttachType.EMERGENCY
