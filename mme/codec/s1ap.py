"""S1AP PDUs (TS 36.413 9, aligned PER) to typed messages and back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple, TypeVar

from pycrate_asn1dir import S1AP

from mme.codec import aper
from mme.codec.lock import PYCRATE_LOCK
from mme.enums import CauseGroup, S1apCause
from mme.errors import S1apError
from mme.ids import Ecgi, GlobalEnbId, Gummei, Imsi, Plmn, STmsi, Tai
from mme.messages import (
    Cause,
    CriticalityDiagnostics,
    DownlinkNasTransport,
    EnbConfigurationUpdate,
    EnbConfigurationUpdateAcknowledge,
    EnbConfigurationUpdateFailure,
    ErabFailed,
    ErabSetup,
    ErabToBeSetup,
    ErrorIndication,
    InitialContextSetupFailure,
    InitialContextSetupRequest,
    InitialContextSetupResponse,
    InitialUeMessage,
    MmeConfigurationUpdate,
    MmeConfigurationUpdateAcknowledge,
    MmeConfigurationUpdateFailure,
    NasNonDeliveryIndication,
    NasPdu,
    OverloadStart,
    OverloadStop,
    Paging,
    Reset,
    ResetAcknowledge,
    S1apMessage,
    S1SetupFailure,
    S1SetupRequest,
    S1SetupResponse,
    ServedGummei,
    SupportedTa,
    UeCapabilityInfoIndication,
    UeContextModificationFailure,
    UeContextModificationRequest,
    UeContextModificationResponse,
    UeContextReleaseCommand,
    UeContextReleaseComplete,
    UeContextReleaseRequest,
    UeS1apIds,
    UnhandledS1ap,
    UplinkNasTransport,
)

INITIATING, SUCCESSFUL, UNSUCCESSFUL = "initiating-message", "successful-outcome", "unsuccessfull-outcome"

_CHOICES = (INITIATING, SUCCESSFUL, UNSUCCESSFUL)
_CRITICALITIES = ("reject", "ignore", "notify")
_ASN1_CHOICE = {INITIATING: "initiatingMessage", SUCCESSFUL: "successfulOutcome", UNSUCCESSFUL: "unsuccessfulOutcome"}
_ASN1_FIELD = {INITIATING: "InitiatingMessage", SUCCESSFUL: "SuccessfulOutcome", UNSUCCESSFUL: "UnsuccessfulOutcome"}


class _Ie(IntEnum):
    """ProtocolIE-ID (TS 36.413 9.3.7)."""

    MME_UE_S1AP_ID = 0
    CAUSE = 2
    ENB_UE_S1AP_ID = 8
    E_RAB_TO_BE_SETUP_LIST = 24
    NAS_PDU = 26
    E_RAB_ITEM = 35
    UE_PAGING_ID = 43
    PAGING_DRX = 44
    TAI_LIST = 46
    TAI_ITEM = 47
    E_RAB_FAILED_TO_SETUP_LIST = 48
    E_RAB_SETUP_ITEM = 50
    E_RAB_SETUP_LIST = 51
    E_RAB_TO_BE_SETUP_ITEM = 52
    CRITICALITY_DIAGNOSTICS = 58
    GLOBAL_ENB_ID = 59
    ENB_NAME = 60
    MME_NAME = 61
    SUPPORTED_TAS = 64
    TIME_TO_WAIT = 65
    UE_AGGREGATE_MAXIMUM_BITRATE = 66
    TAI = 67
    SECURITY_KEY = 73
    UE_RADIO_CAPABILITY = 74
    GUMMEI = 75
    UE_IDENTITY_INDEX_VALUE = 80
    RELATIVE_MME_CAPACITY = 87
    S1_CONNECTION_ITEM = 91
    RESET_TYPE = 92
    S1_CONNECTION_LIST = 93
    S_TMSI = 96
    UE_S1AP_IDS = 99
    EUTRAN_CGI = 100
    OVERLOAD_RESPONSE = 101
    SERVED_GUMMEIS = 105
    UE_SECURITY_CAPABILITIES = 107
    CN_DOMAIN = 109
    RRC_ESTABLISHMENT_CAUSE = 134
    DEFAULT_PAGING_DRX = 137
    TRAFFIC_LOAD_REDUCTION_INDICATION = 161


_T = TypeVar("_T")

Ies = Mapping[int, Any]
IesToSend = dict[_Ie, Any]

# --------------------------------------------------------------------------- the doors


def procedure_code(pdu: bytes) -> tuple[str, int]:
    """("initiating-message" | "successful-outcome" | "unsuccessfull-outcome", procedure code) from the first octets.

    No ASN.1 and no lock: for those who only route.  Raises S1apError (transfer-syntax-error).
    """
    if len(pdu) < 3 or pdu[0] & 0x9F or pdu[0] >> 5 > 2:
        raise S1apError(S1apCause.TRANSFER_SYNTAX_ERROR, "the octets do not begin like an S1AP PDU")
    return _CHOICES[pdu[0] >> 5], pdu[1]


def peek_ue_ids(pdu: bytes) -> tuple[int | None, int | None]:
    """(MME-UE-S1AP-ID, ENB-UE-S1AP-ID) where they stand as IEs of their own.  No ASN.1, no lock; never raises."""
    ids: dict[int, int | None] = {}
    for ie_id, _, value in _fields(pdu):
        if ie_id in (_Ie.MME_UE_S1AP_ID, _Ie.ENB_UE_S1AP_ID) and ie_id not in ids:
            ids[ie_id] = _ue_id(value)
    return ids.get(_Ie.MME_UE_S1AP_ID), ids.get(_Ie.ENB_UE_S1AP_ID)


def decode(pdu: bytes) -> S1apMessage:
    """The message of a PDU; UnhandledS1ap for a procedure that is not in this module.

    Unknown IEs are skipped unless their criticality is reject (TS 36.413 10.3.4.2); so are known ones that the message
    has no field for.  Octets after the PDU are ignored.  A missing mandatory IE of criticality ignore (10.3.5) becomes
    an unspecified cause, an empty list, empty octets or the field's default; TAI, E-CGI and UE ids have none of these.
    Raises: S1apError, its cause transfer-syntax-error (not decodable), abstract-syntax-error-reject (missing_ies, or an
    unknown IE of criticality reject), abstract-syntax-error-falsely-constructed-message (IE repeated or out of order),
    semantic-error (a PLMN that is none, an eNB identity of a size not known).
    """
    choice, code = procedure_code(pdu)
    kind = _BY_PROCEDURE.get((choice, code))
    if kind is None:
        return _unhandled(pdu, choice, code)
    fields = kind.plain.read(pdu)
    if fields is None:
        fields = _fields_by_pycrate(kind, pdu)
    ies = _checked(kind, fields, pdu)
    try:
        return kind.read(ies)
    except _UnknownIeError as error:
        raise _error(S1apCause.ABSTRACT_SYNTAX_ERROR_REJECT, f"{kind.type_name}: {error}", pdu) from error
    except ValueError as error:
        raise _error(S1apCause.SEMANTIC_ERROR, f"{kind.type_name}: {error}", pdu) from error


def encode(message: S1apMessage) -> bytes:
    """The PDU.  Raises ValueError for a value that its IE cannot carry, or a NAS PDU that is not octets yet."""
    if isinstance(message, UnhandledS1ap):
        return _unhandled_pdu(message)
    if type(message) not in _BY_CLASS:
        raise ValueError(f"{type(message).__name__} has no encoding")
    kind = _BY_CLASS[type(message)]
    fields = [
        {"id": int(ie), "criticality": kind.ies[ie].criticality, "value": (kind.ies[ie].type_name, value)}
        for ie, value in kind.write(message).items()
        if value is not None
    ]
    pdu = kind.plain.write(fields)
    return _pdu_by_pycrate(kind, fields) if pdu is None else pdu


def _fields_by_pycrate(kind: _Kind, pdu: bytes) -> aper.Fields:
    with PYCRATE_LOCK:
        try:
            _PDU.from_aper(pdu)
            fields: aper.Fields = _PDU.get_val()[1]["value"][1]["protocolIEs"]
        except Exception as error:  # pycrate raises many types for octets that are no PDU
            raise _error(S1apCause.TRANSFER_SYNTAX_ERROR, f"{kind.type_name} cannot be decoded", pdu) from error
    return fields


def _pdu_by_pycrate(kind: _Kind, fields: aper.Fields) -> bytes:
    body = (kind.type_name, {"protocolIEs": fields})
    outer = {"procedureCode": kind.procedure_code, "criticality": kind.criticality, "value": body}
    with PYCRATE_LOCK:
        try:
            _PDU.set_val((_ASN1_CHOICE[kind.choice], outer))
            pdu: bytes = _PDU.to_aper()
        except Exception as error:  # pycrate raises many types for a value that does not fit
            raise ValueError(f"{kind.type_name} cannot be encoded") from error
    return pdu


# --------------------------------------------------------------------------- errors, and what the bare octets show


class _UnknownIeError(Exception):
    """An IE that is not comprehended and is to be rejected, met by a reader."""


def _error(cause: S1apCause, detail: str, pdu: bytes, missing: tuple[int, ...] = ()) -> S1apError:
    choice, code = procedure_code(pdu)
    mme_id, enb_id = peek_ue_ids(pdu)
    return S1apError(
        cause,
        detail,
        procedure_code=code,
        triggering_message=choice,
        mme_ue_s1ap_id=mme_id,
        enb_ue_s1ap_id=enb_id,
        missing_ies=missing,
    )


def _checked(kind: _Kind, fields: aper.Fields, pdu: bytes) -> Ies:
    """{IE id: value} by TS 36.413 10.3.4.2, 10.3.5 and 10.3.6."""
    values: dict[int, Any] = {}
    last_rank = -1
    for field in fields:
        ie_id = field["id"]
        known = kind.ies.get(ie_id)
        if known is None:
            if field["criticality"] == "reject":
                cause = S1apCause.ABSTRACT_SYNTAX_ERROR_REJECT
                raise _error(cause, f"{kind.type_name} has an unknown IE {ie_id} to be rejected", pdu)
            continue
        if known.rank <= last_rank:
            cause = S1apCause.ABSTRACT_SYNTAX_ERROR_FALSELY
            raise _error(cause, f"{kind.type_name} has IE {ie_id} twice or out of order", pdu)
        last_rank = known.rank
        values[ie_id] = field["value"][1]
    missing = tuple(ie for ie in kind.mandatory if ie not in values)
    if missing:
        raise _error(S1apCause.ABSTRACT_SYNTAX_ERROR_REJECT, f"{kind.type_name} lacks IEs {missing}", pdu, missing)
    return values


def _length(octets: bytes, position: int) -> tuple[int, int]:
    """(length, octets of the determinant) at position (X.691 11.9).  Raises ValueError for a fragmented one."""
    first = octets[position]
    if first < 0x80:
        return first, 1
    if first < 0xC0:
        return (first & 0x3F) << 8 | octets[position + 1], 2
    raise ValueError("fragmented")


def _fields(pdu: bytes) -> Iterator[tuple[int, str, bytes]]:
    """(id, criticality, value) of every IE, as far as it can be read without ASN.1."""
    try:
        size = 1 if pdu[3] >= 0xC0 else _length(pdu, 3)[1]  # of a fragmented PDU the first 16384 octets are enough
        position = 3 + size + 1  # after the octet with the extension bit of the message
        count = int.from_bytes(pdu[position : position + 2])
        position += 2
        for _ in range(count):
            ie_id, criticality = int.from_bytes(pdu[position : position + 2]), _CRITICALITIES[pdu[position + 2] >> 6]
            length, size = _length(pdu, position + 3)
            position += 3 + size
            yield ie_id, criticality, pdu[position : position + length]
            position += length
    except (IndexError, ValueError):
        return


def _ue_id(value: bytes) -> int | None:
    """A UE id as aligned PER writes it: the count of octets in 2 bits, then the octets."""
    count = (value[0] >> 6) + 1 if value else 0
    return int.from_bytes(value[1 : 1 + count]) if count and len(value) > count else None


def _unhandled(pdu: bytes, choice: str, code: int) -> UnhandledS1ap:
    try:
        length, size = _length(pdu, 3)
        complete = len(pdu) >= 3 + size + length
    except (IndexError, ValueError):
        complete = len(pdu) > 3  # fragmented: 16384 octets or more
    if not complete or pdu[2] >> 6 > 2:
        raise _error(S1apCause.TRANSFER_SYNTAX_ERROR, f"procedure {code} is cut off", pdu)
    return UnhandledS1ap(code, choice, _CRITICALITIES[pdu[2] >> 6], *peek_ue_ids(pdu))


def _unhandled_pdu(message: UnhandledS1ap) -> bytes:
    """A PDU with no IEs but the UE ids: what a peer may send of a procedure that the other side does not have."""
    if message.triggering_message not in _CHOICES or message.criticality not in _CRITICALITIES:
        raise ValueError("no such triggering message or criticality")
    if not 0 <= message.procedure_code <= 255:
        raise ValueError("a procedure code has 8 bits")
    fields = [
        bytes((0, ie, 0, 1 + len(octets), len(octets) - 1 << 6)) + octets
        for ie, octets in (
            (_Ie.MME_UE_S1AP_ID, _ue_id_octets(message.mme_ue_s1ap_id, 4)),
            (_Ie.ENB_UE_S1AP_ID, _ue_id_octets(message.enb_ue_s1ap_id, 3)),
        )
        if octets
    ]
    body = bytes((0, 0, len(fields))) + b"".join(fields)
    first = _CHOICES.index(message.triggering_message) << 5
    return bytes((first, message.procedure_code, _CRITICALITIES.index(message.criticality) << 6, len(body))) + body


def _ue_id_octets(value: int | None, longest: int) -> bytes:
    if value is None:
        return b""
    if not 0 <= value < 1 << 8 * longest:
        raise ValueError(f"a UE id has {8 * longest} bits")
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8))


# --------------------------------------------------------------------------- pieces of messages


def _plmn_octets(plmn: Plmn) -> bytes:
    """3 octets: MCC, then a filler and 2 digits of MNC, or 3 digits (TS 36.413 9.2.3.8).

    With 3 digits of MNC this is not the order of NAS, which puts the third one before the first (TS 24.008 10.5.1.13).
    """
    text = plmn.mcc + plmn.mnc.rjust(3, "f")
    return bytes.fromhex(text[1] + text[0] + text[3] + text[2] + text[5] + text[4])


def _plmn(octets: bytes) -> Plmn:
    text = octets.hex()
    return Plmn(text[1] + text[0] + text[3] + text[2].replace("f", "") + text[5] + text[4])


def _plmn_tac(tai: Tai) -> dict[str, bytes]:
    return {"pLMNidentity": _plmn_octets(tai.plmn), "tAC": _octets(tai.tac, 2)}


def _tai(value: Any) -> Tai:
    return Tai(_plmn(value["pLMNidentity"]), int.from_bytes(value["tAC"]))


def _ecgi_value(ecgi: Ecgi) -> dict[str, Any]:
    return {"pLMNidentity": _plmn_octets(ecgi.plmn), "cell-ID": _bits(ecgi.cell_identity, 28)}


def _ecgi(value: Any) -> Ecgi:
    return Ecgi(_plmn(value["pLMNidentity"]), value["cell-ID"][0])


_ENB_ID_BITS = {"macroENB-ID": 20, "homeENB-ID": 28, "short-macroENB-ID": 18, "long-macroENB-ID": 21}
_ENB_ID_CHOICE = {bits: name for name, bits in _ENB_ID_BITS.items()}


def _global_enb_id_value(enb: GlobalEnbId) -> dict[str, Any]:
    if enb.bits not in _ENB_ID_CHOICE:
        raise ValueError(f"no eNB identity has {enb.bits} bits")
    choice = (_ENB_ID_CHOICE[enb.bits], _bits(enb.enb_id, enb.bits))
    return {"pLMNidentity": _plmn_octets(enb.plmn), "eNB-ID": choice}


def _global_enb_id(value: Any) -> GlobalEnbId:
    choice, content = value["eNB-ID"]
    if choice not in _ENB_ID_BITS:
        raise ValueError("the eNB identity is of an unknown size")
    return GlobalEnbId(_plmn(value["pLMNidentity"]), *content)


def _gummei_value(gummei: Gummei | None) -> dict[str, bytes] | None:
    if gummei is None:
        return None
    return {
        "pLMN-Identity": _plmn_octets(gummei.plmn),
        "mME-Group-ID": _octets(gummei.mme_group_id, 2),
        "mME-Code": _octets(gummei.mme_code, 1),
    }


def _gummei(value: Any) -> Gummei:
    plmn = _plmn(value["pLMN-Identity"])
    return Gummei(plmn, int.from_bytes(value["mME-Group-ID"]), int.from_bytes(value["mME-Code"]))


def _s_tmsi_value(s_tmsi: STmsi | None) -> dict[str, bytes] | None:
    if s_tmsi is None:
        return None
    return {"mMEC": _octets(s_tmsi.mme_code, 1), "m-TMSI": _octets(s_tmsi.m_tmsi, 4)}


def _s_tmsi(value: Any) -> STmsi:
    return STmsi(int.from_bytes(value["mMEC"]), int.from_bytes(value["m-TMSI"]))


_UNSPECIFIED = Cause(CauseGroup.MISC, "unspecified")


def _cause_value(cause: Cause | None) -> tuple[str, str] | None:
    return None if cause is None else (cause.group.value, cause.value)


def _cause(value: Any) -> Cause:
    """An alternative that this version does not know is given as unspecified (the IE's criticality is ignore)."""
    if value is None or value[0] not in _CAUSE_GROUPS or not isinstance(value[1], str):
        return _UNSPECIFIED
    return Cause(_CAUSE_GROUPS[value[0]], value[1])


_CAUSE_GROUPS = {group.value: group for group in CauseGroup}


def _diagnostics_value(diagnostics: CriticalityDiagnostics | None) -> dict[str, Any] | None:
    if diagnostics is None:
        return None
    ies = [
        {"iECriticality": criticality, "iE-ID": ie_id, "typeOfError": kind}
        for ie_id, criticality, kind in diagnostics.ies
    ]
    value = {
        "procedureCode": diagnostics.procedure_code,
        "triggeringMessage": diagnostics.triggering_message,
        "procedureCriticality": diagnostics.procedure_criticality,
        "iEsCriticalityDiagnostics": ies or None,
    }
    return {name: content for name, content in value.items() if content is not None}


def _diagnostics(value: Any) -> CriticalityDiagnostics:
    ies = value.get("iEsCriticalityDiagnostics", ())
    return CriticalityDiagnostics(
        procedure_code=value.get("procedureCode"),
        triggering_message=value.get("triggeringMessage"),
        procedure_criticality=value.get("procedureCriticality"),
        ies=tuple((item["iE-ID"], item["iECriticality"], item["typeOfError"]) for item in ies),
    )


def _nas_value(nas_pdu: NasPdu) -> bytes:
    if not isinstance(nas_pdu, bytes):
        raise ValueError("the NAS PDU is not octets yet")
    return nas_pdu


def _octets(value: int, octets: int) -> bytes:
    if not 0 <= value < 1 << 8 * octets:
        raise ValueError(f"the number has {8 * octets} bits")
    return value.to_bytes(octets)


def _bits(value: int, bits: int) -> tuple[int, int]:
    if not 0 <= value < 1 << bits:
        raise ValueError(f"the number has {bits} bits")
    return value, bits


def _address_value(address: bytes) -> tuple[int, int]:
    if len(address) not in (4, 16, 20):
        raise ValueError("a transport layer address has 4, 16 or 20 octets")
    return int.from_bytes(address), 8 * len(address)


def _address(value: tuple[int, int]) -> bytes:
    number, bits = value
    if bits not in (32, 128, 160):
        raise ValueError("a transport layer address has 4, 16 or 20 octets")
    return number.to_bytes(bits // 8)


_PRINTABLE = re.compile(r"[A-Za-z0-9 '()+,\-./:=?]{1,150}\Z")


def _name_value(name: str | None) -> str | None:
    if name is not None and not _PRINTABLE.match(name):
        raise ValueError("a name is 1 to 150 characters of PrintableString")
    return name


def _supported_tas(value: Any) -> tuple[SupportedTa, ...]:
    return tuple(
        SupportedTa(int.from_bytes(item["tAC"]), tuple(_plmn(octets) for octets in item["broadcastPLMNs"]))
        for item in value
    )


def _supported_tas_value(supported_tas: tuple[SupportedTa, ...]) -> list[dict[str, Any]]:
    return [
        {"tAC": _octets(ta.tac, 2), "broadcastPLMNs": [_plmn_octets(plmn) for plmn in ta.plmns]} for ta in supported_tas
    ]


def _served_gummeis(value: Any) -> tuple[ServedGummei, ...]:
    return tuple(
        ServedGummei(
            plmns=tuple(_plmn(octets) for octets in item["servedPLMNs"]),
            mme_group_ids=tuple(int.from_bytes(octets) for octets in item["servedGroupIDs"]),
            mme_codes=tuple(int.from_bytes(octets) for octets in item["servedMMECs"]),
        )
        for item in value
    )


def _served_gummeis_value(served_gummeis: tuple[ServedGummei, ...]) -> list[dict[str, Any]]:
    return [
        {
            "servedPLMNs": [_plmn_octets(plmn) for plmn in served.plmns],
            "servedGroupIDs": [_octets(group_id, 2) for group_id in served.mme_group_ids],
            "servedMMECs": [_octets(code, 1) for code in served.mme_codes],
        }
        for served in served_gummeis
    ]


def _ambr_value(dl_bps: int, ul_bps: int) -> dict[str, int]:
    return {"uEaggregateMaximumBitRateDL": dl_bps, "uEaggregateMaximumBitRateUL": ul_bps}


def _key_value(key: bytes) -> tuple[int, int]:
    if len(key) != 32:
        raise ValueError("K_eNB has 32 octets")
    return int.from_bytes(key), 256


def _imsi_octets(imsi: Imsi) -> bytes:
    """Digits in pairs, the first in the lower half; an odd last one with a filler (TS 36.413 9.2.3.11)."""
    text = imsi.digits + "f" * (len(imsi.digits) % 2)
    return bytes(int(text[i + 1] + text[i], 16) for i in range(0, len(text), 2))


def _imsi(octets: bytes) -> Imsi:
    text = "".join(f"{octet & 0x0F:x}{octet >> 4:x}" for octet in octets)
    return Imsi(text.removesuffix("f"))


def _connection(value: Any) -> UeS1apIds:
    return UeS1apIds(value.get("mME-UE-S1AP-ID"), value.get("eNB-UE-S1AP-ID"))


def _connections_value(connections: tuple[UeS1apIds, ...], criticality: str) -> list[dict[str, Any]]:
    items = []
    for connection in connections:
        ids = {"mME-UE-S1AP-ID": connection.mme_ue_s1ap_id, "eNB-UE-S1AP-ID": connection.enb_ue_s1ap_id}
        value = {name: number for name, number in ids.items() if number is not None}
        items.append(_item(_Ie.S1_CONNECTION_ITEM, criticality, "UE-associatedLogicalS1-ConnectionItem", value))
    return items


# --------------------------------------------------------------------------- one reader and one writer per message


def _s1_setup_request(ies: Ies) -> S1apMessage:
    return S1SetupRequest(
        global_enb_id=_global_enb_id(ies[_Ie.GLOBAL_ENB_ID]),
        supported_tas=_supported_tas(ies[_Ie.SUPPORTED_TAS]),
        enb_name=ies.get(_Ie.ENB_NAME),
        default_paging_drx=ies.get(_Ie.DEFAULT_PAGING_DRX, "v128"),
    )


def _s1_setup_request_ies(message: S1SetupRequest) -> IesToSend:
    return {
        _Ie.GLOBAL_ENB_ID: _global_enb_id_value(message.global_enb_id),
        _Ie.ENB_NAME: _name_value(message.enb_name),
        _Ie.SUPPORTED_TAS: _supported_tas_value(message.supported_tas),
        _Ie.DEFAULT_PAGING_DRX: message.default_paging_drx,
    }


def _s1_setup_response(ies: Ies) -> S1apMessage:
    return S1SetupResponse(
        served_gummeis=_served_gummeis(ies[_Ie.SERVED_GUMMEIS]),
        relative_mme_capacity=ies[_Ie.RELATIVE_MME_CAPACITY],
        mme_name=ies.get(_Ie.MME_NAME),
    )


def _s1_setup_response_ies(message: S1SetupResponse) -> IesToSend:
    return {
        _Ie.MME_NAME: _name_value(message.mme_name),
        _Ie.SERVED_GUMMEIS: _served_gummeis_value(message.served_gummeis),
        _Ie.RELATIVE_MME_CAPACITY: message.relative_mme_capacity,
    }


_WAITS_S = {"v1s": 1, "v2s": 2, "v5s": 5, "v10s": 10, "v20s": 20, "v60s": 60}


def _s1_setup_failure(ies: Ies) -> S1apMessage:
    diagnostics = _optional(_diagnostics, ies.get(_Ie.CRITICALITY_DIAGNOSTICS))
    return S1SetupFailure(*_cause_and_wait(ies), criticality_diagnostics=diagnostics)


def _s1_setup_failure_ies(message: S1SetupFailure) -> IesToSend:
    diagnostics = _diagnostics_value(message.criticality_diagnostics)
    return {**_cause_and_wait_ies(message), _Ie.CRITICALITY_DIAGNOSTICS: diagnostics}


def _cause_and_wait(ies: Ies) -> tuple[Cause, int | None]:
    return _cause(ies.get(_Ie.CAUSE)), _WAITS_S.get(ies.get(_Ie.TIME_TO_WAIT, ""))


def _cause_and_wait_ies(message: Any) -> IesToSend:
    wait_s = message.time_to_wait_s
    if wait_s is not None and wait_s not in _WAITS_S.values():
        raise ValueError(f"no time to wait is {wait_s} s")
    return {
        _Ie.CAUSE: _cause_value(message.cause),
        _Ie.TIME_TO_WAIT: None if wait_s is None else f"v{wait_s}s",
    }


def _initial_ue_message(ies: Ies) -> S1apMessage:
    return InitialUeMessage(
        enb_ue_s1ap_id=ies[_Ie.ENB_UE_S1AP_ID],
        nas_pdu=ies[_Ie.NAS_PDU],
        tai=_tai(ies[_Ie.TAI]),
        ecgi=_ecgi(ies[_Ie.EUTRAN_CGI]),
        rrc_establishment_cause=ies.get(_Ie.RRC_ESTABLISHMENT_CAUSE, "mo-Signalling"),
        s_tmsi=_optional(_s_tmsi, ies.get(_Ie.S_TMSI)),
        gummei=_optional(_gummei, ies.get(_Ie.GUMMEI)),
    )


def _initial_ue_message_ies(message: InitialUeMessage) -> IesToSend:
    return {
        _Ie.ENB_UE_S1AP_ID: message.enb_ue_s1ap_id,
        _Ie.NAS_PDU: _nas_value(message.nas_pdu),
        _Ie.TAI: _plmn_tac(message.tai),
        _Ie.EUTRAN_CGI: _ecgi_value(message.ecgi),
        _Ie.RRC_ESTABLISHMENT_CAUSE: message.rrc_establishment_cause,
        _Ie.S_TMSI: _s_tmsi_value(message.s_tmsi),
        _Ie.GUMMEI: _gummei_value(message.gummei),
    }


def _uplink_nas_transport(ies: Ies) -> S1apMessage:
    return UplinkNasTransport(*_ue_ids(ies), ies[_Ie.NAS_PDU], _ecgi(ies[_Ie.EUTRAN_CGI]), _tai(ies[_Ie.TAI]))


def _uplink_nas_transport_ies(message: UplinkNasTransport) -> IesToSend:
    return {
        **_ue_id_ies(message),
        _Ie.NAS_PDU: _nas_value(message.nas_pdu),
        _Ie.EUTRAN_CGI: _ecgi_value(message.ecgi),
        _Ie.TAI: _plmn_tac(message.tai),
    }


def _downlink_nas_transport(ies: Ies) -> S1apMessage:
    return DownlinkNasTransport(*_ue_ids(ies), ies[_Ie.NAS_PDU])


def _downlink_nas_transport_ies(message: DownlinkNasTransport) -> IesToSend:
    return {**_ue_id_ies(message), _Ie.NAS_PDU: _nas_value(message.nas_pdu)}


def _nas_non_delivery_indication(ies: Ies) -> S1apMessage:
    return NasNonDeliveryIndication(*_ue_ids(ies), ies.get(_Ie.NAS_PDU, b""), _cause(ies.get(_Ie.CAUSE)))


def _nas_non_delivery_indication_ies(message: NasNonDeliveryIndication) -> IesToSend:
    return {
        **_ue_id_ies(message),
        _Ie.NAS_PDU: _nas_value(message.nas_pdu),
        _Ie.CAUSE: _cause_value(message.cause),
    }


def _initial_context_setup_request(ies: Ies) -> S1apMessage:
    bit_rates, capabilities = ies[_Ie.UE_AGGREGATE_MAXIMUM_BITRATE], ies[_Ie.UE_SECURITY_CAPABILITIES]
    return InitialContextSetupRequest(
        *_ue_ids(ies),
        ue_ambr_dl_bps=bit_rates["uEaggregateMaximumBitRateDL"],
        ue_ambr_ul_bps=bit_rates["uEaggregateMaximumBitRateUL"],
        e_rabs=_list_of(_e_rab_to_be_setup, _Ie.E_RAB_TO_BE_SETUP_ITEM, ies[_Ie.E_RAB_TO_BE_SETUP_LIST]),
        encryption_algorithms=capabilities["encryptionAlgorithms"][0],
        integrity_algorithms=capabilities["integrityProtectionAlgorithms"][0],
        k_enb=ies[_Ie.SECURITY_KEY][0].to_bytes(32),
        ue_radio_capability=ies.get(_Ie.UE_RADIO_CAPABILITY),
    )


def _initial_context_setup_request_ies(message: InitialContextSetupRequest) -> IesToSend:
    return {
        **_ue_id_ies(message),
        _Ie.UE_AGGREGATE_MAXIMUM_BITRATE: _ambr_value(message.ue_ambr_dl_bps, message.ue_ambr_ul_bps),
        _Ie.E_RAB_TO_BE_SETUP_LIST: [
            _item(_Ie.E_RAB_TO_BE_SETUP_ITEM, "reject", "E-RABToBeSetupItemCtxtSUReq", _e_rab_to_be_setup_value(e_rab))
            for e_rab in message.e_rabs
        ],
        _Ie.UE_SECURITY_CAPABILITIES: {
            "encryptionAlgorithms": _bits(message.encryption_algorithms, 16),
            "integrityProtectionAlgorithms": _bits(message.integrity_algorithms, 16),
        },
        _Ie.SECURITY_KEY: _key_value(message.k_enb),
        _Ie.UE_RADIO_CAPABILITY: message.ue_radio_capability,
    }


def _e_rab_to_be_setup(value: Any) -> ErabToBeSetup:
    qos = value["e-RABlevelQoSParameters"]
    priority = qos["allocationRetentionPriority"]
    return ErabToBeSetup(
        e_rab_id=value["e-RAB-ID"],
        qci=qos["qCI"],
        priority_level=priority["priorityLevel"],
        transport_layer_address=_address(value["transportLayerAddress"]),
        gtp_teid=int.from_bytes(value["gTP-TEID"]),
        nas_pdu=value.get("nAS-PDU"),
        preemption_capable=priority["pre-emptionCapability"] == "may-trigger-pre-emption",
        preemption_vulnerable=priority["pre-emptionVulnerability"] == "pre-emptable",
    )


def _e_rab_to_be_setup_value(e_rab: ErabToBeSetup) -> dict[str, Any]:
    capability = "may-trigger-pre-emption" if e_rab.preemption_capable else "shall-not-trigger-pre-emption"
    value: dict[str, Any] = {
        "e-RAB-ID": e_rab.e_rab_id,
        "e-RABlevelQoSParameters": {
            "qCI": e_rab.qci,
            "allocationRetentionPriority": {
                "priorityLevel": e_rab.priority_level,
                "pre-emptionCapability": capability,
                "pre-emptionVulnerability": "pre-emptable" if e_rab.preemption_vulnerable else "not-pre-emptable",
            },
        },
        "transportLayerAddress": _address_value(e_rab.transport_layer_address),
        "gTP-TEID": _octets(e_rab.gtp_teid, 4),
    }
    return value if e_rab.nas_pdu is None else {**value, "nAS-PDU": _nas_value(e_rab.nas_pdu)}


def _initial_context_setup_response(ies: Ies) -> S1apMessage:
    return InitialContextSetupResponse(
        *_ue_ids(ies),
        e_rabs=_list_of(_e_rab_setup, _Ie.E_RAB_SETUP_ITEM, ies.get(_Ie.E_RAB_SETUP_LIST, ())),
        e_rabs_failed=_list_of(_e_rab_failed, _Ie.E_RAB_ITEM, ies.get(_Ie.E_RAB_FAILED_TO_SETUP_LIST, ())),
    )


def _initial_context_setup_response_ies(message: InitialContextSetupResponse) -> IesToSend:
    setup = [
        {
            "e-RAB-ID": e_rab.e_rab_id,
            "transportLayerAddress": _address_value(e_rab.transport_layer_address),
            "gTP-TEID": _octets(e_rab.gtp_teid, 4),
        }
        for e_rab in message.e_rabs
    ]
    failed = [{"e-RAB-ID": e_rab.e_rab_id, "cause": _cause_value(e_rab.cause)} for e_rab in message.e_rabs_failed]
    return {
        **_ue_id_ies(message),
        _Ie.E_RAB_SETUP_LIST: [
            _item(_Ie.E_RAB_SETUP_ITEM, "ignore", "E-RABSetupItemCtxtSURes", value) for value in setup
        ],
        _Ie.E_RAB_FAILED_TO_SETUP_LIST: [_item(_Ie.E_RAB_ITEM, "ignore", "E-RABItem", value) for value in failed]
        or None,
    }


def _e_rab_setup(value: Any) -> ErabSetup:
    address = _address(value["transportLayerAddress"])
    return ErabSetup(value["e-RAB-ID"], address, int.from_bytes(value["gTP-TEID"]))


def _e_rab_failed(value: Any) -> ErabFailed:
    return ErabFailed(value["e-RAB-ID"], _cause(value["cause"]))


def _initial_context_setup_failure(ies: Ies) -> S1apMessage:
    return InitialContextSetupFailure(*_ue_ids(ies), _cause(ies.get(_Ie.CAUSE)))


def _ids_and_cause_ies(message: Any) -> IesToSend:
    return {**_ue_id_ies(message), _Ie.CAUSE: _cause_value(message.cause)}


def _ue_capability_info_indication(ies: Ies) -> S1apMessage:
    return UeCapabilityInfoIndication(*_ue_ids(ies), ies.get(_Ie.UE_RADIO_CAPABILITY, b""))


def _ue_capability_info_indication_ies(message: UeCapabilityInfoIndication) -> IesToSend:
    return {**_ue_id_ies(message), _Ie.UE_RADIO_CAPABILITY: message.ue_radio_capability}


def _ue_context_release_request(ies: Ies) -> S1apMessage:
    return UeContextReleaseRequest(*_ue_ids(ies), _cause(ies.get(_Ie.CAUSE)))


def _ue_context_release_command(ies: Ies) -> S1apMessage:
    choice, value = ies[_Ie.UE_S1AP_IDS]
    cause = _cause(ies.get(_Ie.CAUSE))
    if choice == "uE-S1AP-ID-pair":
        return UeContextReleaseCommand(value["mME-UE-S1AP-ID"], value["eNB-UE-S1AP-ID"], cause)
    if choice == "mME-UE-S1AP-ID":
        return UeContextReleaseCommand(value, None, cause)
    raise ValueError("the UE S1AP ids are of an unknown form")


def _ue_context_release_command_ies(message: UeContextReleaseCommand) -> IesToSend:
    mme_id, enb_id = message.mme_ue_s1ap_id, message.enb_ue_s1ap_id
    pair = ("uE-S1AP-ID-pair", {"mME-UE-S1AP-ID": mme_id, "eNB-UE-S1AP-ID": enb_id})
    return {
        _Ie.UE_S1AP_IDS: ("mME-UE-S1AP-ID", mme_id) if enb_id is None else pair,
        _Ie.CAUSE: _cause_value(message.cause),
    }


def _ue_context_release_complete(ies: Ies) -> S1apMessage:
    return UeContextReleaseComplete(*_ue_ids(ies))


def _error_indication(ies: Ies) -> S1apMessage:
    return ErrorIndication(
        ies.get(_Ie.MME_UE_S1AP_ID),
        ies.get(_Ie.ENB_UE_S1AP_ID),
        _optional(_cause, ies.get(_Ie.CAUSE)),
        _optional(_diagnostics, ies.get(_Ie.CRITICALITY_DIAGNOSTICS)),
    )


def _error_indication_ies(message: ErrorIndication) -> IesToSend:
    return {
        **_ids_and_cause_ies(message),
        _Ie.CRITICALITY_DIAGNOSTICS: _diagnostics_value(message.criticality_diagnostics),
    }


def _ue_context_modification_request(ies: Ies) -> S1apMessage:
    bit_rates, key = ies.get(_Ie.UE_AGGREGATE_MAXIMUM_BITRATE, {}), ies.get(_Ie.SECURITY_KEY)
    return UeContextModificationRequest(
        *_ue_ids(ies),
        ue_ambr_dl_bps=bit_rates.get("uEaggregateMaximumBitRateDL"),
        ue_ambr_ul_bps=bit_rates.get("uEaggregateMaximumBitRateUL"),
        k_enb=None if key is None else key[0].to_bytes(32),
    )


def _ue_context_modification_request_ies(message: UeContextModificationRequest) -> IesToSend:
    downlink, uplink = message.ue_ambr_dl_bps, message.ue_ambr_ul_bps
    if (downlink is None) != (uplink is None):
        raise ValueError("a UE-AMBR has both directions")
    return {
        **_ue_id_ies(message),
        _Ie.SECURITY_KEY: None if message.k_enb is None else _key_value(message.k_enb),
        _Ie.UE_AGGREGATE_MAXIMUM_BITRATE: None if downlink is None or uplink is None else _ambr_value(downlink, uplink),
    }


def _ue_context_modification_response(ies: Ies) -> S1apMessage:
    return UeContextModificationResponse(*_ue_ids(ies))


def _ue_context_modification_failure(ies: Ies) -> S1apMessage:
    return UeContextModificationFailure(*_ue_ids(ies), _cause(ies.get(_Ie.CAUSE)))


def _paging(ies: Ies) -> S1apMessage:
    choice, identity = ies[_Ie.UE_PAGING_ID]
    if choice not in ("s-TMSI", "iMSI"):
        raise ValueError("the UE paging identity is of an unknown form")
    return Paging(
        ue_identity_index=ies[_Ie.UE_IDENTITY_INDEX_VALUE][0],
        ue_paging_id=_s_tmsi(identity) if choice == "s-TMSI" else _imsi(identity),
        tai_list=_list_of(lambda item: _tai(item["tAI"]), _Ie.TAI_ITEM, ies[_Ie.TAI_LIST]),
        cn_domain=ies[_Ie.CN_DOMAIN],
        paging_drx=ies.get(_Ie.PAGING_DRX),
    )


def _paging_ies(message: Paging) -> IesToSend:
    identity = message.ue_paging_id
    imsi = ("iMSI", _imsi_octets(identity)) if isinstance(identity, Imsi) else None
    return {
        _Ie.UE_IDENTITY_INDEX_VALUE: _bits(message.ue_identity_index, 10),
        _Ie.UE_PAGING_ID: ("s-TMSI", _s_tmsi_value(identity)) if isinstance(identity, STmsi) else imsi,
        _Ie.PAGING_DRX: message.paging_drx,
        _Ie.CN_DOMAIN: message.cn_domain,
        _Ie.TAI_LIST: [_item(_Ie.TAI_ITEM, "ignore", "TAIItem", {"tAI": _plmn_tac(tai)}) for tai in message.tai_list],
    }


_RESET_PART, _RESET_ALL = "partOfS1-Interface", "s1-Interface"


def _reset(ies: Ies) -> S1apMessage:
    choice, content = ies[_Ie.RESET_TYPE]
    cause = _cause(ies.get(_Ie.CAUSE))
    if choice == _RESET_PART:
        return Reset(cause, _list_of(_connection, _Ie.S1_CONNECTION_ITEM, content))
    if choice == _RESET_ALL:
        return Reset(cause)
    raise ValueError("the reset type is of an unknown form")


def _reset_ies(message: Reset) -> IesToSend:
    whole = (_RESET_ALL, "reset-all")
    return {
        _Ie.CAUSE: _cause_value(message.cause),
        _Ie.RESET_TYPE: whole
        if message.connections is None
        else (_RESET_PART, _connections_value(message.connections, "reject")),
    }


def _reset_acknowledge(ies: Ies) -> S1apMessage:
    return ResetAcknowledge(_list_of(_connection, _Ie.S1_CONNECTION_ITEM, ies.get(_Ie.S1_CONNECTION_LIST, ())))


def _reset_acknowledge_ies(message: ResetAcknowledge) -> IesToSend:
    return {_Ie.S1_CONNECTION_LIST: _connections_value(message.connections, "ignore") or None}


def _enb_configuration_update(ies: Ies) -> S1apMessage:
    return EnbConfigurationUpdate(
        enb_name=ies.get(_Ie.ENB_NAME),
        supported_tas=_optional(_supported_tas, ies.get(_Ie.SUPPORTED_TAS)),
        default_paging_drx=ies.get(_Ie.DEFAULT_PAGING_DRX),
    )


def _enb_configuration_update_ies(message: EnbConfigurationUpdate) -> IesToSend:
    return {
        _Ie.ENB_NAME: _name_value(message.enb_name),
        _Ie.SUPPORTED_TAS: _optional(_supported_tas_value, message.supported_tas),
        _Ie.DEFAULT_PAGING_DRX: message.default_paging_drx,
    }


def _enb_configuration_update_failure(ies: Ies) -> S1apMessage:
    return EnbConfigurationUpdateFailure(*_cause_and_wait(ies))


def _mme_configuration_update(ies: Ies) -> S1apMessage:
    return MmeConfigurationUpdate(
        mme_name=ies.get(_Ie.MME_NAME),
        served_gummeis=_optional(_served_gummeis, ies.get(_Ie.SERVED_GUMMEIS)),
        relative_mme_capacity=ies.get(_Ie.RELATIVE_MME_CAPACITY),
    )


def _mme_configuration_update_ies(message: MmeConfigurationUpdate) -> IesToSend:
    return {
        _Ie.MME_NAME: _name_value(message.mme_name),
        _Ie.SERVED_GUMMEIS: _optional(_served_gummeis_value, message.served_gummeis),
        _Ie.RELATIVE_MME_CAPACITY: message.relative_mme_capacity,
    }


def _mme_configuration_update_failure(ies: Ies) -> S1apMessage:
    return MmeConfigurationUpdateFailure(*_cause_and_wait(ies))


def _overload_start(ies: Ies) -> S1apMessage:
    choice, action = ies[_Ie.OVERLOAD_RESPONSE]
    if choice != "overloadAction":
        raise ValueError("the overload response is of an unknown form")
    return OverloadStart(action, ies.get(_Ie.TRAFFIC_LOAD_REDUCTION_INDICATION))


def _overload_start_ies(message: OverloadStart) -> IesToSend:
    return {
        _Ie.OVERLOAD_RESPONSE: ("overloadAction", message.action),
        _Ie.TRAFFIC_LOAD_REDUCTION_INDICATION: message.traffic_load_reduction,
    }


def _no_ies(_: S1apMessage) -> IesToSend:
    return {}


def _ue_ids(ies: Ies) -> tuple[int, int]:
    return ies[_Ie.MME_UE_S1AP_ID], ies[_Ie.ENB_UE_S1AP_ID]


def _ue_id_ies(message: Any) -> IesToSend:
    return {_Ie.MME_UE_S1AP_ID: message.mme_ue_s1ap_id, _Ie.ENB_UE_S1AP_ID: message.enb_ue_s1ap_id}


def _item(ie: _Ie, criticality: str, type_name: str, value: Any) -> dict[str, Any]:
    """One element of a list, which is an IE container of its own."""
    return {"id": int(ie), "criticality": criticality, "value": (type_name, value)}


def _list_of(read: Callable[[Any], _T], ie: _Ie, items: Iterable[Any]) -> tuple[_T, ...]:
    """The elements of a list of IE containers.  Raises _UnknownIeError for another id, unless it may be ignored."""
    elements = []
    for item in items:
        if item["id"] == ie:
            elements.append(read(item["value"][1]))
        elif item["criticality"] == "reject":
            raise _UnknownIeError(f"IE {item['id']} in a list")
    return tuple(elements)


def _optional(read: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else read(value)


# --------------------------------------------------------------------------- the messages, described by the ASN.1

_PDU = S1AP.S1AP_PDU_Descriptions.S1AP_PDU


# What a reader can do without where its criticality is ignore (TS 36.413 10.3.5).
_REPLACEABLE = frozenset(
    (
        _Ie.CAUSE,
        _Ie.DEFAULT_PAGING_DRX,
        _Ie.E_RAB_SETUP_LIST,
        _Ie.NAS_PDU,
        _Ie.RRC_ESTABLISHMENT_CAUSE,
        _Ie.UE_RADIO_CAPABILITY,
    )
)


class _KnownIe(NamedTuple):
    criticality: str
    type_name: str
    rank: int
    mandatory: bool


@dataclass(frozen=True, slots=True)
class _Kind:
    """A message: what the ASN.1 says of it, and its reader and writer.

    mandatory: the IEs without which it is rejected.  plain: reads and writes it without pycrate, where it can.
    """

    procedure_code: int
    choice: str
    criticality: str
    type_name: str
    ies: Mapping[int, _KnownIe]
    mandatory: tuple[int, ...]
    read: Callable[[Ies], S1apMessage]
    write: Callable[[Any], IesToSend]
    plain: aper.Message


_Row = tuple[int, str, type[S1apMessage], Callable[[Ies], S1apMessage], Callable[[Any], IesToSend]]

_MESSAGES: tuple[_Row, ...] = (
    (
        9,
        INITIATING,
        InitialContextSetupRequest,
        _initial_context_setup_request,
        _initial_context_setup_request_ies,
    ),
    (
        9,
        SUCCESSFUL,
        InitialContextSetupResponse,
        _initial_context_setup_response,
        _initial_context_setup_response_ies,
    ),
    (9, UNSUCCESSFUL, InitialContextSetupFailure, _initial_context_setup_failure, _ids_and_cause_ies),
    (10, INITIATING, Paging, _paging, _paging_ies),
    (11, INITIATING, DownlinkNasTransport, _downlink_nas_transport, _downlink_nas_transport_ies),
    (12, INITIATING, InitialUeMessage, _initial_ue_message, _initial_ue_message_ies),
    (13, INITIATING, UplinkNasTransport, _uplink_nas_transport, _uplink_nas_transport_ies),
    (14, INITIATING, Reset, _reset, _reset_ies),
    (14, SUCCESSFUL, ResetAcknowledge, _reset_acknowledge, _reset_acknowledge_ies),
    (15, INITIATING, ErrorIndication, _error_indication, _error_indication_ies),
    (16, INITIATING, NasNonDeliveryIndication, _nas_non_delivery_indication, _nas_non_delivery_indication_ies),
    (17, INITIATING, S1SetupRequest, _s1_setup_request, _s1_setup_request_ies),
    (17, SUCCESSFUL, S1SetupResponse, _s1_setup_response, _s1_setup_response_ies),
    (17, UNSUCCESSFUL, S1SetupFailure, _s1_setup_failure, _s1_setup_failure_ies),
    (18, INITIATING, UeContextReleaseRequest, _ue_context_release_request, _ids_and_cause_ies),
    (
        21,
        INITIATING,
        UeContextModificationRequest,
        _ue_context_modification_request,
        _ue_context_modification_request_ies,
    ),
    (21, SUCCESSFUL, UeContextModificationResponse, _ue_context_modification_response, _ue_id_ies),
    (21, UNSUCCESSFUL, UeContextModificationFailure, _ue_context_modification_failure, _ids_and_cause_ies),
    (22, INITIATING, UeCapabilityInfoIndication, _ue_capability_info_indication, _ue_capability_info_indication_ies),
    (23, INITIATING, UeContextReleaseCommand, _ue_context_release_command, _ue_context_release_command_ies),
    (23, SUCCESSFUL, UeContextReleaseComplete, _ue_context_release_complete, _ue_id_ies),
    (29, INITIATING, EnbConfigurationUpdate, _enb_configuration_update, _enb_configuration_update_ies),
    (29, SUCCESSFUL, EnbConfigurationUpdateAcknowledge, lambda _: EnbConfigurationUpdateAcknowledge(), _no_ies),
    (29, UNSUCCESSFUL, EnbConfigurationUpdateFailure, _enb_configuration_update_failure, _cause_and_wait_ies),
    (30, INITIATING, MmeConfigurationUpdate, _mme_configuration_update, _mme_configuration_update_ies),
    (30, SUCCESSFUL, MmeConfigurationUpdateAcknowledge, lambda _: MmeConfigurationUpdateAcknowledge(), _no_ies),
    (30, UNSUCCESSFUL, MmeConfigurationUpdateFailure, _mme_configuration_update_failure, _cause_and_wait_ies),
    (34, INITIATING, OverloadStart, _overload_start, _overload_start_ies),
    (35, INITIATING, OverloadStop, lambda _: OverloadStop(), _no_ies),
)


def _kinds() -> Iterator[tuple[type[S1apMessage], _Kind]]:
    procedures = {p["procedureCode"]: p for p in S1AP.S1AP_PDU_Descriptions.S1AP_ELEMENTARY_PROCEDURES().root}
    for code, choice, message_class, read, write in _MESSAGES:
        procedure = procedures[code]
        message = procedure[_ASN1_FIELD[choice]]
        rows = message._cont["protocolIEs"]._cont._cont["id"]._const_tab().root
        ies = {
            row["id"]: _KnownIe(
                row["criticality"], row["Value"]._typeref.called[1], rank, row["presence"] == "mandatory"
            )
            for rank, row in enumerate(rows)
        }
        needed = (ie_id for ie_id, ie in ies.items() if ie.mandatory)
        mandatory = tuple(ie_id for ie_id in needed if ies[ie_id].criticality != "ignore" or ie_id not in _REPLACEABLE)
        type_name, criticality = message._typeref.called[1], procedure["criticality"]
        plain = aper.Message(_CHOICES.index(choice) << 5, code, criticality, message)
        yield message_class, _Kind(code, choice, criticality, type_name, ies, mandatory, read, write, plain)


_BY_CLASS = dict(_kinds())
_BY_PROCEDURE = {(kind.choice, kind.procedure_code): kind for kind in _BY_CLASS.values()}
