"""One item from octets to octets: what kind it is, whose context it is about, and what it cost.

What an item leads to is decided by the pure procedures; `mme.transaction` loads and saves around them.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from functools import partial

import msgspec

from mme import metrics, nas_transport
from mme.codec import envelope, s1ap
from mme.codec import needs as needs_json
from mme.codec.envelope import Cost, Item, Reply
from mme.config import MmeConfig
from mme.context import (
    CONNECTION_BITS,
    Connection,
    UeContext,
    key_of,
)
from mme.downlinks import encoded, protected
from mme.enums import EmmCause, EmmState, ItemResult, S1apCause, TimerName
from mme.epoch import association
from mme.errors import NasError, S1apError, StoreContendedError, StoreError, StoreUnavailableError
from mme.ids import Imsi, Tai
from mme.m_tmsi import context_of, pending_key
from mme.messages import (
    AttachRequest,
    CriticalityDiagnostics,
    EnbConfigurationUpdate,
    ErrorIndication,
    InitialUeMessage,
    MmeConfigurationUpdateAcknowledge,
    MmeConfigurationUpdateFailure,
    NasNonDeliveryIndication,
    Reset,
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
from mme.procedures import (
    authentication,
    congestion,
    detach,
    dispatch,
    guti_reallocation,
    initial_context,
    paging,
    s1_management,
    status,
)
from mme.procedures.connection import brings_back, on_initial_message
from mme.procedures.initial_context import on_reset_of_ue
from mme.procedures.non_delivery import on_nas_non_delivery
from mme.procedures.sending import s1ap_cause
from mme.push import Pusher
from mme.replacing import replace
from mme.replies import plain_reply
from mme.routing import DOWNLINK, function_of
from mme.rows import context_of_imsi, enbs_of, load_enb, lose_association
from mme.s1_interface import S1Interface, no_setup
from mme.settling import Verdict, judged, read_and_judged, settled_ms
from mme.store.base import Store, Table
from mme.store.counting import measure
from mme.transaction import Transactions, count_refusal
from mme.work import NO_LOAD, Load, Ports, Run, StaleError, Work, cost_of

KEY_TRIES = 4
NEEDS_ASSOCIATION = (TimerName.T3413, TimerName.MOBILE_REACHABLE, TimerName.IMPLICIT_DETACH)
OFTEN_LATE = (UeContextReleaseComplete, UeContextReleaseRequest, ErrorIndication)
"""About a connection that is gone these are not answered: they cross its release, or would be answered in turn."""
NEVER_ANSWERED = (UeContextReleaseComplete, ErrorIndication)
"""Under a wrong pair of ids: the last message of a connection, and what must not be answered by its own kind."""
NOTHING_WAITS = "nothing waits for it"
NOT_DUE = "not due yet"
NOT_SETTLED = "its context may still be written"
CONFIGURATION_UPDATE = "configuration-update"
OVERLOAD = "overload"
COMMANDS: dict[str, Run] = {
    "page": paging.start,
    "detach": partial(detach.start, reattach=False),
    "detach-and-reattach": partial(detach.start, reattach=True),
    "reallocate-guti": guti_reallocation.start,
    "authenticate": authentication.start_anew,
}


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
        self._outbox = Outbox(store, pusher, key_of_party, may_reach, config.duplicates_s)
        self._interface = S1Interface(store, may_reach, config.duplicates_s)
        self._transactions = Transactions(
            config, store, ports, self._outbox, random_octets=random_octets, clock=clock, pause=pause
        )

    # ----------------------------------------------------------------- one item

    def work(self, item: Item, load: Load = NO_LOAD) -> tuple[Reply, Cost, str]:
        """(reply, cost, name of the message).  Raises only for faults of ours."""
        begin = time.perf_counter()
        content = item.s1ap if item.s1ap is not None else envelope.encode(item)
        job = Work(item, hashlib.sha256(content).digest()[:8], int(self._clock() * 1000), load=load)
        with measure() as tally:
            try:
                reply = self._take(job)
            except StoreUnavailableError as e:
                reply = Reply(item.id, ItemResult.RETRY.value, label="store unavailable", error=str(e))
            except StoreError as e:
                reply = Reply(item.id, ItemResult.RETRY.value, label="store contended", error=str(e))
        total = (time.perf_counter() - begin) * 1000
        metrics.worked(job.name, reply.result)
        if reply.label == congestion.LABEL:
            metrics.SHED.inc()
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
        if self._function != DOWNLINK:
            return Reply(item.id, ItemResult.REJECTED.value, label="wrong function", error=f"commands go to {DOWNLINK}")
        return self._command(job)

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
                return self._interface.set_up(job, message, self._transactions.env(job))
            case EnbConfigurationUpdate():
                return self._interface.update(job, message, self._transactions.env(job))
            case Reset():
                return self._reset(job, message)
            case MmeConfigurationUpdateAcknowledge() | MmeConfigurationUpdateFailure():
                return Reply(job.item.id, ItemResult.DONE.value, label=type(message).__name__)
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
        return plain_reply(job, ItemResult.REJECTED, [indication], label=error.cause.value[1], error=error.detail)

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
        return plain_reply(job, ItemResult.REJECTED, answers, label=f"procedure {message.procedure_code} is not served")

    def _event(self, job: Work) -> Reply:
        item = job.item
        job.name = item.event or "?"
        if item.event == "association-lost":
            lose_association(self._store, item.enb, association(item.epoch), job)
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
        octets = _octets(message.nas_pdu)
        if job.load.congested and nas_transport.attaches_plainly(octets):
            refused = self._refused_unread(job, message)
            if refused is not None:
                return refused
        if self._interface.load(job) is None:
            return no_setup(job, message.enb_ue_s1ap_id)
        cause = EmmCause.UE_IDENTITY_CANNOT_BE_DERIVED
        try:
            return self._known_ue(job, message, octets)
        except _UnprovenError as e:
            cause = e.cause

        def run(ctx: UeContext, env: Env) -> Outcome:
            return self._nas(job, ctx, message.tai, octets, replace(env, no_context_cause=cause))

        for attempt in range(KEY_TRIES):
            key = pending_key(self._config.m_tmsi_key, job.item.enb, job.item.id, attempt)
            connection = _connection(job, message, key, 0)
            fresh = UeContext(key=key, origin=job.item.id, connections=(connection,), next_connection=1)
            reply = self._transactions.change(job, key, run, fresh=fresh)
            if reply is not None:
                return reply
        raise StoreContendedError("no free context key was found")

    def _refused_unread(self, job: Work, message: InitialUeMessage) -> Reply | None:
        """ATTACH REJECT #22 for one read and no more; None where the item was taken before, and this is a copy."""
        key = pending_key(self._config.m_tmsi_key, job.item.enb, job.item.id, 0)
        if self._store.load(Table.UE_CONTEXT, str(key)) is not None:
            return None
        job.name = AttachRequest.__name__
        connection = _connection(job, message, key, 0)
        fresh = UeContext(key=key, origin=job.item.id, connections=(connection,))
        outcome = congestion.refuse(fresh)
        count_refusal(fresh, outcome.downlinks, job)
        _, downlinks = protected(job, UeContext(key=key, connections=(connection,)), outcome.downlinks)
        return Reply(job.item.id, outcome.result.value, downlinks, label=outcome.label)

    def _known_ue(self, job: Work, message: InitialUeMessage, octets: bytes) -> Reply:
        """The context that the UE claims, if the message's integrity proves the claim.  Raises _UnprovenError."""
        try:
            m_tmsi = nas_transport.claimed_m_tmsi(octets, message.s_tmsi, self._config.gummei)
        except NasError:
            raise _UnprovenError from None
        if m_tmsi is None:
            raise _UnprovenError
        cause = EmmCause.UE_IDENTITY_CANNOT_BE_DERIVED
        for secret in (self._config.m_tmsi_key, *self._config.other_m_tmsi_keys):
            key, _ = context_of(secret, m_tmsi)
            try:
                return self._known_as(job, message, octets, m_tmsi, key)
            except _UnprovenError as e:
                cause = cause if cause is EmmCause.IMPLICITLY_DETACHED else e.cause
        raise _UnprovenError(cause)

    def _known_as(self, job: Work, message: InitialUeMessage, octets: bytes, m_tmsi: int, key: int) -> Reply:
        """The context with that key, if it has that M-TMSI and the message's integrity is its own.

        While the key of the M-TMSIs is replaced two UEs may have one M-TMSI, each under another key: integrity tells
        them apart.  Raises _UnprovenError.
        """

        def run(ctx: UeContext, env: Env) -> Outcome:
            if m_tmsi not in (guti.m_tmsi for guti in (ctx.guti, ctx.old_guti) if guti is not None):
                raise _UnprovenError
            stranger = _UnprovenError()
            if ctx.emm is EmmState.DEREGISTERED:
                stranger = _UnprovenError(EmmCause.IMPLICITLY_DETACHED)
            if ctx.security is None:
                raise stranger
            begin = time.perf_counter()
            received = nas_transport.receive(ctx, octets)
            job.spent.codec_ms += (time.perf_counter() - begin) * 1000
            if not isinstance(received, nas_transport.Uplink) or not received.protected:
                raise stranger
            if not brings_back(received.ctx, received.message, env):
                raise stranger
            if received.ctx.unauthenticated and isinstance(received.message, AttachRequest):
                raise _UnprovenError  # null integrity proves nothing: whoever says so attaches on a context of its own
            job.name = type(received.message).__name__
            shown = guti_reallocation.as_shown(received.ctx, m_tmsi)
            connection = _connection(job, message, key, shown.free_connection_number())
            return on_initial_message(shown, connection, received.message, received.digest, env)

        try:
            reply = self._transactions.change(job, key, run)
        except (StaleError, NasError):
            raise _UnprovenError from None
        if reply is None:
            raise StoreContendedError("the context is contended")
        return reply

    def _reset(self, job: Work, message: Reset) -> Reply:
        """A partial reset ends each connection that is known; the answer lists them all."""
        for n, ids in enumerate(message.connections or ()):
            if ids.mme_ue_s1ap_id is None:
                continue  # the eNB's own id alone names no context: its row remembers it
            item = msgspec.structs.replace(job.item, id=f"{job.item.id}/r{n}")
            self._on_connection(Work(item, job.digest, job.now_ms, name="Reset"), ids.mme_ue_s1ap_id, on_reset_of_ue)
        return self._interface.reset(job, message)

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
                latest = nas_transport.sent_last(ctx, _octets(message.nas_pdu))
                return on_nas_non_delivery(ctx, message, env, latest=latest)
            return dispatch.on_s1ap(ctx, message, env)

        return self._on_connection(job, mme_id, run, enb_id=enb_id, message=message)

    def _on_connection(
        self, job: Work, mme_id: int, run: Run, *, enb_id: int | None = None, message: S1apMessage | None = None
    ) -> Reply:
        """Run on the context that `mme_id` names, if the connection is listed and this eNB's, in this epoch.

        A wrong pair of ids ends the connection of the MME's id, see `initial_context.on_wrong_pair`.

        DEVIATES: TS 36.413 8.7.1 because an association that a later one of the same eNB has voided, and that speaks on
        under its own epoch, is worked off: seeing it would cost every uplink the read of the eNB's row.
        """

        def checked(ctx: UeContext, env: Env) -> Outcome:
            connection = ctx.listed(mme_id)
            if connection is None or not connection.on(job.item.enb, job.item.epoch):
                raise StaleError(S1apCause.UNKNOWN_MME_UE_S1AP_ID)
            job.epoch = connection.epoch
            if enb_id is not None and connection.enb_ue_s1ap_id != enb_id:
                if isinstance(message, NEVER_ANSWERED) or connection != ctx.connection:
                    raise StaleError(S1apCause.UNKNOWN_PAIR_UE_S1AP_ID)
                return initial_context.on_wrong_pair(ctx, mme_id, enb_id, env)
            if connection.releasing and not isinstance(message, UeContextReleaseComplete):
                raise StaleError(None)
            return run(ctx, env)

        try:
            reply = self._transactions.change(job, key_of(mme_id), checked)
        except StaleError as e:
            quiet = e.cause is None or message is None or isinstance(message, OFTEN_LATE)
            answers: list[S1apMessage] = []
            if not quiet and e.cause is not None:
                answers.append(ErrorIndication(mme_id, enb_id, s1ap_cause(e.cause)))
            return plain_reply(job, ItemResult.STALE, answers, label="not a live connection", ue=enb_id)
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
        if isinstance(received, nas_transport.Undecodable):
            return _undecodable_nas(received.ctx, received.error)
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
        if timer.due_ms > job.now_ms + self._config.clock_bound_ms:
            return Reply(job.item.id, ItemResult.RETRY.value, label=NOT_DUE)
        name = TimerName(timer.name)
        if name is TimerName.UNUSED_SESSION:
            match self._transactions.give_back_unused(job, timer):
                case Verdict.FIRE:
                    return Reply(job.item.id, ItemResult.DONE.value, label="session given back")
                case Verdict.OVER:
                    return Reply(job.item.id, ItemResult.STALE.value, label="session in use")
                case Verdict.OPEN:
                    return Reply(job.item.id, ItemResult.RETRY.value, label=NOT_SETTLED)
        is_over = False

        def run(ctx: UeContext, env: Env) -> Outcome:
            nonlocal is_over
            running = ctx.running(name.value, timer.token)
            if running is None:
                is_over = judged(ctx, timer, settled_ms(timer, self._config)) is Verdict.OVER
                raise StaleError(None)
            if running.due_ms > job.now_ms + self._config.clock_bound_ms:
                return Outcome(ctx, result=ItemResult.RETRY, label=NOT_DUE)
            stopped = replace(ctx, timers={n: t for n, t in ctx.timers.items() if n != name.value})
            if name is TimerName.OUTBOX:
                return Outcome(stopped, label="outbox")
            if name in NEEDS_ASSOCIATION:
                env = replace(env, association_alive=self._alive(stopped))
            return dispatch.on_timer(stopped, name, running, env)

        reply = self._by_owner(job, timer.owner, run)
        if reply.label != NOTHING_WAITS or is_over:
            return reply
        match read_and_judged(self._store, str(timer.owner), timer, job.now_ms, self._config):
            case Verdict.FIRE:
                # That read has completed the write that had started it.
                return self._by_owner(job, timer.owner, run)
            case Verdict.OPEN:
                return Reply(job.item.id, ItemResult.RETRY.value, label=NOT_SETTLED)
            case Verdict.OVER:
                return reply

    def _alive(self, ctx: UeContext) -> bool:
        """Whether the UE's connection is on an association that is still there."""
        connection = ctx.connection
        enb = load_enb(self._store, connection.enb) if connection is not None else None
        return connection is not None and enb is not None and enb.has(connection)

    def _command(self, job: Work) -> Reply:
        """The northbound door: paging and network-initiated procedures, by IMSI (docs/northbound.md)."""
        command = job.item.command or {}
        action, digits = command.get("action"), command.get("imsi")
        if action == CONFIGURATION_UPDATE:
            return self._configuration_update(job)
        if action == OVERLOAD:
            return self._overload(job, command.get("reduction"), command.get("number"))
        known = isinstance(action, str) and action in COMMANDS
        job.name = f"command {action}" if known else "command"
        if not known or not isinstance(action, str) or not isinstance(digits, str):
            error = f"a command holds an imsi and an action, one of {', '.join(COMMANDS)}; or is {CONFIGURATION_UPDATE}"
            return Reply(job.item.id, ItemResult.REJECTED.value, label="bad command", error=error)
        try:
            imsi = Imsi(digits)
        except ValueError as e:
            return Reply(job.item.id, ItemResult.REJECTED.value, label="bad command", error=str(e))
        key = context_of_imsi(self._store, imsi)
        if key is None:
            return Reply(job.item.id, ItemResult.REJECTED.value, label="unknown UE", error="no such UE is known")

        def run(ctx: UeContext, env: Env) -> Outcome:
            if ctx.imsi != imsi:
                raise StaleError(None)
            return COMMANDS[action](ctx, replace(env, association_alive=self._alive(ctx)))

        reply = self._by_owner(job, key, run)
        if reply.result == ItemResult.STALE.value:
            return Reply(job.item.id, ItemResult.REJECTED.value, label="unknown UE", error="no such UE is known")
        return reply

    def _configuration_update(self, job: Work) -> Reply:
        """MME CONFIGURATION UPDATE to every eNB of the served areas; who did not take it gets it when asked again."""
        job.name = f"command {CONFIGURATION_UPDATE}"
        return self._announced(job, s1_management.mme_configuration_update(self._config))

    def _overload(self, job: Work, reduction: object, number: object) -> Reply:
        """OVERLOAD START or STOP to every eNB of the served areas.  reduction: per cent, 0 = stop.

        number: of the decision, or None.  Two commands may be worked off, and their pushes arrive, in any order: an eNB
        drops what has a lower number than what it has heard.
        """
        job.name = f"command {OVERLOAD}"
        if not isinstance(reduction, int) or not 0 <= reduction <= 99:
            error = "an overload command holds a reduction from 0 (it is over) to 99 per cent"
            return Reply(job.item.id, ItemResult.REJECTED.value, label="bad command", error=error)
        if number is not None and not isinstance(number, int):
            error = "the number of an overload command is an integer, higher for a later decision"
            return Reply(job.item.id, ItemResult.REJECTED.value, label="bad command", error=error)
        return self._announced(job, s1_management.overload(reduction), number)

    def _announced(self, job: Work, message: S1apMessage, order: int | None = None) -> Reply:
        """Push it to every eNB of the served areas; `retry` while some have not taken it."""
        served = tuple(Tai(self._config.plmn, tac) for tac in self._config.tacs)
        names = enbs_of(self._store, served)
        taken = self._outbox.announce(job, names, encoded(job, message), order)
        result = ItemResult.DONE if len(taken) == len(names) else ItemResult.RETRY
        return Reply(job.item.id, result.value, label=f"taken by {len(taken)} of {len(names)} eNBs")

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
            return Reply(job.item.id, ItemResult.STALE.value, label=NOTHING_WAITS)
        if reply is None:
            raise StoreContendedError("the context is contended")
        return reply

    # ----------------------------------------------------------------- the conditional write


