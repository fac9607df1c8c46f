"""What a procedure needs from outside (an authentication vector, subscription data, a session) and the answers.

A need has an id made of the item's id and a name: a repeated id gets the same answer, so a rerun after a Conflict takes
no second SQN and no second address.  A port answers within its wait in line, or says Pending, and the answer comes
later as an invocation of `mme-answer`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from mme.ids import Imsi, Plmn


@dataclass(frozen=True, slots=True)
class Need:
    """id: "<item id>/<name>".  owner: the UE context's key, so that a late answer finds it."""

    id: str
    owner: int


@dataclass(frozen=True, slots=True)
class NeedVector(Need):
    """One E-UTRAN authentication vector (TS 29.272 Authentication-Information-Request).

    resync: (rand: 16 octets, auts: 14 octets) after a synch failure, so that the HSS takes over SQN_MS.
    """

    imsi: Imsi
    serving_plmn: Plmn
    resync_rand: bytes | None = None
    resync_auts: bytes | None = None


@dataclass(frozen=True, slots=True)
class NeedProfile(Need):
    """Subscription data (TS 29.272 Update-Location-Request)."""

    imsi: Imsi


@dataclass(frozen=True, slots=True)
class NeedSession(Need):
    """A default bearer (TS 29.274 Create Session Request).  pdn_type: 1 IPv4, 2 IPv6, 3 IPv4v6.  pco: the UE's.

    imsi None: a UE without one, for emergency bearer services.  imei: IMEI or IMEISV of a UE whose IMSI is not proven,
    or that has none.
    """

    imsi: Imsi | None
    access_point_name: str
    pdn_type: int
    eps_bearer_identity: int
    pco: bytes | None = None
    imei: str | None = None


SESSION_NEED = "/session"
"""What a NeedSession's id has behind the id of the item that asks."""


def session_id_of(need_id: str) -> str:
    """Id (32 hex digits) of the session that a NeedSession asks for: the MME's choice, as its TEID is on S11.

    So the MME can give back a session whose answer it never saw.
    """
    return hashlib.blake2b(b"session\n" + need_id.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class ModifySession(Need):
    """Downlink end of the bearer (TS 29.274 Modify Bearer Request).  enb_address: 4 octets.  None: released."""

    session_id: str
    enb_address: bytes | None
    enb_teid: int | None


@dataclass(frozen=True, slots=True)
class DeleteSession(Need):
    """TS 29.274 Delete Session Request."""

    session_id: str


class Refusal(Enum):
    """Why a port says no."""

    UNKNOWN_SUBSCRIBER = "unknown-subscriber"
    NOT_ALLOWED = "not-allowed"
    UNKNOWN_APN = "unknown-apn"
    NO_RESOURCES = "no-resources"
    RESYNC_FAILED = "resync-failed"
    UNREACHABLE = "unreachable"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Refused:
    """The port's no."""

    reason: Refusal


@dataclass(frozen=True, slots=True)
class Vector:
    """An E-UTRAN authentication vector (TS 33.401 6.1.2).  16, 4 to 16, 16 and 32 octets."""

    rand: bytes
    xres: bytes = field(repr=False)
    autn: bytes
    k_asme: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ApnConfiguration:
    """One APN of a subscription.  pdn_types: the PdnType values allowed.  ambr in bit/s."""

    access_point_name: str
    qci: int
    priority_level: int
    ambr_dl_bps: int
    ambr_ul_bps: int
    pdn_types: tuple[int, ...] = (1,)
    preemption_capable: bool = False
    preemption_vulnerable: bool = True


@dataclass(frozen=True, slots=True)
class Profile:
    """Subscription data.  The first APN is the default one.  msisdn: digits or None."""

    ue_ambr_dl_bps: int
    ue_ambr_ul_bps: int
    apns: tuple[ApnConfiguration, ...]
    msisdn: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A default bearer's network side.  ipv4: 4 octets or None, ipv6_interface_id: 8 octets or None.

    sgw_address: 4 octets and sgw_teid: 32 bits of the S1-U uplink end.  pco: what the PGW answers to the UE's PCO.
    """

    session_id: str
    sgw_address: bytes
    sgw_teid: int
    ipv4: bytes | None
    ipv6_interface_id: bytes | None = None
    pco: bytes | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """ModifySession and DeleteSession were carried out."""


@dataclass(frozen=True, slots=True)
class Pending:
    """No answer within the wait in line; it comes to `mme-answer`, or never."""


Answer = Vector | Profile | Session | Done | Refused


class Port(Protocol):
    """HSS or gateway as the runtime sees it."""

    def ask(self, need: Need) -> Answer | Pending:
        """Answer within the wait in line (50 ms) or say Pending.  The same id gets the same answer.

        Raises StoreUnavailableError (embedded ports) when nothing was tried.
        """
