"""One change of one UE context: load, run the pure procedure, ask the ports, write conditionally, then act.

A Conflict loads again and runs the procedure again; needs have ids, so that the rerun gets the same answers.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from mme import metrics, observing
from mme.codec import envelope
from mme.codec.envelope import Reply, Timer
from mme.config import MmeConfig
from mme.context import OutboxEntry, RunningTimer, UeContext
from mme.downlinks import encoded, protected
from mme.enums import EmmState, ItemResult, S1apCause, TimerName
from mme.errors import StoreContendedError
from mme.fsm import may_follow
from mme.memory import late_duplicate, remembering, repeated
from mme.messages import Paging, S1apMessage
from mme.needs import DeleteSession, ModifySession, NeedSession, Pending, session_id_of
from mme.outbox import Outbox, entries_of, entry_for_enb, with_retry
from mme.outcome import Env, Outcome, StartTimer
from mme.procedures import detach, dispatch
from mme.procedures.sending import release
from mme.replacing import replace
from mme.rows import claim_imsi, enbs_of, pack, ue_context
from mme.settling import Verdict, read_and_judged, too_late_ms
from mme.store.base import Conflict, Row, Saved, Store, Table, TimerRow, WriteResult, save_resolved
from mme.work import CONFLICT_TRIES, TIMER_SHARDS, Ports, Run, StaleError, Work
from trust.counters import begin_at_0

_CONFLICT_PAUSE_S = 0.004
begin_at_0(metrics.PROCEDURES, observing.PROCEDURES, observing.RESULTS)


@dataclass(frozen=True, slots=True)
class _Prepared:
    ctx: UeContext
    reply: Reply
    forget: bool = False
    store: bool = True
    sent: tuple[S1apMessage, ...] = ()


class Transactions:
    """Changes of UE contexts.

    random_octets: fresh octets.  clock: Unix seconds.  pause: waits that many seconds after a Conflict.
    """

    def __init__(
        self,
        config: MmeConfig,
        store: Store,
        ports: Ports,
        outbox: Outbox,
        *,
        random_octets: Callable[[int], bytes],
        clock: Callable[[], float],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._config = config
        self._store = store
        self._ports = ports
        self._outbox = outbox
        self._random = random_octets
        self._clock = clock
        self._pause = pause

    def change(
        self, job: Work, key: int, run: Run, *, fresh: UeContext | None = None, push: bool = False
    ) -> Reply | None:
        """Load, run, save; again after each Conflict, and when it took too long to save.

        fresh: make this context instead of loading one.
        None: the key belongs to another context (fresh only).  Raises StaleError where there is no context.
        """
        row = self._store.load(Table.UE_CONTEXT, str(key))
        for attempt in range(CONFLICT_TRIES):
            if row is not None:
                ctx = ue_context(row)
                if fresh is not None and ctx.origin != job.item.id:
                    return None
                repeated = self._repeated(job, ctx, created=fresh is not None)
                if repeated is not None:
                    return repeated
            elif fresh is not None:
                ctx = fresh
            else:
                raise StaleError(S1apCause.UNKNOWN_MME_UE_S1AP_ID)
            prepared = self._prepare(job, ctx, run, push=push)
            if not prepared.store:
                count_refusal(ctx, prepared.sent, job)
                return prepared.reply
            now_ms = int(self._clock() * 1000)
            if now_ms >= too_late_ms(job.now_ms, job.item.id, prepared.ctx):
                # Written now, its timers' rows might have been passed over.
                job.now_ms = now_ms
                continue
            result = self._save(job, key, row, prepared)
            metrics.CONDITIONAL_WRITES.labels(type(result).__name__.lower()).inc()
            if isinstance(result, Saved):
                _count(None if row is None else ctx, ctx, prepared, job)
                self._after_save(job, prepared)
                return prepared.reply
            if not isinstance(result, Conflict):
                raise StoreContendedError("the store does not say whether the context was written")
            row = result.row
            self._pause(random.uniform(0, _CONFLICT_PAUSE_S * (attempt + 1)))
        raise StoreContendedError("the context is contended")

    def _repeated(self, job: Work, ctx: UeContext, *, created: bool) -> Reply | None:
        """The reply to an item that was worked off before; None = it is new."""
        known = repeated(ctx.recent, ctx.last_reply, job)
        return late_duplicate(job) if known is None and created else known

    def _prepare(self, job: Work, ctx: UeContext, run: Run, *, push: bool) -> _Prepared:
        """All that comes before the write: procedure, needs, timers, protection, encoding."""
        env = self.env(job)
        if ctx.supersedes:
            self._supersede(job, ctx)
            ctx = replace(ctx, supersedes=())
        outcome = self._answered(job, run(ctx, env), env)
        if outcome.ctx is None:
            raise TypeError("a procedure on a context returns one")
        if outcome.unstored:
            _, downlinks = protected(job, outcome.ctx, outcome.downlinks)
            reply = Reply(job.item.id, outcome.result.value, downlinks, label=outcome.label)
            return _Prepared(outcome.ctx, reply, store=False, sent=outcome.downlinks)
        if outcome.result is ItemResult.DISCARDED and outcome.ctx.emm is EmmState.DEREGISTERED:
            return self._refused_at_the_door(job, outcome)
        if not (outcome.downlinks or outcome.start) and outcome.ctx == ctx:
            return _Prepared(ctx, Reply(job.item.id, outcome.result.value, label=outcome.label), store=False)
        after_state = (outcome.ctx.emm, outcome.ctx.step)
        if not may_follow((ctx.emm, ctx.step), after_state, emergency=outcome.ctx.emergency):
            raise TypeError(f"no way from {ctx.emm.value}, {ctx.step.value} to {outcome.ctx.step.value}")
        outcome = self._claim(job, outcome)
        after, rows = _with_timers(outcome, env)
        after, downlinks = protected(job, after, outcome.downlinks)
        paged = self._paged(job, outcome.downlinks)
        mine = [d for d in downlinks if not push and d.enb == job.item.enb]
        pushed = [d for d in downlinks if push or d.enb != job.item.enb]
        reply = Reply(job.item.id, outcome.result.value, mine, label=outcome.label)
        outbox = after.outbox + entries_of(after, pushed) + paged
        if outbox:
            after, row = with_retry(after, env)
            rows.append(row)
        after = replace(
            after,
            outbox=outbox,
            begun_ms=observing.begun_ms(ctx, after, env.now_ms),
            recent=remembering(after.recent, job, self._config.duplicates_s),
            last_reply=envelope.encode(reply),
        )
        for row in rows:
            self._insert_timer(row, job.now_ms)
        return _Prepared(after, reply, forget=outcome.forget, sent=outcome.downlinks)

    def _paged(self, job: Work, messages: tuple[S1apMessage, ...]) -> tuple[OutboxEntry, ...]:
        """PAGING goes to every eNB that serves one of its areas."""
        entries = []
        for message in messages:
            if not isinstance(message, Paging):
                continue
            pdu = encoded(job, message)
            for name in enbs_of(self._store, message.tai_list):
                entries.append(entry_for_enb(self._store, name, f"{job.item.id}/p-{name}", pdu))
        return tuple(entry for entry in entries if entry is not None)

    def _refused_at_the_door(self, job: Work, outcome: Outcome) -> _Prepared:
        """NAS that no context can come from: the eNB is told to release the UE, and nothing is stored."""
        if outcome.ctx is None:
            raise TypeError("a procedure on a context returns one")
        gone, command = release(outcome.ctx, S1apCause.NAS_UNSPECIFIED)
        _, downlinks = protected(job, gone, outcome.downlinks + command)
        reply = Reply(job.item.id, outcome.result.value, downlinks, label=outcome.label)
        return _Prepared(gone, reply, store=False, sent=outcome.downlinks)

    def env(self, job: Work) -> Env:
        """What a procedure gets beside the context."""
        return Env(job.now_ms, self._random(32), self._config, job.item.id, congested=job.load.congested)

    def _answered(self, job: Work, outcome: Outcome, env: Env) -> Outcome:
        """Ask the ports for what the outcome needs, and go on with each answer that comes in line."""
        while outcome.needs:
            need, *rest = outcome.needs
            outcome = replace(outcome, needs=tuple(rest))
            if isinstance(need, NeedSession):
                self._guard_session(need, env)
            begin = time.perf_counter()
            answer = self._ports.ask(need)
            job.spent.port_ms += (time.perf_counter() - begin) * 1000
            if isinstance(need, ModifySession | DeleteSession):
                continue  # nothing waits for these; what fails here is found by the gateway's own clean-up
            if isinstance(answer, Pending):
                waiting = StartTimer(TimerName.NEED, self._config.need_s)
                outcome = replace(outcome, start=(*outcome.start, waiting))
            elif outcome.ctx is not None:
                outcome = outcome.then(dispatch.on_answer(outcome.ctx, answer, env))
        return outcome

    def _guard_session(self, need: NeedSession, env: Env) -> None:
        """A timer that gives the session back, should the context that it is for never be saved with it."""
        due_ms = env.now_ms + int(self._config.unused_session_s * 1000)
        row = TimerRow(need.owner % TIMER_SHARDS, due_ms, TimerName.UNUSED_SESSION.value, need.id, str(need.owner))
        self._insert_timer(row, env.now_ms)

    def _insert_timer(self, row: TimerRow, now_ms: int) -> None:
        self._store.insert_timer(row, ttl_s=self._config.timer_rows_s + (row.due_ms - now_ms) // 1000)

    def give_back_unused(self, job: Work, timer: Timer) -> Verdict:
        """Give back the session that the need `timer.token` asked for, if it is nobody's: FIRE.  OPEN: nobody can tell.

        By a read at SERIAL: a context that was written after all must not find its address given to another one.
        """
        verdict = read_and_judged(self._store, str(timer.owner), timer, job.now_ms, self._config)
        if verdict is Verdict.FIRE:
            self._ports.ask(DeleteSession(f"{job.item.id}/delete-session", timer.owner, session_id_of(timer.token)))
        return verdict

    def _claim(self, job: Work, outcome: Outcome) -> Outcome:
        """Move the IMSI's index row to this context; the one it named before is superseded."""
        if outcome.claim is None or outcome.ctx is None or outcome.forget:
            return outcome
        superseded = claim_imsi(self._store, outcome.claim, outcome.ctx.key, job)
        return replace(outcome, ctx=replace(outcome.ctx, supersedes=superseded))

    def _save(self, job: Work, key: int, row: Row | None, prepared: _Prepared) -> WriteResult:
        return save_resolved(
            self._store,
            Table.UE_CONTEXT,
            str(key),
            pack(prepared.ctx),
            expect=row.version if row is not None else None,
            writer=job.writer(),
            ttl_s=self._config.duplicates_s if prepared.forget else None,
        )

    # ----------------------------------------------------------------- after the write
    def _after_save(self, job: Work, prepared: _Prepared) -> None:
        """Effects that the saved context asks for; a crash before them is made good by a timer or the next item."""
        ctx = prepared.ctx
        if ctx.supersedes:
            self._supersede(job, ctx)
        if ctx.outbox:
            self._outbox.flush(job, ctx)

    def _supersede(self, job: Work, ctx: UeContext) -> None:
        """Release the older contexts, the latest first, up to one that was proven: it has released those before it."""
        for old in ctx.supersedes:
            if self._supersede_one(job, ctx, old):
                return

    def _supersede_one(self, job: Work, ctx: UeContext, old: int) -> bool:
        """Whether the old context is there and was proven to be the subscriber's."""
        item = msgspec.structs.replace(job.item, id=f"{job.item.id}/supersedes")
        side = Work(item, job.digest, job.now_ms, name="superseded")
        proven = False

        def run(stale: UeContext, env: Env) -> Outcome:
            nonlocal proven
            if stale.imsi != ctx.imsi:
                raise StaleError(None)
            proven = stale.proven
            return detach.on_superseded(stale, env)

        with contextlib.suppress(StaleError):
            self.change(side, old, run, push=True)
        return proven


