"""S1AP and NAS messages as frozen values, in the words of TS 36.413 and TS 24.301.

A NAS message travels inside S1AP as `NasPdu`: octets once it is on the wire, `Secured` while a procedure only says
what to send and how to protect it (the runtime, which owns the NAS COUNTs, turns the one into the other).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mme.enums import (
    CauseGroup,
    EmmCause,
    EsmCause,
    IdentityType,
    SecurityHeader,
)
from mme.ids import Ecgi, GlobalEnbId, Gummei, Guti, Imsi, MobileIdentity, Plmn, STmsi, Tai

# --------------------------------------------------------------------------- ESM (TS 24.301 8.3)


@dataclass(frozen=True, slots=True)
class PdnAddress:
    """PDN address (9.9.4.9).  ipv4: 4 octets or None.  ipv6_interface_id: 8 octets or None.  Its type follows."""

    ipv4: bytes | None = None
    ipv6_interface_id: bytes | None = None


@dataclass(frozen=True, slots=True)
class EsmMessage:
    """Header of every ESM message.  eps_bearer_identity: 0 or 5..15.  pti: 0..254."""

    eps_bearer_identity: int
    pti: int


@dataclass(frozen=True, slots=True)
class PdnConnectivityRequest(EsmMessage):
    """8.3.20.  request_type, pdn_type: as sent (may be a reserved value).  pco: value part of the IE."""

    request_type: int
    pdn_type: int
    esm_information_transfer_flag: bool = False
    access_point_name: str | None = None
    protocol_configuration_options: bytes | None = None


@dataclass(frozen=True, slots=True)
class PdnConnectivityReject(EsmMessage):
    """8.3.19."""

    cause: EsmCause
    protocol_configuration_options: bytes | None = None


@dataclass(frozen=True, slots=True)
class ActivateDefaultEpsBearerContextRequest(EsmMessage):
    """8.3.6.  qci: 1..9 and 65.. ; apn_ambr_dl_bps, apn_ambr_ul_bps: bit/s or None."""

    qci: int
    access_point_name: str
    pdn_address: PdnAddress
    apn_ambr_dl_bps: int | None = None
    apn_ambr_ul_bps: int | None = None
    cause: EsmCause | None = None
    protocol_configuration_options: bytes | None = None


@dataclass(frozen=True, slots=True)
class ActivateDefaultEpsBearerContextAccept(EsmMessage):
    """8.3.4."""

    protocol_configuration_options: bytes | None = None


@dataclass(frozen=True, slots=True)
class ActivateDefaultEpsBearerContextReject(EsmMessage):
    """8.3.5.  cause: the octet's value."""

    cause: int
    protocol_configuration_options: bytes | None = None


@dataclass(frozen=True, slots=True)
class EsmInformationRequest(EsmMessage):
    """8.3.13."""


@dataclass(frozen=True, slots=True)
class EsmInformationResponse(EsmMessage):
    """8.3.14."""

    access_point_name: str | None = None
    protocol_configuration_options: bytes | None = None


@dataclass(frozen=True, slots=True)
class EsmStatus(EsmMessage):
    """8.3.15.  cause: the octet's value."""

    cause: int


@dataclass(frozen=True, slots=True)
class UndecodableEsm(EsmMessage):
    """An ESM message inside an EMM message that could not be decoded; cause: what an ESM STATUS would say (7.4-7.7)."""

    cause: EsmCause
    message_type: int | None = None


# --------------------------------------------------------------------------- EMM (TS 24.301 8.2)


@dataclass(frozen=True, slots=True)
class EmmMessage:
    """Base of the EMM messages."""


@dataclass(frozen=True, slots=True)
class AttachRequest(EmmMessage):
    """8.2.4.  attach_type: as sent.  nas_ksi: 0..6, 7 = no key; native: type of security context flag is 0.

    ue_network_capability: 2 to 13 octets, ms_network_capability: 2 to 8 octets or None; both exactly as sent, for the
    replay in SECURITY MODE COMMAND.
    """

    attach_type: int
    nas_ksi: int
    identity: MobileIdentity
    ue_network_capability: bytes
    esm: EsmMessage
    native: bool = True
    last_visited_tai: Tai | None = None
    ms_network_capability: bytes | None = None
    drx_parameter: bytes | None = None
    old_guti_is_native: bool | None = None
    additional_guti: Guti | None = None


