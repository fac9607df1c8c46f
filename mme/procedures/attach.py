"""Attach (TS 24.301 5.5.1), from the proven identity to ATTACH COMPLETE, and every way it is refused."""

from __future__ import annotations

from mme.context import Attaching, Bearer, UeContext
from mme.enums import (
    AttachType,
    EmmCause,
    EmmState,
    EsmCause,
    IdentityType,
    ItemResult,
    PdnType,
    S1apCause,
    SecurityHeader,
    Step,
    TimerName,
)
from mme.messages import (
    ActivateDefaultEpsBearerContextAccept,
    ActivateDefaultEpsBearerContextReject,
    ActivateDefaultEpsBearerContextRequest,
    AttachAccept,
    AttachComplete,
    AttachReject,
    EmmInformation,
    EsmContainer,
    EsmInformationRequest,
    EsmInformationResponse,
    EsmStatus,
    PdnAddress,
    PdnConnectivityReject,
)
from mme.needs import (
    SESSION_NEED,
    ApnConfiguration,
    ModifySession,
    NeedProfile,
    NeedSession,
    Profile,
    Refusal,
    Refused,
    Session,
)
from mme.outcome import Env, Outcome, StartTimer
from mme.procedures import emergency, guti_reallocation, identification, reachability
from mme.procedures.sending import context_setup, deregister, nas, secured
from mme.replacing import replace

DEFAULT_BEARER_IDENTITY = 5


def reject(ctx: UeContext, env: Env, cause: EmmCause, esm: PdnConnectivityReject | None = None) -> Outcome:
    """ATTACH REJECT, release of the connection, context forgotten.  esm: with cause #19 only.  Source: 5.5.1.2.5."""
    label = f"attach reject #{int(cause)}"
    if esm is not None:
        label += f" ESM #{int(esm.cause)}"
    header = None if ctx.secured else SecurityHeader.PLAIN
    outcome = deregister(
        ctx, env, S1apCause.NAS_UNSPECIFIED, label, last=AttachReject(cause, esm=esm), last_header=header
    )
    return replace(outcome, result=ItemResult.REJECTED)


def _esm_failure(ctx: UeContext, env: Env, attaching: Attaching, cause: EsmCause) -> Outcome:
    return reject(ctx, env, EmmCause.ESM_FAILURE, PdnConnectivityReject(0, attaching.pti, cause))


def check_equipment(ctx: UeContext, env: Env) -> Outcome:
    """Go on once the IMEISV is known, where it counts; a UE that has not told it in this attach is asked for it.

    It counts where there is a list of blocked equipment, but for emergency bearer services, and for a UE that nobody
    has authenticated, which goes by it.  Source: TS 23.401 5.3.2.1 step 5b, 4.3.12.1.
    """
    counts = ctx.unauthenticated or (env.config.checks_equipment and not ctx.emergency)
    if counts and ctx.imeisv is None:
        return identification.start(ctx, env, IdentityType.IMEISV)
    return on_equipment_known(ctx, env)


def on_equipment_known(ctx: UeContext, env: Env) -> Outcome:
    """Blocked equipment: ATTACH REJECT #6; otherwise, and for emergency bearer services, the attach goes on.

    Source: 5.5.1.2.5; TS 23.401 5.3.2.1 step 5b.
    """
    if not ctx.emergency and ctx.imeisv is not None and env.config.blocks(ctx.imeisv):
        return reject(ctx, env, EmmCause.ILLEGAL_ME)
    return on_authenticated(ctx, env)


def on_authenticated(ctx: UeContext, env: Env) -> Outcome:
    """The UE is who it says: ask for what it held back (ESM information), or for its subscription.

    Neither counts for emergency bearer services: the MME has the data for those.
    Source: TS 24.301 6.6.1.2.2; TS 23.401 5.3.2.1 steps 5b to 12.
    """
    attaching = _attaching(ctx)
    if ctx.emergency:
        return on_profile(ctx, emergency.configuration_data(env.config), env)
    if attaching.esm_information_transfer_flag:
        return _request_esm_information(replace(ctx, step=Step.ESM_INFORMATION), env, 0)
    return _need_profile(ctx, env)


def _attaching(ctx: UeContext) -> Attaching:
    if ctx.attaching is None:
        raise ValueError("no attach is running")
    return ctx.attaching


def _request_esm_information(ctx: UeContext, env: Env, expiries: int) -> Outcome:
    return Outcome(
        ctx,
        downlinks=nas(ctx, EsmContainer(EsmInformationRequest(0, _attaching(ctx).pti))),
        start=(StartTimer(TimerName.T3489, env.config.t3489_s, expiries),),
        label="ESM information request",
    )


