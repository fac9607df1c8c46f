"""Security mode control (TS 24.301 5.4.3): take a new EPS security context into use."""

from __future__ import annotations

from mme.config import MmeConfig
from mme.context import SecurityContext, UeContext
from mme.crypto import kdf
from mme.enums import EmmCause, EmmState, ItemResult, Owed, S1apCause, SecurityHeader, Step, TimerName
from mme.messages import DetachAccept, SecurityModeCommand, SecurityModeComplete, SecurityModeReject, ServiceReject
from mme.outcome import Env, Outcome, StartTimer
from mme.procedures import attach, detach, initial_context, service_request, tracking_area_update
from mme.procedures.release import end_connection
from mme.procedures.sending import deregister, nas
from mme.replacing import replace
from mme.ue_capability import supports_eea, supports_eia, ue_security_capability


def choose_algorithms(config: MmeConfig, ue_network_capability: bytes) -> tuple[int, int] | None:
    """(EEA, EIA): the first of each configured order that the UE has; None when there is none.  Source: 5.4.3.2."""
    eea = next((a for a in config.eea_order if supports_eea(ue_network_capability, a)), None)
    eia = next((a for a in config.eia_order if supports_eia(ue_network_capability, a)), None)
    return None if eea is None or eia is None else (eea, eia)


def start(ctx: UeContext, env: Env) -> Outcome:
    """Derive the keys and send SECURITY MODE COMMAND under them, not ciphered, with the UE's capabilities replayed.

    No algorithm in common: the UE is refused, or detached.  Source: 5.4.3.2; TS 33.401 7.2.4.4.
    """
    if ctx.vector is None:
        raise ValueError("security mode needs an authenticated UE")
    chosen = choose_algorithms(env.config, ctx.ue_network_capability)
    if chosen is None:
        return _nothing_in_common(ctx, env)
    return replace(_take_into_use(ctx, env, ctx.vector.k_asme, ctx.vector_ksi, chosen), stop=(TimerName.T3460,))


def _nothing_in_common(ctx: UeContext, env: Env) -> Outcome:
    """A UE that cannot be served under the configured algorithms: what it came for is refused, by its own message.

    Out: ATTACH REJECT #23; TRACKING AREA UPDATE REJECT #10; SERVICE REJECT #10 to a UE that came from idle, without
    another procedure, or asks for service in the middle of a security mode control; DETACH REQUEST, re-attach not
    required, where authentication was the network's own wish.
    A registered UE is deregistered, and its GUTI is void: nothing goes on under algorithms that are not configured any
    more (any that it goes by and that are would have been chosen), and by an attach it may show what it has now.
    Source: 5.5.1.2.5, 5.5.3.2.5, 5.6.1.5, 5.5.2.3.1.
    """
    if ctx.attaching is not None:
        return attach.reject(ctx, env, EmmCause.SECURITY_CAPABILITIES_MISMATCH)
    nameless = replace(ctx, guti=None, old_guti=None)
    if ctx.updating is not None:
        return tracking_area_update.reject(nameless, env, EmmCause.IMPLICITLY_DETACHED)
    if ctx.on_the_radio and ctx.step is not Step.SECURITY_MODE:
        return detach.start(nameless, env, reattach=False)
    return service_request.reject_as_detached(nameless, env)


def start_unauthenticated(ctx: UeContext, env: Env) -> Outcome:
    """SECURITY MODE COMMAND with null algorithms, key set 0 and a K_ASME of the MME's own making.

    Only for emergency bearer services, where the policy wants no proof.  UE and MME each set K_ASME to what they like,
    and no key of it protects anything: here it is zeros, so that nobody takes it for a secret.
    Source: 5.4.3.2; TS 33.401 15.2.2.2.
    """
    attaching = replace(ctx, emm=EmmState.COMMON_PROCEDURE_INITIATED, waiting_for=None)
    asked_in_vain = (TimerName.T3460, TimerName.T3470, TimerName.NEED)
    return replace(_take_into_use(attaching, env, bytes(32), 0, (0, 0)), stop=asked_in_vain)


def _take_into_use(ctx: UeContext, env: Env, k_asme: bytes, ksi: int, algorithms: tuple[int, int]) -> Outcome:
    security = _security(ksi, k_asme, algorithms)
    commanded = replace(
        ctx, step=Step.SECURITY_MODE, vector=None, security_new=security, resynchronised=False, owed=None
    )
    return _command(commanded, env, 0)


def _security(ksi: int, k_asme: bytes, algorithms: tuple[int, int]) -> SecurityContext:
    """A security context with keys for these algorithms, its NAS COUNTs at 0."""
    eea, eia = algorithms
    return SecurityContext(
        ksi=ksi,
        k_asme=k_asme,
        eea=eea,
        eia=eia,
        k_nas_enc=kdf.k_nas_enc(k_asme, eea),
        k_nas_int=kdf.k_nas_int(k_asme, eia),
    )


def _command(ctx: UeContext, env: Env, expiries: int) -> Outcome:
    security = ctx.security_new
    if security is None:
        raise ValueError("no security context to command")
    message = SecurityModeCommand(
        eea=security.eea,
        eia=security.eia,
        nas_ksi=security.ksi,
        replayed_ue_security_capability=ue_security_capability(ctx.ue_network_capability, ctx.ms_network_capability),
        imeisv_requested=security.eia == 0 or env.config.request_imeisv or env.config.checks_equipment,
    )
    return Outcome(
        ctx,
        downlinks=nas(ctx, message, SecurityHeader.INTEGRITY_NEW),
        start=(StartTimer(TimerName.T3460, env.config.t3460_s, expiries),),
        label="security mode command",
    )