@dataclass(frozen=True, slots=True)
class AttachAccept(EmmMessage):
    """8.2.1.  attach_result: 1 EPS only, 2 combined.  t3412_s: what a GPRS timer can carry.  tai_list: 1 to 16."""

    attach_result: int
    t3412_s: int
    tai_list: tuple[Tai, ...]
    esm: EsmMessage
    guti: Guti | None = None
    cause: EmmCause | None = None
    eps_network_feature_support: bytes | None = None


@dataclass(frozen=True, slots=True)
class AttachComplete(EmmMessage):
    """8.2.2."""

    esm: EsmMessage


@dataclass(frozen=True, slots=True)
class AttachReject(EmmMessage):
    """8.2.3.  esm: only with cause #19.  t3346_s, t3402_s: seconds or None."""

    cause: EmmCause
    esm: EsmMessage | None = None
    t3346_s: int | None = None
    t3402_s: int | None = None


@dataclass(frozen=True, slots=True)
class AuthenticationRequest(EmmMessage):
    """8.2.7.  rand: 16 octets, autn: 16 octets, nas_ksi: 0..6."""

    nas_ksi: int
    rand: bytes
    autn: bytes


@dataclass(frozen=True, slots=True)
class AuthenticationResponse(EmmMessage):
    """8.2.8.  res: 4 to 16 octets."""

    res: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AuthenticationFailure(EmmMessage):
    """8.2.5.  cause: the octet's value; auts: 14 octets, with cause #21 only."""

    cause: int
    auts: bytes | None = None


@dataclass(frozen=True, slots=True)
class AuthenticationReject(EmmMessage):
    """8.2.6."""


@dataclass(frozen=True, slots=True)
class IdentityRequest(EmmMessage):
    """8.2.18."""

    identity_type: IdentityType


@dataclass(frozen=True, slots=True)
class IdentityResponse(EmmMessage):
    """8.2.19.  identity: None = "no identity"."""

    identity: MobileIdentity | None


@dataclass(frozen=True, slots=True)
class SecurityModeCommand(EmmMessage):
    """8.2.20.  eea, eia: 0..7.  replayed_ue_security_capability: 2 to 5 octets (9.9.3.36)."""

    eea: int
    eia: int
    nas_ksi: int
    replayed_ue_security_capability: bytes
    imeisv_requested: bool = False


@dataclass(frozen=True, slots=True)
class SecurityModeComplete(EmmMessage):
    """8.2.21."""

    imeisv: str | None = None


@dataclass(frozen=True, slots=True)
class SecurityModeReject(EmmMessage):
    """8.2.22.  cause: the octet's value."""

    cause: int


@dataclass(frozen=True, slots=True)
class EmmInformation(EmmMessage):
    """8.2.13.  Names: up to 255 octets each, None = left out.  universal_time_s: Unix seconds, given as UTC."""

    full_name: str | None = None
    short_name: str | None = None
    universal_time_s: int | None = None


@dataclass(frozen=True, slots=True)
class DetachRequestFromUe(EmmMessage):
    """8.2.11.1."""

    detach_type: int
    switch_off: bool
    nas_ksi: int
    identity: MobileIdentity


@dataclass(frozen=True, slots=True)
class DetachRequestToUe(EmmMessage):
    """8.2.11.2.  detach_type: 1 re-attach required, 2 not required, 3 IMSI detach."""

    detach_type: int
    cause: EmmCause | None = None


@dataclass(frozen=True, slots=True)
class DetachAccept(EmmMessage):
    """8.2.10, either direction."""


@dataclass(frozen=True, slots=True)
class EmmStatus(EmmMessage):
    """8.2.14.  cause: the octet's value."""

    cause: int


@dataclass(frozen=True, slots=True)
class ServiceRequest(EmmMessage):
    """8.2.25 (security header type 12).  ksi: 0..7, sequence_number: 5 bits, short_mac: 2 octets."""

    ksi: int
    sequence_number: int
    short_mac: bytes


@dataclass(frozen=True, slots=True)
class ServiceReject(EmmMessage):
    """8.2.24."""

    cause: EmmCause


@dataclass(frozen=True, slots=True)
class TrackingAreaUpdateRequest(EmmMessage):
    """8.2.29.  update_type: 0 TA, 1 combined, 2 combined with IMSI attach, 3 periodic.  active: the active flag.

    old_guti None: the old identity is no GUTI (read only).  eps_bearer_context_status: bit n stands for EPS bearer n.
    drx_parameter: 2 octets.  radio_capability_changed: UE radio capability information update needed.
    ue_network_capability: 2 to 13 octets, ms_network_capability: 2 to 8, exactly as sent; None = not told.
    """

    update_type: int
    active: bool
    nas_ksi: int
    old_guti: Guti | None
    native: bool = True
    ue_network_capability: bytes | None = None
    eps_bearer_context_status: int | None = None
    drx_parameter: bytes | None = None
    radio_capability_changed: bool = False
    ms_network_capability: bytes | None = None