def _count(stored: UeContext | None, before: UeContext, prepared: _Prepared, job: Work) -> None:
    """Add a saved change to the metrics.  stored: None = the context is new, and `before` is what it began as."""
    after = None if prepared.forget else prepared.ctx
    was, is_now = set(observing.states(stored)), set(observing.states(after))
    for state in was - is_now:
        metrics.STATES_LEFT.labels(state).inc()
    for state in is_now - was:
        metrics.STATES_ENTERED.labels(state).inc()
    _count_ended(before, after, prepared.sent, job)


def count_refusal(before: UeContext, sent: tuple[S1apMessage, ...], job: Work) -> None:
    """Add what was refused without a trace in the store to the metrics.  sent: the messages to the UE."""
    if any(observing.rejects(sent)):
        _count_ended(before, before, sent, job)


def _count_ended(before: UeContext, after: UeContext | None, sent: tuple[S1apMessage, ...], job: Work) -> None:
    for end in observing.ended(before, after, job.name, sent):
        metrics.PROCEDURES.labels(end.procedure, end.result).inc()
        if end.began_ms is not None and end.result == observing.COMPLETED:
            metrics.PROCEDURE_SECONDS.labels(end.procedure).observe(max(0, job.now_ms - end.began_ms) / 1000)
    for message, cause in observing.rejects(sent):
        metrics.REJECTS.labels(message, cause).inc()


def _with_timers(outcome: Outcome, env: Env) -> tuple[UeContext, list[TimerRow]]:
    """The context with its timers stopped and started, and the rows of those started."""
    ctx = outcome.ctx
    if ctx is None:
        raise TypeError("timers are a context's")
    stopped = {name.value for name in outcome.stop} - {TimerName.OUTBOX.value}
    timers = {name: running for name, running in ctx.timers.items() if name not in stopped}
    rows = []
    if not outcome.forget:
        for start in outcome.start:
            due_ms = env.now_ms + int(start.seconds * 1000)
            timers[start.name.value] = RunningTimer(env.item, due_ms, start.expiries)
            rows.append(TimerRow(ctx.key % TIMER_SHARDS, due_ms, start.name.value, env.item, str(ctx.key)))
    return replace(ctx, timers=timers), rows
