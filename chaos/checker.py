"""The judge: a history in, what it shows to be wrong out.  Pure; it never saw the run.

Each violation brings its witnesses, the fewest events that show it: in them alone the checker finds it again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from chaos.history import (
    LETS_GO,
    Answered,
    Began,
    Challenged,
    Context,
    Event,
    HomeSqn,
    Last,
    Named,
    Nas,
    Opened,
    Refused,
    ordered,
    shows_attached,
    takes_in,
)

LATE_MS = 15_000
"""A timer that was due so long ago and still runs has been forgotten: the ticker is back since the run's end."""
UNKNOWN_UE = (9, 10)
"""EMM causes that say: the network does not know this UE (any more)."""


@dataclass(frozen=True, slots=True)
class Violation:
    """invariant: its name in INVARIANTS.  ues: whom it concerns.  witnesses: in order of time."""

    invariant: str
    ues: tuple[int, ...]
    text: str
    witnesses: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    text: str
    witnesses: tuple[Event, ...]


Check = Callable[[Sequence[Event]], Iterator[_Found]]


def check(history: Iterable[Event]) -> list[Violation]:
    """Every violation, by invariant."""
    events = ordered(history)
    return [
        Violation(
            name,
            tuple(sorted({event.ue for event in found.witnesses if event.ue})),
            found.text,
            tuple(ordered(found.witnesses)),
        )
        for name, (_, look) in INVARIANTS.items()
        for found in look(events)
    ]


# ---------------------------------------------------------------------- agreement


def _agreement(events: Sequence[Event]) -> Iterator[_Found]:
    """A registered UE has one indexed context that says the same; a detached one has none that is registered."""
    contexts = _by_ue(event for event in events if isinstance(event, Context))
    for last in (event for event in events if isinstance(event, Last)):
        own = contexts[last.ue]
        if not last.registered:
            for ctx in own:
                if ctx.registered:
                    yield _Found("the UE is detached, the MME has it registered", (last, ctx))
            continue
        indexed = [ctx for ctx in own if ctx.indexed]
        if not indexed:
            yield _Found("the UE is registered, the MME has no context of it", (last,))
        for ctx in indexed:
            if difference := _difference(last, ctx):
                yield _Found(f"UE and MME differ: {difference}", (last, ctx))
        for ctx in own:
            if ctx.registered and not ctx.indexed and indexed:
                yield _Found("the UE has two registered contexts", (last, ctx, *indexed))


def _difference(last: Last, ctx: Context) -> str:
    """What of a registered UE is not as its context says; "" = nothing.

    The MME may be behind with uplink counts and ahead with downlink counts, by messages that got lost; never the
    other way round.
    """
    if not ctx.registered:
        return "registered and not"
    if last.guti not in (ctx.guti, ctx.old_guti):
        return "GUTI"
    if last.address != ctx.address:
        return f"address {last.address} and {ctx.address}"
    if last.key != ctx.key:
        return "key"
    if ctx.uplink_count > last.uplink_count:
        return f"uplink count {last.uplink_count} and {ctx.uplink_count}"
    if ctx.downlink_count < last.downlink_count:
        return f"downlink count {last.downlink_count} and {ctx.downlink_count}"
    if (last.enb_ue_s1ap_id, last.enb if last.enb_ue_s1ap_id else "") != (ctx.enb_ue_s1ap_id, ctx.enb):
        return f"{_where(last.enb, last.enb_ue_s1ap_id)} and {_where(ctx.enb, ctx.enb_ue_s1ap_id)}"
    return ""


def _where(enb: str, number: int) -> str:
    return f"connected through {enb} as {number}" if number else "idle"


# ---------------------------------------------------------------------- GUTIs and addresses


@dataclass(slots=True)
class _Holding:
    taken: Named
    name: str
    let_go: Event | None = None


def _gutis(events: Sequence[Event]) -> Iterator[_Found]:
    return _shared(events, "GUTI", lambda named: named.guti, lambda ctx: ctx.guti)


def _addresses(events: Sequence[Event]) -> Iterator[_Found]:
    return _shared(events, "address", lambda named: named.address, lambda ctx: ctx.address)


def _shared(
    events: Sequence[Event], what: str, named_by: Callable[[Named], str], held_by: Callable[[Context], str]
) -> Iterator[_Found]:
    """A UE holds a name from when it takes it until it takes another, or begins what may cost it the name."""
    holders: dict[str, Named] = {}
    holds: dict[int, str] = {}
    for event in events:
        if isinstance(event, Began) and event.procedure in LETS_GO:
            holders.pop(holds.pop(event.ue, ""), None)
        elif isinstance(event, Named) and (name := named_by(event)):
            before = holders.get(name)
            if before is not None and before.ue != event.ue:
                yield _Found(f"{what} {name} was given to UE {before.ue} and to UE {event.ue}", (before, event))
            if holds.get(event.ue, name) != name:
                holders.pop(holds[event.ue], None)
            holders[name] = event
            holds[event.ue] = name
    owners: dict[str, Context] = {}
    for ctx in (event for event in events if isinstance(event, Context)):
        name = held_by(ctx)
        other = owners.setdefault(name, ctx)
        if name and other is not ctx and other.ue != ctx.ue:
            yield _Found(f"{what} {name} is in the contexts of UE {other.ue} and UE {ctx.ue}", (other, ctx))