@dataclass(frozen=True, slots=True)
class TrackingAreaUpdateAccept(EmmMessage):
    """8.2.26.  update_result: 0 TA updated, 1 combined updated.  eps_bearer_context_status: 16 bits, EBI n = bit n."""

    update_result: int
    t3412_s: int | None = None
    guti: Guti | None = None
    tai_list: tuple[Tai, ...] = ()
    eps_bearer_context_status: int | None = None
    cause: EmmCause | None = None


@dataclass(frozen=True, slots=True)
class TrackingAreaUpdateComplete(EmmMessage):
    """8.2.27."""


@dataclass(frozen=True, slots=True)
class ExtendedServiceRequest(EmmMessage):
    """8.2.15.  service_type: as sent (0 mobile originating CS fallback, 1 terminating, 8 packet services …)."""

    service_type: int
    nas_ksi: int
    m_tmsi: int | None
    native: bool = True
    csfb_response: int | None = None
    eps_bearer_context_status: int | None = None


@dataclass(frozen=True, slots=True)
class GutiReallocationCommand(EmmMessage):
    """8.2.16.  tai_list: empty = unchanged."""

    guti: Guti
    tai_list: tuple[Tai, ...] = ()


@dataclass(frozen=True, slots=True)
class GutiReallocationComplete(EmmMessage):
    """8.2.17."""


@dataclass(frozen=True, slots=True)
class TrackingAreaUpdateReject(EmmMessage):
    """8.2.28."""

    cause: EmmCause


@dataclass(frozen=True, slots=True)
class EsmContainer(EmmMessage):
    """A stand-alone ESM message (protocol discriminator 2), where an EMM message could stand too."""

    esm: EsmMessage


# --------------------------------------------------------------------------- NAS on its way


@dataclass(frozen=True, slots=True)
class Secured:
    """A NAS message still to be encoded and protected, in the order in which it is listed."""

    message: EmmMessage
    header: SecurityHeader = SecurityHeader.INTEGRITY_CIPHERED


NasPdu = bytes | Secured


@dataclass(frozen=True, slots=True)
class SecuredEnvelope:
    """The outer layer of a protected NAS message (9.1).  mac: 4 octets, payload: ciphered or plain inner message."""

    header: SecurityHeader
    mac: bytes
    sequence_number: int
    payload: bytes


# --------------------------------------------------------------------------- S1AP (TS 36.413 9.1)


@dataclass(frozen=True, slots=True)
class Cause:
    """S1AP Cause (9.2.1.3): group and the ASN.1 name within it."""

    group: CauseGroup
    value: str