class _UnprovenError(Exception):
    """The message does not prove to be of the context that it claims.  cause: what its sender is told."""

    def __init__(self, cause: EmmCause = EmmCause.UE_IDENTITY_CANNOT_BE_DERIVED) -> None:
        super().__init__()
        self.cause = cause


def _connection(job: Work, message: InitialUeMessage, key: int, number: int) -> Connection:
    return Connection(
        mme_ue_s1ap_id=key << CONNECTION_BITS | number,
        enb=job.item.enb,
        epoch=job.epoch,
        since=job.since,
        enb_ue_s1ap_id=message.enb_ue_s1ap_id,
        tai=message.tai,
        ecgi=message.ecgi,
    )


def _octets(pdu: bytes | Secured) -> bytes:
    if isinstance(pdu, Secured):
        raise TypeError("a received NAS PDU is octets")
    return pdu


def _undecodable_nas(ctx: UeContext, error: NasError) -> Outcome:
    """Source: TS 24.301 7.2 (too short: ignored), 7.4 to 7.7; an unprotected fault is not answered once secured."""
    label = f"NAS: {error.detail}"
    if error.cause is None or (ctx.connection is None):
        return Outcome(ctx, result=ItemResult.DISCARDED, label=label)
    return replace(status.protocol_error(ctx, error.message_type, EmmCause(error.cause)), label=label)
