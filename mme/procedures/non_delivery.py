"""NAS NON DELIVERY INDICATION (TS 36.413 8.6.2.4): what is sent again at once, and what is left to its timer.

The policy, by the eNB's cause:

- the UE is being handed over: nothing now; the timer of the procedure sends again where the UE is then;
- the radio connection is lost or given up: nothing; the eNB asks for the release, which ends what ran, and who still
  wants the UE pages it;
- anything else: the message of the procedure that runs goes out again at once, under a NAS COUNT of its own, but once
  between two expiries of its timer, which goes on as it did: a link that drops everything is not asked for more than
  twice as many tries, and not given up any sooner.

A message that no timer watches (a status, EMM INFORMATION, a rejection) is not sent again, nor an old copy of one.
"""

from __future__ import annotations

from mme.context import UeContext
from mme.enums import ItemResult
from mme.messages import NasNonDeliveryIndication
from mme.outcome import Env, Outcome
from mme.procedures.expiry import EXPIRY_IN_STEP
from mme.replacing import replace

HANDED_OVER = ("x2-handover-triggered", "s1-intra-system-handover-triggered", "s1-inter-system-handover-triggered")
LINK_GONE = (
    "radio-connection-with-ue-lost",
    "release-due-to-eutran-generated-reason",
    "user-inactivity",
    "failure-in-radio-interface-procedure",
)


def on_nas_non_delivery(ctx: UeContext, msg: NasNonDeliveryIndication, env: Env, *, latest: bool) -> Outcome:
    """latest: the message is the last that was sent to the UE, as far as can be told.  Source: TS 36.413 8.6.2.4."""
    label = f"NAS not delivered: {msg.cause.value}"
    if msg.cause.value in HANDED_OVER or msg.cause.value in LINK_GONE or not latest:
        return Outcome(ctx, label=label)
    for (name, step), expiry in EXPIRY_IN_STEP.items():
        running = ctx.timers.get(name.value)
        if step is not ctx.step or running is None or running.hurried:
            continue
        again = expiry(ctx, running.expiries, env)
        timers = {**ctx.timers, name.value: replace(running, hurried=True)}
        sent = replace(again.ctx, timers=timers) if again.ctx is not None else None
        return Outcome(sent, downlinks=again.downlinks, result=ItemResult.DONE, label=f"{label}; sent again")
    return Outcome(ctx, label=label)
