"""How long the MME waits for a sign of life: the mobile reachable timer (TS 24.301 5.3.5; TS 23.401 4.3.5.2)."""

from __future__ import annotations

from mme.context import UeContext
from mme.enums import TimerName
from mme.outcome import Env, StartTimer


def watch(ctx: UeContext, env: Env) -> tuple[StartTimer, ...]:
    """The mobile reachable timer, longer than T3412 (by 4 minutes); T3412 deactivated (0): none.

    For a UE that is attached for emergency bearer services it equals T3412.
    """
    if not env.config.t3412_s:
        return ()
    margin_s = 0.0 if ctx.emergency else env.config.mobile_reachable_margin_s
    return (StartTimer(TimerName.MOBILE_REACHABLE, env.config.t3412_s + margin_s),)