# ---------------------------------------------------------------------- NAS COUNT


def _counts(events: Sequence[Event]) -> Iterator[_Found]:
    """One message may come twice, with the same octets; another one needs another count (TS 24.301 4.4.3.1)."""
    used: dict[tuple[str, str, int], Nas] = {}
    for event in events:
        if isinstance(event, Nas):
            first = used.setdefault((event.key, event.way, event.count), event)
            if first.octets != event.octets:
                text = f"{event.way}link NAS COUNT {event.count} stands for two messages under key {event.key}"
                yield _Found(text, (first, event))


# ---------------------------------------------------------------------- SQN


def _sqns(events: Sequence[Event]) -> Iterator[_Found]:
    """A challenge made later has a higher SQN.  One is made after its connection was opened, and before it arrives."""
    opened: dict[str, Opened] = {}
    given: dict[int, list[Challenged]] = defaultdict(list)
    for event in events:
        if isinstance(event, Opened):
            opened[event.connection] = event
        elif isinstance(event, Challenged):
            yield from _against_earlier(event, given[event.ue], opened.get(event.connection))
            given[event.ue].append(event)
        elif isinstance(event, HomeSqn):
            highest = max(given[event.ue], key=lambda challenge: challenge.sqn, default=None)
            if highest is not None and highest.sqn > event.sqn:
                yield _Found(f"SQN {highest.sqn} was used, the subscriber's row is at {event.sqn}", (highest, event))


def _against_earlier(event: Challenged, earlier: list[Challenged], opened: Opened | None) -> Iterator[_Found]:
    for before in earlier:
        if before.octets == event.octets:
            continue
        if before.sqn == event.sqn:
            yield _Found(f"SQN {event.sqn} is in two challenges", (before, event))
        elif opened is not None and before.at_ms < opened.at_ms and before.sqn > event.sqn:
            yield _Found(f"SQN {event.sqn} was used after {before.sqn}", (before, opened, event))


# ---------------------------------------------------------------------- timers


def _timers(events: Sequence[Event]) -> Iterator[_Found]:
    """What waits has a timer that will end the wait, and the timer has its row."""
    for ctx in (event for event in events if isinstance(event, Context)):
        if ctx.waits_for and not ctx.timers:
            yield _Found(f"a context waits ({ctx.waits_for}) and no timer runs", (ctx,))
        for name, left_ms in ctx.timers.items():
            if left_ms < -LATE_MS:
                yield _Found(f"{name} was due {-left_ms / 1000:.0f} s ago and did not fire", (ctx,))
            elif left_ms > 0 and name not in ctx.rows:
                yield _Found(f"{name} runs and has no row: it will never fire", (ctx,))


# ---------------------------------------------------------------------- nobody is forgotten


def _forgotten(events: Sequence[Event]) -> Iterator[_Found]:
    """Whose ATTACH COMPLETE the MME took is known to it until the UE itself lets go."""
    remembered: dict[int, Answered] = {}
    for event in events:
        if takes_in(event) and isinstance(event, Answered):
            remembered[event.ue] = event
        elif isinstance(event, Began) and event.procedure in LETS_GO:
            remembered.pop(event.ue, None)
        elif isinstance(event, Refused) and event.cause in UNKNOWN_UE and event.ue in remembered:
            text = f"{event.message} #{event.cause}: the UE had answered its Attach Accept, and was forgotten"
            yield _Found(text, (remembered.pop(event.ue), event))


# ---------------------------------------------------------------------- all get in


def _attached(events: Sequence[Event]) -> Iterator[_Found]:
    """A UE that kept trying was attached, and got done what it tried last."""
    attached = {event.ue for event in events if shows_attached(event)}
    for last in (event for event in events if isinstance(event, Last) and event.tried):
        if last.fault:
            yield _Found(f"the UE kept trying and did not get done what it tried last: {last.fault}", (last,))
        elif last.ue not in attached:
            yield _Found("the UE kept trying and was never attached", (last,))


def _by_ue(contexts: Iterable[Context]) -> dict[int, list[Context]]:
    found: dict[int, list[Context]] = defaultdict(list)
    for ctx in contexts:
        found[ctx.ue].append(ctx)
    return found


INVARIANTS: dict[str, tuple[str, Check]] = {
    "agreement": ("every UE ends in the state that it and the MME agree on", _agreement),
    "gutis": ("no GUTI given to two UEs", _gutis),
    "addresses": ("no address given to two UEs", _addresses),
    "counts": ("no NAS COUNT used for two different messages under one key", _counts),
    "sqn": ("SQN strictly grows", _sqns),
    "timers": ("no context left in a procedure without a timer", _timers),
    "forgotten": ("nobody who got an Attach Accept and answered it is forgotten", _forgotten),
    "attached": ("all UEs that kept trying get attached", _attached),
}
