"""NAS security on the way in and out (TS 24.301 4.4): integrity, ciphering, NAS COUNT.  Pure, over the codec."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from mme.codec import nas
from mme.context import SecurityContext, UeContext
from mme.crypto import nas_security
from mme.enums import AttachType, Direction, SecurityHeader, Step
from mme.errors import NasError
from mme.ids import Gummei, Guti, Imsi, STmsi
from mme.messages import (
    AttachRequest,
    AuthenticationFailure,
    AuthenticationResponse,
    DetachAccept,
    DetachRequestFromUe,
    EmmMessage,
    ExtendedServiceRequest,
    IdentityResponse,
    Secured,
    SecuredEnvelope,
    SecurityModeReject,
    ServiceRequest,
    TrackingAreaUpdateRequest,
)
from mme.replacing import replace

BEARER = 0  # NAS uses the constant 0 for BEARER (TS 33.401 8.1.1)
COUNT_LIMIT = 1 << 24

# What may be processed without a successful integrity check, until secure exchange is established (4.4.4.3).
# SERVICE REQUEST: its failure is answered by SERVICE REJECT #9 (5.6.1.5).
UNPROTECTED = (
    AttachRequest,
    IdentityResponse,
    AuthenticationResponse,
    AuthenticationFailure,
    SecurityModeReject,
    DetachRequestFromUe,
    DetachAccept,
    TrackingAreaUpdateRequest,
    ServiceRequest,
    ExtendedServiceRequest,
)

_PLAIN_ATTACH_REQUEST = bytes.fromhex("0741")
_NEW = (SecurityHeader.INTEGRITY_NEW, SecurityHeader.INTEGRITY_CIPHERED_NEW)
_CIPHERED = (SecurityHeader.INTEGRITY_CIPHERED, SecurityHeader.INTEGRITY_CIPHERED_NEW)


@dataclass(frozen=True, slots=True)
class Uplink:
    """A NAS message to be processed.  ctx: with the NAS COUNT moved on.  digest: SHA-256 of the plain octets."""

    message: EmmMessage
    digest: bytes
    protected: bool
    ctx: UeContext


@dataclass(frozen=True, slots=True)
class Discarded:
    """A NAS message that is dropped in silence (4.4.4.3).  reason: for counters and logs."""

    reason: str


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A genuine message that cannot be decoded.  ctx: with the NAS COUNT moved on, so that a copy is not genuine."""

    error: NasError
    ctx: UeContext


def receive(ctx: UeContext, octets: bytes) -> Uplink | Discarded | Undecodable:
    """Check, decipher and decode an uplink NAS message.  Raises NasError for octets that are no message."""
    try:
        envelope = nas.open_envelope(octets)
    except NasError as e:
        if ctx.secured:
            return Discarded(e.detail)
        raise
    if envelope is None:
        if ctx.security is not None and octets[0] >> 4 == SecurityHeader.SERVICE_REQUEST:
            return _service_request(ctx, ctx.security, octets)
        return _unprotected(ctx, octets, "not protected")
    security, moved = _security_for(ctx, envelope)
    if security is None:
        return _unverifiable(ctx, envelope, "no security context")
    count = _estimated_count(security.ul_count, envelope.sequence_number)
    if count >= COUNT_LIMIT:
        return Discarded("NAS COUNT used up")
    signed = bytes((envelope.sequence_number,)) + envelope.payload
    mac = nas_security.mac(security.eia, security.k_nas_int, count, BEARER, Direction.UPLINK, signed)
    if not hmac.compare_digest(mac, envelope.mac):
        return _unverifiable(ctx, envelope, "MAC failed")
    plain = envelope.payload
    if envelope.header in _CIPHERED:
        plain = nas_security.cipher(security.eea, security.k_nas_enc, count, BEARER, Direction.UPLINK, plain)
    checked = replace(security, ul_count=count + 1)
    ctx = replace(ctx, security_new=checked) if moved else replace(ctx, security=checked)
    try:
        message = nas.decode(plain)
    except NasError as e:
        return Undecodable(e, ctx)
    return Uplink(message, hashlib.sha256(plain).digest(), protected=True, ctx=ctx)


def _service_request(ctx: UeContext, security: SecurityContext, octets: bytes) -> Uplink | Discarded:
    """SERVICE REQUEST: 5 bits of the sequence number, and the last 16 bits of the MAC (9.9.3.28, 9.9.3.19)."""
    message = nas.decode(octets)
    if not isinstance(message, ServiceRequest):
        return Discarded("security header type 12 without SERVICE REQUEST")
    count = (security.ul_count & ~0x1F) | message.sequence_number
    count = count if count >= security.ul_count else count + 0x20
    if count >= COUNT_LIMIT:
        return Discarded("NAS COUNT used up")
    mac = nas_security.mac(security.eia, security.k_nas_int, count, BEARER, Direction.UPLINK, octets[:2])
    if message.ksi != security.ksi or not hmac.compare_digest(mac[2:], message.short_mac):
        return _unprotected(ctx, octets, "short MAC failed")
    checked = replace(ctx, security=replace(security, ul_count=count + 1))
    return Uplink(message, hashlib.sha256(octets).digest(), protected=True, ctx=checked)


