"""Building blocks of outcomes: NAS towards the UE, release of its connection, timers."""

from __future__ import annotations

from dataclasses import replace

from mme.context import Connection, UeContext
from mme.enums import EmmState, S1apCause, SecurityHeader, Step, TimerName
from mme.messages import (
    Cause,
    DownlinkNasTransport,
    EmmMessage,
    S1apMessage,
    Secured,
    UeContextReleaseCommand,
)
from mme.needs import DeleteSession, Need
from mme.outcome import Env, Outcome

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
