"""Service request (TS 24.301 5.6.1): an idle UE comes back, and its bearers are established again."""

from __future__ import annotations

from mme.context import UeContext
from mme.enums import EmmCause, EmmState, ItemResult, S1apCause, Step, TimerName
from mme.messages import ExtendedServiceRequest, ServiceReject, ServiceRequest
from mme.outcome import Env, Outcome, StartTimer
from mme.procedures import initial_context
from mme.procedures.sending import context_setup, deregister, nas, release
from mme.replacing import replace


def on_service_request(ctx: UeContext, _msg: ServiceRequest, env: Env) -> Outcome:
    """INITIAL CONTEXT SETUP REQUEST with every bearer; it is the answer, there is no NAS message.

    ctx: proven by the short MAC, on its new connection, K_eNB's count taken.  A UE without a bearer has lost its
    context: SERVICE REJECT #10, and it has to attach again.
    Source: 5.6.1.4, 5.6.1.5; TS 23.401 5.3.4.1; TS 36.413 8.3.1.
    """
    setup = context_setup(ctx)
    if setup is None:
        return reject_as_detached(ctx, env)
    return Outcome(
        ctx,
        downlinks=(setup,),
        start=(StartTimer(TimerName.CONTEXT_SETUP, env.config.context_setup_s),),
        label="service request",
    )


def reject_as_detached(ctx: UeContext, env: Env) -> Outcome:
    """SERVICE REJECT #10: the UE is detached here, and attaches again.  Source: 5.6.1.5."""
    last = ServiceReject(EmmCause.IMPLICITLY_DETACHED)
    gone = deregister(ctx, env, S1apCause.NAS_UNSPECIFIED, "service reject #10", last=last)
    return replace(gone, result=ItemResult.REJECTED)


def resume(ctx: UeContext, env: Env) -> Outcome:
    """A registered UE was authenticated anew: it is registered as before, and gets the bearers that it came for."""
    again = replace(ctx, emm=EmmState.REGISTERED, step=Step.NONE)
    if again.on_the_radio:
        return initial_context.rekey(again)
    return on_service_request(again, ServiceRequest(0, 0, b""), env)


def on_extended_service_request(ctx: UeContext, _msg: ExtendedServiceRequest, _env: Env) -> Outcome:
    """CS fallback and SMS in MME are not served: SERVICE REJECT #18; the UE stays registered.

    A UE that came from idle for it alone goes back there.  An update, an authentication or a GUTI reallocation that it
    crosses goes on.  (A security mode control it aborts: `security_mode.command_again`.)
    Source: 5.6.1.5, 5.4.1.6, 5.4.2.7.
    """
    if ctx.step is not Step.NONE or not ctx.for_signalling_only:
        message = ServiceReject(EmmCause.CS_DOMAIN_NOT_AVAILABLE)
        return Outcome(ctx, downlinks=nas(ctx, message), result=ItemResult.REJECTED, label="service reject #18")
    return _reject(ctx, EmmCause.CS_DOMAIN_NOT_AVAILABLE)


def _reject(ctx: UeContext, cause: EmmCause) -> Outcome:
    """SERVICE REJECT, and release of the connection that was made for it.  Source: 5.6.1.5."""
    goodbye = nas(ctx, ServiceReject(cause))
    idle, command = release(ctx, S1apCause.NAS_UNSPECIFIED)
    return Outcome(idle, downlinks=goodbye + command, result=ItemResult.REJECTED, label=f"service reject #{int(cause)}")
