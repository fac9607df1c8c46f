"""ESM messages (TS 24.301 8.3), inside an EMM message or alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from pycrate_mobile import TS24301_ESM

from mme.codec import information_elements as ies
from mme.codec.layer3 import Layer3Codec, Value, Values
from mme.enums import EmmCause, EsmCause
from mme.errors import NasError
from mme.messages import (
    ActivateDefaultEpsBearerContextAccept,
    ActivateDefaultEpsBearerContextReject,
    ActivateDefaultEpsBearerContextRequest,
    EsmInformationRequest,
    EsmInformationResponse,
    EsmMessage,
    EsmStatus,
    PdnConnectivityReject,
    PdnConnectivityRequest,
    UndecodableEsm,
)

PROTOCOL_DISCRIMINATOR = 2
HEADER_OCTETS = 3

_T = TypeVar("_T")


def decode(octets: bytes) -> EsmMessage:
    """octets: from the EPS bearer identity on.  Never raises: what cannot be decoded is an UndecodableEsm."""
    if len(octets) < HEADER_OCTETS:
        return UndecodableEsm(octets[0] >> 4 if octets else 0, 0, EsmCause.INVALID_MANDATORY_INFORMATION)
    identity, pti, message_type = octets[0] >> 4, octets[1], octets[2]
    if octets[0] & 0x0F != PROTOCOL_DISCRIMINATOR:
        return UndecodableEsm(identity, pti, EsmCause.PROTOCOL_ERROR, message_type)
    if message_type not in _DECODERS:
        return UndecodableEsm(identity, pti, EsmCause.MESSAGE_TYPE_NON_EXISTENT, message_type)
    codec, build = _DECODERS[message_type]
    try:
        return build(identity, pti, codec.read(octets))
    except (NasError, ValueError):  # the only cause of either is clause 7.5
        return UndecodableEsm(identity, pti, EsmCause.INVALID_MANDATORY_INFORMATION, message_type)


def encode(message: EsmMessage) -> bytes:
    """Raises ValueError for a value that its IE cannot carry, and for UndecodableEsm."""
    if type(message) not in _ENCODERS:
        raise ValueError(f"{type(message).__name__} has no encoding")
    codec, values = _ENCODERS[type(message)]
    if not (0 <= message.eps_bearer_identity <= 15 and 0 <= message.pti <= 255):
        raise ValueError("an EPS bearer identity has 4 bits, a PTI 8")
    header = {"EPSBearerId": message.eps_bearer_identity, "PTI": message.pti}
    return codec.write(header, values(message))


def cause(octet: int) -> EsmCause:
    """TS 24.301 9.9.4.4: what is unknown counts as a protocol error."""
    try:
        return EsmCause(octet)
    except ValueError:
        return EsmCause.PROTOCOL_ERROR


def optional(read: Callable[[bytes], _T], octets: Value | None) -> _T | None:
    """The value of an optional IE; a syntactically incorrect one counts as absent (TS 24.301 7.7.1)."""
    if octets is None:
        return None
    try:
        return read(cast(bytes, octets))
    except ValueError:
        return None


def _octet(values: Values, name: str) -> int:
    return cast(bytes, values[name])[0]


def _bytes(values: Values, name: str) -> bytes:
    return cast(bytes, values[name])


def _number(values: Values, name: str) -> int:
    return cast(int, values[name])


def _pco(values: Values) -> bytes | None:
    return cast("bytes | None", values.get("ProtConfig"))


def _cause_values(message: Any) -> dict[str, Value | None]:
    return {"ESMCause": bytes((message.cause,)), **_pco_values(message)}


def _pco_values(message: Any) -> dict[str, Value | None]:
    return {"ProtConfig": message.protocol_configuration_options}


def _apn_octets(name: str | None) -> bytes | None:
    return None if name is None else ies.access_point_name_octets(name)


# --------------------------------------------------------------------------- one reader and one writer per message


def _pdn_connectivity_request(identity: int, pti: int, values: Values) -> EsmMessage:
    return PdnConnectivityRequest(
        identity,
        pti,
        request_type=_number(values, "RequestType") & 7,
        pdn_type=_number(values, "PDNType") & 7,
        esm_information_transfer_flag=bool(cast(int, values.get("ESMInfoTransferFlag", 0)) & 1),
        access_point_name=optional(ies.access_point_name, values.get("APN")),
        protocol_configuration_options=_pco(values),
    )


def _pdn_connectivity_request_values(message: PdnConnectivityRequest) -> dict[str, Value | None]:
    return {
        "PDNType": message.pdn_type,
        "RequestType": message.request_type,
        "ESMInfoTransferFlag": 1 if message.esm_information_transfer_flag else None,
        "APN": _apn_octets(message.access_point_name),
        **_pco_values(message),
    }


def _activate_default_request(identity: int, pti: int, values: Values) -> EsmMessage:
    qos = _bytes(values, "EPSQoS")
    if not qos:
        raise NasError(EmmCause.INVALID_MANDATORY_INFORMATION, "EPS QoS is empty")
    downlink, uplink = optional(ies.apn_ambr, values.get("APN_AMBR")) or (None, None)
    return ActivateDefaultEpsBearerContextRequest(
        identity,
        pti,
        qci=qos[0],
        access_point_name=ies.access_point_name(_bytes(values, "APN")),
        pdn_address=ies.pdn_address(_bytes(values, "PDNAddr")),
        apn_ambr_dl_bps=downlink,
        apn_ambr_ul_bps=uplink,
        cause=cause(_octet(values, "ESMCause")) if "ESMCause" in values else None,
        protocol_configuration_options=_pco(values),
    )


def _activate_default_request_values(message: ActivateDefaultEpsBearerContextRequest) -> dict[str, Value | None]:
    downlink, uplink = message.apn_ambr_dl_bps, message.apn_ambr_ul_bps
    if (downlink is None) != (uplink is None):
        raise ValueError("an APN-AMBR has both directions")
    return {
        "EPSQoS": bytes((message.qci,)),
        "APN": ies.access_point_name_octets(message.access_point_name),
        "PDNAddr": ies.pdn_address_octets(message.pdn_address),
        "APN_AMBR": None if downlink is None or uplink is None else ies.apn_ambr_octets(downlink, uplink),
        "ESMCause": None if message.cause is None else bytes((message.cause,)),
        **_pco_values(message),
    }


def _activate_default_accept(identity: int, pti: int, values: Values) -> EsmMessage:
    return ActivateDefaultEpsBearerContextAccept(identity, pti, _pco(values))


def _activate_default_reject(identity: int, pti: int, values: Values) -> EsmMessage:
    return ActivateDefaultEpsBearerContextReject(identity, pti, _octet(values, "ESMCause"), _pco(values))


def _pdn_connectivity_reject(identity: int, pti: int, values: Values) -> EsmMessage:
    return PdnConnectivityReject(identity, pti, cause(_octet(values, "ESMCause")), _pco(values))


def _information_request(identity: int, pti: int, _: Values) -> EsmMessage:
    return EsmInformationRequest(identity, pti)


def _information_response(identity: int, pti: int, values: Values) -> EsmMessage:
    name = optional(ies.access_point_name, values.get("APN"))
    return EsmInformationResponse(identity, pti, name, _pco(values))


def _information_response_values(message: EsmInformationResponse) -> dict[str, Value | None]:
    return {"APN": _apn_octets(message.access_point_name), **_pco_values(message)}


def _status(identity: int, pti: int, values: Values) -> EsmMessage:
    return EsmStatus(identity, pti, _octet(values, "ESMCause"))


def _status_values(message: EsmStatus) -> dict[str, Value | None]:
    return {"ESMCause": bytes((message.cause,))}


def _no_values(_: EsmMessage) -> dict[str, Value | None]:
    return {}


_MESSAGES: tuple[tuple[int, type[EsmMessage], Any, Callable[[int, int, Values], EsmMessage], Callable[[Any], Any]], ...]
_MESSAGES = (
    (
        0xC1,
        ActivateDefaultEpsBearerContextRequest,
        TS24301_ESM.ESMActDefaultEPSBearerCtxtRequest,
        _activate_default_request,
        _activate_default_request_values,
    ),
    (
        0xC2,
        ActivateDefaultEpsBearerContextAccept,
        TS24301_ESM.ESMActDefaultEPSBearerCtxtAccept,
        _activate_default_accept,
        _pco_values,
    ),
    (
        0xC3,
        ActivateDefaultEpsBearerContextReject,
        TS24301_ESM.ESMActDefaultEPSBearerCtxtReject,
        _activate_default_reject,
        _cause_values,
    ),
    (
        0xD0,
        PdnConnectivityRequest,
        TS24301_ESM.ESMPDNConnectivityRequest,
        _pdn_connectivity_request,
        _pdn_connectivity_request_values,
    ),
    (0xD1, PdnConnectivityReject, TS24301_ESM.ESMPDNConnectivityReject, _pdn_connectivity_reject, _cause_values),
    (0xD9, EsmInformationRequest, TS24301_ESM.ESMInformationRequest, _information_request, _no_values),
    (
        0xDA,
        EsmInformationResponse,
        TS24301_ESM.ESMInformationResponse,
        _information_response,
        _information_response_values,
    ),
    (0xE8, EsmStatus, TS24301_ESM.ESMStatus, _status, _status_values),
)

_DECODERS: dict[int, tuple[Layer3Codec, Callable[[int, int, Values], EsmMessage]]] = {}
_ENCODERS: dict[type[EsmMessage], tuple[Layer3Codec, Callable[[Any], dict[str, Value | None]]]] = {}
for _type, _class, _table, _read, _values in _MESSAGES:
    _codec = Layer3Codec(_table)
    _DECODERS[_type] = (_codec, _read)
    _ENCODERS[_class] = (_codec, _values)
