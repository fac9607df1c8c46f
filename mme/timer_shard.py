"""What a ticker knows of one shard of timers: what it has read, what it has still to read, and what waits.  Pure.

Closed seconds are read again for LATE_S, because a row may be written after its second was first read.  What was due
before a ticker took the shard over is left to steps that read it from both ends by turns: the latest, so that little is
late, and the earliest, so that the mark moves on, and a ticker that is killed soon leaves less to the next one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from mme import logs
from mme.settling import LATE_S
from mme.store.base import TimerRow

RECENT_S = 10
"""So far back everything is read at once, and what is due now does not wait for what was due before."""
STEP_S = 10
"""So many seconds of the past are a step."""
_KNOWN_S = 60
_TRACE_OCTETS = 100


@dataclass(slots=True)
class Pending:
    """tries: how often it was fired.  looks: how often its context was looked at in vain.

    unread: its context could not be read the last time.
    """

    row: TimerRow
    tries: int = 0
    looks: int = 0
    next_ms: int = 0
    unread: bool = False


@dataclass(slots=True)
class Shard:
    """What is known of a shard since it is ours.

    next_s: the first second to be read when it is time again.  read_s: in this second the last read was of all from
    there on, -1 if it was of less.  past: what was left out before that, the latest last.  unread: it could not be read
    the last time.  turn: which of all shards' steps was its last one.
    """

    next_s: int
    past: list[range] = field(default_factory=list)
    known: dict[str, int] = field(default_factory=dict)
    pending: dict[str, Pending] = field(default_factory=dict)
    unread: bool = False
    turn: int = 0
    read_s: int = -1
    _earliest: bool = False

    def recent(self, now_s: int) -> range:
        """Seconds that have become due or may have been written late; what is long due is left to `past`.

        The closed ones every other time within a second: each is a read of the store, for each shard.
        """
        if now_s == self.read_s:
            return range(now_s, now_s + 1)
        first, recent_s = min(self.next_s, now_s - LATE_S), now_s - RECENT_S
        if first < recent_s:
            if self.past and self.past[-1].stop == first:
                first = self.past.pop().start
            self.past.append(range(first, recent_s))
            first = self.next_s = recent_s
        return range(first, now_s + 1)

    def has_read(self, now_s: int) -> None:
        """What was recent at that second has been read."""
        self.read_s = -1 if self.read_s == now_s else now_s
        self.next_s = now_s - LATE_S
        self.known = {item: due_ms for item, due_ms in self.known.items() if due_ms // 1000 >= now_s - _KNOWN_S}

    def forget(self, before_s: int) -> None:
        """Rows of the seconds before that have expired."""
        self.past = [range(max(left.start, before_s), left.stop) for left in self.past if left.stop > before_s]

    def step(self) -> list[int]:
        """Seconds of the past that are to be read next, STEP_S at most."""
        return self._divided()[0]

    def has_stepped(self, turn: int) -> None:
        """Those were read, as the step of that number."""
        self.past = self._divided()[1]
        self.turn = turn
        self._earliest = not self._earliest

    def _divided(self) -> tuple[list[int], list[range]]:
        """The past at one of its ends, and what is left of it."""
        taken: list[int] = []
        left = list(self.past)
        while left and len(taken) < STEP_S:
            wanted = STEP_S - len(taken)
            if self._earliest:
                part = left.pop(0)
                taken += part[:wanted]
                left[:0] = [part[wanted:]] if len(part) > wanted else []
            else:
                part = left.pop()
                taken += part[-wanted:]
                left += [part[:-wanted]] if len(part) > wanted else []
        return taken, left

    def learn(self, row: TimerRow) -> None:
        """A row was found."""
        item = item_id(row)
        if item not in self.known and item not in self.pending:
            self.known[item] = row.due_ms
            self.pending[item] = Pending(row, next_ms=row.due_ms)

    def mark(self) -> int:
        """The first second that another ticker has to read: nothing before it waits, nor may be written any more."""
        unread = (left.start for left in self.past)
        return min([self.next_s, *unread, *(pending.row.due_ms // 1000 for pending in self.pending.values())])


def item_id(row: TimerRow) -> str:
    """One id for each timer, under the trace of what started it: a repeated firing is a duplicate.

    An item may start a timer of one name for several contexts, those that it supersedes for example.
    """
    token = hashlib.blake2b(f"{row.token}\n{row.owner}".encode(), digest_size=4).hexdigest()
    return f"{logs.trace_of(row.token)[:_TRACE_OCTETS]}/{row.name}@{row.due_ms}~{token}"
