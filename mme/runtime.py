"""One item from octets to octets: what kind it is, whose context it is about, and what it cost.

What an item leads to is decided by the pure procedures; `mme.transaction` loads and saves around them.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import replace

from mme import metrics, nas_transport
from mme.codec import envelope, s1ap
from mme.codec import needs as needs_json
from mme.codec.envelope import Cost, Downlink, Item, Reply
from mme.config import MmeConfig
from mme.context import (
    CONNECTION_BITS,
    Connection,
    UeContext,
    key_of,
)
from mme.downlinks import encoded
from mme.enums import EmmCause, ItemResult, S1apCause, TimerName
from mme.errors import NasError, S1apError, StoreContendedError, StoreError, StoreUnavailableError
from mme.ids import Tai
from mme.m_tmsi import pending_key
from mme.messages import (
    CriticalityDiagnostics,
    ErrorIndication,
    InitialUeMessage,
    NasNonDeliveryIndication,
    S1apMessage,
    S1SetupRequest,
    Secured,
    UeContextReleaseComplete,
    UeContextReleaseRequest,
    UnhandledS1ap,
    UplinkNasTransport,
)
from mme.outbox import Outbox
from mme.outcome import Env, Outcome
from mme.procedures import dispatch, initial_context, s1_setup, status
from mme.procedures.sending import s1ap_cause
from mme.push import Pusher
from mme.routing import function_of
from mme.rows import load_enb, lose_association, set_up_enb
from mme.store.base import Store
from mme.store.counting import measure
from mme.transaction import Transactions
from mme.work import Ports, Run, StaleError, Work, cost_of

KEY_TRIES = 4
CLOCK_BOUND_MS = 200


class Runtime:
    """Works off items for one function.

    function: its OpenFaaS name; an S1AP message of another function's is refused.  key_of_party: signing keys, for
    pushes.  clock: Unix seconds.  random_octets: fresh octets.
    """

    def __init__(
        self,
        function: str,
        config: MmeConfig,
        *,
        store: Store,
        ports: Ports,
        pusher: Pusher,
        key_of_party: Callable[[str], bytes],
        may_reach: Callable[[str], bool] = lambda _url: True,
        clock: Callable[[], float] = time.time,
        random_octets: Callable[[int], bytes] = os.urandom,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._function = function
        self._config = config
        self._store = store
        self._may_reach = may_reach
        self._clock = clock
        outbox = Outbox(store, pusher, key_of_party, may_reach, config.duplicates_s)
        self._transactions = Transactions(config, store, ports, outbox, random_octets=random_octets, pause=pause)

    # ----------------------------------------------------------------- one item

    def work(self, item: Item) -> tuple[Reply, Cost, str]:
        """(reply, cost, name of the message).  Raises only for faults of ours."""
        begin = time.perf_counter()
        content = item.s1ap if item.s1ap is not None else envelope.encode(item)
        job = Work(item, hashlib.sha256(content).digest()[:8], int(self._clock() * 1000))
        with measure() as tally:
            try:
                reply = self._take(job)
            except StoreUnavailableError as e:
                reply = Reply(item.id, ItemResult.RETRY.value, label="store unavailable", error=str(e))
            except StoreError as e:
                reply = Reply(item.id, ItemResult.RETRY.value, label="store contended", error=str(e))
        total = (time.perf_counter() - begin) * 1000
        metrics.MESSAGES.labels(job.name, reply.result).inc()
        metrics.ITEM_SECONDS.labels(job.name).observe(total / 1000)
        return reply, cost_of(tally, job.spent, total), job.name

    def _take(self, job: Work) -> Reply:
        item = job.item
        if item.timer is not None:
            return self._timer(job)
        if item.answer is not None:
            return self._answer(job)
        if item.event is not None:
            return self._event(job)
        if item.s1ap is not None:
            return self._s1ap(job, item.s1ap)
        return Reply(item.id, ItemResult.REJECTED.value, error="commands are not served by this function")

    # ----------------------------------------------------------------- S1AP

    def _s1ap(self, job: Work, pdu: bytes) -> Reply:
        begin = time.perf_counter()
        try:
            message = s1ap.decode(pdu)
        except S1apError as e:
            return self._bad_s1ap(job, e)
        finally:
            job.spent.codec_ms += (time.perf_counter() - begin) * 1000
        job.name = type(message).__name__
        code = s1ap.procedure_code(pdu)[1]
        if function_of(code) != self._function:
            return Reply(
                job.item.id,
                ItemResult.REJECTED.value,
                label="wrong function",
                error=f"S1AP procedure code {code} belongs to {function_of(code)}",
            )
        match message:
            case S1SetupRequest():
                return self._s1_setup(job, message)
            case InitialUeMessage():
                return self._initial_ue(job, message)
            case UnhandledS1ap():
                return self._unhandled(job, message)
            case ErrorIndication(mme_ue_s1ap_id=None):
                return Reply(job.item.id, ItemResult.DONE.value, label="error indication of the eNB")
        return self._ue_associated(job, message)

    def _bad_s1ap(self, job: Work, error: S1apError) -> Reply:
        """Source: TS 36.413 10.2 (transfer syntax), 10.3 (abstract syntax)."""
        job.name = "undecodable"
        diagnostics = None
        if error.procedure_code is not None:
            diagnostics = CriticalityDiagnostics(
                procedure_code=error.procedure_code,
                triggering_message=error.triggering_message,
                ies=tuple((ie, "reject", "missing") for ie in error.missing_ies),
            )
        indication = ErrorIndication(error.mme_ue_s1ap_id, error.enb_ue_s1ap_id, s1ap_cause(error.cause), diagnostics)
        return self._plain_reply(job, ItemResult.REJECTED, [indication], label=error.cause.value[1], error=error.detail)

    def _unhandled(self, job: Work, message: UnhandledS1ap) -> Reply:
        """A procedure that this MME does not have, by its criticality.  Source: TS 36.413 10.3.4.1."""
        answers: list[S1apMessage] = []
        if message.triggering_message == "initiating-message" and message.criticality != "ignore":
            name = "REJECT" if message.criticality == "reject" else "IGNORE"
            answers.append(
                ErrorIndication(
                    message.mme_ue_s1ap_id,
                    message.enb_ue_s1ap_id,
                    s1ap_cause(S1apCause[f"ABSTRACT_SYNTAX_ERROR_{name}"]),
                    CriticalityDiagnostics(message.procedure_code, message.triggering_message, message.criticality),
                )
            )
        return self._plain_reply(
            job, ItemResult.REJECTED, answers, label=f"procedure {message.procedure_code} is not served"
        )

    def _plain_reply(
        self,
        job: Work,
        result: ItemResult,
        messages: list[S1apMessage],
        *,
        label: str,
        error: str | None = None,
        ue: int | None = None,
    ) -> Reply:
        """A reply that no context stands behind."""
        downlinks = [
            Downlink(f"{job.item.id}/d{n}", job.item.enb, job.item.stream, encoded(job, message), ue=ue)
            for n, message in enumerate(messages)
        ]
        return Reply(job.item.id, result.value, downlinks, label=label, error=error)

    # ----------------------------------------------------------------- eNB

    def _s1_setup(self, job: Work, message: S1SetupRequest) -> Reply:
        item = job.item
        if str(message.global_enb_id) != item.enb:
            return Reply(
                item.id, ItemResult.REJECTED.value, label="other eNB", error="the Global eNB ID is not this key's eNB"
            )
        if item.downlink_url is not None and not self._may_reach(item.downlink_url):
            return Reply(
                item.id, ItemResult.REJECTED.value, label="downlink_url", error="the downlink URL is not allowed"
            )
        enb, answer = s1_setup.on_s1_setup_request(message, item.epoch, item.downlink_url, self._transactions.env(job))
        result = ItemResult.REJECTED
        if enb is not None:
            set_up_enb(self._store, item.enb, enb, job)
            result = ItemResult.DONE
        return self._plain_reply(job, result, [answer], label=type(answer).__name__)

    def _event(self, job: Work) -> Reply:
        item = job.item
        job.name = item.event or "?"
        if item.event == "association-lost":
            lose_association(self._store, item.enb, item.epoch, job)
            return Reply(item.id, ItemResult.DONE.value, label="association lost")
        if item.event == "release-ue" and item.mme_ue_s1ap_id is not None:
            return self._on_connection(job, item.mme_ue_s1ap_id, initial_context.on_given_up)
        return Reply(
            item.id,
            ItemResult.REJECTED.value,
            label="unknown event",
            error='an event is "association-lost", or "release-ue" with mme_ue_s1ap_id',
        )

    # ----------------------------------------------------------------- UE

    def _initial_ue(self, job: Work, message: InitialUeMessage) -> Reply:
        """A new connection.  Whatever it says, it makes a context of its own; a proven identity takes over later."""
        item = job.item
        enb = load_enb(self._store, item.enb)
        if enb is None or enb.epoch != item.epoch:
            indication = ErrorIndication(None, message.enb_ue_s1ap_id, s1ap_cause(S1apCause.MESSAGE_NOT_COMPATIBLE))
            return self._plain_reply(
                job, ItemResult.REJECTED, [indication], label="no S1 Setup", ue=message.enb_ue_s1ap_id
            )
        octets = _octets(message.nas_pdu)

        def run(ctx: UeContext, env: Env) -> Outcome:
            return self._nas(job, ctx, message.tai, octets, env)

        for attempt in range(KEY_TRIES):
            key = pending_key(self._config.m_tmsi_key, item.enb, item.id, attempt)
            connection = Connection(
                mme_ue_s1ap_id=key << CONNECTION_BITS,
                enb=item.enb,
                epoch=item.epoch,
                enb_ue_s1ap_id=message.enb_ue_s1ap_id,
                tai=message.tai,
                ecgi=message.ecgi,
            )
            fresh = UeContext(key=key, origin=item.id, connections=(connection,), next_connection=1)
            reply = self._transactions.change(job, key, run, fresh=fresh)
            if reply is not None:
                return reply
        raise StoreContendedError("no free context key was found")

    def _ue_associated(self, job: Work, message: S1apMessage) -> Reply:
        mme_id = getattr(message, "mme_ue_s1ap_id", None)
        if not isinstance(mme_id, int):
            return Reply(job.item.id, ItemResult.REJECTED.value, error="the MME does not take this message")
        enb_id = getattr(message, "enb_ue_s1ap_id", None)

        def run(ctx: UeContext, env: Env) -> Outcome:
            connection = ctx.listed(mme_id)
            if isinstance(message, UplinkNasTransport) and connection is not None:
                return self._nas(job, ctx, connection.tai, _octets(message.nas_pdu), env)
            if isinstance(message, NasNonDeliveryIndication):
                return Outcome(ctx, label=f"NAS not delivered: {message.cause.value}")
            return dispatch.on_s1ap(ctx, message, env)

        return self._on_connection(job, mme_id, run, enb_id=enb_id, message=message)

    def _on_connection(
        self, job: Work, mme_id: int, run: Run, *, enb_id: int | None = None, message: S1apMessage | None = None
    ) -> Reply:
        """Run on the context that `mme_id` names, if the connection is listed and this eNB's, in this epoch."""

        def checked(ctx: UeContext, env: Env) -> Outcome:
            connection = ctx.listed(mme_id)
            if connection is None or (connection.enb, connection.epoch) != (job.item.enb, job.item.epoch):
                raise StaleError(S1apCause.UNKNOWN_MME_UE_S1AP_ID)
            if enb_id is not None and connection.enb_ue_s1ap_id != enb_id:
                raise StaleError(S1apCause.UNKNOWN_PAIR_UE_S1AP_ID)
            if connection.releasing and not isinstance(message, UeContextReleaseComplete):
                raise StaleError(None)
            return run(ctx, env)

        try:
            reply = self._transactions.change(job, key_of(mme_id), checked)
        except StaleError as e:
            quiet = e.cause is None or isinstance(
                message, UeContextReleaseComplete | UeContextReleaseRequest | ErrorIndication | None
            )
            answers: list[S1apMessage] = []
            if not quiet and e.cause is not None:
                answers.append(ErrorIndication(mme_id, enb_id, s1ap_cause(e.cause)))
            return self._plain_reply(job, ItemResult.STALE, answers, label="not a live connection", ue=enb_id)
        if reply is None:
            raise StoreContendedError("the context is contended")
        return reply

    def _nas(self, job: Work, ctx: UeContext, tai: Tai, octets: bytes, env: Env) -> Outcome:
        begin = time.perf_counter()
        try:
            received = nas_transport.receive(ctx, octets)
        except NasError as e:
            return _undecodable_nas(ctx, e)
        finally:
            job.spent.codec_ms += (time.perf_counter() - begin) * 1000
        if isinstance(received, nas_transport.Discarded):
            metrics.DISCARDED.labels(received.reason.partition(":")[0]).inc()
            return Outcome(ctx, result=ItemResult.DISCARDED, label=received.reason)
        job.name = type(received.message).__name__
        return dispatch.on_nas(received.ctx, received.message, received.digest, tai, env)

    # ----------------------------------------------------------------- timers and late answers

    def _timer(self, job: Work) -> Reply:
        timer = job.item.timer
        if timer is None:
            raise TypeError("not a timer")
        job.name = timer.name
        if timer.name not in TimerName._value2member_map_:
            return Reply(job.item.id, ItemResult.REJECTED.value, error="no such timer")
        if timer.due_ms > job.now_ms + CLOCK_BOUND_MS:
            return Reply(job.item.id, ItemResult.RETRY.value, label="not due yet")
        name = TimerName(timer.name)

        def run(ctx: UeContext, env: Env) -> Outcome:
            running = ctx.timers.get(name.value)
            if running is None or running.token != timer.token or running.due_ms != timer.due_ms:
                raise StaleError(None)
            stopped = replace(ctx, timers={n: t for n, t in ctx.timers.items() if n != name.value})
            if name is TimerName.OUTBOX:
                return Outcome(stopped, label="outbox")
            return dispatch.on_timer(stopped, name, running, env)

        return self._by_owner(job, timer.owner, run)

    def _answer(self, job: Work) -> Reply:
        try:
            late = needs_json.decode_answer(job.item.answer)
        except ValueError as e:
            return Reply(job.item.id, ItemResult.REJECTED.value, label="bad answer", error=str(e))
        job.name = f"{type(late.answer).__name__}Answer"

        def run(ctx: UeContext, env: Env) -> Outcome:
            if ctx.waiting_for != late.need:
                raise StaleError(None)
            return dispatch.on_answer(ctx, late.answer, env)

        return self._by_owner(job, late.owner, run)

    def _by_owner(self, job: Work, owner: int, run: Run) -> Reply:
        """Run on a context that no eNB's item is about: what it says to the eNB is pushed."""
        try:
            reply = self._transactions.change(job, owner, run, push=True)
        except StaleError:
            return Reply(job.item.id, ItemResult.STALE.value, label="nothing waits for it")
        if reply is None:
            raise StoreContendedError("the context is contended")
        return reply

    # ----------------------------------------------------------------- the conditional write


def _octets(pdu: bytes | Secured) -> bytes:
    if isinstance(pdu, Secured):
        raise TypeError("a received NAS PDU is octets")
    return pdu


def _undecodable_nas(ctx: UeContext, error: NasError) -> Outcome:
    """Source: TS 24.301 7.2 (too short: ignored), 7.4 to 7.7; an unprotected fault is not answered once secured."""
    label = f"NAS: {error.detail}"
    if error.cause is None or (ctx.connection is None):
        return Outcome(ctx, result=ItemResult.DISCARDED, label=label)
    return replace(status.emm_status(ctx, EmmCause(error.cause)), label=label)
