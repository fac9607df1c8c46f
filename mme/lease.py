"""Who does what among processes that share a store: names, each leased to one of them for a while.

All leases of a group stand in one row, so that a change of it divides them anew in one conditional write.  Pure: time
is an argument, and it is the store's.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

NOBODY = ""


@dataclass(frozen=True, slots=True)
class Lease:
    """holder: a member's name, NOBODY = given back.  until_ms: Unix ms of the store's clock.

    fence: grows with each new holder, so that what an earlier one still does can be told from it.
    mark: how far the holder has got, for the next one; what it counts is the holder's affair.
    """

    holder: str = NOBODY
    fence: int = 0
    until_ms: int = 0
    mark: int = 0


@dataclass(frozen=True, slots=True)
class Leases:
    """members: until when each process counts as there (Unix ms of the store's clock).  held: lease by name."""

    members: dict[str, int] = field(default_factory=dict)
    held: dict[str, Lease] = field(default_factory=dict)
    schema: int = 1

    def holds(self, me: str, name: str, now_ms: int) -> bool:
        """Whether that lease is this member's now."""
        lease = self.held.get(name)
        return lease is not None and lease.holder == me and lease.until_ms > now_ms


def renewed(  # noqa: PLR0917
    leases: Leases, me: str, names: tuple[str, ...], marks: dict[str, int], now_ms: int, length_ms: int
) -> Leases:
    """The row after `me` has been there: its share of `names` prolonged or taken, what it has too many given back.

    A share is the number of names over that of the members, rounded up; nobody's lease is taken before it has run out.
    """
    until_ms = now_ms + length_ms
    members = {name: until for name, until in leases.members.items() if until > now_ms} | {me: until_ms}
    share = -(-len(names) // len(members))
    mine = [name for name in names if leases.holds(me, name, now_ms)]
    held = dict(leases.held)
    for name in mine[:share]:
        held[name] = replace(held[name], until_ms=until_ms, mark=marks.get(name, held[name].mark))
    for name in mine[share:]:
        held[name] = _given_back(held[name], marks.get(name))
    free = [name for name in names if name not in mine and _is_free(leases.held.get(name), now_ms)]
    for name in free[: max(0, share - len(mine))]:
        before = held.get(name, Lease())
        held[name] = Lease(me, before.fence + 1, until_ms, before.mark)
    return replace(leases, members=members, held=held)


def without(leases: Leases, me: str, marks: dict[str, int]) -> Leases:
    """The row after `me` has left: whatever it holds is free at once."""
    members = {name: until for name, until in leases.members.items() if name != me}
    held = {
        name: _given_back(lease, marks.get(name)) if lease.holder == me else lease
        for name, lease in leases.held.items()
    }
    return replace(leases, members=members, held=held)


def unmarked(leases: Leases) -> Leases:
    """The row as if nobody had ever told a mark; fences go on growing."""
    return replace(leases, held={name: replace(lease, mark=0) for name, lease in leases.held.items()})


def _is_free(lease: Lease | None, now_ms: int) -> bool:
    return lease is None or lease.holder == NOBODY or lease.until_ms <= now_ms


def _given_back(lease: Lease, mark: int | None) -> Lease:
    return replace(lease, holder=NOBODY, until_ms=0, mark=lease.mark if mark is None else mark)
