"""Attach (TS 24.301 5.5.1), from the request to the point where the UE's identity is to be proven."""

from __future__ import annotations

from mme.config import EmergencyAttach
from mme.context import Attaching, UeContext
from mme.enums import (
    AttachType,
    EmmCause,
    EmmState,
    EsmCause,
    IdentityType,
    PdnType,
    RequestType,
    Step,
    TimerName,
)
from mme.ids import Guti, Imei, Imsi, Tai
from mme.messages import (
    AttachRequest,
    IdentityResponse,
    PdnConnectivityReject,
    PdnConnectivityRequest,
    UndecodableEsm,
)
from mme.outcome import Env, Outcome
from mme.paging_drx import paging_drx
from mme.procedures import attach, authentication, congestion, emergency, identification, security_mode
from mme.procedures.sending import delete_session
from mme.replacing import replace

# "unused; interpreted as …, if received by the network" (TS 24.301 9.9.4.10, TS 24.008 10.5.6.17).
_READ_AS = {("pdn", 4): int(PdnType.IPV6), ("request", int(RequestType.UNUSED)): int(RequestType.INITIAL)}
NO_KEY_AVAILABLE = 7
_PDN_TYPES = (1, 2, 3, 4)
_REQUEST_TYPES = (RequestType.INITIAL, RequestType.HANDOVER, RequestType.UNUSED)


def on_attach_request_of_known(ctx: UeContext, msg: AttachRequest, digest: bytes, tai: Tai, env: Env) -> Outcome:
    """An attach whose integrity was right, on the context of the registered UE: the native context is taken into use.

    Its session goes; it is not authenticated again unless the policy says so (or its NAS COUNT is almost used up).
    Where equipment is checked it is asked for its IMEISV.  Source: 5.5.1.2.3, 5.5.1.2.7 f, 4.4.2.3.
    """
    anew = replace(ctx, bearer=None)
    given_back = Outcome(anew, needs=delete_session(ctx, env), label="attach of a known UE")
    return given_back.then(on_attach_request(anew, msg, digest, tai, env))


def on_attach_request(ctx: UeContext, msg: AttachRequest, digest: bytes, tai: Tai, env: Env) -> Outcome:
    """Begin an attach on a context of its own.

    ctx: fresh, with the connection on it.  digest: SHA-256 of the request's octets.
    A radio capability that is kept is deleted, so that the eNB asks for it; the DRX cycle is what the UE asks for.
    Out: needs a vector (identity was an IMSI), IDENTITY REQUEST (GUTI), or ATTACH REJECT: #12 the tracking area is not
    served, #19 with the ESM cause when the PDN CONNECTIVITY REQUEST is wrong, #96.
    Emergency attach: areas are not checked; #5 or #35 where the policy does not let the UE; SECURITY MODE COMMAND with
    null algorithms where it has an IMEI alone.
    Source: 5.5.1.2.3 to 5.5.1.2.5A; TS 23.401 4.3.12, 5.3.2.1 steps 1 to 5a, 5.11.2, 5.13.
    """
    begun = replace(
        ctx,
        emm=EmmState.COMMON_PROCEDURE_INITIATED,
        ue_network_capability=msg.ue_network_capability,
        ms_network_capability=msg.ms_network_capability,
        ue_radio_capability=None,
        paging_drx=paging_drx(msg.drx_parameter) if msg.drx_parameter is not None else None,
        vector_ksi=msg.nas_ksi if msg.nas_ksi != NO_KEY_AVAILABLE else ctx.vector_ksi,
        imsi=msg.identity if isinstance(msg.identity, Imsi) else ctx.imsi if ctx.proven else None,
        imeisv=_imeisv(ctx, msg, env),
        emergency=msg.attach_type == AttachType.EMERGENCY,
    )
    if begun.emergency and env.config.emergency_policy is EmergencyAttach.OFF:
        return attach.reject(begun, env, emergency.refusal(begun))
    if not begun.emergency and not env.config.serves(tai):
        return attach.reject(begun, env, EmmCause.TRACKING_AREA_NOT_ALLOWED)
    if env.congested and msg.attach_type != AttachType.EMERGENCY:
        return congestion.refuse(ctx)
    esm = msg.esm
    refused = _esm_fault(msg)
    if refused is not None:
        return attach.reject(begun, env, EmmCause.ESM_FAILURE, PdnConnectivityReject(0, esm.pti, refused))
    if not isinstance(esm, PdnConnectivityRequest):
        raise TypeError("the fault check lets only PDN CONNECTIVITY REQUEST through")
    begun = replace(
        begun,
        attaching=Attaching(
            digest=digest,
            attach_type=msg.attach_type,
            pti=esm.pti,
            request_type=_READ_AS.get(("request", esm.request_type), esm.request_type),
            pdn_type=_READ_AS.get(("pdn", esm.pdn_type), esm.pdn_type),
            esm_information_transfer_flag=esm.esm_information_transfer_flag,
            access_point_name=None if begun.emergency else esm.access_point_name,
            pco=esm.protocol_configuration_options,
            identity_was_imsi=isinstance(msg.identity, Imsi),
        ),
    )
    if begun.proven and begun.secured and begun.imsi is not None and begun.imsi == ctx.imsi:
        again = env.config.authenticate_known or begun.worn_out
        return authentication.start(begun, env) if again else attach.check_equipment(begun, env)
    match msg.identity:
        case Imsi():
            return authentication.start(begun, env)
        case Guti():
            return identification.start(begun, env, IdentityType.IMSI)
        case Imei() if begun.emergency:
            return _without_imsi(begun, env)
        case _:
            return attach.reject(begun, env, EmmCause.INVALID_MANDATORY_INFORMATION)


