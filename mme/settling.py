"""When a timer's row is over for good, and when its context may only not be there yet.

A row is written before its context.  The context's write may take long, its function may be killed in the middle of
it, and a database may finish it only when the row is looked at next.  So a context that does not know the item which
started the timer proves nothing while that item's write may still take effect: for SETTLED_S from the item's beginning.
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from mme.config import MmeConfig
from mme.context import UeContext
from mme.enums import TimerName
from mme.needs import SESSION_NEED
from mme.rows import ue_context
from mme.store.base import Store, Table

LATE_S = 5
"""A closed second is read again for so long, because a row may be written after its second was first read."""
_ROW_LATE_S = 3
"""A row that is there so long after its time is still found: LATE_S, less part of a second and two clocks' errors."""
FRESH_S = 10
"""An item whose context is not on its way to the store so long after the item began begins anew, with a new time."""
SETTLED_S = 55
"""So long after its beginning an item's write is in the store, or a read at SERIAL completes it, or it never will be.

FRESH_S; then `save_resolved` asks at most 8 times, 4.5 s each; and what is sent last a node still has for a while.
Not covered: a function that is stopped as a whole for longer, between its look at the clock and its write.
"""


class Verdict(Enum):
    """FIRE: the timer waits.  OVER: nothing waits for it any more.  OPEN: the context may be written yet."""

    FIRE = "fire"
    OVER = "over"
    OPEN = "open"


class TimerOf(Protocol):
    """What a timer's row and a timer's item both say of it."""

    @property
    def name(self) -> str: ...
    @property
    def token(self) -> str: ...
    @property
    def due_ms(self) -> int: ...


def too_late_ms(begun_ms: int, item_id: str, ctx: UeContext) -> int:
    """When (Unix ms) the write of that context has to be on its way, for a ticker to find the rows of its timers."""
    started = [timer.due_ms for timer in ctx.timers.values() if timer.token == item_id]
    return min([begun_ms + FRESH_S * 1000, *(due_ms + _ROW_LATE_S * 1000 for due_ms in started)])


def settled_ms(timer: TimerOf, config: MmeConfig) -> int:
    """When (Unix ms) the write that started the timer has taken effect or never will.

    Timers that run longer than that, of which most rows are of UEs that have long come back, are told by their names.
    """
    lengths_s = {
        TimerName.MOBILE_REACHABLE.value: config.t3412_s,
        TimerName.IMPLICIT_DETACH.value: config.implicit_detach_s,
        TimerName.UNUSED_SESSION.value: config.unused_session_s,
    }
    return timer.due_ms - int(lengths_s.get(timer.name, 0) * 1000) + SETTLED_S * 1000


def judged(ctx: UeContext | None, timer: TimerOf, settled: int) -> Verdict:
    """What a context shows of a timer.  None: there is no context.  settled: see `settled_ms`.

    A context that an item has written later than that was written after whatever had been under way before.
    """
    if ctx is None:
        return Verdict.OPEN
    is_session = timer.name == TimerName.UNUSED_SESSION.value
    item = timer.token.removesuffix(SESSION_NEED) if is_session else timer.token
    known = any(r.id == item for r in ctx.recent) or (bool(ctx.recent) and ctx.recent[-1].at_ms >= settled)
    if is_session:
        if ctx.uses_session(timer.token):
            return Verdict.OVER
        return Verdict.FIRE if known else Verdict.OPEN
    if ctx.running(timer.name, timer.token) is not None:
        return Verdict.FIRE
    return Verdict.OVER if known else Verdict.OPEN


def read_and_judged(store: Store, owner: str, timer: TimerOf, now_ms: int, config: MmeConfig) -> Verdict:
    """As `judged`, by a read at SERIAL, which completes what was left open; OPEN only while that may change.

    owner: the context's key.  Raises NewerRowError and StoreUnavailableError.
    """
    row = store.load(Table.UE_CONTEXT, owner, serial=True)
    settled = settled_ms(timer, config)
    verdict = judged(None if row is None else ue_context(row), timer, settled)
    if verdict is not Verdict.OPEN or now_ms < settled:
        return verdict
    return Verdict.FIRE if timer.name == TimerName.UNUSED_SESSION.value else Verdict.OVER
