"""Numbers that the specifications give names to."""

from __future__ import annotations

from enum import Enum, IntEnum


class EmmState(Enum):
    """EMM main states in the MME (TS 24.301 5.1.3.4), with COMMON_PROCEDURE_INITIATED split by what is awaited."""

    DEREGISTERED = "EMM-DEREGISTERED"
    COMMON_PROCEDURE_INITIATED = "EMM-COMMON-PROCEDURE-INITIATED"
    REGISTERED = "EMM-REGISTERED"
    DEREGISTERED_INITIATED = "EMM-DEREGISTERED-INITIATED"


class EcmState(Enum):
    """ECM states (TS 23.401 4.6.3)."""

    IDLE = "ECM-IDLE"
    CONNECTED = "ECM-CONNECTED"


class Step(Enum):
    """What a UE context waits for; None of these = no procedure runs."""

    NONE = "none"
    VECTOR = "authentication vector"
    IDENTITY = "Identity Response"
    AUTHENTICATION = "Authentication Response"
    SECURITY_MODE = "Security Mode Complete"
    ESM_INFORMATION = "ESM Information Response"
    PROFILE = "subscription data"
    SESSION = "session"
    ATTACH_COMPLETE = "Attach Complete"
    DETACH = "Detach Accept"
    TAU_COMPLETE = "Tracking Area Update Complete"
    GUTI_REALLOCATION = "GUTI Reallocation Complete"


class Owed(Enum):
    """The answer that a UE gets once a security mode control is complete, which its request has aborted (5.4.3.7 c)."""

    SERVICE_REJECT = "Service Reject"
    DETACH_ACCEPT = "Detach Accept"


class EmmCause(IntEnum):
    """EMM cause (TS 24.301 9.9.3.9)."""

    IMSI_UNKNOWN_IN_HSS = 2
    ILLEGAL_UE = 3
    IMEI_NOT_ACCEPTED = 5
    ILLEGAL_ME = 6
    EPS_SERVICES_NOT_ALLOWED = 7
    EPS_SERVICES_AND_NON_EPS_SERVICES_NOT_ALLOWED = 8
    UE_IDENTITY_CANNOT_BE_DERIVED = 9
    IMPLICITLY_DETACHED = 10
    PLMN_NOT_ALLOWED = 11
    TRACKING_AREA_NOT_ALLOWED = 12
    ROAMING_NOT_ALLOWED_IN_TRACKING_AREA = 13
    EPS_SERVICES_NOT_ALLOWED_IN_PLMN = 14
    NO_SUITABLE_CELLS = 15
    MSC_NOT_REACHABLE = 16
    NETWORK_FAILURE = 17
    CS_DOMAIN_NOT_AVAILABLE = 18
    ESM_FAILURE = 19
    MAC_FAILURE = 20
    SYNCH_FAILURE = 21
    CONGESTION = 22
    SECURITY_CAPABILITIES_MISMATCH = 23
    SECURITY_MODE_REJECTED = 24
    NON_EPS_AUTHENTICATION_UNACCEPTABLE = 26
    REQUESTED_SERVICE_OPTION_NOT_AUTHORIZED = 35
    CS_DOMAIN_TEMPORARILY_NOT_AVAILABLE = 39
    NO_EPS_BEARER_CONTEXT_ACTIVATED = 40
    SEVERE_NETWORK_FAILURE = 42
    SEMANTICALLY_INCORRECT_MESSAGE = 95
    INVALID_MANDATORY_INFORMATION = 96
    MESSAGE_TYPE_NON_EXISTENT = 97
    MESSAGE_TYPE_NOT_COMPATIBLE_WITH_STATE = 98
    INFORMATION_ELEMENT_NON_EXISTENT = 99
    CONDITIONAL_IE_ERROR = 100
    MESSAGE_NOT_COMPATIBLE_WITH_STATE = 101
    PROTOCOL_ERROR = 111


class EsmCause(IntEnum):
    """ESM cause (TS 24.301 9.9.4.4)."""

    OPERATOR_DETERMINED_BARRING = 8
    INSUFFICIENT_RESOURCES = 26
    MISSING_OR_UNKNOWN_APN = 27
    UNKNOWN_PDN_TYPE = 28
    USER_AUTHENTICATION_FAILED = 29
    REQUEST_REJECTED_BY_GATEWAY = 30
    REQUEST_REJECTED_UNSPECIFIED = 31
    SERVICE_OPTION_NOT_SUPPORTED = 32
    SERVICE_OPTION_NOT_SUBSCRIBED = 33
    REGULAR_DEACTIVATION = 36
    NETWORK_FAILURE = 38
    INVALID_EPS_BEARER_IDENTITY = 43
    PDN_TYPE_IPV4_ONLY_ALLOWED = 50
    PDN_TYPE_IPV6_ONLY_ALLOWED = 51
    SINGLE_ADDRESS_BEARERS_ONLY_ALLOWED = 52
    ESM_INFORMATION_NOT_RECEIVED = 53
    INVALID_PTI_VALUE = 81
    INVALID_MANDATORY_INFORMATION = 96
    MESSAGE_TYPE_NON_EXISTENT = 97
    MESSAGE_NOT_COMPATIBLE_WITH_STATE = 101
    PROTOCOL_ERROR = 111


