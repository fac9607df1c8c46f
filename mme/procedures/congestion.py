"""A new attach is refused because of congestion (TS 24.301 5.5.1.2.5, EMM cause #22); emergency attaches never are."""

from __future__ import annotations

from mme.context import UeContext
from mme.enums import EmmCause, ItemResult, S1apCause, SecurityHeader
from mme.messages import AttachReject, ErrorIndication
from mme.outcome import Env, Outcome
from mme.procedures.sending import nas, release, s1ap_cause

LABEL = "congestion"


def refuse(ctx: UeContext) -> Outcome:
    """ATTACH REJECT #22 to a UE that has proven nothing; nothing is stored.

    Without integrity, and so without T3346: the UE tries again after T3411 (5.5.1.2.6 d).  The connection ends by an
    ERROR INDICATION that the MME has none such, which the eNB follows by itself (TS 36.413 10.6): the answer to a
    release command would be a second message for each attach refused, and refusing has to be cheap.
    """
    rejected = nas(ctx, AttachReject(EmmCause.CONGESTION), SecurityHeader.PLAIN)
    gone = tuple(
        ErrorIndication(c.mme_ue_s1ap_id, c.enb_ue_s1ap_id, s1ap_cause(S1apCause.UNKNOWN_MME_UE_S1AP_ID))
        for c in ctx.connections
    )
    return Outcome(ctx, rejected + gone, result=ItemResult.REJECTED, label=LABEL, unstored=True)


def refuse_known(ctx: UeContext, env: Env) -> Outcome:
    """The same to a UE whose request was protected: with T3346, different for each; its context stays as it is."""
    back_off_s = env.config.t3346_s + 2 * (env.random[0] % (env.config.t3346_s // 2 + 1))
    rejected = nas(ctx, AttachReject(EmmCause.CONGESTION, t3346_s=back_off_s))
    gone, command = release(ctx, S1apCause.CONTROL_PROCESSING_OVERLOAD)
    return Outcome(gone, rejected + command, result=ItemResult.REJECTED, label=LABEL)
