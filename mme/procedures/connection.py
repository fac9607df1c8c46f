"""A proven UE on a new S1 connection (TS 23.401 4.6; TS 24.301 5.3.1): what it leaves behind, and what it asks for."""

from __future__ import annotations

from mme.context import Connection, UeContext
from mme.enums import AttachType, EmmState, ItemResult, S1apCause, Step, TimerName
from mme.ids import Guti
from mme.messages import (
    AttachRequest,
    DetachRequestFromUe,
    EmmMessage,
    ExtendedServiceRequest,
    S1apMessage,
    ServiceRequest,
    TrackingAreaUpdateRequest,
    UeContextReleaseCommand,
)
from mme.outcome import Env, Outcome
from mme.procedures import (
    attach_request,
    authentication,
    congestion,
    detach,
    guti_reallocation,
    reachability,
    service_request,
    tracking_area_update_request,
)
from mme.procedures.sending import PROCEDURE_TIMERS, s1ap_cause
from mme.replacing import replace

INITIAL = (AttachRequest, DetachRequestFromUe, ServiceRequest, ExtendedServiceRequest, TrackingAreaUpdateRequest)
_OVER = frozenset(name.value for name in (*PROCEDURE_TIMERS, TimerName.T3413, TimerName.IMPLICIT_DETACH))


def brings_back(ctx: UeContext, message: EmmMessage, env: Env) -> bool:
    """Whether a first message whose integrity was right is taken on `ctx`: of a deregistered UE, an attach alone.

    Its GUTI and its keys are good as long as its row is there, so that it need not be authenticated; where attaches
    are refused for congestion, it is nobody.  Source: 5.5.1.2.7 c, g; TS 23.401 4.6.2.
    """
    if ctx.emm is not EmmState.DEREGISTERED:
        return True
    return isinstance(message, AttachRequest) and (not env.congested or message.attach_type == AttachType.EMERGENCY)


def on_initial_message(ctx: UeContext, connection: Connection, message: EmmMessage, digest: bytes, env: Env) -> Outcome:
    """Take the first message of a known UE on `connection`; its integrity is checked, ctx has its NAS COUNT.

    Older connections are released; a procedure that ran is over.  A UE that uses what ATTACH ACCEPT or a GUTI
    reallocation gave it has accepted it; but its area it cannot update before it has said so (5.5.1.2.7 g).  NAS COUNT
    almost used up: a new key set first (TS 33.401 6.5).  A detach by the network that runs, or waits for the UE, goes
    before what the UE asks for, other than to attach or to detach (5.5.2.3.4).  A message that begins nothing is not
    answered, and its connection is released.
    """
    if not isinstance(message, INITIAL):
        return _turned_away(ctx, connection, message)
    arrived, commands = _moved(ctx, connection, env)
    leaving = ctx.reattach_required if ctx.step is Step.DETACH else ctx.detach_when_back
    came = Outcome(arrived, downlinks=commands, start=reachability.watch(arrived, env), label="connected")
    match message:
        case AttachRequest() if env.congested and message.attach_type != AttachType.EMERGENCY:
            later = congestion.refuse_known(arrived, env)
        case AttachRequest():
            guti = message.identity if isinstance(message.identity, Guti) else None
            anew = replace(guti_reallocation.as_used(arrived, guti), detach_when_back=None)
            later = attach_request.on_attach_request_of_known(anew, message, digest, connection.tai, env)
        case DetachRequestFromUe():
            later = detach.on_detach_request(arrived, message, env)
        case TrackingAreaUpdateRequest() if ctx.attaching is not None:
            later = tracking_area_update_request.refuse_while_attaching(arrived, message, env)
        case _ if leaving is not None:
            later = detach.start(arrived, env, reattach=leaving)
        case TrackingAreaUpdateRequest():
            later = tracking_area_update_request.on_tracking_area_update_request(arrived, message, connection.tai, env)
        case ServiceRequest() if arrived.worn_out:
            later = authentication.start(arrived, env)
        case ServiceRequest():
            later = service_request.on_service_request(arrived, message, env)
        case ExtendedServiceRequest():
            later = service_request.on_extended_service_request(arrived, message, env)
    return came.then(later)


def _turned_away(ctx: UeContext, connection: Connection, message: EmmMessage) -> Outcome:
    """The eNB is told to release the connection; the UE's own goes on."""
    command = UeContextReleaseCommand(
        connection.mme_ue_s1ap_id, connection.enb_ue_s1ap_id, s1ap_cause(S1apCause.NAS_UNSPECIFIED)
    )
    kept = replace(
        ctx,
        connections=(replace(connection, releasing=True), *ctx.connections),
        next_connection=ctx.next_connection + 1,
    )
    label = f"{type(message).__name__} as first message"
    return Outcome(kept, downlinks=(command,), result=ItemResult.DISCARDED, label=label)


def _moved(ctx: UeContext, connection: Connection, env: Env) -> tuple[UeContext, tuple[S1apMessage, ...]]:
    """(the context on its new connection only, release commands for the others).

    Timers of what ran go here and now, not with the outcome: the guard of a context setup that the old connection left
    behind says nothing of the new one.
    """
    live = [c for c in ctx.connections if not c.releasing]
    commands: tuple[S1apMessage, ...] = tuple(
        UeContextReleaseCommand(c.mme_ue_s1ap_id, c.enb_ue_s1ap_id, s1ap_cause(S1apCause.NORMAL_RELEASE)) for c in live
    )
    security = ctx.security
    bearer = ctx.bearer
    if bearer is not None:
        bearer = replace(bearer, enb_address=None, enb_teid=None)
    tai_list = ctx.tai_list
    if ctx.step is Step.ATTACH_COMPLETE:
        accepted_on = ctx.connection or connection
        tai_list = env.config.tai_list(accepted_on.tai)
    moved = replace(
        ctx,
        emm=EmmState.REGISTERED,
        step=Step.NONE,
        connections=(*(replace(c, releasing=True) for c in live), connection),
        next_connection=ctx.next_connection + 1,
        secured=True,
        k_enb_count=security.ul_count - 1 if security is not None else 0,
        attaching=None,
        updating=None,
        vector=None,
        security_new=None,
        waiting_for=None,
        resynchronised=False,
        bearer=bearer,
        tai_list=tai_list,
        timers={name: running for name, running in ctx.timers.items() if name not in _OVER},
    )
    return moved, commands
