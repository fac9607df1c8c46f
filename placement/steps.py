"""Operations, worked off in short steps: each step is one call of at most about 5 s, and leaves a row from which any
replica goes on.

plan -> preview -> (done)                                  dry_run, diff
plan -> helm -> (done)                                     nobody waits
plan -> helm -> reload -> watch -> (done)                  wait; reload where only ConfigMaps under reload changed
                helm, watch -> undo -> watch-undo -> (done)  atomic, and it failed
                helm -> mend -> …                          helm was stopped, or the cluster was lost in the middle
(done) = notify where there is a callback URL, then done.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from placement import differences, logs, manifest, metrics, policy, releases, values, watching
from placement.api import Api, ApiError
from placement.callbacks import Callbacks
from placement.choosing import Chooser, values_files
from placement.cluster import Cluster
from placement.errors import Code, PlacementError, StoreError
from placement.helm import Helm, registry_files
from placement.helm_errors import meaning
from placement.installing import Installed, Installer, InterruptedRunError, NotNowError, Run, left
from placement.inventory import Clusters, Event, Inventory, Placement
from placement.journal import Held, Journal
from placement.masking import all_words, secret_words
from placement.nudging import Reloads
from placement.operation import Answer, ErrorAnswer, Operation, Phase, Why, error_answer, key_of
from placement.plan import HelmPlan, Refused, helm_argv, rollback_argv, uninstall_argv
from placement.readiness import Verdict
from placement.releases import Revision
from placement.request import Request, decode
from placement.sealing import Sealer
from placement.settings import Secrets

STEP_SOON_S = 0.0
LOOK_EVERY_S = 1.0
TRY_AGAIN_S = 1.0
RELOAD_S = 30.0
MEND_S = 180.0
UNDO_S = 120.0
NOTIFY_TRIES = 8
INLINE_S = 4.5
"""A synchronous caller is kept no longer; what is not ready then goes on without it."""
INLINE_HELM_S = 1.2
"""A synchronous call begins helm only this early; later it would last too long."""

_replace = msgspec.structs.replace


@dataclass(frozen=True, slots=True)
class Next:
    """What a step came to: the operation's next state, and in how many seconds its next step is due."""

    operation: Operation
    after_s: float = STEP_SOON_S