@dataclass(frozen=True, slots=True)
class CriticalityDiagnostics:
    """Criticality diagnostics (9.2.1.21).  ies: (IE id, criticality, "not-understood" | "missing")."""

    procedure_code: int | None = None
    triggering_message: str | None = None
    procedure_criticality: str | None = None
    ies: tuple[tuple[int, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class S1apMessage:
    """Base of the S1AP messages."""


@dataclass(frozen=True, slots=True)
class SupportedTa:
    """One item of Supported TAs: a TAC and the PLMNs broadcast with it."""

    tac: int
    plmns: tuple[Plmn, ...]


@dataclass(frozen=True, slots=True)
class S1SetupRequest(S1apMessage):
    """9.1.8.4.  default_paging_drx: "v32" | "v64" | "v128" | "v256"."""

    global_enb_id: GlobalEnbId
    supported_tas: tuple[SupportedTa, ...]
    enb_name: str | None = None
    default_paging_drx: str = "v128"


@dataclass(frozen=True, slots=True)
class ServedGummei:
    """One item of Served GUMMEIs: every combination of the three lists is served."""

    plmns: tuple[Plmn, ...]
    mme_group_ids: tuple[int, ...]
    mme_codes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class S1SetupResponse(S1apMessage):
    """9.1.8.5.  relative_mme_capacity: 0..255."""

    served_gummeis: tuple[ServedGummei, ...]
    relative_mme_capacity: int
    mme_name: str | None = None


@dataclass(frozen=True, slots=True)
class S1SetupFailure(S1apMessage):
    """9.1.8.6.  time_to_wait_s: 1, 2, 5, 10, 20, 60 or None."""

    cause: Cause
    time_to_wait_s: int | None = None
    criticality_diagnostics: CriticalityDiagnostics | None = None


@dataclass(frozen=True, slots=True)
class InitialUeMessage(S1apMessage):
    """9.1.7.1.  rrc_establishment_cause: ASN.1 name."""

    enb_ue_s1ap_id: int
    nas_pdu: NasPdu
    tai: Tai
    ecgi: Ecgi
    rrc_establishment_cause: str = "mo-Signalling"
    s_tmsi: STmsi | None = None
    gummei: Gummei | None = None


@dataclass(frozen=True, slots=True)
class UplinkNasTransport(S1apMessage):
    """9.1.7.3."""

    mme_ue_s1ap_id: int
    enb_ue_s1ap_id: int
    nas_pdu: NasPdu
    ecgi: Ecgi
    tai: Tai


@dataclass(frozen=True, slots=True)
class DownlinkNasTransport(S1apMessage):
    """9.1.7.2."""

    mme_ue_s1ap_id: int
    enb_ue_s1ap_id: int
    nas_pdu: NasPdu


@dataclass(frozen=True, slots=True)
class NasNonDeliveryIndication(S1apMessage):
    """9.1.7.4."""

    mme_ue_s1ap_id: int
    enb_ue_s1ap_id: int
    nas_pdu: NasPdu
    cause: Cause


@dataclass(frozen=True, slots=True)
class ErabToBeSetup:
    """One E-RAB of an INITIAL CONTEXT SETUP REQUEST.  transport_layer_address: 4 octets; gtp_teid: 32 bits."""

    e_rab_id: int
    qci: int
    priority_level: int
    transport_layer_address: bytes
    gtp_teid: int
    nas_pdu: NasPdu | None = None
    preemption_capable: bool = False
    preemption_vulnerable: bool = False


@dataclass(frozen=True, slots=True)
class ErabSetup:
    """One E-RAB of an INITIAL CONTEXT SETUP RESPONSE."""

    e_rab_id: int
    transport_layer_address: bytes
    gtp_teid: int


@dataclass(frozen=True, slots=True)
class ErabFailed:
    """One E-RAB that failed."""

    e_rab_id: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class InitialContextSetupRequest(S1apMessage):
    """9.1.4.1.  encryption_algorithms, integrity_algorithms: 16 bits each (9.2.1.40).  k_enb: 32 octets."""

    mme_ue_s1ap_id: int
    enb_ue_s1ap_id: int
    ue_ambr_dl_bps: int
    ue_ambr_ul_bps: int
    e_rabs: tuple[ErabToBeSetup, ...]
    encryption_algorithms: int
    integrity_algorithms: int
    k_enb: bytes = field(repr=False)
    ue_radio_capability: bytes | None = None


@dataclass(frozen=True, slots=True)
class InitialContextSetupResponse(S1apMessage):
    """9.1.4.3."""

    mme_ue_s1ap_id: int
    enb_ue_s1ap_id: int
    e_rabs: tuple[ErabSetup, ...]
    e_rabs_failed: tuple[ErabFailed, ...] = ()


@dataclass(frozen=True, slots=True)
class InitialContextSetupFailure(S1apMessage):
    """9.1.4.4."""

    mme_ue_s1ap_id: int
    enb_ue_s1ap_id: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class UeCapabilityInfoIndication(S1apMessage):
    """9.1.10.  ue_radio_capability: octets, opaque to the MME."""

    mme_ue_s1ap_id: int
    enb_ue_s1ap_id: int
    ue_radio_capability: bytes


@dataclass(frozen=True, slots=True)
class UeContextReleaseRequest(S1apMessage):
    """9.1.4.5."""

    mme_ue_s1ap_id: int
    enb_ue_s1ap_id: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class UeContextReleaseCommand(S1apMessage):
    """9.1.4.6.  enb_ue_s1ap_id None: the pair is not known, only the MME's id is sent."""

    mme_ue_s1ap_id: int
    enb_ue_s1ap_id: int | None
    cause: Cause


@dataclass(frozen=True, slots=True)
class UeContextReleaseComplete(S1apMessage):
    """9.1.4.7."""

    mme_ue_s1ap_id: int
    enb_ue_s1ap_id: int


@dataclass(frozen=True, slots=True)
class UeContextModificationRequest(S1apMessage):
    """9.1.4.8.  ue_ambr in bit/s, both or none.  k_enb (security key): 32 octets or None."""

    mme_ue_s1ap_id: int
    enb_ue_s1ap_id: int
    ue_ambr_dl_bps: int | None = None
    ue_ambr_ul_bps: int | None = None
    k_enb: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class UeContextModificationResponse(S1apMessage):
    """9.1.4.9."""

    mme_ue_s1ap_id: int
    enb_ue_s1ap_id: int


@dataclass(frozen=True, slots=True)
class UeContextModificationFailure(S1apMessage):
    """9.1.4.10."""

    mme_ue_s1ap_id: int
    enb_ue_s1ap_id: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class Paging(S1apMessage):
    """9.1.6.  ue_identity_index: IMSI modulo 1024.  ue_paging_id: S-TMSI, or the IMSI.  cn_domain: "ps" | "cs"."""

    ue_identity_index: int
    ue_paging_id: STmsi | Imsi
    tai_list: tuple[Tai, ...]
    cn_domain: str = "ps"
    paging_drx: str | None = None


@dataclass(frozen=True, slots=True)
class UeS1apIds:
    """One UE-associated logical S1-connection in RESET: either id may be missing, not both."""

    mme_ue_s1ap_id: int | None = None
    enb_ue_s1ap_id: int | None = None


@dataclass(frozen=True, slots=True)
class Reset(S1apMessage):
    """9.1.8.1.  connections None: the whole interface; otherwise those (1 to 256)."""

    cause: Cause
    connections: tuple[UeS1apIds, ...] | None = None


@dataclass(frozen=True, slots=True)
class ResetAcknowledge(S1apMessage):
    """9.1.8.2.  connections: those of a partial RESET, in the same order."""

    connections: tuple[UeS1apIds, ...] = ()


@dataclass(frozen=True, slots=True)
class EnbConfigurationUpdate(S1apMessage):
    """9.1.8.7.  Fields that are None are unchanged."""

    enb_name: str | None = None
    supported_tas: tuple[SupportedTa, ...] | None = None
    default_paging_drx: str | None = None


@dataclass(frozen=True, slots=True)
class EnbConfigurationUpdateAcknowledge(S1apMessage):
    """9.1.8.8."""


@dataclass(frozen=True, slots=True)
class EnbConfigurationUpdateFailure(S1apMessage):
    """9.1.8.9.  time_to_wait_s: 1, 2, 5, 10, 20, 60 or None."""

    cause: Cause
    time_to_wait_s: int | None = None


@dataclass(frozen=True, slots=True)
class MmeConfigurationUpdate(S1apMessage):
    """9.1.8.10.  Fields that are None are unchanged."""

    mme_name: str | None = None
    served_gummeis: tuple[ServedGummei, ...] | None = None
    relative_mme_capacity: int | None = None


@dataclass(frozen=True, slots=True)
class MmeConfigurationUpdateAcknowledge(S1apMessage):
    """9.1.8.11."""


@dataclass(frozen=True, slots=True)
class MmeConfigurationUpdateFailure(S1apMessage):
    """9.1.8.12."""

    cause: Cause
    time_to_wait_s: int | None = None


@dataclass(frozen=True, slots=True)
class OverloadStart(S1apMessage):
    """9.1.8.13.  action: ASN.1 name of Overload Action.  traffic_load_reduction: 1..99 per cent or None."""

    action: str
    traffic_load_reduction: int | None = None


@dataclass(frozen=True, slots=True)
class OverloadStop(S1apMessage):
    """9.1.8.14."""


@dataclass(frozen=True, slots=True)
class ErrorIndication(S1apMessage):
    """9.1.8.3.  At least a cause or diagnostics."""

    mme_ue_s1ap_id: int | None = None
    enb_ue_s1ap_id: int | None = None
    cause: Cause | None = None
    criticality_diagnostics: CriticalityDiagnostics | None = None


@dataclass(frozen=True, slots=True)
class UnhandledS1ap(S1apMessage):
    """A well-formed PDU whose procedure this MME does not have (TS 36.413 10.3.4.1): answered by its criticality.

    triggering_message: "initiating-message" | "successful-outcome" | "unsuccessfull-outcome" (the ASN.1's spelling).
    criticality: "reject" | "ignore" | "notify".
    """

    procedure_code: int
    triggering_message: str
    criticality: str
    mme_ue_s1ap_id: int | None = None
    enb_ue_s1ap_id: int | None = None
