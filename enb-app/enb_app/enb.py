"""The eNB's side of S1: the association with the MME, and one machine for each UE (TS 36.413 clauses 8.2 to 8.7)."""

from __future__ import annotations

from dataclasses import dataclass

from enb_app import names
from enb_app.effects import BearersUp, DeliverNas, EnbEffect, Released, S1apReceived, SendNas, SendS1ap
from mme.codec import s1ap
from mme.enums import S1apCause
from mme.errors import S1apError
from mme.ids import Ecgi, GlobalEnbId, Plmn, Tai
from mme.messages import (
    Cause,
    DownlinkNasTransport,
    ErabSetup,
    ErrorIndication,
    InitialContextSetupRequest,
    InitialContextSetupResponse,
    InitialUeMessage,
    NasNonDeliveryIndication,
    S1apMessage,
    S1SetupFailure,
    S1SetupRequest,
    S1SetupResponse,
    SupportedTa,
    UeCapabilityInfoIndication,
    UeContextModificationRequest,
    UeContextModificationResponse,
    UeContextReleaseCommand,
    UeContextReleaseComplete,
    UeContextReleaseRequest,
    UplinkNasTransport,
)

SETUP_STREAM = 0
UE_STREAM = 1
UE_RADIO_CAPABILITY = bytes.fromhex("00720100b818000018000f3020800000")
"""Opaque to the MME: UERadioAccessCapabilityInformation of a category 4 UE on band 7 (TS 36.331 10.2.2)."""

_CONNECTION_GONE = frozenset(
    cause.value[1]
    for cause in (
        S1apCause.UNKNOWN_MME_UE_S1AP_ID,
        S1apCause.UNKNOWN_ENB_UE_S1AP_ID,
        S1apCause.UNKNOWN_PAIR_UE_S1AP_ID,
    )
)
"""Told by the peer, these release the connection at this end without further messages (10.6)."""


@dataclass(frozen=True, slots=True)
class Cell:
    """An eNB with one cell.  gtp_address: 4 octets, where its user plane would be."""

    identity: GlobalEnbId
    tac: int
    name: str
    gtp_address: bytes = bytes((127, 0, 1, 1))
    paging_drx: str = "v128"

    @property
    def enb(self) -> str:
        """The eNB's name in envelopes and keys."""
        return str(self.identity)

    @property
    def plmn(self) -> Plmn:
        return self.identity.plmn

    @property
    def tai(self) -> Tai:
        return Tai(self.plmn, self.tac)

    @property
    def ecgi(self) -> Ecgi:
        """Cell 1 of the eNB: a macro eNB's 20 bits are the upper ones of the 28 (TS 36.413 9.2.1.38)."""
        return Ecgi(self.plmn, self.identity.enb_id << (28 - self.identity.bits) | 1)

    def setup_request(self) -> SendS1ap:
        """S1 SETUP REQUEST (8.7.3)."""
        tas = (SupportedTa(self.tac, (self.plmn,)),)
        request = S1SetupRequest(self.identity, tas, self.name, self.paging_drx)
        return SendS1ap(s1ap.encode(request), names.of_s1ap(request))


def setup_answer(octets: bytes) -> S1SetupResponse | S1SetupFailure | None:
    """What the MME says to S1 SETUP REQUEST; None = something else, or nothing that can be read."""
    try:
        message = s1ap.decode(octets)
    except S1apError:
        return None
    return message if isinstance(message, S1SetupResponse | S1SetupFailure) else None


def ue_of(octets: bytes) -> int | None:
    """The ENB-UE-S1AP-ID of an ERROR INDICATION that was sent to the eNB as a whole."""
    try:
        message = s1ap.decode(octets)
    except S1apError:
        return None
    return message.enb_ue_s1ap_id if isinstance(message, ErrorIndication) else None


