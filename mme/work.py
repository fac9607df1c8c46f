"""An item on its way through the runtime: what is known of it besides the UE context."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from mme.codec.envelope import Cost, Item
from mme.context import UeContext
from mme.enums import S1apCause
from mme.needs import Answer, Need, NeedProfile, NeedVector, Pending, Port
from mme.outcome import Env, Outcome
from mme.store.counting import Tally

CONFLICT_TRIES = 8
TIMER_SHARDS = 16

Run = Callable[[UeContext, Env], Outcome]
"""What is to be done with a context; called again after each Conflict."""


@dataclass(slots=True)
class Ports:
    """Subscriber data and gateway."""

    hss: Port
    gateway: Port

    def ask(self, need: Need) -> Answer | Pending:
        port = self.hss if isinstance(need, NeedVector | NeedProfile) else self.gateway
        return port.ask(need)


@dataclass(slots=True)
class Spent:
    """Milliseconds that an item spends outside the procedures."""

    codec_ms: float = 0.0
    port_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Load:
    """What an overload means for an item.  congested: if it is a new attach, it is to be refused.

    reduction: what eNBs are told to reject at present, in per cent; 0 = there is no overload.
    number: of that decision; a later one has a higher number.
    """

    congested: bool = False
    reduction: int = 0
    number: int = 0


NO_LOAD = Load()


@dataclass(slots=True)
class Work:
    """An item on its way: what is known of it besides the context.

    epoch, since: of connections made on its association.
    """

    item: Item
    digest: bytes
    now_ms: int
    name: str = "?"
    epoch: str = ""
    since: int = 0
    load: Load = NO_LOAD
    spent: Spent = field(default_factory=Spent)

    def writer(self) -> str:
        """Id of one write, unique, so that a row shows whose write it was."""
        return f"{self.item.id}#{secrets.token_hex(6)}"


class StaleError(Exception):
    """The item is about a context or connection that is not (any more).  cause None: not a word about it."""

    def __init__(self, cause: S1apCause | None) -> None:
        super().__init__()
        self.cause = cause


def cost_of(tally: Tally, spent: Spent, total_ms: float) -> Cost:
    """The item's cost as its caller gets it."""
    return Cost(
        reads=tally.reads,
        writes=tally.writes,
        conditional_writes=tally.conditional_writes,
        total_ms=round(total_ms, 3),
        codec_ms=round(spent.codec_ms, 3),
        store_ms=round(tally.ms, 3),
        port_ms=round(spent.port_ms, 3),
    )
