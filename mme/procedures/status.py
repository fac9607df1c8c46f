"""Status messages and refusals of what this MME does not serve (TS 24.301 5.7, 6.7, 7)."""

from __future__ import annotations

from collections.abc import Callable

from mme.context import UeContext
from mme.enums import EmmCause, EsmCause, ItemResult, S1apCause, SecurityHeader
from mme.messages import (
    AttachReject,
    EmmMessage,
    EmmStatus,
    EsmContainer,
    EsmMessage,
    EsmStatus,
    ServiceReject,
    TrackingAreaUpdateReject,
)
from mme.outcome import Env, Outcome
from mme.procedures.sending import deregister, nas

# ESM STATUS with one of these ends the ESM procedure that it is about (6.7).
ENDS_THE_PROCEDURE = (
    EsmCause.INVALID_EPS_BEARER_IDENTITY,
    EsmCause.INVALID_PTI_VALUE,
    EsmCause.MESSAGE_TYPE_NON_EXISTENT,
)


def emm_status(ctx: UeContext, cause: EmmCause) -> Outcome:
    """EMM STATUS; nothing else changes.  Source: 7.4 to 7.7."""
    return Outcome(
        ctx, downlinks=nas(ctx, EmmStatus(int(cause))), result=ItemResult.DISCARDED, label=f"EMM status #{int(cause)}"
    )


# By message type (9.8) of the request: 5.5.1.2.7 b, 5.5.3.2.7 b, 5.6.1.7 b.
_REJECTS: dict[int, Callable[[EmmCause], EmmMessage]] = {
    0x41: AttachReject,
    0x48: TrackingAreaUpdateReject,
    0x4C: ServiceReject,
}


def protocol_error(ctx: UeContext, message_type: int | None, cause: EmmCause) -> Outcome:
    """A message that cannot be decoded: a request is rejected, any other message answered by EMM STATUS.

    message_type: of the message, None = not known.  cause: #96, #97, #99, #100 or #111.
    Nothing else changes: to the UE it is an abnormal case in which it keeps what it has (5.5.1.2.6 d, 5.5.3.2.6 d).
    Source: 5.5.1.2.7 b, 5.5.3.2.7 b, 5.6.1.7 b; 7.4 to 7.7.
    """
    reject = _REJECTS.get(message_type) if message_type is not None else None
    if reject is None:
        return emm_status(ctx, cause)
    answer = reject(cause)
    label = f"{type(answer).__name__} #{int(cause)}"
    return Outcome(ctx, downlinks=nas(ctx, answer), result=ItemResult.DISCARDED, label=label)


def esm_status(ctx: UeContext, esm: EsmMessage, cause: EsmCause) -> Outcome:
    """ESM STATUS for the same bearer and PTI; nothing else changes.  Source: 6.7, 7.4."""
    message = EsmContainer(EsmStatus(esm.eps_bearer_identity, esm.pti, int(cause)))
    return Outcome(ctx, downlinks=nas(ctx, message), result=ItemResult.DISCARDED, label=f"ESM status #{int(cause)}")


def on_emm_status(ctx: UeContext, msg: EmmStatus, _env: Env) -> Outcome:
    """The UE found something wrong; no action is specified.  Source: 5.7."""
    return Outcome(ctx, label=f"UE sent EMM status #{msg.cause}")


def on_esm_status(ctx: UeContext, msg: EsmStatus, _env: Env) -> Outcome:
    """As above, for a bearer.  Source: 6.7."""
    return Outcome(ctx, label=f"UE sent ESM status #{msg.cause}")


def refuse_without_context(ctx: UeContext, reject: EmmMessage, env: Env) -> Outcome:
    """A UE without a usable context asks for more than an attach: tell it to attach again, and release.

    Source: 5.5.3.2.5 (#9 or #10), 5.6.1.5.
    """
    outcome = deregister(
        ctx, env, S1apCause.NAS_UNSPECIFIED, "no context", last=reject, last_header=SecurityHeader.PLAIN
    )
    return Outcome(
        outcome.ctx, outcome.downlinks, stop=outcome.stop, forget=True, result=ItemResult.REJECTED, label="no context"
    )
