"""What a procedure returns: the next whole context, what to send, which timers, which needs, and a label."""

from __future__ import annotations

from dataclasses import dataclass, field

from mme.config import MmeConfig
from mme.context import UeContext
from mme.enums import EmmCause, ItemResult, TimerName
from mme.ids import Imsi
from mme.messages import S1apMessage
from mme.needs import Need


@dataclass(frozen=True, slots=True)
class Env:
    """All that is not in the context.  now_ms: Unix ms.  random: 32 fresh octets.  item: id of the item at work.

    association_alive: whether the eNB of the UE's connection still has the association that it was made on; only known
    where a procedure asks (timers, commands).  congested: a new attach is refused.
    no_context_cause: #9, or #10 for a UE that was detached implicitly.
    """

    now_ms: int
    random: bytes = field(repr=False)
    config: MmeConfig
    item: str
    association_alive: bool = True
    no_context_cause: EmmCause = EmmCause.UE_IDENTITY_CANNOT_BE_DERIVED
    congested: bool = False


@dataclass(frozen=True, slots=True)
class StartTimer:
    """seconds: from now.  expiries: how often it has expired already."""

    name: TimerName
    seconds: float
    expiries: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """ctx None: there is no context (any more).  downlinks: in order; for this UE, or for the eNB as a whole.

    stop: applied before start.  claim: the IMSI whose index row moves to this context.  label: for metrics and logs.
    forget: the context is done with; its row stays for the duplicates and then vanishes.
    unstored: nothing of it is saved; what it sends needs no memory of having been sent.
    """

    ctx: UeContext | None
    downlinks: tuple[S1apMessage, ...] = ()
    start: tuple[StartTimer, ...] = ()
    stop: tuple[TimerName, ...] = ()
    needs: tuple[Need, ...] = ()
    claim: Imsi | None = None
    forget: bool = False
    result: ItemResult = ItemResult.DONE
    label: str = "ok"
    unstored: bool = False

    def then(self, later: Outcome) -> Outcome:
        """This outcome followed by one computed from its context."""
        anew = [started.name for started in later.start]
        return Outcome(
            ctx=later.ctx,
            downlinks=self.downlinks + later.downlinks,
            start=tuple(s for s in self.start if s.name not in (*later.stop, *anew)) + later.start,
            stop=self.stop + later.stop,
            needs=self.needs + later.needs,
            claim=later.claim or self.claim,
            forget=self.forget or later.forget,
            result=later.result,
            label=later.label,
        )
