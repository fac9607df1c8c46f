"""What happened in a run, as values: one JSON object a line.  No key and no IMSI stands in it; UEs have numbers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

UP, DOWN = "up", "down"
ATTACH, DETACH, IDLE, RETURN, MOVE = "attach", "detach", "idle", "return", "move"
TAKEN = ("done", "duplicate")
"""Results of an item that the MME has taken."""
LETS_GO = (ATTACH, DETACH)
"""Procedures with which the MME may take back what it gave the UE: its GUTI and its address."""


class _Event(msgspec.Struct, frozen=True, tag_field="event", omit_defaults=True):
    """at_ms: since the run began.  ue: its number from 1; 0 = none."""

    at_ms: float
    ue: int = 0


class Injected(_Event, frozen=True, tag="injected"):
    """A strike of the nemesis: what was done to whom.  hit: calls that a killed replica had under way."""

    what: str = ""
    whom: str = ""
    hit: int = 0


class Began(_Event, frozen=True, tag="began"):
    """A UE begins a procedure."""

    procedure: str = ""


class Ended(_Event, frozen=True, tag="ended"):
    """The procedure's end.  fault: "" = it went as it should."""

    procedure: str = ""
    fault: str = ""


class Opened(_Event, frozen=True, tag="opened"):
    """A new S1 connection: nothing that comes over it was made before."""

    connection: str = ""


class Nas(_Event, frozen=True, tag="nas"):
    """A protected NAS message on the wire, whoever took it in.  way: "up" or "down".

    key: stands for K_ASME.  count: its NAS COUNT, found by its MAC.  octets: stands for all its octets.
    """

    way: str = ""
    key: str = ""
    count: int = 0
    octets: str = ""


class Challenged(_Event, frozen=True, tag="challenged"):
    """An AUTHENTICATION REQUEST reached the UE.  octets: stands for RAND and AUTN."""

    connection: str = ""
    sqn: int = 0
    octets: str = ""


class Named(_Event, frozen=True, tag="named"):
    """The UE took a GUTI, and with an attach an address."""

    guti: str = ""
    address: str = ""


class Answered(_Event, frozen=True, tag="answered"):
    """The MME's judgement on an uplink message.  result "lost": the eNB gave up."""

    message: str = ""
    result: str = ""


def takes_in(event: object) -> bool:
    """Whether the MME took an ATTACH COMPLETE: what is slow or lost beside that is no attach that failed."""
    return isinstance(event, Answered) and event.message == "Attach Complete" and event.result in TAKEN


def shows_attached(event: object) -> bool:
    """Whether the UE is attached by what the MME did: it took an ATTACH COMPLETE, or served what it serves nobody else.

    An ATTACH COMPLETE may be lost for good, beside a dead node for example.  MME and UE both hold the UE for registered
    then (TS 24.301 5.5.1.2.7 c), and its service request or update is accepted.
    """
    return takes_in(event) or (isinstance(event, Ended) and event.procedure in {RETURN, MOVE} and not event.fault)


class Refused(_Event, frozen=True, tag="refused"):
    """The network turned down what the UE asked for.  cause: of EMM."""

    message: str = ""
    cause: int = 0


class Last(_Event, frozen=True, tag="last"):
    """How the UE holds things to be at the end.  enb_ue_s1ap_id 0: it is idle.

    tried: it never gave up.  fault: of its last procedure, "" = it went as it should.
    """

    tried: bool = True
    fault: str = ""
    registered: bool = False
    guti: str = ""
    address: str = ""
    key: str = ""
    uplink_count: int = 0
    downlink_count: int = 0
    enb: str = ""
    enb_ue_s1ap_id: int = 0


class Context(_Event, frozen=True, tag="context"):
    """A UE context in the store at the end; ue 0: of no UE of this run.  indexed: the IMSI's row points to it.

    registered: also while another procedure runs beside.  waits_for: the running procedure's step, "" = none.
    timers: those it holds, with the milliseconds until they are due.  rows: those of them that have a row.
    old_guti: as good as the new one, until the UE uses that.
    """

    context: int = 0
    indexed: bool = False
    registered: bool = False
    waits_for: str = ""
    timers: dict[str, int] = {}
    rows: tuple[str, ...] = ()
    guti: str = ""
    old_guti: str = ""
    address: str = ""
    key: str = ""
    uplink_count: int = 0
    downlink_count: int = 0
    enb: str = ""
    enb_ue_s1ap_id: int = 0


class HomeSqn(_Event, frozen=True, tag="home-sqn"):
    """The subscriber's row at the end: SQN of the vector given out last."""

    sqn: int = 0


Event = Injected | Began | Ended | Opened | Nas | Challenged | Named | Answered | Refused | Last | Context | HomeSqn

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Event).decode


def write(path: Path, events: Iterable[Event]) -> None:
    """One JSON object a line, in order of time."""
    with path.open("wb") as file:
        file.writelines(_encode(event) + b"\n" for event in ordered(events))


def read(path: Path) -> list[Event]:
    """Raises msgspec.DecodeError for a line that is no event, OSError."""
    with path.open("rb") as file:
        return [_decode(line) for line in file if line.strip()]


def line(event: Event) -> str:
    """As it stands in the file."""
    return _encode(event).decode()


def ordered(events: Iterable[Event]) -> list[Event]:
    """By time; what happened at the same moment stays in its order."""
    return sorted(events, key=lambda event: event.at_ms)