def on_esm_information_response(ctx: UeContext, msg: EsmInformationResponse, env: Env) -> Outcome:
    """Take over APN and PCO.  A response with another PTI is ignored.  Source: 6.6.1.2.4, 7.3.1."""
    attaching = _attaching(ctx)
    if msg.pti != attaching.pti:
        return Outcome(ctx, result=ItemResult.DISCARDED, label="ESM information response with another PTI")
    told = replace(
        ctx,
        attaching=replace(
            attaching,
            access_point_name=msg.access_point_name or attaching.access_point_name,
            pco=msg.protocol_configuration_options or attaching.pco,
        ),
    )
    return Outcome(told, stop=(TimerName.T3489,)).then(_need_profile(told, env))


def on_esm_information_refused(ctx: UeContext, msg: EsmStatus, env: Env) -> Outcome:
    """The UE does not understand the request: as if it never answered.  Another PTI: nothing.  Source: 6.7."""
    attaching = _attaching(ctx)
    if msg.pti != attaching.pti:
        return Outcome(ctx, result=ItemResult.DISCARDED, label="ESM status with another PTI")
    return _esm_failure(ctx, env, attaching, EsmCause.ESM_INFORMATION_NOT_RECEIVED)


def on_t3489_expiry(ctx: UeContext, expiries: int, env: Env) -> Outcome:
    """Twice again; on the third expiry reject with ESM #53.  Source: 6.6.1.2.6 a."""
    if expiries <= env.config.t3489_retransmissions:
        return _request_esm_information(ctx, env, expiries)
    return _esm_failure(ctx, env, _attaching(ctx), EsmCause.ESM_INFORMATION_NOT_RECEIVED)


def _need_profile(ctx: UeContext, env: Env) -> Outcome:
    if ctx.imsi is None:
        raise ValueError("a proven identity has an IMSI")
    need = NeedProfile(f"{env.item}/profile", ctx.key, ctx.imsi)
    return Outcome(replace(ctx, step=Step.PROFILE, waiting_for=need.id), needs=(need,), label="waits for a profile")


def on_profile(ctx: UeContext, answer: Profile | Refused, env: Env) -> Outcome:
    """Choose the APN and ask the gateway for the default bearer.

    HSS refuses: #8 or #7, silent: #17.  APN not subscribed: #19 with ESM #27.  PDN type: IPv4v6 is served by what the
    subscription allows (#50, #51 tell the UE), a single type that it lacks is refused.
    Source: TS 23.401 5.3.2.1 steps 11 and 12; TS 24.301 6.5.1.3, 6.5.1.4.
    """
    attaching = _attaching(ctx)
    if isinstance(answer, Refused):
        cause = {
            Refusal.UNKNOWN_SUBSCRIBER: EmmCause.EPS_SERVICES_AND_NON_EPS_SERVICES_NOT_ALLOWED,
            Refusal.NOT_ALLOWED: EmmCause.EPS_SERVICES_NOT_ALLOWED,
        }.get(answer.reason, EmmCause.NETWORK_FAILURE)
        return reject(ctx, env, cause)
    apn = _chosen_apn(answer, attaching.access_point_name)
    if apn is None:
        return _esm_failure(ctx, env, attaching, EsmCause.MISSING_OR_UNKNOWN_APN)
    pdn_type, note = _chosen_pdn_type(apn, attaching.pdn_type)
    if pdn_type is None:
        return _esm_failure(ctx, env, attaching, note or EsmCause.UNKNOWN_PDN_TYPE)
    if ctx.imsi is None and not ctx.emergency:
        raise ValueError("a proven identity has an IMSI")
    need = NeedSession(
        id=f"{env.item}{SESSION_NEED}",
        owner=ctx.key,
        imsi=ctx.imsi,
        access_point_name=apn.access_point_name,
        pdn_type=pdn_type,
        eps_bearer_identity=DEFAULT_BEARER_IDENTITY,
        pco=attaching.pco,
        imei=ctx.imeisv if ctx.unauthenticated else None,
    )
    asking = replace(
        ctx,
        step=Step.SESSION,
        profile=answer,
        waiting_for=need.id,
        attaching=replace(attaching, access_point_name=apn.access_point_name),
    )
    return Outcome(asking, stop=(TimerName.NEED,), needs=(need,), label="waits for a session")


