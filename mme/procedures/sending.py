"""Building blocks of outcomes: NAS towards the UE, release of its connection, timers."""

from __future__ import annotations

from mme.context import Connection, UeContext
from mme.crypto import kdf
from mme.enums import EmmState, S1apCause, SecurityHeader, Step, TimerName
from mme.messages import (
    Cause,
    DownlinkNasTransport,
    EmmMessage,
    ErabToBeSetup,
    InitialContextSetupRequest,
    S1apMessage,
    Secured,
    UeContextReleaseCommand,
)
from mme.needs import DeleteSession, Need
from mme.outcome import Env, Outcome
from mme.replacing import replace
from mme.ue_capability import encryption_algorithms_16bit, integrity_algorithms_16bit

NAS_TIMERS = (TimerName.T3450, TimerName.T3460, TimerName.T3470, TimerName.T3489, TimerName.T3422)
PROCEDURE_TIMERS = (*NAS_TIMERS, TimerName.NEED, TimerName.CONTEXT_SETUP)


def s1ap_cause(cause: S1apCause) -> Cause:
    group, value = cause.value
    return Cause(group, value)


def secured(ctx: UeContext, message: EmmMessage) -> Secured:
    """Protected as the connection stands: ciphered once secure exchange is established, plain before (4.4.4.1)."""
    return Secured(message, SecurityHeader.INTEGRITY_CIPHERED if ctx.secured else SecurityHeader.PLAIN)


def nas(ctx: UeContext, message: EmmMessage, header: SecurityHeader | None = None) -> tuple[S1apMessage, ...]:
    """DOWNLINK NAS TRANSPORT on the UE's connection; nothing when the UE is ECM-IDLE."""
    connection = ctx.connection
    if connection is None:
        return ()
    pdu = secured(ctx, message) if header is None else Secured(message, header)
    return (DownlinkNasTransport(connection.mme_ue_s1ap_id, connection.enb_ue_s1ap_id, pdu),)


def _releasing(connections: tuple[Connection, ...], target: Connection) -> tuple[Connection, ...]:
    return tuple(replace(c, releasing=True) if c == target else c for c in connections)


def release(ctx: UeContext, cause: S1apCause) -> tuple[UeContext, tuple[S1apMessage, ...]]:
    """UE CONTEXT RELEASE COMMAND on the UE's connection (TS 36.413 8.3.3); the UE is ECM-IDLE from here on."""
    connection = ctx.connection
    if connection is None:
        return replace(ctx, secured=False), ()
    command = UeContextReleaseCommand(connection.mme_ue_s1ap_id, connection.enb_ue_s1ap_id, s1ap_cause(cause))
    return replace(ctx, connections=_releasing(ctx.connections, connection), secured=False), (command,)


def context_setup(ctx: UeContext, accept: Secured | None = None) -> InitialContextSetupRequest | None:
    """INITIAL CONTEXT SETUP REQUEST with the default bearer; None when the UE has no bearer or no connection.

    accept: ATTACH ACCEPT, inside the bearer's E-RAB.  The radio capability goes along but in an attach, where the eNB
    is to ask for it (TS 23.401 5.11.2).  Of a UE under null algorithms the eNB hears of no others, so that it chooses
    none.  Source: TS 36.413 9.1.4.1; K_eNB from TS 33.401 A.3; TS 33.401 15.2.2.2.
    """
    connection, bearer, security, profile = ctx.connection, ctx.bearer, ctx.security, ctx.profile
    if connection is None or bearer is None or security is None or profile is None:
        return None
    apn = next((a for a in profile.apns if a.access_point_name == bearer.access_point_name), None)
    if apn is None:
        return None
    erab = ErabToBeSetup(
        e_rab_id=bearer.eps_bearer_identity,
        qci=bearer.qci,
        priority_level=apn.priority_level,
        transport_layer_address=bearer.session.sgw_address,
        gtp_teid=bearer.session.sgw_teid,
        nas_pdu=accept,
        preemption_capable=apn.preemption_capable,
        preemption_vulnerable=apn.preemption_vulnerable,
    )
    capability = bytes(2) if ctx.unauthenticated else ctx.ue_network_capability
    return InitialContextSetupRequest(
        mme_ue_s1ap_id=connection.mme_ue_s1ap_id,
        enb_ue_s1ap_id=connection.enb_ue_s1ap_id,
        ue_ambr_dl_bps=profile.ue_ambr_dl_bps,
        ue_ambr_ul_bps=profile.ue_ambr_ul_bps,
        e_rabs=(erab,),
        encryption_algorithms=encryption_algorithms_16bit(capability),
        integrity_algorithms=integrity_algorithms_16bit(capability),
        k_enb=kdf.k_enb(security.k_asme, ctx.k_enb_count),
        ue_radio_capability=ctx.ue_radio_capability if accept is None else None,
    )


def delete_session(ctx: UeContext, env: Env) -> tuple[Need, ...]:
    """The need that gives the UE's session back, if it has one."""
    if ctx.bearer is None:
        return ()
    return (DeleteSession(f"{env.item}/delete-session", ctx.key, ctx.bearer.session.session_id),)


def deregister(
    ctx: UeContext,
    env: Env,
    cause: S1apCause,
    label: str,
    *,
    last: EmmMessage | None = None,
    last_header: SecurityHeader | None = None,
) -> Outcome:
    """The UE has no place here (any more): say `last` to it, release its connection and session, forget its context."""
    goodbye = nas(ctx, last, last_header) if last is not None else ()
    gone, command = release(ctx, cause)
    gone = replace(
        gone,
        emm=EmmState.DEREGISTERED,
        step=Step.NONE,
        attaching=None,
        bearer=None,
        vector=None,
        security_new=None,
        waiting_for=None,
    )
    return Outcome(
        gone,
        downlinks=goodbye + command,
        stop=tuple(TimerName),
        needs=delete_session(ctx, env),
        forget=True,
        label=label,
    )
