"""Status messages and refusals of what this MME does not serve (TS 24.301 5.7, 6.7, 7)."""

from __future__ import annotations

from mme.context import UeContext
from mme.enums import EmmCause, EsmCause, ItemResult, S1apCause, SecurityHeader
from mme.messages import (
    EmmMessage,
    EmmStatus,
    EsmContainer,
    EsmMessage,
    EsmStatus,
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