class Placer:
    """All of a placement function's parts.  clock: Unix seconds."""

    def __init__(
        self,
        *,
        journal: Journal,
        inventory: Inventory,
        clusters: Clusters,
        secrets: Secrets,
        sealer: Sealer,
        helm: Helm,
        callbacks: Callbacks,
        helm_timeout_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.journal = journal
        self.inventory = inventory
        self.clusters = clusters
        self.secrets = secrets
        self._sealer = sealer
        self._helm = helm
        self._callbacks = callbacks
        self._timeout_s = helm_timeout_s
        self._clock = clock
        self.chooser = Chooser(helm, secrets, self.connect)
        self._installer = Installer(helm, timeout_s=helm_timeout_s)

    def connect(self, cluster: Cluster) -> Api:
        """Raises PlacementError cluster_credentials."""
        return Api(cluster.name, self.secrets.kubeconfig(cluster))

    def now_ms(self) -> int:
        """Unix milliseconds."""
        return int(self._clock() * 1000)

    # What a call does

    def accept(
        self,
        caller: str,
        call_id: str,
        body: bytes,
        request: Request,
        *,
        create_namespaces: bool,
        callback_url: str = "",
        signature: str = "",
    ) -> Held:
        """The operation of this call; of an earlier delivery of the same call, if there was one.

        signature: of a call without an id of its own; a second call under it is the first one, captured and sent again.

        Raises PlacementError call_id_reused, StoreError.
        """
        digest = manifest.digest(body.hex())
        key = key_of(caller, call_id)
        if signature:
            key = self.journal.first_under(key_of(caller, f"signature {signature}"), key)
        now_ms = self.now_ms()
        operation = Operation(
            key=key,
            caller=caller,
            call_id=call_id,
            digest=digest,
            request=self._sealer.seal(body, key),
            action=request.action,
            namespace=request.run_namespace,
            release=request.function_name,
            phase=Phase.PLAN,
            begun_ms=now_ms,
            callback_url=callback_url,
            create_namespaces=create_namespaces,
            waits=request.waits,
            atomic=request.atomic,
            timeout_s=request.timeout_s,
            answer=Answer("accepted", release=request.function_name),
        )
        held = self.journal.open(operation, due_ms=now_ms)
        if held.operation.digest != digest:
            raise PlacementError(Code.CALL_ID_REUSED)
        return held

    def work(self, key: str) -> Answer:
        """Go through the steps for as long as a caller may be kept; the answer so far."""
        begun = time.monotonic()
        while True:
            held = self.journal.load(key)
            if held is None:
                raise StoreError("the operation has vanished")
            spent_s = time.monotonic() - begun
            operation = held.operation
            late = spent_s > (INLINE_HELM_S if operation.phase in (Phase.HELM, Phase.UNDO) else INLINE_S)
            if operation.is_done or late:
                return operation.answer
            wait_s = self.advance(key)
            if wait_s is None:
                continue
            if spent_s + wait_s > INLINE_S:
                return held.operation.answer if (now := self.journal.load(key)) is None else now.operation.answer
            time.sleep(min(wait_s, 0.3))  # a caller who waits is told sooner than the ticker would

    def advance(self, key: str) -> float | None:
        """One step.  In how many seconds the next is due; None = there is none.  Raises StoreError."""
        held = self.journal.load(key)
        if held is None or held.operation.phase is Phase.DONE:
            self.journal.drop(key)
            return None
        taken = self.journal.take(held, self.now_ms())
        if taken is None:
            return TRY_AGAIN_S
        begun = time.monotonic()
        phase = taken.operation.phase
        kept = _Held(self.journal, taken)
        try:
            done = self._step(kept)
        except NotNowError:
            done = Next(kept.operation, TRY_AGAIN_S)
        except PlacementError as e:
            done = self._failed(kept.operation, error_answer(e))
        except ApiError as e:
            done = self._failed(
                kept.operation, error_answer(PlacementError(Code.APPLY_FAILED, f"The cluster answers: {e.message}."))
            )
        except StoreError:
            raise
        except Exception:  # noqa: BLE001  a fault of ours must end this operation, not be met again at every step
            logs.log("error", "fault", call=taken.operation.call_id, traceback=traceback.format_exc())
            done = self._finish(kept.operation, "failed", error=error_answer(PlacementError(Code.INTERNAL)))
        metrics.STEP_SECONDS.labels(phase.value).observe(time.monotonic() - begun)
        logs.log(
            "info",
            "step",
            call=taken.operation.call_id,
            caller=taken.operation.caller,
            release=f"{taken.operation.namespace}/{taken.operation.release}",
            cluster=done.operation.cluster or None,
            phase=phase.value,
            next=done.operation.phase.value,
            code=done.operation.error.code if done.operation.error else None,
            ms=round((time.monotonic() - begun) * 1000),
        )
        is_over = done.operation.phase is Phase.DONE
        due_ms = None if is_over else self.now_ms() + int(done.after_s * 1000)
        self.journal.give_back(kept.held, done.operation, due_ms)
        return None if is_over else done.after_s

    def _step(self, kept: _Held) -> Next:
        match kept.operation.phase:
            case Phase.PLAN:
                return self._plan(kept.operation)
            case Phase.PREVIEW:
                return self._preview(kept.operation)
            case Phase.HELM:
                return self._run_helm(kept)
            case Phase.MEND:
                return self._mend(kept.operation)
            case Phase.RELOAD:
                return self._reload(kept.operation)
            case Phase.WATCH | Phase.WATCH_UNDO:
                return self._watch(kept.operation)
            case Phase.UNDO:
                return self._undo(kept)
            case _:
                return self._notify(kept.operation)

    # plan

    def _plan(self, operation: Operation) -> Next:
        request = self._request(operation)
        grant = policy.grant_of(self.secrets.grants(), operation.caller)
        policy.check(grant, operation.caller, request)
        clusters = self.permitted(grant, operation.caller, request)
        placed = self.inventory.placed()
        if request.action in ("rollback", "uninstall"):
            chosen: HelmPlan | Refused = self.chooser.locate(request, clusters, placed)
        else:
            chosen = self.chooser.choose(request, clusters, placed, timeout_s=self._timeout_s)
        if isinstance(chosen, Refused):
            why = Why("", chosen.why_not)
            operation = _replace(operation, why=why)
            return self._finish(
                operation, "refused", error=error_answer(PlacementError(chosen.code, chosen.detail)), why=why
            )
        is_preview = request.dry_run or request.action == "diff"
        why = Why(chosen.why, chosen.why_not)
        changed = _replace(
            operation,
            phase=Phase.PREVIEW if is_preview else Phase.HELM,
            cluster=chosen.cluster,
            why=why,
            group=request.choose.group,
            repository=request.chart_repository,
            target=request.revision or 0,
            answer=Answer("progressing", chosen.cluster, operation.release, why=why),
        )
        return Next(self._progress(changed))

    def permitted(self, grant: policy.Grant, caller: str, request: Request) -> list[Cluster]:
        """The clusters that the caller may use.  Raises PlacementError not_allowed for a named one that it may not."""
        clusters = self.clusters.all()
        for cluster in clusters:
            if cluster.name == request.named:
                policy.check_cluster(grant, caller, cluster)
        return [cluster for cluster in clusters if grant.may_use(cluster)]

    def _request(self, operation: Operation) -> Request:
        return decode(self._sealer.open(operation.request, operation.key))

    def _preview(self, operation: Operation) -> Next:
        """Render on the cluster, change nothing, and tell what would differ."""
        request = self._request(operation)
        given = values.gather(request, self.secrets.object_store())
        words = all_words(given.parsed) | self.secrets.secret_words()
        registry = self.secrets.registry(request.chart_repository)
        api = self._api(operation)
        try:
            files = self._files(operation, given) | registry_files(registry)
            plain_http = registry is not None and registry.plain_http
            argv = helm_argv(request, timeout_s=self._timeout_s, plain_http=plain_http, dry_run=True)
            ran = self._helm.run(argv, files, timeout_s=self._timeout_s)
            if ran.stopped is not None:
                raise PlacementError(ran.stopped)
            if ran.exit_code != 0:
                raise meaning(ran.stderr, words)
            record = releases.revision_of(msgspec.json.decode(ran.stdout))
            now = releases.latest(api, operation.namespace, operation.release)
        finally:
            api.close()
        before = manifest.objects(now.manifest) if now is not None else []
        lines = differences.between(before, manifest.objects(record.manifest), secret_words(given.parsed))
        changed = _replace(operation, chart=record.chart, values_digest=given.digest, revision=now.number if now else 0)
        return self._finish(changed, "planned", diff=lines)

    def _files(self, operation: Operation, given: values.Values | None) -> dict[str, str]:
        cluster = self.clusters.get(operation.cluster)
        files = {"kubeconfig": self.secrets.kubeconfig(cluster).as_kubeconfig()}
        return files | (values_files(given) if given is not None else {})

    def _api(self, operation: Operation) -> Api:
        return self.connect(self.clusters.get(operation.cluster))

    # helm

    def _run_helm(self, kept: _Held) -> Next:
        operation = kept.operation
        request = self._request(operation)
        api = self._api(operation)
        try:
            run, operation = self._what_to_run(api, request, operation)
            if request.action == "rollback" and (done := self._rolled_back_before(api, operation)) is not None:
                return self._installed(api, operation, Installed(None, done, repeated=True))
            operation = _replace(operation, attempt=operation.attempt + 1, since_s=api.now())
            kept.keep(operation)
            try:
                installed = self._installer.run(api, run)
            except InterruptedRunError as e:
                return self._to_mend(operation, error_answer(e.error))
            except PlacementError as e:
                if e.code is Code.CLUSTER_DOWN and operation.attempt > 1:
                    return self._to_mend(operation, error_answer(e))
                raise
            return self._installed(api, operation, installed)
        finally:
            api.close()

    def _what_to_run(self, api: Api, request: Request, operation: Operation) -> tuple[Run, Operation]:
        namespace, release, timeout_s = operation.namespace, operation.release, self._timeout_s
        holder = operation.mark
        match request.action:
            case "rollback":
                kept = releases.revisions(api, namespace, release)
                target = operation.target or _good_before(kept, kept[-1].number if kept else 0)
                if not kept:
                    raise PlacementError(Code.NO_SUCH_RELEASE)
                if target not in [r.number for r in kept]:
                    raise PlacementError(Code.NO_SUCH_REVISION)
                argv = rollback_argv(release, namespace, target, timeout_s=timeout_s)
                # Fixed at the first attempt: a repeat goes to the same revision.
                newest = operation.before if operation.attempt else kept[-1].number
                changed = _replace(operation, target=target, before=newest)
                return Run(argv, self._files(operation, None), namespace, release, holder), changed
            case "uninstall":
                argv = uninstall_argv(release, namespace, timeout_s=timeout_s)
                return Run(argv, self._files(operation, None), namespace, release, holder), operation
            case _:
                given = values.gather(request, self.secrets.object_store())
                registry = self.secrets.registry(request.chart_repository)
                plain_http = registry is not None and registry.plain_http
                run = Run(
                    helm_argv(request, timeout_s=timeout_s, plain_http=plain_http),
                    self._files(operation, given) | registry_files(registry),
                    namespace,
                    release,
                    holder,
                    mark=operation.mark,
                    create_namespace=operation.create_namespaces,
                    struck=frozenset(all_words(given.parsed) | self.secrets.secret_words()),
                )
                return run, _replace(operation, values_digest=given.digest)

    def _rolled_back_before(self, api: Api, operation: Operation) -> Revision | None:
        """What an earlier attempt, whose end was not heard of, has come to."""
        newest = releases.latest(api, operation.namespace, operation.release)
        if operation.attempt == 0 or newest is None or newest.number <= operation.before:
            return None
        is_ours = newest.description == f"Rollback to {operation.target}" and newest.status == "deployed"
        return newest if is_ours else None

    def _installed(self, api: Api, operation: Operation, installed: Installed) -> Next:
        after = installed.after
        if operation.action == "uninstall":
            status = "uninstalled" if installed.before is not None or operation.attempt > 1 else "absent"
            return self._finish(operation, status)
        if after is None:
            raise PlacementError(Code.NO_SUCH_RELEASE)
        objects = manifest.objects(after.manifest)
        before = installed.before
        changed = _replace(operation, revision=after.number, chart=after.chart)
        if before is not None and before.status in ("deployed", "superseded"):
            changed = _replace(changed, before=before.number)
            configs = manifest.only_configuration_changed(manifest.objects(before.manifest), objects)
            if configs and Reloads(api).begin(operation.namespace, operation.release, configs):
                deadline_ms = self.now_ms() + int(RELOAD_S * 1000)
                reloading = _replace(changed, phase=Phase.RELOAD, configs=tuple(configs), deadline_ms=deadline_ms)
                return Next(self._progress(self._telling(reloading, "progressing")))
        return self._to_watch(changed)

    def _to_watch(self, operation: Operation) -> Next:
        if not operation.waits:
            return self._watch(operation)
        deadline_ms = self.now_ms() + operation.timeout_s * 1000
        watching_on = _replace(operation, phase=Phase.WATCH, deadline_ms=deadline_ms)
        return Next(self._progress(self._telling(watching_on, "progressing")), 0.1)

    # reload

    def _reload(self, operation: Operation) -> Next:
        api = self._api(operation)
        try:
            taken = Reloads(api).wait(operation.namespace, operation.release, operation.configs)
        finally:
            api.close()
        if taken.error is not None and (taken.is_settled or self.now_ms() >= operation.deadline_ms):
            failed = _replace(operation, error=error_answer(taken.error))
            return self._watch(_replace(failed, waits=False))
        if not taken.is_settled:
            return Next(operation, 0.1)
        return self._watch(operation) if not operation.waits else self._to_watch(operation)

    # watch

    def _watch(self, operation: Operation) -> Next:
        api = self._api(operation)
        undone = operation.phase is Phase.WATCH_UNDO
        try:
            newest = releases.latest(api, operation.namespace, operation.release)
            if newest is None and undone:
                return self._finish(operation, "rolled-back", error=operation.error)
            if newest is None:
                raise PlacementError(Code.NO_SUCH_RELEASE, "The release was removed meanwhile.")
            look = watching.look(api, operation.namespace, manifest.objects(newest.manifest), operation.since_s)
        except PlacementError as e:
            # A cluster that is down for a while is no failure of the release; when it comes back, its API server
            # refuses everybody until it has read its roles.
            waiting = (operation.phase in (Phase.WATCH, Phase.WATCH_UNDO)) and self.now_ms() < operation.deadline_ms
            if e.code in (Code.CLUSTER_DOWN, Code.CLUSTER_REFUSED) and waiting:
                return Next(operation, LOOK_EVERY_S)
            raise
        finally:
            api.close()
        operation = _replace(operation, answer=_replace(operation.answer, pods=look.pods))
        if undone:
            if look.verdict is Verdict.WAITING and self.now_ms() < operation.deadline_ms:
                return Next(operation, LOOK_EVERY_S)
            return self._finish(_replace(operation, revision=newest.number), "rolled-back", error=operation.error)
        if operation.error is not None:
            return self._failed(operation, operation.error)
        if look.verdict is Verdict.FAILED:
            return self._failed(operation, _told(Code.PODS_CRASH, look.why))
        if not operation.waits:
            return self._finish(operation, "deployed" if look.verdict is Verdict.WAITING else "ready")
        if look.verdict is Verdict.READY:
            return self._finish(operation, "ready")
        if self.now_ms() >= operation.deadline_ms:
            return self._failed(operation, _told(Code.NOT_READY, look.why))
        return Next(self._telling(operation, "progressing"), LOOK_EVERY_S)

    # what failed

    def _failed(self, operation: Operation, error: ErrorAnswer) -> Next:
        """The operation has failed; atomic ones go back first, if there is anything to go back from."""
        operation = _replace(operation, error=error)
        undoable = operation.phase in (Phase.HELM, Phase.MEND, Phase.WATCH, Phase.RELOAD)
        began = operation.revision > 0 or " Left on the cluster: " in error.message
        if operation.atomic and operation.action == "apply" and undoable and began:
            undoing = _replace(operation, phase=Phase.UNDO, deadline_ms=self.now_ms() + int(UNDO_S * 1000))
            return Next(self._progress(self._telling(undoing, "progressing")))
        status = "failed" if began or operation.attempt else "refused"
        return self._finish(operation, status, error=error)

    def _to_mend(self, operation: Operation, error: ErrorAnswer) -> Next:
        mending = _replace(operation, phase=Phase.MEND, error=error, deadline_ms=self.now_ms() + int(MEND_S * 1000))
        return Next(self._progress(self._telling(mending, "progressing")), 0.2)

    def _mend(self, operation: Operation) -> Next:
        error = operation.error or error_answer(PlacementError(Code.INTERNAL))
        api = self._api(operation)
        try:
            after = self._installer.mend(api, operation.namespace, operation.release, operation.mark)
            kept = releases.revisions(api, operation.namespace, operation.release)
        except PlacementError as e:
            if self.now_ms() < operation.deadline_ms and e.code in (Code.CLUSTER_DOWN, Code.CLUSTER_REFUSED, Code.BUSY):
                return Next(operation, TRY_AGAIN_S)
            unknown = f"{error.message} Left on the cluster: not known, it does not answer; ask again by action status."
            return self._finish(operation, "failed", error=_replace(error, message=unknown))
        finally:
            api.close()
        if after is not None and (after.description, after.status) == (operation.mark, "deployed"):
            # Helm had done all of it when it was stopped.
            api = self._api(operation)
            try:
                return self._installed(api, _replace(operation, error=None), Installed(None, after, repeated=True))
            finally:
                api.close()
        good = next((r for r in kept if r.number == _good_before(kept, after.number if after else 0)), None)
        what = left(good, after) if operation.action != "uninstall" else left(None, after)
        if what:
            error = _replace(error, message=f"{error.message} Left on the cluster: {what}.")
        revision = after.number if after is not None else 0
        return self._failed(_replace(operation, revision=revision), error)

    def _undo(self, kept: _Held) -> Next:
        operation = kept.operation
        error = operation.error or error_answer(PlacementError(Code.INTERNAL))
        namespace, release = operation.namespace, operation.release
        api = self._api(operation)
        try:
            known = releases.revisions(api, namespace, release)
            target = _good_before(known, operation.revision or (known[-1].number if known else 0))
            if target:
                argv = rollback_argv(release, namespace, target, timeout_s=self._timeout_s)
            else:
                argv = uninstall_argv(release, namespace, timeout_s=self._timeout_s)
            operation = _replace(operation, attempt=operation.attempt + 1, since_s=api.now())
            kept.keep(operation)
            self._installer.run(api, Run(argv, self._files(operation, None), namespace, release, operation.mark))
        except (InterruptedRunError, PlacementError) as e:
            if self.now_ms() < operation.deadline_ms:
                return Next(operation, TRY_AGAIN_S)
            cause = e.error if isinstance(e, InterruptedRunError) else e
            message = f"{error.message} Going back failed too: {cause.detail}"
            return self._finish(operation, "failed", error=_replace(error, message=message))
        finally:
            api.close()
        message = f"{error.message.split(' Left on the cluster: ')[0]} " + (
            f"The release was rolled back to what revision {target} was." if target else "The release was uninstalled."
        )
        changed = _replace(operation, error=_replace(error, message=message), phase=Phase.WATCH_UNDO)
        if not target:
            return self._finish(_replace(changed, revision=0), "rolled-back", error=changed.error)
        return Next(self._progress(changed), 0.1)

    # the end

    def _telling(self, operation: Operation, status: str) -> Operation:
        answer = _replace(
            operation.answer,
            status=status,
            cluster=operation.cluster or None,
            release=operation.release,
            revision=operation.revision or None,
            chart=operation.chart or None,
            time_taken_s=self._taken_s(operation),
            why=operation.why,
        )
        return _replace(operation, answer=answer)

    def _taken_s(self, operation: Operation) -> float:
        return round(max(0, self.now_ms() - operation.begun_ms) / 1000, 3)

    def _progress(self, operation: Operation) -> Operation:
        """Tell the caller where it is; nobody waits for, or repeats, what is not the end."""
        if operation.callback_url:
            self._callbacks.send(operation, operation.answer)
        return operation

    def _finish(
        self,
        operation: Operation,
        status: str,
        *,
        error: ErrorAnswer | None = None,
        why: Why | None = None,
        diff: list[str] | None = None,
    ) -> Next:
        told = self._telling(operation, status).answer
        answer = _replace(told, error=error, why=why or operation.why, diff=diff)
        if operation.action in ("uninstall",) or status in ("refused", "planned") or not operation.revision:
            answer = _replace(answer, pods=())
        done = _replace(operation, answer=answer, error=error, request="", notified=0, phase=Phase.NOTIFY)
        self._remember(done, status)
        outcome = error.code if error is not None else status
        metrics.OPERATIONS.labels(operation.action, outcome).inc()
        if not operation.callback_url:
            return Next(_replace(done, phase=Phase.DONE))
        return Next(done)

    def _remember(self, operation: Operation, status: str) -> None:
        if status == "planned" or not operation.cluster:
            return
        cluster, namespace, release = operation.cluster, operation.namespace, operation.release
        old = self.inventory.get(cluster, namespace, release)
        is_there = operation.revision > 0 or (old is not None and old.is_placed)
        gone = status in ("uninstalled", "absent") or (status == "rolled-back" and not operation.revision)
        placement = Placement(
            cluster,
            namespace,
            release,
            operation.chart or (old.chart if old else ""),
            operation.repository or (old.repository if old else ""),
            operation.revision or (old.revision if old else 0),
            (operation.values_digest if operation.revision else "") or (old.values_digest if old else ""),
            operation.group or (old.group if old else ""),
            is_there and not gone,
        )
        event = Event(
            self.now_ms(),
            operation.caller,
            operation.action,
            operation.chart,
            operation.values_digest,
            operation.revision,
            operation.error.code if operation.error is not None else status,
            self._taken_s(operation),
            operation.call_id,
        )
        self.inventory.remember(placement, event)

    def _notify(self, operation: Operation) -> Next:
        if self._callbacks.send(operation, operation.answer):
            metrics.CALLBACKS.labels("taken").inc()
            return Next(_replace(operation, phase=Phase.DONE))
        tries = operation.notified + 1
        if tries >= NOTIFY_TRIES:
            metrics.CALLBACKS.labels("given up").inc()
            logs.log("error", "callback given up", call=operation.call_id, caller=operation.caller, tries=tries)
            return Next(_replace(operation, phase=Phase.DONE, notified=tries))
        return Next(_replace(operation, notified=tries), min(60.0, 0.5 * 2**tries))


class _Held:
    """The operation in hand and its row's version, through a step that writes in its middle."""

    def __init__(self, journal: Journal, held: Held) -> None:
        self._journal = journal
        self.held = held

    @property
    def operation(self) -> Operation:
        return self.held.operation

    def keep(self, operation: Operation) -> None:
        """Raises NotNowError when another runner has taken it: this one was too slow and must touch nothing."""
        kept = self._journal.keep(self.held, operation)
        if kept is None:
            raise NotNowError
        self.held = kept


def _good_before(kept: list[releases.Revision], number: int) -> int:
    """The newest revision before `number` that was once deployed, 0 = none."""
    good = [r.number for r in kept if r.number < number and r.status in ("deployed", "superseded")]
    return max(good, default=0)


def _told(code: Code, why: str) -> ErrorAnswer:
    error = PlacementError(code)
    return error_answer(PlacementError(code, f"{error.detail.rstrip('.')}: {why}."))