def _chosen_apn(profile: Profile, wanted: str | None) -> ApnConfiguration | None:
    """The subscribed APN that the UE asked for, the default one when it asked for none; None = not subscribed."""
    if wanted is None:
        return profile.apns[0] if profile.apns else None
    return next((apn for apn in profile.apns if apn.access_point_name.lower() == wanted.lower()), None)


def _chosen_pdn_type(apn: ApnConfiguration, wanted: int) -> tuple[int | None, EsmCause | None]:
    """(PDN type, cause to tell the UE); type None: refused with that cause.  Source: 6.5.1.3, 6.5.1.4."""
    allowed = set(apn.pdn_types)
    if PdnType.IPV4V6 in allowed:
        allowed = {PdnType.IPV4, PdnType.IPV6, PdnType.IPV4V6}
    if wanted in allowed:
        return wanted, None
    if wanted == PdnType.IPV4V6 and allowed == {PdnType.IPV4, PdnType.IPV6}:
        return PdnType.IPV4, EsmCause.SINGLE_ADDRESS_BEARERS_ONLY_ALLOWED
    only = (
        (PdnType.IPV4, EsmCause.PDN_TYPE_IPV4_ONLY_ALLOWED)
        if PdnType.IPV4 in allowed
        else (PdnType.IPV6, EsmCause.PDN_TYPE_IPV6_ONLY_ALLOWED)
    )
    return (only[0] if wanted == PdnType.IPV4V6 else None), only[1]


def on_session(ctx: UeContext, answer: Session | Refused, env: Env) -> Outcome:
    """ATTACH ACCEPT with GUTI, TAI list and default bearer inside INITIAL CONTEXT SETUP REQUEST; T3450.

    Gateway refuses: #19 with ESM #31 (or #26, #27), silent: ESM #38.
    Source: TS 24.301 5.5.1.2.4; TS 36.413 8.3.1; TS 23.401 5.3.2.1 steps 16 and 17.
    """
    attaching = _attaching(ctx)
    if isinstance(answer, Refused):
        cause = {
            Refusal.UNREACHABLE: EsmCause.NETWORK_FAILURE,
            Refusal.NO_RESOURCES: EsmCause.INSUFFICIENT_RESOURCES,
            Refusal.UNKNOWN_APN: EsmCause.MISSING_OR_UNKNOWN_APN,
        }.get(answer.reason, EsmCause.REQUEST_REJECTED_UNSPECIFIED)
        return _esm_failure(ctx, env, attaching, cause)
    apn = _subscribed(ctx)
    bearer = Bearer(DEFAULT_BEARER_IDENTITY, apn.access_point_name, apn.qci, answer)
    ready = replace(
        guti_reallocation.with_new_guti(ctx, env), step=Step.ATTACH_COMPLETE, bearer=bearer, waiting_for=None
    )
    if ready.connection is None:
        return deregister(ready, env, S1apCause.NAS_UNSPECIFIED, "connection lost before attach accept")
    setup = context_setup(ready, secured(ready, _accept(ready, env)))
    if setup is None:
        raise ValueError("a connection with security, a bearer and a profile can be set up")
    return Outcome(
        ready,
        downlinks=(setup,),
        start=(
            StartTimer(TimerName.T3450, env.config.t3450_s),
            StartTimer(TimerName.CONTEXT_SETUP, env.config.context_setup_s),
        ),
        stop=(TimerName.NEED,),
        label="attach accept",
    )


def _subscribed(ctx: UeContext) -> ApnConfiguration:
    apn = _chosen_apn(ctx.profile, _attaching(ctx).access_point_name) if ctx.profile is not None else None
    if apn is None:
        raise ValueError("the APN was chosen from the profile")
    return apn


def _single_address_note(wanted: int, session: Session) -> EsmCause | None:
    """Both addresses were asked for and the gateway gave one.  Source: 6.5.1.3."""
    if wanted != PdnType.IPV4V6 or (session.ipv4 is not None and session.ipv6_interface_id is not None):
        return None
    return EsmCause.PDN_TYPE_IPV4_ONLY_ALLOWED if session.ipv4 is not None else EsmCause.PDN_TYPE_IPV6_ONLY_ALLOWED