class SecurityHeader(IntEnum):
    """Security header type (TS 24.301 9.3.1)."""

    PLAIN = 0
    INTEGRITY = 1
    INTEGRITY_CIPHERED = 2
    INTEGRITY_NEW = 3
    INTEGRITY_CIPHERED_NEW = 4
    SERVICE_REQUEST = 12


class Direction(IntEnum):
    """DIRECTION input of the NAS security algorithms (TS 33.401 annex B)."""

    UPLINK = 0
    DOWNLINK = 1


class IdentityType(IntEnum):
    """Identity type 2 (TS 24.008 10.5.5.9)."""

    IMSI = 1
    IMEI = 2
    IMEISV = 3
    TMSI = 4


class AttachType(IntEnum):
    """EPS attach type (TS 24.301 9.9.3.11)."""

    EPS = 1
    COMBINED = 2
    EMERGENCY = 6


class DetachType(IntEnum):
    """Type of detach, UE to network (TS 24.301 9.9.3.7)."""

    EPS = 1
    IMSI = 2
    COMBINED = 3


class PdnType(IntEnum):
    """PDN type (TS 24.301 9.9.4.10)."""

    IPV4 = 1
    IPV6 = 2
    IPV4V6 = 3


class RequestType(IntEnum):
    """Request type (TS 24.008 10.5.6.17)."""

    INITIAL = 1
    HANDOVER = 2
    UNUSED = 3
    EMERGENCY = 4


class CauseGroup(Enum):
    """The alternatives of S1AP Cause (TS 36.413 9.2.1.3)."""

    RADIO_NETWORK = "radioNetwork"
    TRANSPORT = "transport"
    NAS = "nas"
    PROTOCOL = "protocol"
    MISC = "misc"


class S1apCause(Enum):
    """S1AP causes that this MME gives, as (group, ASN.1 name)."""

    UNSPECIFIED = (CauseGroup.RADIO_NETWORK, "unspecified")
    UNKNOWN_MME_UE_S1AP_ID = (CauseGroup.RADIO_NETWORK, "unknown-mme-ue-s1ap-id")
    UNKNOWN_ENB_UE_S1AP_ID = (CauseGroup.RADIO_NETWORK, "unknown-enb-ue-s1ap-id")
    UNKNOWN_PAIR_UE_S1AP_ID = (CauseGroup.RADIO_NETWORK, "unknown-pair-ue-s1ap-id")
    USER_INACTIVITY = (CauseGroup.RADIO_NETWORK, "user-inactivity")
    RADIO_CONNECTION_WITH_UE_LOST = (CauseGroup.RADIO_NETWORK, "radio-connection-with-ue-lost")
    RELEASE_DUE_TO_EUTRAN_GENERATED_REASON = (CauseGroup.RADIO_NETWORK, "release-due-to-eutran-generated-reason")
    NORMAL_RELEASE = (CauseGroup.NAS, "normal-release")
    AUTHENTICATION_FAILURE = (CauseGroup.NAS, "authentication-failure")
    DETACH = (CauseGroup.NAS, "detach")
    NAS_UNSPECIFIED = (CauseGroup.NAS, "unspecified")
    TRANSFER_SYNTAX_ERROR = (CauseGroup.PROTOCOL, "transfer-syntax-error")
    ABSTRACT_SYNTAX_ERROR_REJECT = (CauseGroup.PROTOCOL, "abstract-syntax-error-reject")
    ABSTRACT_SYNTAX_ERROR_IGNORE = (CauseGroup.PROTOCOL, "abstract-syntax-error-ignore-and-notify")
    MESSAGE_NOT_COMPATIBLE = (CauseGroup.PROTOCOL, "message-not-compatible-with-receiver-state")
    SEMANTIC_ERROR = (CauseGroup.PROTOCOL, "semantic-error")
    ABSTRACT_SYNTAX_ERROR_FALSELY = (CauseGroup.PROTOCOL, "abstract-syntax-error-falsely-constructed-message")
    PROTOCOL_UNSPECIFIED = (CauseGroup.PROTOCOL, "unspecified")
    UNKNOWN_PLMN = (CauseGroup.MISC, "unknown-PLMN")
    MISC_UNSPECIFIED = (CauseGroup.MISC, "unspecified")
    CONTROL_PROCESSING_OVERLOAD = (CauseGroup.MISC, "control-processing-overload")


class ItemResult(Enum):
    """The `result` of one item in a reply."""

    DONE = "done"
    DUPLICATE = "duplicate"
    STALE = "stale"
    DISCARDED = "discarded"
    REJECTED = "rejected"
    RETRY = "retry"


class TimerName(Enum):
    """Timers of the network side (TS 24.301 tables 10.2.2 and 10.3.2) and guards of our own."""

    T3413 = "T3413"
    T3422 = "T3422"
    T3450 = "T3450"
    T3460 = "T3460"
    T3470 = "T3470"
    T3489 = "T3489"
    MOBILE_REACHABLE = "mobile-reachable"
    IMPLICIT_DETACH = "implicit-detach"
    CONTEXT_SETUP = "context-setup"
    NEED = "need"
    RELEASE = "release"
    OUTBOX = "outbox"
    UNUSED_SESSION = "unused-session"
