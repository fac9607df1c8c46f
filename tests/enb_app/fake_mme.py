"""A small network side for tests: EPS AKA, NAS security and the attach, straight from the codec, no MME code."""

from __future__ import annotations

from dataclasses import dataclass, field
from hmac import compare_digest

from enb_app.usim import Subscriber
from mme.codec import nas, s1ap
from mme.codec.envelope import Cost, Downlink, Item, Reply
from mme.crypto import kdf, milenage, nas_security
from mme.enums import CauseGroup, Direction, EmmCause, IdentityType, SecurityHeader
from mme.ids import Gummei, Guti, Imsi, Plmn, Tai
from mme.messages import (
    ActivateDefaultEpsBearerContextRequest,
    AttachAccept,
    AttachComplete,
    AttachReject,
    AttachRequest,
    AuthenticationFailure,
    AuthenticationReject,
    AuthenticationRequest,
    AuthenticationResponse,
    Cause,
    DetachAccept,
    DetachRequestFromUe,
    DownlinkNasTransport,
    EmmInformation,
    EmmMessage,
    ErabToBeSetup,
    EsmContainer,
    EsmInformationRequest,
    IdentityRequest,
    IdentityResponse,
    InitialContextSetupRequest,
    InitialUeMessage,
    PdnAddress,
    S1apMessage,
    S1SetupRequest,
    S1SetupResponse,
    SecurityModeCommand,
    SecurityModeComplete,
    ServedGummei,
    UeContextReleaseCommand,
    UeContextReleaseComplete,
    UeContextReleaseRequest,
    UplinkNasTransport,
)

PLMN = Plmn("00101")
RAND = bytes(range(16))
SUBSCRIBER = Subscriber(Imsi("001010123456780"), bytes(range(16, 32)), bytes(range(32, 48)))
GUTI = Guti(Gummei(PLMN, 1, 1), 0xC0FFEE)
RELEASED = Cause(CauseGroup.NAS, "normal-release")


class FakeNetwork:
    """The network's NAS for one UE."""

    def __init__(self, subscriber: Subscriber = SUBSCRIBER) -> None:
        self.subscriber = subscriber
        self.vector: milenage.EutranVector | None = None
        self.eea = 2
        self.ul_count = 0
        self.dl_count = 0

    def challenge(self, sqn: int = 1, rand: bytes = RAND, ksi: int = 0) -> bytes:
        keys = self.subscriber
        octets = sqn.to_bytes(6, "big")
        self.vector = milenage.generate_eutran_vector(keys.k, keys.opc, rand, octets, b"\x80\x00", PLMN.octets())
        return nas.encode(AuthenticationRequest(ksi, rand, self.vector.autn))

    @property
    def k_asme(self) -> bytes:
        assert self.vector
        return self.vector.k_asme

    def command(self, replayed: bytes = b"\xf0\x70", eea: int = 2, eia: int = 2, imeisv: bool = False) -> bytes:
        """SECURITY MODE COMMAND, the first one of a new context."""
        self.eea, self.ul_count, self.dl_count = eea, 0, 0
        return self.send(SecurityModeCommand(eea, eia, 0, replayed, imeisv), SecurityHeader.INTEGRITY_NEW, eia)

    def send(
        self, message: EmmMessage, header: SecurityHeader = SecurityHeader.INTEGRITY_CIPHERED, eia: int = 2
    ) -> bytes:
        count, self.dl_count = self.dl_count, self.dl_count + 1
        payload = nas.encode(message)
        if header is SecurityHeader.INTEGRITY_CIPHERED:
            payload = nas_security.cipher(self.eea, kdf.k_nas_enc(self.k_asme, self.eea), count, 0, 1, payload)
        sequence_number = count & 0xFF
        signed = bytes((sequence_number,)) + payload
        mac = nas_security.mac(eia, kdf.k_nas_int(self.k_asme, eia), count, 0, 1, signed)
        return nas.seal(header, mac, sequence_number, payload)

    def read(self, octets: bytes) -> EmmMessage | None:
        """An uplink message; None = MAC wrong or sent before."""
        envelope = nas.open_envelope(octets)
        if envelope is None:
            return nas.decode(octets)
        mac = nas_security.mac(2, kdf.k_nas_int(self.k_asme, 2), self.ul_count, 0, 0, octets[5:])
        if not compare_digest(mac, envelope.mac):
            return None
        count, self.ul_count = self.ul_count, self.ul_count + 1
        key = kdf.k_nas_enc(self.k_asme, self.eea)
        return nas.decode(nas_security.cipher(self.eea, key, count, 0, 0, envelope.payload), Direction.UPLINK)

    def accept(self, pti: int = 1) -> bytes:
        bearer = ActivateDefaultEpsBearerContextRequest(5, pti, 9, "internet", PdnAddress(bytes((10, 45, 0, 2))))
        return self.send(AttachAccept(1, 3240, (Tai(PLMN, 7),), bearer, GUTI))


