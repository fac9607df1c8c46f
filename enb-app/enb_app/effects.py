"""What the machines ask of the world around them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from mme.ids import STmsi
from mme.messages import EmmMessage, TrackingAreaUpdateAccept


class Verdict(Enum):
    """How a UE's run ended."""

    ATTACHED = "attached"
    REJECTED = "rejected"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SendNas:
    """A NAS message of the UE.  name: in the words of TS 24.301.  protected: it carries a MAC.

    s_tmsi, establishment_cause: what NAS tells RRC along with an initial message (TS 24.301 5.3.1.1, annex D).
    """

    octets: bytes
    name: str
    protected: bool = False
    s_tmsi: STmsi | None = None
    establishment_cause: str = "mo-Signalling"


@dataclass(frozen=True, slots=True)
class NasReceived:
    """The UE understood a downlink NAS message; for the ladder.  message None: it could not be decoded."""

    name: str
    message: EmmMessage | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class StartTimer:
    """A timer that is running already starts anew."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class StopTimer:
    name: str


@dataclass(frozen=True, slots=True)
class Registered:
    """The UE has sent its Attach Complete; the SendNas before this one."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The UE is done with the network.  connection_lost: nobody tells the eNB, it must ask for the release itself."""

    verdict: Verdict
    cause: str
    emm_cause: int | None = None
    connection_lost: bool = False


@dataclass(frozen=True, slots=True)
class Detached:
    """A UE that was registered is no more, on its own wish."""


@dataclass(frozen=True, slots=True)
class ServiceGranted:
    """The bearers that the UE came back for are there."""


@dataclass(frozen=True, slots=True)
class AreaUpdated:
    """The network has taken the tracking area update; a TRACKING AREA UPDATE COMPLETE went before."""

    accept: TrackingAreaUpdateAccept


@dataclass(frozen=True, slots=True)
class GutiTaken:
    """The UE uses the GUTI of a GUTI REALLOCATION COMMAND."""


@dataclass(frozen=True, slots=True)
class DetachedByNetwork:
    """The network has detached the UE.  reattach: it wants it back (5.5.2.3.2)."""

    reattach: bool


@dataclass(frozen=True, slots=True)
class SendS1ap:
    """An S1AP message of the eNB.  nas: name of the NAS message inside.  copy: replayed on purpose."""

    octets: bytes
    name: str
    nas: str | None = None
    protected: bool = False
    copy: bool = False


@dataclass(frozen=True, slots=True)
class S1apReceived:
    """The eNB understood a downlink S1AP message; for ladder and capture."""

    octets: bytes
    name: str


@dataclass(frozen=True, slots=True)
class DeliverNas:
    """NAS octets for the UE."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class BearersUp:
    """The eNB has set up the UE's context.  k_enb: 32 octets, under which RRC would now be protected."""

    k_enb: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Released:
    """The MME has released this UE's S1 connection.  cause: ASN.1 name."""

    cause: str


@dataclass(frozen=True, slots=True)
class AttachAnswered:
    """The MME has taken the Attach Complete: the end of the attach as it is measured."""


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing more will happen in this run."""

    verdict: Verdict
    cause: str
    emm_cause: int | None = None
    detached: bool = False


UeEvent = Registered | ServiceGranted | AreaUpdated | GutiTaken | DetachedByNetwork | Detached | Ended
UeEffect = SendNas | NasReceived | StartTimer | StopTimer | UeEvent
EnbEffect = SendS1ap | S1apReceived | DeliverNas | BearersUp | Released
Effect = SendS1ap | S1apReceived | NasReceived | StartTimer | StopTimer | AttachAnswered | Done