def claimed_m_tmsi(octets: bytes, s_tmsi: STmsi | None, gummei: Gummei) -> int | None:
    """The M-TMSI of ours that the sender of a protected initial message claims; None = none, or not protected.

    A GUTI in the message counts before the S-TMSI beside it.  Raises NasError.
    """
    envelope = nas.open_envelope(octets)
    if envelope is None and octets[0] >> 4 != SecurityHeader.SERVICE_REQUEST:
        return None
    if envelope is None or envelope.header in _CIPHERED:
        return s_tmsi.m_tmsi if s_tmsi is not None and s_tmsi.mme_code == gummei.mme_code else None
    match nas.decode(envelope.payload):
        case AttachRequest(identity=Guti() as guti) | DetachRequestFromUe(identity=Guti() as guti):
            return guti.m_tmsi if guti.gummei == gummei else None
        case TrackingAreaUpdateRequest(old_guti=Guti() as guti):
            return guti.m_tmsi if guti.gummei == gummei else None
        case ExtendedServiceRequest(m_tmsi=int() as m_tmsi):
            return m_tmsi
    return s_tmsi.m_tmsi if s_tmsi is not None and s_tmsi.mme_code == gummei.mme_code else None


def attaches_plainly(octets: bytes) -> bool:
    """Whether it is, by its first octets, an ATTACH REQUEST without any protection, and not for an emergency.

    Source: 8.2.4, 9.9.3.11 (EPS attach type, 6 = EPS emergency attach).
    """
    return len(octets) > 2 and octets[:2] == _PLAIN_ATTACH_REQUEST and octets[2] & 7 != AttachType.EMERGENCY


def _security_for(ctx: UeContext, envelope: SecuredEnvelope) -> tuple[SecurityContext | None, bool]:
    """(the context that protects this message, whether it is the new one).  Source: 4.4.2.3, 5.4.3.3."""
    if envelope.header in _NEW:
        return (ctx.security_new, True) if ctx.step is Step.SECURITY_MODE else (None, True)
    return ctx.security, False


def _estimated_count(expected: int, sequence_number: int) -> int:
    """The first NAS COUNT not below `expected` with that sequence number (4.4.3.1): a replayed one fails its MAC."""
    count = (expected & ~0xFF) | sequence_number
    return count if count >= expected else count + 0x100


def _unverifiable(ctx: UeContext, envelope: SecuredEnvelope, reason: str) -> Uplink | Discarded:
    """Integrity could not be shown: as unprotected, where the inner message can be read at all."""
    if envelope.header in _CIPHERED:
        return Discarded(reason)
    return _unprotected(ctx, envelope.payload, reason)


def _unprotected(ctx: UeContext, plain: bytes, reason: str) -> Uplink | Discarded:
    if ctx.secured:
        return Discarded(f"{reason}, after secure exchange was established")
    message = nas.decode(plain)
    if not isinstance(message, UNPROTECTED):
        return Discarded(f"{reason}: {type(message).__name__}")
    if isinstance(message, IdentityResponse) and not isinstance(message.identity, Imsi | None):
        return Discarded(f"{reason}: identity other than IMSI")
    return Uplink(message, hashlib.sha256(plain).digest(), protected=False, ctx=ctx)


def sent_last(ctx: UeContext, octets: bytes) -> bool:
    """Whether a downlink message is the last protected one; of a plain one that cannot be told: True."""
    try:
        envelope = nas.open_envelope(octets)
    except NasError:
        return False
    if envelope is None:
        return True
    security = ctx.security_new if envelope.header in _NEW else ctx.security
    return security is not None and envelope.sequence_number == (security.dl_count - 1) & 0xFF


def protect(ctx: UeContext, secured: Secured) -> tuple[bytes, UeContext]:
    """Encode and protect a downlink message: (octets, context with the downlink NAS COUNT moved on).  Source: 4.4.3."""
    plain = nas.encode(secured.message)
    header = secured.header
    if header is SecurityHeader.PLAIN:
        return plain, ctx
    new = header in _NEW
    security = ctx.security_new if new else ctx.security
    if security is None:
        raise ValueError("no security context to protect a downlink message with")
    count = security.dl_count
    if count >= COUNT_LIMIT:
        raise ValueError("the downlink NAS COUNT is used up")
    payload = plain
    if header in _CIPHERED:
        payload = nas_security.cipher(security.eea, security.k_nas_enc, count, BEARER, Direction.DOWNLINK, plain)
    sequence_number = count & 0xFF
    signed = bytes((sequence_number,)) + payload
    mac = nas_security.mac(security.eia, security.k_nas_int, count, BEARER, Direction.DOWNLINK, signed)
    counted = replace(security, dl_count=count + 1)
    ctx = replace(ctx, security_new=counted) if new else replace(ctx, security=counted)
    return nas.seal(header, mac, sequence_number, payload), ctx
