"""The outbox: downlinks for an eNB that did not call are part of the stored context until the eNB has taken them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec

from mme import metrics
from mme.codec import envelope
from mme.codec.envelope import Downlink
from mme.context import OutboxEntry, RunningTimer, UeContext
from mme.enums import EmmState, Step, TimerName
from mme.outcome import Env
from mme.push import Pusher
from mme.replacing import replace
from mme.rows import change_row, load_enb, pack, ue_context_in
from mme.store.base import Store, Table, TimerRow
from mme.work import TIMER_SHARDS, Work

RETRY_S = 2.0
AT_ONCE = 16
"""Pushes of one announcement at the same time: an eNB that is dead holds the others a second at most."""


class Outbox:
    """Pushes what waits.  key_of_party: signing key of an eNB.  may_reach: the allow-list of downlink URLs."""

    def __init__(
        self,
        store: Store,
        pusher: Pusher,
        key_of_party: Callable[[str], bytes],
        may_reach: Callable[[str], bool],
        duplicates_s: int,
    ) -> None:
        self._store = store
        self._pusher = pusher
        self._key_of_party = key_of_party
        self._may_reach = may_reach
        self._duplicates_s = duplicates_s

    def flush(self, job: Work, ctx: UeContext) -> None:
        """Push what waits in a saved context, and take out what was taken; the rest waits for the outbox timer."""
        gone: set[str] = set()
        by_enb: dict[str, list[OutboxEntry]] = {}
        for entry in ctx.outbox:
            by_enb.setdefault(entry.enb, []).append(entry)
        for name, entries in by_enb.items():
            gone |= self._to_enb(job, name, entries)
        if gone:
            self._take_out(job, ctx.key, gone)

    def announce(self, job: Work, names: tuple[str, ...], pdu: bytes, order: int | None = None) -> tuple[str, ...]:
        """Push a message that no context stands behind to these eNBs, once; out: those that took it.

        order: see Downlink.
        """

        def told(name: str) -> bool:
            entry = entry_for_enb(self._store, name, f"{job.item.id}/{name}", pdu, order)
            return entry is not None and bool(self._to_enb(job, name, [entry]))

        if len(names) < 2:
            return tuple(name for name in names if told(name))
        with ThreadPoolExecutor(min(AT_ONCE, len(names))) as pool:
            return tuple(name for name, taken in zip(names, pool.map(told, names), strict=True) if taken)

    def _to_enb(self, job: Work, name: str, waiting: list[OutboxEntry]) -> set[str]:
        """Ids of the entries that need not wait any longer."""
        enb = load_enb(self._store, name)
        if enb is None or enb.downlink_url is None or not self._may_reach(enb.downlink_url):
            metrics.PUSHES.labels("no-url").inc(len(waiting))
            return set()
        # A connection of an older association is gone, and its UE id may be another UE's by now.
        late = {entry.id for entry in waiting if entry.epoch != enb.connection_epoch}
        entries = [entry for entry in waiting if entry.id not in late]
        if not entries:
            return late
        downlinks = [msgspec.json.decode(entry.downlink, type=Downlink) for entry in entries]
        taken = self._pusher.push(enb.downlink_url, name, self._key_of_party(name), job.item.id, downlinks)
        metrics.PUSHES.labels("taken" if taken else "failed").inc(len(entries))
        return late | {entry.id for entry in entries} if taken else late

    def _take_out(self, job: Work, key: int, gone: set[str]) -> None:
        def without(old: bytes | None) -> tuple[bytes, int | None] | None:
            if old is None:
                return None
            ctx = ue_context_in(old)
            left = tuple(entry for entry in ctx.outbox if entry.id not in gone)
            timers = ctx.timers if left else {n: t for n, t in ctx.timers.items() if n != TimerName.OUTBOX.value}
            forget = ctx.emm is EmmState.DEREGISTERED and ctx.step is Step.NONE
            return pack(replace(ctx, outbox=left, timers=timers)), self._duplicates_s if forget else None

        change_row(self._store, Table.UE_CONTEXT, str(key), without, job)


def entries_of(ctx: UeContext, downlinks: list[Downlink]) -> tuple[OutboxEntry, ...]:
    """Downlinks of that context as outbox entries."""
    epochs = {(c.enb, c.enb_ue_s1ap_id): c.epoch for c in ctx.connections}
    return tuple(
        OutboxEntry(d.id, d.enb, epochs.get((d.enb, d.ue if d.ue is not None else -1), ""), envelope.encode(d))
        for d in downlinks
    )


def entry_for_enb(
    store: Store, name: str, downlink_id: str, pdu: bytes, order: int | None = None
) -> OutboxEntry | None:
    """A message to an eNB as a whole, for its association of now; None: it has none, and begins anew with S1 Setup."""
    enb = load_enb(store, name)
    if enb is None or not enb.epoch:
        return None
    downlink = Downlink(downlink_id, name, 0, pdu, order=order)
    return OutboxEntry(downlink_id, name, enb.connection_epoch, envelope.encode(downlink))


def with_retry(ctx: UeContext, env: Env) -> tuple[UeContext, TimerRow]:
    """The context with its outbox timer started, and the timer's row."""
    due_ms = env.now_ms + int(RETRY_S * 1000)
    name = TimerName.OUTBOX.value
    timers = ctx.timers | {name: RunningTimer(env.item, due_ms)}
    return replace(ctx, timers=timers), TimerRow(ctx.key % TIMER_SHARDS, due_ms, name, env.item, str(ctx.key))
