"""What a run is told, whether from the command line, a test or the bench."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from enb_app.association import Leave
from enb_app.attempts import MOST_ATTEMPTS
from enb_app.outbox import Policy
from enb_app.overload import LONGEST_WAIT_S
from enb_app.profile import T3402_S, T3411_S
from enb_app.ue import T3410_S
from mme.ids import GlobalEnbId, Plmn

DEFAULT_GATEWAY = "http://127.0.0.1:8080"
DEFAULT_SUBSCRIBERS = Path(".localfaas/subscribers.csv")


def default_secrets() -> Path:
    """$EDGE_SECRETS_DIR, else what localfaas makes."""
    return Path(os.environ.get("EDGE_SECRETS_DIR") or ".localfaas/secrets")


class Mode(Enum):
    ASYNC = "async"
    SYNC = "sync"


class Fault(Enum):
    """What is wrong with the UEs."""

    NONE = "none"
    WRONG_KEY = "wrong-key"
    WRONG_RES = "wrong-res"
    UNKNOWN_IMSI = "unknown-imsi"


@dataclass(frozen=True, slots=True)
class AttachOptions:
    """rate_per_s None: closed loop of `concurrency` workers.  first_ue: how many subscribers of the list to skip.

    log: a line for each item that is answered or given up.  ladder_ues: so many UEs keep each message for the ladder.
    callback_host: where the gateway reaches this process.
    ignore_overload: eNBs go on at OVERLOAD START.  rrc_wait_s: longest wait that they give UEs otherwise.
    attempts: how often a UE that is refused for congestion attaches in all; t3411_s: its wait where it is told none;
    t3402_s: its wait after every fifth.
    ask_for_s: after so long a UE whose RRC connection is rejected gives up, None = never.
    """

    gateway: str = DEFAULT_GATEWAY
    ues: int = 200
    concurrency: int = 50
    mode: Mode = Mode.ASYNC
    rate_per_s: float | None = None
    enbs: int = 1
    enb: GlobalEnbId = field(default=GlobalEnbId(Plmn("00101"), 0x19B))
    tac: int = 7
    enb_key_file: Path | None = None
    secrets: Path = field(default_factory=default_secrets)
    subscribers: Path = DEFAULT_SUBSCRIBERS
    first_ue: int = 0
    leave: Leave = Leave.STAY
    fault: Fault = Fault.NONE
    replay: bool = False
    eager: bool = False
    esm_information: bool = False
    access_point_name: str = "internet"
    t3410_s: float = T3410_S
    policy: Policy = field(default=Policy())
    callback_host: str = "127.0.0.1"
    callback_port: int = 0
    pcap: Path | None = None
    log: Path | None = None
    ladder_ues: int = 1
    ignore_overload: bool = False
    rrc_wait_s: float = LONGEST_WAIT_S
    attempts: int = MOST_ATTEMPTS
    t3411_s: float = T3411_S
    t3402_s: float = T3402_S
    ask_for_s: float | None = None
    seed: int | None = None
