"""Which procedure takes the expiry of which timer."""

from __future__ import annotations

from collections.abc import Callable

from mme.context import UeContext
from mme.enums import Step, TimerName
from mme.outcome import Env, Outcome
from mme.procedures import (
    attach,
    authentication,
    detach,
    guti_reallocation,
    identification,
    implicit_detach,
    initial_context,
    paging,
    security_mode,
    tracking_area_update,
)

EXPIRY: dict[TimerName, Callable[[UeContext, int, Env], Outcome]] = {
    TimerName.T3413: paging.on_t3413_expiry,
    TimerName.CONTEXT_SETUP: initial_context.on_context_setup_expiry,
    TimerName.MOBILE_REACHABLE: implicit_detach.on_mobile_reachable_expiry,
    TimerName.IMPLICIT_DETACH: implicit_detach.on_implicit_detach_expiry,
}

# A NAS timer means something in its step only; T3450 and T3460 are shared by procedures.
EXPIRY_IN_STEP: dict[tuple[TimerName, Step], Callable[[UeContext, int, Env], Outcome]] = {
    (TimerName.T3450, Step.ATTACH_COMPLETE): attach.on_t3450_expiry,
    (TimerName.T3450, Step.TAU_COMPLETE): tracking_area_update.on_t3450_expiry,
    (TimerName.T3450, Step.GUTI_REALLOCATION): guti_reallocation.on_t3450_expiry,
    (TimerName.T3460, Step.AUTHENTICATION): authentication.on_t3460_expiry,
    (TimerName.T3460, Step.SECURITY_MODE): security_mode.on_t3460_expiry,
    (TimerName.T3422, Step.DETACH): detach.on_t3422_expiry,
    (TimerName.T3470, Step.IDENTITY): identification.on_t3470_expiry,
    (TimerName.T3489, Step.ESM_INFORMATION): attach.on_t3489_expiry,
}