def _activate_default_bearer(ctx: UeContext, bearer: Bearer) -> ActivateDefaultEpsBearerContextRequest:
    apn = _subscribed(ctx)
    attaching = _attaching(ctx)
    session = bearer.session
    note = _chosen_pdn_type(apn, attaching.pdn_type)[1] or _single_address_note(attaching.pdn_type, session)
    return ActivateDefaultEpsBearerContextRequest(
        eps_bearer_identity=bearer.eps_bearer_identity,
        pti=attaching.pti,
        qci=bearer.qci,
        access_point_name=bearer.access_point_name,
        pdn_address=PdnAddress(session.ipv4, session.ipv6_interface_id),
        apn_ambr_dl_bps=apn.ambr_dl_bps,
        apn_ambr_ul_bps=apn.ambr_ul_bps,
        cause=note,
        protocol_configuration_options=session.pco,
    )


def _accept(ctx: UeContext, env: Env) -> AttachAccept:
    """Combined attach is answered for EPS only, with #18.  Source: 5.5.1.2.4, 5.5.1.3.4.3."""
    connection = ctx.connection
    if ctx.bearer is None or ctx.guti is None or connection is None:
        raise ValueError("attach accept needs a bearer, a GUTI and a connection")
    combined = _attaching(ctx).attach_type == AttachType.COMBINED
    return AttachAccept(
        attach_result=1,
        t3412_s=env.config.t3412_s,
        tai_list=env.config.tai_list(connection.tai),
        esm=_activate_default_bearer(ctx, ctx.bearer),
        guti=ctx.guti,
        cause=EmmCause.CS_DOMAIN_NOT_AVAILABLE if combined else None,
    )


def resend_accept(ctx: UeContext, env: Env, expiries: int) -> Outcome:
    """The same ATTACH ACCEPT again, under a new NAS COUNT, in DOWNLINK NAS TRANSPORT; T3450 restarted."""
    return Outcome(
        ctx,
        downlinks=nas(ctx, _accept(ctx, env)),
        start=(StartTimer(TimerName.T3450, env.config.t3450_s, expiries),),
        label="attach accept again",
    )


def on_t3450_expiry(ctx: UeContext, expiries: int, env: Env) -> Outcome:
    """Four times again; on the fifth expiry the attach is aborted.  Source: 5.5.1.2.7 c."""
    if expiries <= env.config.max_retransmissions:
        return resend_accept(ctx, env, expiries)
    return deregister(ctx, env, S1apCause.NAS_UNSPECIFIED, "T3450 expired: no Attach Complete")


def on_attach_complete(ctx: UeContext, msg: AttachComplete, env: Env) -> Outcome:
    """The UE is registered.  Its default bearer is accepted with it, or refused, which ends the attach.

    Out: EMM INFORMATION with the network's names.  When the eNB has answered before, the gateway is told the eNB's end;
    otherwise that waits for INITIAL CONTEXT SETUP RESPONSE.  Source: 5.5.1.2.4, 6.4.1.3, 6.4.1.4, 5.4.5.
    """
    match msg.esm:
        case ActivateDefaultEpsBearerContextReject():
            return deregister(ctx, env, S1apCause.NAS_UNSPECIFIED, f"default bearer refused #{msg.esm.cause}")
        case ActivateDefaultEpsBearerContextAccept(eps_bearer_identity=ebi) if (
            ctx.bearer is not None and ebi == ctx.bearer.eps_bearer_identity
        ):
            pass
        case _:
            return Outcome(ctx, result=ItemResult.DISCARDED, label="attach complete without its bearer's accept")
    connection = ctx.connection
    registered = replace(
        ctx,
        emm=EmmState.REGISTERED,
        step=Step.NONE,
        old_guti=None,
        tai_list=env.config.tai_list(connection.tai) if connection is not None else (),
        attaching=None,
    )
    information = EmmInformation(
        full_name=env.config.network_full_name or None,
        short_name=env.config.network_short_name or None,
        universal_time_s=env.now_ms // 1000,
    )
    done = Outcome(
        registered,
        downlinks=nas(registered, information),
        stop=(TimerName.T3450,),
        start=reachability.watch(registered, env),
        label="attach complete",
    )
    return done.then(modify_session(registered, env, label=done.label)) if registered.on_the_radio else done


def modify_session(ctx: UeContext, env: Env, *, label: str) -> Outcome:
    """Tell the gateway the eNB's end of the bearer.  Source: TS 23.401 5.3.2.1 step 23, 5.3.4.1 step 8."""
    bearer = ctx.bearer
    if bearer is None:
        return Outcome(ctx, label=label)
    need = ModifySession(
        f"{env.item}/modify-session", ctx.key, bearer.session.session_id, bearer.enb_address, bearer.enb_teid
    )
    return Outcome(ctx, needs=(need,), label=label)
