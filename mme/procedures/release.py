"""The end of a UE's connection while something may still run (TS 23.401 5.3.5; TS 36.413 8.3.2, 8.3.3)."""

from __future__ import annotations

from mme.context import UeContext
from mme.enums import EmmState, S1apCause, Step
from mme.needs import ModifySession, Need
from mme.outcome import Env, Outcome
from mme.procedures import reachability
from mme.procedures.sending import PROCEDURE_TIMERS, deregister, release
from mme.replacing import replace


def end_connection(ctx: UeContext, env: Env, cause: S1apCause, label: str) -> Outcome:
    """UE CONTEXT RELEASE COMMAND; what ran is over.

    A UE that was registered before it stays registered and becomes ECM-IDLE, its session kept (a tracking area update,
    a GUTI reallocation or an authentication that ran leaves both GUTIs and the old keys valid: 5.4.1.6 a, 5.4.2.7 a,
    5.5.3.2.7 a); an attach or a detach ends in EMM-DEREGISTERED (5.5.1.2.7 a, 5.5.2.3.4 b).
    """
    if not ctx.stays_registered:
        return deregister(ctx, env, cause, label)
    idle, command = release(ctx, cause)
    idle = replace(
        idle,
        emm=EmmState.REGISTERED,
        step=Step.NONE,
        attaching=None,
        updating=None,
        vector=None,
        security_new=None,
        waiting_for=None,
        resynchronised=False,
    )
    needs: tuple[Need, ...] = ()
    if idle.bearer is not None:
        session = idle.bearer.session.session_id
        needs = (ModifySession(f"{env.item}/release-access", ctx.key, session, None, None),)
        idle = replace(idle, bearer=replace(idle.bearer, enb_address=None, enb_teid=None))
    return Outcome(
        idle, downlinks=command, stop=PROCEDURE_TIMERS, start=reachability.watch(idle, env), needs=needs, label=label
    )


def connection_lost(ctx: UeContext, env: Env, label: str) -> Outcome:
    """The eNB has no such UE any more, or is itself gone: as a release, without a command."""
    gone = end_connection(ctx, env, S1apCause.NORMAL_RELEASE, label)
    rest = tuple(c for c in ctx.connections if c != ctx.connection)
    return replace(gone, downlinks=(), ctx=replace(gone.ctx, connections=rest) if gone.ctx else None)