def _imeisv(ctx: UeContext, msg: AttachRequest, env: Env) -> str | None:
    """What is known of the equipment as the attach begins.

    Where equipment is checked, what was told before does not count: the USIM, with GUTI and keys on it, may be in
    another one by now.  Source: TS 23.401 5.3.2.1 step 5b; TS 24.301 annex C.
    """
    if isinstance(msg.identity, Imei):
        return msg.identity.digits
    return None if env.config.checks_equipment else ctx.imeisv


def _without_imsi(ctx: UeContext, env: Env) -> Outcome:
    """An emergency attach of a UE that has no IMSI: there is nothing to authenticate.  Source: TS 23.401 4.3.12.1."""
    if emergency.needs_no_proof(ctx, env.config):
        return security_mode.start_unauthenticated(ctx, env)
    return attach.reject(ctx, env, emergency.refusal(ctx))


def _esm_fault(msg: AttachRequest) -> EsmCause | None:
    """Why the ESM message inside cannot be served (6.5.1.4, 7.3.2), None = it can."""
    esm = msg.esm
    if isinstance(esm, UndecodableEsm):
        return esm.cause
    if not isinstance(esm, PdnConnectivityRequest):
        return EsmCause.MESSAGE_NOT_COMPATIBLE_WITH_STATE
    if not 1 <= esm.pti <= 254:
        return EsmCause.INVALID_PTI_VALUE
    if esm.eps_bearer_identity != 0:
        return EsmCause.INVALID_EPS_BEARER_IDENTITY
    if msg.attach_type == AttachType.EMERGENCY and esm.request_type != RequestType.EMERGENCY:
        return EsmCause.REQUEST_REJECTED_UNSPECIFIED
    if msg.attach_type != AttachType.EMERGENCY and esm.request_type not in _REQUEST_TYPES:
        return EsmCause.INVALID_MANDATORY_INFORMATION
    if esm.pdn_type not in _PDN_TYPES:
        return EsmCause.UNKNOWN_PDN_TYPE
    return None


def on_attach_request_again(ctx: UeContext, msg: AttachRequest, digest: bytes, tai: Tai, env: Env) -> Outcome:
    """Another ATTACH REQUEST on the connection of a running attach, or of a registered UE.

    Equal IEs: before ATTACH ACCEPT it is ignored and the first goes on; after it, the same ATTACH ACCEPT again, which
    does not count as a retransmission.  Other IEs: the first attach is aborted and this one progressed.
    Registered: once secure exchange is established only a request with a right MAC comes here; it attaches anew, and
    an update that ran is over.  It is not refused for congestion: who has a connection is in already, and to refuse it
    would have to undo what the attach before it has.
    Source: 5.5.1.2.7 d, e, f.
    """
    attaching = ctx.attaching
    if attaching is not None and attaching.digest == digest:
        if ctx.step is Step.ATTACH_COMPLETE:
            running = ctx.timers.get(TimerName.T3450.value)
            return attach.resend_accept(ctx, env, running.expiries if running is not None else 0)
        return Outcome(ctx, label="equal attach request ignored")
    fresh = replace(
        ctx,
        step=Step.NONE,
        attaching=None,
        updating=None,
        bearer=None,
        vector=None,
        security_new=None,
        waiting_for=None,
        resynchronised=False,
    )
    given_back = Outcome(fresh, stop=tuple(TimerName), needs=delete_session(ctx, env), label="attach restarted")
    return given_back.then(on_attach_request(fresh, msg, digest, tai, replace(env, congested=False)))


def on_identity_response(ctx: UeContext, msg: IdentityResponse, env: Env) -> Outcome:
    """The IMSI that was asked for: go on to authentication, or reject.

    After a challenge that failed the same IMSI means AUTHENTICATION REJECT, another one a new challenge; of a UE that
    has proven its GUTI by a MAC no other one is believed.
    Any other identity: ATTACH REJECT #9; an emergency attach goes on without, where the policy lets it.
    Source: 5.4.4.4, 5.4.2.7 c.
    """
    stop = (TimerName.T3470,)
    attaching = ctx.attaching
    if identification.asked_for(ctx) is IdentityType.IMEISV and attaching is not None:
        return Outcome(ctx, stop=stop).then(_on_equipment(ctx, msg, env))
    if ctx.emergency and attaching is not None and not isinstance(msg.identity, Imsi):
        return _without_imsi(ctx, env)
    if attaching is None or not isinstance(msg.identity, Imsi):
        return replace(attach.reject(ctx, env, EmmCause.UE_IDENTITY_CANNOT_BE_DERIVED), stop=tuple(TimerName))
    if ctx.vector is not None and (ctx.proven or ctx.imsi == msg.identity):
        return authentication.reject_after_identity_check(ctx, env)
    known = replace(ctx, imsi=msg.identity, vector=None, attaching=replace(attaching, identity_checked=True))
    later = authentication.start(known, env)
    return Outcome(known, stop=stop).then(later)


def _on_equipment(ctx: UeContext, msg: IdentityResponse, env: Env) -> Outcome:
    """The IMEISV of a UE that is admitted already; without it: ATTACH REJECT #6, where equipment is checked.

    A UE that nobody has authenticated goes by its IMEI: without it #5.
    """
    if not isinstance(msg.identity, Imei):
        cause = EmmCause.IMEI_NOT_ACCEPTED if ctx.unauthenticated else EmmCause.ILLEGAL_ME
        return attach.reject(ctx, env, cause)
    return attach.on_equipment_known(replace(ctx, imeisv=msg.identity.digits), env)
