"""A registered UE as it comes back: its side of NAS security is AES alone (TS 33.401 annex B), counted by itself.

Its keys and its GUTI are those of an attached `Talk`; from then on nothing of the simulator's UE has a part in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any

from mme.codec import nas, s1ap
from mme.codec.envelope import Downlink
from mme.crypto import kdf
from mme.enums import Direction, S1apCause, SecurityHeader
from mme.ids import Guti, STmsi
from mme.messages import (
    DetachRequestFromUe,
    EmmMessage,
    ErabSetup,
    InitialContextSetupRequest,
    InitialContextSetupResponse,
    InitialUeMessage,
    S1apMessage,
    TrackingAreaUpdateRequest,
    UeContextReleaseComplete,
    UplinkNasTransport,
)
from tests.mme.procedures import conftest as ue
from tests.mme.runtime.pair import ENB, Exchange, Network, Talk
from tests.mme.test_nas_transport import eea2, eia2

UPLINK, DOWNLINK = 0, 1
_runs = count(1)


@dataclass
class Returning:
    """One UE with the keys of `talk`.  number: ENB-UE-S1AP-ID of its present connection.

    heard: the S1AP messages of its eNB about it.  told: the NAS messages in them, deciphered, their MAC right.
    """

    network: Network
    talk: Talk
    enb: str = ENB
    number: int = 0
    heard: list[S1apMessage] = field(default_factory=list)
    told: list[EmmMessage] = field(default_factory=list)

    def __post_init__(self) -> None:
        security = self.talk.ue.security
        assert security is not None
        assert self.talk.ue.guti is not None
        assert (security.eea, security.eia) == (2, 2)
        self.guti: Guti = self.talk.ue.guti
        self.ksi = security.ksi
        self.k_asme = security.k_asme
        self.k_enc = kdf.k_nas_enc(security.k_asme, 2)
        self.k_int = kdf.k_nas_int(security.k_asme, 2)
        self.ul_count = security.ul_count
        self.dl_count = security.dl_count
        self.mme_id = self.talk.side.mme_ue_s1ap_id
        self.number = self.number or self.talk.number
        self.run = f"back{next(_runs)}"
        self.sent = 0

    # ------------------------------------------------------------------ NAS

    def sealed(
        self, message: EmmMessage | bytes, header: SecurityHeader = SecurityHeader.INTEGRITY, *, wrong: bool = False
    ) -> bytes:
        """Under the next uplink NAS COUNT.  wrong: the MAC does not hold, and no count is used up."""
        plain = message if isinstance(message, bytes) else nas.encode(message)
        number = self.ul_count
        if header is SecurityHeader.INTEGRITY_CIPHERED:
            plain = eea2(self.k_enc, number, 0, UPLINK, plain)
        signed = bytes((number & 0xFF,)) + plain
        mac = eia2(self.k_int, number, 0, UPLINK, signed)
        if wrong:
            mac = bytes((mac[0] ^ 0x40,)) + mac[1:]
        else:
            self.ul_count += 1
        return bytes((header << 4 | 7,)) + mac + signed

    def service_request(self, *, wrong: bool = False) -> bytes:
        """TS 24.301 8.2.25, 9.9.3.19, 9.9.3.28."""
        head = bytes((SecurityHeader.SERVICE_REQUEST << 4 | 7, self.ksi << 5 | self.ul_count & 0x1F))
        short = bytearray(eia2(self.k_int, self.ul_count, 0, UPLINK, head)[2:])
        if wrong:
            short[1] ^= 1
        else:
            self.ul_count += 1
        return head + bytes(short)

    def update_request(self, **changes: Any) -> TrackingAreaUpdateRequest:
        fields = {"update_type": 0, "active": False, "nas_ksi": self.ksi, "old_guti": self.guti}
        return TrackingAreaUpdateRequest(**{**fields, **changes})

    def attach_request(self, **changes: Any) -> EmmMessage:
        return ue.attach_request(identity=self.guti, nas_ksi=self.ksi, **changes)

    def detach_request(self, *, switch_off: bool = False) -> DetachRequestFromUe:
        return DetachRequestFromUe(1, switch_off, self.ksi, self.guti)

    # ------------------------------------------------------------------ S1AP

    def comes(self, octets: bytes, *, enb: str = ENB, number: int | None = None) -> Exchange:
        """INITIAL UE MESSAGE on a new connection, with its S-TMSI beside it; what comes back is heard."""
        self.enb = enb
        self.number = 500 + next(_runs) if number is None else number
        self.mme_id = None
        exchange = self.send(self.initial(octets))
        self.hear(exchange)
        return exchange

    def initial(self, octets: bytes) -> bytes:
        cell = self.network.cells[self.enb]
        s_tmsi = STmsi(self.guti.gummei.mme_code, self.guti.m_tmsi)
        return s1ap.encode(InitialUeMessage(self.number, octets, cell.tai, cell.ecgi, s_tmsi=s_tmsi))

    def says(self, message: EmmMessage | bytes) -> Exchange:
        """UPLINK NAS TRANSPORT, ciphered.  message: also as its plain octets."""
        octets = self.sealed(message, SecurityHeader.INTEGRITY_CIPHERED)
        assert self.mme_id is not None
        cell = self.network.cells[self.enb]
        exchange = self.send(s1ap.encode(UplinkNasTransport(self.mme_id, self.number, octets, cell.ecgi, cell.tai)))
        self.hear(exchange)
        return exchange

    def sends(self, message: S1apMessage) -> Exchange:
        exchange = self.send(s1ap.encode(message))
        self.hear(exchange)
        return exchange

    def send(self, octets: bytes) -> Exchange:
        self.sent += 1
        return self.network.s1ap(octets, run=self.run, number=self.sent, enb=self.enb)

    def set_up(self) -> Exchange:
        """The eNB's answer to INITIAL CONTEXT SETUP REQUEST."""
        assert self.mme_id is not None
        e_rabs = (ErabSetup(5, bytes((127, 0, 1, 1)), self.number << 4 | 5),)
        return self.sends(InitialContextSetupResponse(self.mme_id, self.number, e_rabs))

    def release_complete(self) -> Exchange:
        assert self.mme_id is not None
        return self.sends(UeContextReleaseComplete(self.mme_id, self.number))

    # ------------------------------------------------------------------ what it hears

    def hear(self, exchange: Exchange) -> None:
        for downlink in exchange.reply.downlink:
            self.take(downlink)

    def take(self, downlink: Downlink) -> None:
        """A downlink of its present connection; others are not for it."""
        if (downlink.enb, downlink.ue) != (self.enb, self.number):
            return
        message = s1ap.decode(downlink.s1ap)
        self.heard.append(message)
        self.mme_id = getattr(message, "mme_ue_s1ap_id", self.mme_id)
        pdus: list[Any] = [getattr(message, "nas_pdu", None)]
        if isinstance(message, InitialContextSetupRequest):
            pdus = [erab.nas_pdu for erab in message.e_rabs]
        self.told += [self._opened(pdu) for pdu in pdus if pdu is not None]

    def _opened(self, octets: bytes) -> EmmMessage:
        header = octets[0] >> 4
        if header == SecurityHeader.PLAIN:
            return nas.decode(octets, Direction.DOWNLINK)
        signed, number = octets[5:], octets[5]
        assert number >= self.dl_count, "these UEs are far from the first overflow"
        assert octets[1:5] == eia2(self.k_int, number, 0, DOWNLINK, signed), "the network's MAC is wrong"
        self.dl_count = number + 1
        plain = signed[1:]
        if header == SecurityHeader.INTEGRITY_CIPHERED:
            plain = eea2(self.k_enc, number, 0, DOWNLINK, plain)
        return nas.decode(plain, Direction.DOWNLINK)

    def pushed(self) -> list[S1apMessage]:
        """What was pushed to the UE's present connection since, heard by it."""
        before = len(self.heard)
        for downlink in self.network.pushes.taken:
            self.take(downlink)
        self.network.pushes.taken = []
        return self.heard[before:]

    def context(self) -> Any:
        """The MME's context of this UE: the one that its keys are in, in whatever state."""
        found = [c for c in self.network.contexts() if c.security and c.security.k_asme == self.k_asme]
        assert len(found) == 1
        return found[0]


def attached(network: Network, imsi: str | None = None, **changes: Any) -> Returning:
    """A UE that has attached, with its Attach Complete answered."""
    talk = network.ue(network.subscribe(imsi) if imsi else network.subscribe(), **changes)
    talk.run()
    return Returning(network, talk, enb=talk.enb)


def idle(network: Network, imsi: str | None = None, **changes: Any) -> Returning:
    """A UE that has attached and then gone idle, by its eNB's wish."""
    back = attached(network, imsi, **changes)
    request = back.talk.side.request_release(S1apCause.USER_INACTIVITY)
    assert request is not None
    back.talk.queue.append(request)
    back.talk.flow()
    assert back.context().connection is None
    return back