@dataclass
class FakeMme:
    """Works off items of one eNB's UEs.  subscribers: by IMSI; others are unknown.

    congested: so many attaches are refused with #22 before the first is taken.
    with_setup: (number, message) of what is told with S1 SETUP RESPONSE; overtaking: it comes before that.
    """

    subscribers: dict[str, Subscriber]
    congested: int = 0
    esm_information: bool = False
    with_setup: list[tuple[int, S1apMessage]] = field(default_factory=list)
    overtaking: bool = False
    served_plmn: Plmn = PLMN
    networks: dict[int, FakeNetwork] = field(default_factory=dict)
    orders: dict[int, int] = field(default_factory=dict)
    seen: dict[str, Reply] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)

    def work(self, item: Item) -> Reply:
        self.ids.append(item.id)
        if item.id in self.seen:
            return self.seen[item.id]
        assert item.s1ap is not None
        result, messages, ue = self._react(s1ap.decode(item.s1ap))
        downlinks = [self._downlink(item, message, ue) for message in messages]
        if isinstance(messages[0] if messages else None, S1SetupResponse):
            told = [
                Downlink(f"{item.id}/o{at}", item.enb, 0, s1ap.encode(message), None, number)
                for at, (number, message) in enumerate(self.with_setup)
            ]
            downlinks = told + downlinks if self.overtaking else downlinks + told
        self.seen[item.id] = Reply(item.id, result, downlinks)
        return self.seen[item.id]

    def cost(self) -> Cost:
        return Cost(1, 0, 1, 2.5)

    def _downlink(self, item: Item, message: S1apMessage, ue: int | None) -> Downlink:
        order = None
        if ue is not None:
            order = self.orders.get(ue, 0)
            self.orders[ue] = order + 1
        return Downlink(f"{item.id}/d{order}", item.enb, item.stream, s1ap.encode(message), ue, order)

    def _react(self, message: S1apMessage) -> tuple[str, list[S1apMessage], int | None]:
        match message:
            case S1SetupRequest():
                return "done", [S1SetupResponse((ServedGummei((self.served_plmn,), (1,), (1,)),), 255)], None
            case InitialUeMessage(enb_ue_s1ap_id=ue, nas_pdu=bytes() as octets):
                return self._initial(ue, octets)
            case UplinkNasTransport(enb_ue_s1ap_id=ue, nas_pdu=bytes() as octets):
                said = self.networks[ue].read(octets)
                if said is None:
                    return "discarded", [], ue
                result, messages = self._answer(ue, said)
                return result, messages, ue
            case UeContextReleaseRequest(enb_ue_s1ap_id=ue):
                return "done", [self._release(ue)], ue
            case UeContextReleaseComplete(enb_ue_s1ap_id=ue):
                return "done", [], ue
            case _:
                return "done", [], None

    def _initial(self, ue: int, octets: bytes) -> tuple[str, list[S1apMessage], int | None]:
        request = nas.decode(octets)
        assert isinstance(request, AttachRequest)
        assert isinstance(request.identity, Imsi)
        if self.congested > 0:
            self.congested -= 1
            return "rejected", [self._nas(ue, nas.encode(AttachReject(EmmCause.CONGESTION))), self._release(ue)], ue
        subscriber = self.subscribers.get(request.identity.digits)
        if subscriber is None:
            reject = nas.encode(AttachReject(EmmCause.EPS_SERVICES_AND_NON_EPS_SERVICES_NOT_ALLOWED))
            return "rejected", [self._nas(ue, reject), self._release(ue)], ue
        network = self.networks[ue] = FakeNetwork(subscriber)
        return "done", [self._nas(ue, network.challenge())], ue

    def _answer(self, ue: int, said: EmmMessage) -> tuple[str, list[S1apMessage]]:
        network = self.networks[ue]
        match said:
            case AuthenticationResponse(res=res):
                assert network.vector
                if res != network.vector.xres:
                    return self._refuse(ue)
                return "done", [self._nas(ue, network.command())]
            case AuthenticationFailure(cause=EmmCause.MAC_FAILURE):
                return "done", [self._nas(ue, nas.encode(IdentityRequest(IdentityType.IMSI)))]
            case IdentityResponse():
                return self._refuse(ue)
            case SecurityModeComplete() if self.esm_information:
                return "done", [self._nas(ue, network.send(EsmContainer(EsmInformationRequest(0, 1))))]
            case SecurityModeComplete() | EsmContainer():
                return "done", [self._context_setup(ue)]
            case AttachComplete():
                return "done", [self._nas(ue, network.send(EmmInformation(full_name="Fake")))]
            case DetachRequestFromUe(switch_off=True):
                return "done", [self._release(ue)]
            case DetachRequestFromUe():
                return "done", [self._nas(ue, network.send(DetachAccept())), self._release(ue)]
            case _:
                return "discarded", []

    def _refuse(self, ue: int) -> tuple[str, list[S1apMessage]]:
        return "rejected", [self._nas(ue, nas.encode(AuthenticationReject())), self._release(ue)]

    def _context_setup(self, ue: int) -> S1apMessage:
        network = self.networks[ue]
        bearer = ErabToBeSetup(5, 9, 8, bytes((127, 0, 0, 1)), 77, network.accept())
        k_enb = kdf.k_enb(network.k_asme, 0)  # count of SECURITY MODE COMPLETE
        return InitialContextSetupRequest(ue + 1000, ue, 10**9, 10**9, (bearer,), 0xE000, 0xE000, k_enb)

    def _release(self, ue: int) -> S1apMessage:
        return UeContextReleaseCommand(ue + 1000, ue, RELEASED)

    def _nas(self, ue: int, octets: bytes) -> S1apMessage:
        return DownlinkNasTransport(ue + 1000, ue, octets)
