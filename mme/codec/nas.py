"""NAS messages (TS 24.301 8.2, 8.3, 9): plain octets to EmmMessage and back, and the security envelope around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from pycrate_mobile import TS24301_EMM

from mme.codec import esm
from mme.codec import information_elements as ies
from mme.codec.esm import optional
from mme.codec.layer3 import Layer3Codec, Value, Values
from mme.enums import Direction, EmmCause, IdentityType, SecurityHeader
from mme.errors import NasError
from mme.ids import Guti, Imei, Tai, Tmsi
from mme.messages import (
    AttachAccept,
    AttachComplete,
    AttachReject,
    AttachRequest,
    AuthenticationFailure,
    AuthenticationReject,
    AuthenticationRequest,
    AuthenticationResponse,
    DetachAccept,
    DetachRequestFromUe,
    DetachRequestToUe,
    EmmInformation,
    EmmMessage,
    EmmStatus,
    EsmContainer,
    ExtendedServiceRequest,
    GutiReallocationCommand,
    GutiReallocationComplete,
    IdentityRequest,
    IdentityResponse,
    SecuredEnvelope,
    SecurityModeCommand,
    SecurityModeComplete,
    SecurityModeReject,
    ServiceReject,
    ServiceRequest,
    TrackingAreaUpdateAccept,
    TrackingAreaUpdateComplete,
    TrackingAreaUpdateReject,
    TrackingAreaUpdateRequest,
)

_EMM = 7
_ENVELOPE_OCTETS = 6
_SERVICE_REQUEST_OCTETS = 4
_DETACH_REQUEST = 0x45
_SEALED = (
    SecurityHeader.INTEGRITY,
    SecurityHeader.INTEGRITY_CIPHERED,
    SecurityHeader.INTEGRITY_NEW,
    SecurityHeader.INTEGRITY_CIPHERED_NEW,
)

# --------------------------------------------------------------------------- the doors


def decode(octets: bytes, direction: Direction = Direction.UPLINK) -> EmmMessage:
    """A plain or deciphered message; a SERVICE REQUEST; an ESM message alone, as EsmContainer.

    direction: tells the two DETACH REQUESTs apart and nothing else.
    An ESM message that cannot be decoded, nested or alone, is an UndecodableEsm in its place.
    Raises: NasError with cause #96 (mandatory IE missing, cut off or wrong; 7.5), #97 (message type; 7.4), #111 (still
    sealed, or a reserved security header), None (to be ignored: shorter than a header, 7.2.1, or another protocol).
    """
    if len(octets) < 2:
        raise NasError(None, "shorter than a header")
    discriminator, header = octets[0] & 0x0F, octets[0] >> 4
    if discriminator == esm.PROTOCOL_DISCRIMINATOR:
        if len(octets) < esm.HEADER_OCTETS:
            raise NasError(None, "shorter than a header")
        return EsmContainer(esm.decode(octets))
    if discriminator != _EMM:
        raise NasError(None, f"protocol discriminator {discriminator}")
    if header >= SecurityHeader.SERVICE_REQUEST:  # 13 to 15 count as 12 (9.3.1)
        return _service_request(octets)
    if header != SecurityHeader.PLAIN:
        raise NasError(EmmCause.PROTOCOL_ERROR, f"security header {header} on a message that should be plain")
    message_type = octets[1]
    key = (message_type, direction) if message_type == _DETACH_REQUEST else (message_type, None)
    if key not in _DECODERS:
        raise NasError(EmmCause.MESSAGE_TYPE_NON_EXISTENT, f"message type {message_type:#04x}", message_type)
    codec, build = _DECODERS[key]
    try:
        return build(codec.read(octets))
    except NasError as error:
        raise NasError(error.cause, error.detail, message_type) from error
    except ValueError as error:
        detail = "a mandatory IE has a value that it cannot have"
        raise NasError(EmmCause.INVALID_MANDATORY_INFORMATION, detail, message_type) from error


def encode(message: EmmMessage) -> bytes:
    """The plain message.  Raises ValueError for a value that its IE cannot carry."""
    if isinstance(message, ServiceRequest):
        return _service_request_octets(message)
    if isinstance(message, EsmContainer):
        return esm.encode(message.esm)
    if type(message) not in _ENCODERS:
        raise ValueError(f"{type(message).__name__} has no encoding")
    codec, values = _ENCODERS[type(message)]
    return codec.write({}, values(message))


def open_envelope(octets: bytes) -> SecuredEnvelope | None:
    """The outer layer of a protected message; None for a plain one, an ESM message or a SERVICE REQUEST.

    Raises NasError: cause None where it is shorter than header, MAC, sequence number and one octet more, #111 for a
    reserved security header.
    """
    if not octets:
        raise NasError(None, "shorter than a header")
    header = octets[0] >> 4
    if octets[0] & 0x0F != _EMM or header == SecurityHeader.PLAIN or header >= SecurityHeader.SERVICE_REQUEST:
        return None
    if header not in _SEALED:
        raise NasError(EmmCause.PROTOCOL_ERROR, f"security header {header} is reserved")
    if len(octets) <= _ENVELOPE_OCTETS:
        raise NasError(None, "shorter than a security envelope")
    return SecuredEnvelope(SecurityHeader(header), octets[1:5], octets[5], octets[_ENVELOPE_OCTETS:])


def seal(header: SecurityHeader, mac: bytes, sequence_number: int, payload: bytes) -> bytes:
    """The protected message of 9.1.  mac: 4 octets, sequence_number: 0..255, payload: ciphered already."""
    if header not in _SEALED or len(mac) != 4 or not 0 <= sequence_number <= 255 or not payload:
        raise ValueError("an envelope has header 1 to 4, a MAC of 4 octets, a sequence number of 8 bits and a payload")
    return bytes((header << 4 | _EMM,)) + mac + bytes((sequence_number,)) + payload


def peek_type(octets: bytes) -> int | None:
    """The message type of an EMM or ESM message, for counters; None where it is ciphered or there is none.

    An envelope that does not cipher is looked into.  A SERVICE REQUEST has no message type: None.
    """
    if len(octets) > _ENVELOPE_OCTETS and octets[0] in (0x17, 0x37):
        octets = octets[_ENVELOPE_OCTETS:]
    if len(octets) >= 3 and octets[0] & 0x0F == esm.PROTOCOL_DISCRIMINATOR:
        return octets[2]
    if len(octets) >= 2 and octets[0] == _EMM:
        return octets[1]
    return None


def _service_request(octets: bytes) -> ServiceRequest:
    if len(octets) < _SERVICE_REQUEST_OCTETS:
        raise NasError(None, "shorter than a SERVICE REQUEST")
    return ServiceRequest(octets[1] >> 5, octets[1] & 0x1F, octets[2:4])


def _service_request_octets(message: ServiceRequest) -> bytes:
    if not (0 <= message.ksi <= 7 and 0 <= message.sequence_number <= 31 and len(message.short_mac) == 2):
        raise ValueError("a SERVICE REQUEST has a KSI of 3 bits, a sequence number of 5 and a MAC of 2 octets")
    ksi_and_sequence_number = message.ksi << 5 | message.sequence_number
    return bytes((SecurityHeader.SERVICE_REQUEST << 4 | _EMM, ksi_and_sequence_number)) + message.short_mac


# --------------------------------------------------------------------------- shared pieces


def _cause(octet: int) -> EmmCause:
    """9.9.3.9: what is unknown counts as "protocol error, unspecified"."""
    try:
        return EmmCause(octet)
    except ValueError:
        return EmmCause.PROTOCOL_ERROR


def _octet(values: Values, name: str) -> int:
    return cast(bytes, values[name])[0]


def _bytes(values: Values, name: str) -> bytes:
    return cast(bytes, values[name])


def _number(values: Values, name: str) -> int:
    return cast(int, values[name])


def _limited(octets: bytes, shortest: int, longest: int) -> bytes:
    if not shortest <= len(octets) <= longest:
        raise ValueError(f"{len(octets)} octets where {shortest} to {longest} belong")
    return octets


def _key_set(nas_ksi: int, native: bool = True) -> int:
    """NAS key set identifier (9.9.3.21)."""
    if not 0 <= nas_ksi <= 7:
        raise ValueError("a NAS key set identifier has 3 bits")
    return (0 if native else 8) | nas_ksi


def _emm_cause_octet(cause: int | None) -> bytes | None:
    return None if cause is None else bytes((cause,))


def _timer_s(octets: bytes) -> int:
    return ies.gprs_timer_s(_limited(octets, 1, 255)[0])


def _timer_octet(seconds: int | None) -> bytes | None:
    return None if seconds is None else bytes((ies.gprs_timer_octet(seconds),))


def _bearers(octets: bytes) -> int:
    """EPS bearer context status (9.9.2.1): bit n of the number stands for EPS bearer identity n."""
    return int.from_bytes(_limited(octets, 2, 2), "little")


def _bearers_octets(status: int | None) -> bytes | None:
    if status is None:
        return None
    if not 0 <= status <= 0xFFFF:
        raise ValueError("an EPS bearer context status has 16 bits")
    return status.to_bytes(2, "little")


def _tai_list_octets(tais: tuple[Tai, ...]) -> bytes | None:
    return ies.tai_list_octets(tais) if tais else None


def _cause_values(message: Any) -> dict[str, Value | None]:
    return {"EMMCause": _emm_cause_octet(message.cause)}


def _no_values(_: EmmMessage) -> dict[str, Value | None]:
    return {}


# --------------------------------------------------------------------------- attach


def _attach_request(values: Values) -> EmmMessage:
    key_set = _number(values, "NAS_KSI")
    old_guti_type = cast("int | None", values.get("OldGUTIType"))
    return AttachRequest(
        attach_type=_number(values, "EPSAttachType") & 7,
        nas_ksi=key_set & 7,
        identity=ies.eps_mobile_identity(_bytes(values, "EPSID")),
        ue_network_capability=_limited(_bytes(values, "UENetCap"), 2, 13),
        esm=esm.decode(_bytes(values, "ESMContainer")),
        native=not key_set & 8,
        last_visited_tai=optional(ies.tai, values.get("OldTAI")),
        ms_network_capability=optional(lambda octets: _limited(octets, 2, 8), values.get("MSNetCap")),
        drx_parameter=cast("bytes | None", values.get("DRXParam")),
        old_guti_is_native=None if old_guti_type is None else not old_guti_type & 1,
        additional_guti=optional(ies.guti, values.get("AddGUTI")),
    )


def _attach_request_values(message: AttachRequest) -> dict[str, Value | None]:
    native, guti = message.old_guti_is_native, message.additional_guti
    ms_capability = message.ms_network_capability
    return {
        "NAS_KSI": _key_set(message.nas_ksi, message.native),
        "EPSAttachType": message.attach_type,
        "EPSID": ies.eps_mobile_identity_octets(message.identity),
        "UENetCap": _limited(message.ue_network_capability, 2, 13),
        "ESMContainer": esm.encode(message.esm),
        "AddGUTI": None if guti is None else ies.guti_octets(guti),
        "OldTAI": None if message.last_visited_tai is None else ies.tai_octets(message.last_visited_tai),
        "DRXParam": message.drx_parameter,
        "MSNetCap": None if ms_capability is None else _limited(ms_capability, 2, 8),
        "OldGUTIType": None if native is None else int(not native),
    }


def _attach_accept(values: Values) -> EmmMessage:
    return AttachAccept(
        attach_result=_number(values, "EPSAttachResult") & 7,
        t3412_s=_timer_s(_bytes(values, "T3412")),
        tai_list=ies.tai_list(_bytes(values, "TAIList")),
        esm=esm.decode(_bytes(values, "ESMContainer")),
        guti=optional(ies.guti, values.get("GUTI")),
        cause=_cause(_octet(values, "EMMCause")) if "EMMCause" in values else None,
        eps_network_feature_support=cast("bytes | None", values.get("EPSNetFeat")),
    )


def _attach_accept_values(message: AttachAccept) -> dict[str, Value | None]:
    return {
        "EPSAttachResult": message.attach_result,
        "T3412": _timer_octet(message.t3412_s),
        "TAIList": ies.tai_list_octets(message.tai_list),
        "ESMContainer": esm.encode(message.esm),
        "GUTI": None if message.guti is None else ies.guti_octets(message.guti),
        "EMMCause": _emm_cause_octet(message.cause),
        "EPSNetFeat": message.eps_network_feature_support,
    }


def _attach_complete(values: Values) -> EmmMessage:
    return AttachComplete(esm.decode(_bytes(values, "ESMContainer")))


def _attach_complete_values(message: AttachComplete) -> dict[str, Value | None]:
    return {"ESMContainer": esm.encode(message.esm)}


def _attach_reject(values: Values) -> EmmMessage:
    return AttachReject(
        _cause(_octet(values, "EMMCause")),
        esm.decode(_bytes(values, "ESMContainer")) if "ESMContainer" in values else None,
        optional(_timer_s, values.get("T3346")),
        optional(_timer_s, values.get("T3402")),
    )


def _attach_reject_values(message: AttachReject) -> dict[str, Value | None]:
    return {
        "EMMCause": _emm_cause_octet(message.cause),
        "ESMContainer": None if message.esm is None else esm.encode(message.esm),
        "T3346": _timer_octet(message.t3346_s),
        "T3402": _timer_octet(message.t3402_s),
    }


# --------------------------------------------------------------------------- authentication, identity, security mode


def _authentication_request(values: Values) -> EmmMessage:
    autn = _limited(_bytes(values, "AUTN"), 16, 16)
    return AuthenticationRequest(_number(values, "NAS_KSI") & 7, _bytes(values, "RAND"), autn)


def _authentication_request_values(message: AuthenticationRequest) -> dict[str, Value | None]:
    autn = _limited(message.autn, 16, 16)
    return {"NAS_KSI": _key_set(message.nas_ksi), "RAND": message.rand, "AUTN": autn}


def _authentication_response(values: Values) -> EmmMessage:
    return AuthenticationResponse(_limited(_bytes(values, "RES"), 4, 16))


def _authentication_response_values(message: AuthenticationResponse) -> dict[str, Value | None]:
    return {"RES": _limited(message.res, 4, 16)}


def _authentication_failure(values: Values) -> EmmMessage:
    auts = optional(lambda octets: _limited(octets, 14, 14), values.get("AUTS"))
    return AuthenticationFailure(_octet(values, "EMMCause"), auts)


def _authentication_failure_values(message: AuthenticationFailure) -> dict[str, Value | None]:
    auts = None if message.auts is None else _limited(message.auts, 14, 14)
    return {"EMMCause": _emm_cause_octet(message.cause), "AUTS": auts}


def _identity_request(values: Values) -> EmmMessage:
    return IdentityRequest(IdentityType(_number(values, "IDType") & 7))


def _identity_request_values(message: IdentityRequest) -> dict[str, Value | None]:
    return {"IDType": int(message.identity_type)}


def _identity_response(values: Values) -> EmmMessage:
    return IdentityResponse(ies.mobile_identity(_bytes(values, "ID")))


def _identity_response_values(message: IdentityResponse) -> dict[str, Value | None]:
    return {"ID": ies.mobile_identity_octets(message.identity)}


def _security_mode_command(values: Values) -> EmmMessage:
    algorithms = _octet(values, "NASSecAlgo")
    return SecurityModeCommand(
        eea=algorithms >> 4 & 7,
        eia=algorithms & 7,
        nas_ksi=_number(values, "NAS_KSI") & 7,
        replayed_ue_security_capability=_limited(_bytes(values, "UESecCap"), 2, 5),
        imeisv_requested=cast(int, values.get("IMEISVReq", 0)) & 7 == 1,
    )


def _security_mode_command_values(message: SecurityModeCommand) -> dict[str, Value | None]:
    if not (0 <= message.eea <= 7 and 0 <= message.eia <= 7):
        raise ValueError("an algorithm has 3 bits")
    return {
        "NASSecAlgo": bytes((message.eea << 4 | message.eia,)),
        "NAS_KSI": _key_set(message.nas_ksi),
        "UESecCap": _limited(message.replayed_ue_security_capability, 2, 5),
        "IMEISVReq": 1 if message.imeisv_requested else None,
    }


def _imeisv(octets: bytes) -> str:
    identity = ies.mobile_identity(octets)
    if not isinstance(identity, Imei) or len(identity.digits) != 16:
        raise ValueError("not an IMEISV")
    return identity.digits


def _security_mode_complete(values: Values) -> EmmMessage:
    return SecurityModeComplete(optional(_imeisv, values.get("IMEISV")))


def _security_mode_complete_values(message: SecurityModeComplete) -> dict[str, Value | None]:
    if message.imeisv is None:
        return {}
    if len(message.imeisv) != 16:
        raise ValueError("an IMEISV has 16 digits")
    return {"IMEISV": ies.mobile_identity_octets(Imei(message.imeisv))}


def _security_mode_reject(values: Values) -> EmmMessage:
    return SecurityModeReject(_octet(values, "EMMCause"))


# --------------------------------------------------------------------------- information, detach, status


def _information(values: Values) -> EmmMessage:
    return EmmInformation(
        optional(ies.network_name, values.get("NetFullName")),
        optional(ies.network_name, values.get("NetShortName")),
        optional(ies.universal_time_s, values.get("UnivTimeAndTimeZone")),
    )


def _information_values(message: EmmInformation) -> dict[str, Value | None]:
    moment_s = message.universal_time_s
    return {
        "NetFullName": None if message.full_name is None else ies.network_name_octets(message.full_name),
        "NetShortName": None if message.short_name is None else ies.network_name_octets(message.short_name),
        "UnivTimeAndTimeZone": None if moment_s is None else ies.universal_time_octets(moment_s),
    }


def _detach_request_from_ue(values: Values) -> EmmMessage:
    detach_type = _number(values, "EPSDetachType")
    identity = ies.eps_mobile_identity(_bytes(values, "EPSID"))
    key_set = _number(values, "NAS_KSI") & 7
    return DetachRequestFromUe(detach_type & 7, bool(detach_type & 8), key_set, identity)


def _detach_request_from_ue_values(message: DetachRequestFromUe) -> dict[str, Value | None]:
    if not 0 <= message.detach_type <= 7:
        raise ValueError("a detach type has 3 bits")
    return {
        "NAS_KSI": _key_set(message.nas_ksi),
        "EPSDetachType": (8 if message.switch_off else 0) | message.detach_type,
        "EPSID": ies.eps_mobile_identity_octets(message.identity),
    }


def _detach_request_to_ue(values: Values) -> EmmMessage:
    cause = _cause(_octet(values, "EMMCause")) if "EMMCause" in values else None
    return DetachRequestToUe(_number(values, "EPSDetachType") & 7, cause)


def _detach_request_to_ue_values(message: DetachRequestToUe) -> dict[str, Value | None]:
    return {"EPSDetachType": message.detach_type, **_cause_values(message)}


def _status(values: Values) -> EmmMessage:
    return EmmStatus(_octet(values, "EMMCause"))


# --------------------------------------------------------------------------- service, tracking area update


def _service_reject(values: Values) -> EmmMessage:
    return ServiceReject(_cause(_octet(values, "EMMCause")))


def _tracking_area_update_request(values: Values) -> EmmMessage:
    key_set, update_type = _number(values, "NAS_KSI"), _number(values, "EPSUpdateType")
    old = ies.eps_mobile_identity(_bytes(values, "OldGUTI"))
    return TrackingAreaUpdateRequest(
        update_type=update_type & 7,
        active=bool(update_type & 8),
        nas_ksi=key_set & 7,
        old_guti=old if isinstance(old, Guti) else None,
        native=not key_set & 8,
        ue_network_capability=optional(lambda octets: _limited(octets, 2, 13), values.get("UENetCap")),
        eps_bearer_context_status=optional(_bearers, values.get("EPSBearerCtxtStat")),
        drx_parameter=cast("bytes | None", values.get("DRXParam")),
        radio_capability_changed=bool(cast(int, values.get("UERACapUpdateNeed", 0)) & 1),
        ms_network_capability=optional(lambda octets: _limited(octets, 2, 8), values.get("MSNetCap")),
    )


def _tracking_area_update_request_values(message: TrackingAreaUpdateRequest) -> dict[str, Value | None]:
    if message.old_guti is None:
        raise ValueError("a TRACKING AREA UPDATE REQUEST has an old GUTI")
    if not 0 <= message.update_type <= 7:
        raise ValueError("an update type has 3 bits")
    capability, ms_capability = message.ue_network_capability, message.ms_network_capability
    return {
        "NAS_KSI": _key_set(message.nas_ksi, message.native),
        "EPSUpdateType": (8 if message.active else 0) | message.update_type,
        "OldGUTI": ies.guti_octets(message.old_guti),
        "UENetCap": None if capability is None else _limited(capability, 2, 13),
        "DRXParam": message.drx_parameter,
        "UERACapUpdateNeed": 1 if message.radio_capability_changed else None,
        "EPSBearerCtxtStat": _bearers_octets(message.eps_bearer_context_status),
        "MSNetCap": None if ms_capability is None else _limited(ms_capability, 2, 8),
    }


def _tracking_area_update_accept(values: Values) -> EmmMessage:
    return TrackingAreaUpdateAccept(
        update_result=_number(values, "EPSUpdateResult") & 7,
        t3412_s=optional(_timer_s, values.get("T3412")),
        guti=optional(ies.guti, values.get("GUTI")),
        tai_list=optional(ies.tai_list, values.get("TAIList")) or (),
        eps_bearer_context_status=optional(_bearers, values.get("EPSBearerCtxtStat")),
        cause=_cause(_octet(values, "EMMCause")) if "EMMCause" in values else None,
    )


def _tracking_area_update_accept_values(message: TrackingAreaUpdateAccept) -> dict[str, Value | None]:
    return {
        "EPSUpdateResult": message.update_result,
        "T3412": _timer_octet(message.t3412_s),
        "GUTI": None if message.guti is None else ies.guti_octets(message.guti),
        "TAIList": _tai_list_octets(message.tai_list),
        "EPSBearerCtxtStat": _bearers_octets(message.eps_bearer_context_status),
        "EMMCause": _emm_cause_octet(message.cause),
    }


def _extended_service_request(values: Values) -> EmmMessage:
    key_set, identity = _number(values, "NAS_KSI"), ies.mobile_identity(_bytes(values, "MTMSI"))
    response = cast("int | None", values.get("CSFBResponse"))
    return ExtendedServiceRequest(
        service_type=_number(values, "ServiceType"),
        nas_ksi=key_set & 7,
        m_tmsi=identity.tmsi if isinstance(identity, Tmsi) else None,
        native=not key_set & 8,
        csfb_response=None if response is None else response & 7,
        eps_bearer_context_status=optional(_bearers, values.get("EPSBearerCtxtStat")),
    )


def _extended_service_request_values(message: ExtendedServiceRequest) -> dict[str, Value | None]:
    if message.m_tmsi is None:
        raise ValueError("an EXTENDED SERVICE REQUEST has an M-TMSI")
    return {
        "NAS_KSI": _key_set(message.nas_ksi, message.native),
        "ServiceType": message.service_type,
        "MTMSI": ies.mobile_identity_octets(Tmsi(message.m_tmsi)),
        "CSFBResponse": message.csfb_response,
        "EPSBearerCtxtStat": _bearers_octets(message.eps_bearer_context_status),
    }


def _guti_reallocation_command(values: Values) -> EmmMessage:
    tais = optional(ies.tai_list, values.get("TAIList")) or ()
    return GutiReallocationCommand(ies.guti(_bytes(values, "GUTI")), tais)


def _guti_reallocation_command_values(message: GutiReallocationCommand) -> dict[str, Value | None]:
    return {"GUTI": ies.guti_octets(message.guti), "TAIList": _tai_list_octets(message.tai_list)}


def _tracking_area_update_reject(values: Values) -> EmmMessage:
    return TrackingAreaUpdateReject(_cause(_octet(values, "EMMCause")))


# --------------------------------------------------------------------------- message types (9.8)

_Read = Callable[[Values], EmmMessage]
_Write = Callable[[Any], dict[str, Value | None]]

_MESSAGES: tuple[tuple[int, Direction | None, type[EmmMessage], Any, _Read, _Write], ...] = (
    (0x41, None, AttachRequest, TS24301_EMM.EMMAttachRequest, _attach_request, _attach_request_values),
    (0x42, None, AttachAccept, TS24301_EMM.EMMAttachAccept, _attach_accept, _attach_accept_values),
    (0x43, None, AttachComplete, TS24301_EMM.EMMAttachComplete, _attach_complete, _attach_complete_values),
    (0x44, None, AttachReject, TS24301_EMM.EMMAttachReject, _attach_reject, _attach_reject_values),
    (
        _DETACH_REQUEST,
        Direction.UPLINK,
        DetachRequestFromUe,
        TS24301_EMM.EMMDetachRequestMO,
        _detach_request_from_ue,
        _detach_request_from_ue_values,
    ),
    (
        _DETACH_REQUEST,
        Direction.DOWNLINK,
        DetachRequestToUe,
        TS24301_EMM.EMMDetachRequestMT,
        _detach_request_to_ue,
        _detach_request_to_ue_values,
    ),
    (0x46, None, DetachAccept, TS24301_EMM.EMMDetachAccept, lambda _: DetachAccept(), _no_values),
    (
        0x48,
        None,
        TrackingAreaUpdateRequest,
        TS24301_EMM.EMMTrackingAreaUpdateRequest,
        _tracking_area_update_request,
        _tracking_area_update_request_values,
    ),
    (
        0x49,
        None,
        TrackingAreaUpdateAccept,
        TS24301_EMM.EMMTrackingAreaUpdateAccept,
        _tracking_area_update_accept,
        _tracking_area_update_accept_values,
    ),
    (
        0x4A,
        None,
        TrackingAreaUpdateComplete,
        TS24301_EMM.EMMTrackingAreaUpdateComplete,
        lambda _: TrackingAreaUpdateComplete(),
        _no_values,
    ),
    (
        0x4B,
        None,
        TrackingAreaUpdateReject,
        TS24301_EMM.EMMTrackingAreaUpdateReject,
        _tracking_area_update_reject,
        _cause_values,
    ),
    (
        0x4C,
        None,
        ExtendedServiceRequest,
        TS24301_EMM.EMMExtServiceRequest,
        _extended_service_request,
        _extended_service_request_values,
    ),
    (
        0x50,
        None,
        GutiReallocationCommand,
        TS24301_EMM.EMMGUTIReallocCommand,
        _guti_reallocation_command,
        _guti_reallocation_command_values,
    ),
    (
        0x51,
        None,
        GutiReallocationComplete,
        TS24301_EMM.EMMGUTIReallocComplete,
        lambda _: GutiReallocationComplete(),
        _no_values,
    ),
    (0x4E, None, ServiceReject, TS24301_EMM.EMMServiceReject, _service_reject, _cause_values),
    (
        0x52,
        None,
        AuthenticationRequest,
        TS24301_EMM.EMMAuthenticationRequest,
        _authentication_request,
        _authentication_request_values,
    ),
    (
        0x53,
        None,
        AuthenticationResponse,
        TS24301_EMM.EMMAuthenticationResponse,
        _authentication_response,
        _authentication_response_values,
    ),
    (
        0x54,
        None,
        AuthenticationReject,
        TS24301_EMM.EMMAuthenticationReject,
        lambda _: AuthenticationReject(),
        _no_values,
    ),
    (
        0x5C,
        None,
        AuthenticationFailure,
        TS24301_EMM.EMMAuthenticationFailure,
        _authentication_failure,
        _authentication_failure_values,
    ),
    (0x55, None, IdentityRequest, TS24301_EMM.EMMIdentityRequest, _identity_request, _identity_request_values),
    (0x56, None, IdentityResponse, TS24301_EMM.EMMIdentityResponse, _identity_response, _identity_response_values),
    (
        0x5D,
        None,
        SecurityModeCommand,
        TS24301_EMM.EMMSecurityModeCommand,
        _security_mode_command,
        _security_mode_command_values,
    ),
    (
        0x5E,
        None,
        SecurityModeComplete,
        TS24301_EMM.EMMSecurityModeComplete,
        _security_mode_complete,
        _security_mode_complete_values,
    ),
    (0x5F, None, SecurityModeReject, TS24301_EMM.EMMSecurityModeReject, _security_mode_reject, _cause_values),
    (0x60, None, EmmStatus, TS24301_EMM.EMMStatus, _status, _cause_values),
    (0x61, None, EmmInformation, TS24301_EMM.EMMInformation, _information, _information_values),
)

_DECODERS: dict[tuple[int, Direction | None], tuple[Layer3Codec, _Read]] = {}
_ENCODERS: dict[type[EmmMessage], tuple[Layer3Codec, _Write]] = {}
for _type, _direction, _class, _table, _read, _values in _MESSAGES:
    _codec = Layer3Codec(_table)
    _DECODERS[_type, _direction] = (_codec, _read)
    _ENCODERS[_class] = (_codec, _values)