def command_again(ctx: UeContext, env: Env, owed: Owed | None = None) -> Outcome:
    """SECURITY MODE COMMAND anew, for a procedure that has aborted the one before; T3460 counts from the beginning.

    owed: what the UE is told when it is complete: which keys the UE would check an answer with, nobody can say now.

    K_ASME and NAS COUNT go on, so that a UE that had taken the keys into use takes it as well as one that had not.  The
    algorithms are chosen anew, by what the UE can do now: another choice has keys of its own under the same K_ASME.
    With none in common the UE is deregistered; whatever it makes of the last message, its connection is released.

    DEVIATES: TS 33.401 A.3 because the first SECURITY MODE COMPLETE counts for K_eNB.  A UE whose request has crossed
    the command answers both commands, and derives it with the count of its second answer; access stratum security
    fails then, and the UE comes back from idle.

    Source: 5.4.3.2, 5.4.3.7 c, 5.5.3.2.3; TS 33.401 7.2.4.4, 7.2.8.2.
    """
    before = ctx.security_new
    if before is None:
        raise ValueError("no security context to command")
    if before.eia == 0:
        return _command(replace(ctx, owed=owed), env, 0)
    chosen = choose_algorithms(env.config, ctx.ue_network_capability)
    if chosen is None and owed is Owed.DETACH_ACCEPT:
        return deregister(ctx, env, S1apCause.DETACH, "detached by the UE", last=DetachAccept())
    if chosen is None:
        return _nothing_in_common(ctx, env)
    return _command(replace(ctx, security_new=_under(before, chosen), owed=owed), env, 0)


def _under(security: SecurityContext, algorithms: tuple[int, int]) -> SecurityContext:
    """The same key set with keys for these algorithms; its NAS COUNTs go on."""
    fresh = _security(security.ksi, security.k_asme, algorithms)
    return replace(fresh, ul_count=security.ul_count, dl_count=security.dl_count)


def on_security_mode_complete(ctx: UeContext, msg: SecurityModeComplete, env: Env) -> Outcome:
    """The UE has taken the context into use: the IMSI is proven, and the attach goes on.

    msg came integrity protected under the new context.  Blocked equipment is rejected (#6); one that did not tell its
    IMEISV, where that counts, is asked for it.  Under null integrity nothing is proven, and no index row moves: the UE
    goes by its IMEI.  Source: 5.4.3.4; TS 33.401 A.3; TS 23.401 4.3.12.1.
    """
    security = ctx.security_new
    if security is None:
        return Outcome(ctx, result=ItemResult.DISCARDED, label="no security mode command outstanding")
    unproven = security.eia == 0
    in_use = replace(
        ctx,
        security=security,
        security_new=None,
        owed=None,
        secured=True,
        proven=not unproven,
        k_enb_count=security.ul_count - 1,
        imeisv=msg.imeisv or ctx.imeisv,
    )
    later = _resumed(in_use, env) if in_use.attaching is None else attach.check_equipment(in_use, env)
    taken = Outcome(in_use, stop=(TimerName.T3460,), claim=None if unproven else ctx.imsi)
    return taken.then(_told(in_use, ctx.owed)).then(later)


def _told(ctx: UeContext, owed: Owed | None) -> Outcome:
    """The answer that was put off, under the new keys.  Source: 5.4.3.7 c; 5.6.1.5, 5.5.2.2.3."""
    match owed:
        case Owed.SERVICE_REJECT:
            return Outcome(ctx, downlinks=nas(ctx, ServiceReject(EmmCause.CS_DOMAIN_NOT_AVAILABLE)))
        case Owed.DETACH_ACCEPT:
            return Outcome(ctx, downlinks=nas(ctx, DetachAccept()))
        case None:
            return Outcome(ctx)


def _resumed(ctx: UeContext, env: Env) -> Outcome:
    """What a registered UE came for, or was at: its update first, where it is updating."""
    if ctx.updating is None:
        return service_request.resume(ctx, env)
    over = tracking_area_update.go_on(ctx, env)
    return Outcome(ctx).then(initial_context.rekey(ctx)).then(over) if ctx.on_the_radio else over


def on_security_mode_reject(ctx: UeContext, msg: SecurityModeReject, env: Env) -> Outcome:
    """The UE refuses (#23: the replayed capabilities are not its own, #24): abort what ran.  Source: 5.4.3.5."""
    return replace(
        end_connection(ctx, env, S1apCause.NAS_UNSPECIFIED, f"security mode reject #{msg.cause}"),
        result=ItemResult.REJECTED,
    )


def on_t3460_expiry(ctx: UeContext, expiries: int, env: Env) -> Outcome:
    """Four times again, each under a new NAS COUNT; on the fifth expiry abort and release.  Source: 5.4.3.7 b."""
    if expiries <= env.config.max_retransmissions:
        return _command(ctx, env, expiries)
    return end_connection(ctx, env, S1apCause.NAS_UNSPECIFIED, "T3460 expired: no Security Mode Complete")