class EnbUe:
    """One UE-associated logical S1 connection, from the first message to the release."""

    def __init__(self, cell: Cell, enb_ue_s1ap_id: int) -> None:
        self.cell = cell
        self.enb_ue_s1ap_id = enb_ue_s1ap_id
        self.mme_ue_s1ap_id: int | None = None
        self.k_enb: bytes | None = None
        self.released = False
        self.foreign = 0
        self.silent_to: set[type[S1apMessage]] = set()
        self._initial = True

    def uplink(self, message: SendNas) -> SendS1ap:
        """A NAS message of the UE: the first in INITIAL UE MESSAGE (8.6.2.1), later ones in UPLINK NAS TRANSPORT."""
        cell = self.cell
        if self._initial or self.mme_ue_s1ap_id is None:
            self._initial = False
            initial = InitialUeMessage(
                self.enb_ue_s1ap_id,
                message.octets,
                cell.tai,
                cell.ecgi,
                rrc_establishment_cause=message.establishment_cause,
                s_tmsi=message.s_tmsi,
            )
            return self._send(initial, message)
        ids = self.mme_ue_s1ap_id, self.enb_ue_s1ap_id
        return self._send(UplinkNasTransport(*ids, message.octets, cell.ecgi, cell.tai), message)

    def read(self, octets: bytes) -> S1apMessage | list[EnbEffect]:
        """A downlink S1AP message as it comes in, or what is to be done about one that is not for this connection.

        Nothing has changed yet: the message is carried out by `receive`, when its turn has come.
        """
        try:
            message = s1ap.decode(octets)
        except S1apError as e:
            self.foreign += 1
            return [S1apReceived(octets, "(undecodable)"), self._indicate(self.mme_ue_s1ap_id, e.cause)]
        mme_ue_s1ap_id = _mme_ue_s1ap_id(message)
        if mme_ue_s1ap_id is None or self.mme_ue_s1ap_id in (None, mme_ue_s1ap_id):
            return message
        self.foreign += 1
        heard = S1apReceived(octets, names.of_s1ap(message))
        if isinstance(message, ErrorIndication):
            return [heard]
        return [heard, self._indicate(mme_ue_s1ap_id, S1apCause.UNKNOWN_PAIR_UE_S1AP_ID)]

    def receive(self, octets: bytes, message: S1apMessage) -> list[EnbEffect]:
        """Carry out a downlink message of this connection; one of a type in silent_to is only noted, with its ids."""
        if type(message) in self.silent_to:
            self.mme_ue_s1ap_id = _mme_ue_s1ap_id(message) or self.mme_ue_s1ap_id
            return [S1apReceived(octets, names.of_s1ap(message))]
        return [S1apReceived(octets, names.of_s1ap(message)), *self._react(message)]

    def _react(self, message: S1apMessage) -> list[EnbEffect]:
        match message:
            case DownlinkNasTransport():
                self.mme_ue_s1ap_id = message.mme_ue_s1ap_id
                return _deliver(message.nas_pdu)
            case InitialContextSetupRequest():
                return self._on_context_setup(message)
            case UeContextReleaseCommand():
                return self._on_release(message)
            case UeContextModificationRequest():
                return self._on_modification(message)
            case ErrorIndication(cause=Cause() as cause) if cause.value in _CONNECTION_GONE:
                self.released = True
                return [Released(f"Error Indication, {cause.value}")]
            case _:
                return []

    def _on_context_setup(self, message: InitialContextSetupRequest) -> list[EnbEffect]:
        """8.3.1.2.  The capability is asked of the UE unless the MME has it (TS 36.331 5.6.3)."""
        self.mme_ue_s1ap_id = message.mme_ue_s1ap_id
        self.k_enb = message.k_enb
        ids = message.mme_ue_s1ap_id, self.enb_ue_s1ap_id
        effects: list[EnbEffect] = []
        if message.ue_radio_capability is None:
            effects.append(self._send(UeCapabilityInfoIndication(*ids, UE_RADIO_CAPABILITY)))
        set_up = tuple(
            ErabSetup(e_rab.e_rab_id, self.cell.gtp_address, self.enb_ue_s1ap_id << 4 | e_rab.e_rab_id)
            for e_rab in message.e_rabs
        )
        effects.append(self._send(InitialContextSetupResponse(*ids, set_up)))
        effects.append(BearersUp(message.k_enb))
        for e_rab in message.e_rabs:
            effects.extend(_deliver(e_rab.nas_pdu))
        return effects

    def _on_modification(self, message: UeContextModificationRequest) -> list[EnbEffect]:
        """8.3.4.2."""
        if message.k_enb is not None:
            self.k_enb = message.k_enb
        response = self._send(UeContextModificationResponse(message.mme_ue_s1ap_id, self.enb_ue_s1ap_id))
        return [response] if message.k_enb is None else [response, BearersUp(message.k_enb)]

    def _on_release(self, message: UeContextReleaseCommand) -> list[EnbEffect]:
        """8.3.3.2."""
        self.mme_ue_s1ap_id = message.mme_ue_s1ap_id
        self.released = True
        complete = UeContextReleaseComplete(message.mme_ue_s1ap_id, self.enb_ue_s1ap_id)
        return [self._send(complete), Released(message.cause.value)]

    def request_release(self, cause: S1apCause) -> SendS1ap | None:
        """UE CONTEXT RELEASE REQUEST (8.3.2); None while the MME's id is not known."""
        if self.mme_ue_s1ap_id is None:
            return None
        return self._send(UeContextReleaseRequest(self.mme_ue_s1ap_id, self.enb_ue_s1ap_id, Cause(*cause.value)))

    def give_up(self) -> list[EnbEffect]:
        """No UE CONTEXT RELEASE COMMAND will come: the eNB ends the connection by itself.  Nothing if it has ended."""
        if self.released:
            return []
        self.released = True
        return [Released("no release command")]

    def not_delivered(self, nas_pdu: bytes, cause: S1apCause) -> SendS1ap | None:
        """NAS NON DELIVERY INDICATION for a NAS PDU that did not reach the UE (8.6.2.4); None as above."""
        if self.mme_ue_s1ap_id is None:
            return None
        ids = self.mme_ue_s1ap_id, self.enb_ue_s1ap_id
        return self._send(NasNonDeliveryIndication(*ids, nas_pdu, Cause(*cause.value)))

    def associated(self, message: S1apMessage) -> SendS1ap:
        """Any message of this connection, made by somebody else."""
        return self._send(message)

    def _indicate(self, mme_ue_s1ap_id: int | None, cause: S1apCause) -> SendS1ap:
        """ERROR INDICATION (10.2, 10.6)."""
        return self._send(ErrorIndication(mme_ue_s1ap_id, self.enb_ue_s1ap_id, Cause(*cause.value)))

    def _send(self, message: S1apMessage, carried: SendNas | None = None) -> SendS1ap:
        octets, name = s1ap.encode(message), names.of_s1ap(message)
        if carried is None:
            return SendS1ap(octets, name)
        return SendS1ap(octets, name, carried.name, carried.protected)


def _mme_ue_s1ap_id(message: S1apMessage) -> int | None:
    match message:
        case (
            DownlinkNasTransport()
            | InitialContextSetupRequest()
            | UeContextModificationRequest()
            | UeContextReleaseCommand()
            | ErrorIndication()
        ):
            return message.mme_ue_s1ap_id
        case _:
            return None


def _deliver(nas_pdu: object) -> list[EnbEffect]:
    return [DeliverNas(nas_pdu)] if isinstance(nas_pdu, bytes) else []
