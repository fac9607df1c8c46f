"""The steps that change a cluster: helm's run, what an interrupted one left, and the way back."""

from __future__ import annotations

import msgspec

from durable.journal import Hand
from placement import releases, values
from placement.api import Api
from placement.ending import Ending
from placement.errors import Code, PlacementError
from placement.helm import registry_files
from placement.installing import Installed, Installer, InterruptedRunError, Run, left
from placement.masking import all_words
from placement.operation import ErrorAnswer, Operation, Phase, error_answer
from placement.parts import TRY_AGAIN_S, Next, Parts
from placement.plan import helm_argv, rollback_argv, uninstall_argv
from placement.releases import Revision
from placement.request import Request
from placement.settling import LOOK_SOON_S, Settling

MEND_S = 180.0
MEND_SOON_S = 0.2
_replace = msgspec.structs.replace


class Changing:
    """Runs helm for an operation, and mends or undoes what it did."""

    def __init__(self, parts: Parts, settling: Settling, ending: Ending) -> None:
        self._parts = parts
        self._settling = settling
        self._ending = ending
        self._timeout_s = parts.helm_timeout_s
        self._installer = Installer(parts.helm, timeout_s=parts.helm_timeout_s)

    def run_helm(self, hand: Hand[Operation]) -> Next:
        """One run, written down before it begins."""
        operation = hand.call
        request = self._parts.request(operation)
        api = self._parts.api(operation)
        try:
            run, operation = self._what_to_run(api, request, operation)
            if request.action == "rollback" and (done := _rolled_back_before(api, operation)) is not None:
                return self._settling.installed(api, operation, Installed(None, done, repeated=True))
            operation = _replace(operation, attempt=operation.attempt + 1, since_s=api.now())
            hand.keep(operation)
            try:
                installed = self._installer.run(api, run)
            except InterruptedRunError as e:
                return self._to_mend(operation, error_answer(e.error))
            except PlacementError as e:
                if e.code is Code.CLUSTER_DOWN and operation.attempt > 1:
                    return self._to_mend(operation, error_answer(e))
                raise
            return self._settling.installed(api, operation, installed)
        finally:
            api.close()

    def _what_to_run(self, api: Api, request: Request, operation: Operation) -> tuple[Run, Operation]:
        namespace, release, holder = operation.namespace, operation.release, operation.mark
        files = self._parts.files
        match request.action:
            case "rollback":
                kept = releases.revisions(api, namespace, release)
                target = operation.target or _good_before(kept, kept[-1].number if kept else 0)
                if not kept:
                    raise PlacementError(Code.NO_SUCH_RELEASE)
                if target not in [r.number for r in kept]:
                    raise PlacementError(Code.NO_SUCH_REVISION)
                argv = rollback_argv(release, namespace, target, timeout_s=self._timeout_s)
                # Fixed at the first attempt: a repeat goes to the same revision.
                newest = operation.before if operation.attempt else kept[-1].number
                changed = _replace(operation, target=target, before=newest)
                return Run(argv, files(operation, None), namespace, release, holder), changed
            case "uninstall":
                argv = uninstall_argv(release, namespace, timeout_s=self._timeout_s)
                return Run(argv, files(operation, None), namespace, release, holder), operation
            case _:
                secrets = self._parts.secrets
                given = values.gather(request, secrets.object_store())
                registry = secrets.registry(request.chart_repository)
                plain_http = registry is not None and registry.plain_http
                run = Run(
                    helm_argv(request, timeout_s=self._timeout_s, plain_http=plain_http),
                    files(operation, given) | registry_files(registry),
                    namespace,
                    release,
                    holder,
                    mark=operation.mark,
                    create_namespace=operation.create_namespaces,
                    struck=frozenset(all_words(given.parsed) | secrets.secret_words()),
                )
                return run, _replace(operation, values_digest=given.digest)

    def _to_mend(self, operation: Operation, error: ErrorAnswer) -> Next:
        deadline_ms = self._parts.now_ms() + int(MEND_S * 1000)
        mending = _replace(operation, phase=Phase.MEND, error=error, deadline_ms=deadline_ms)
        return Next(self._ending.progress(self._ending.telling(mending, "progressing")), MEND_SOON_S)

    def mend(self, operation: Operation) -> Next:
        """Look at what an interrupted run left; go on where helm had done all of it."""
        error = operation.error or error_answer(PlacementError(Code.INTERNAL))
        api = self._parts.api(operation)
        try:
            after = self._installer.mend(api, operation.namespace, operation.release, operation.mark)
            kept = releases.revisions(api, operation.namespace, operation.release)
        except PlacementError as e:
            is_early = self._parts.now_ms() < operation.deadline_ms
            if is_early and e.code in (Code.CLUSTER_DOWN, Code.CLUSTER_REFUSED, Code.BUSY):
                return Next(operation, TRY_AGAIN_S)
            unknown = f"{error.message} Left on the cluster: not known, it does not answer; ask again by action status."
            return self._ending.finish(operation, "failed", error=_replace(error, message=unknown))
        finally:
            api.close()
        if after is not None and (after.description, after.status) == (operation.mark, "deployed"):
            # Helm had done all of it when it was stopped.
            api = self._parts.api(operation)
            try:
                done = Installed(None, after, repeated=True)
                return self._settling.installed(api, _replace(operation, error=None), done)
            finally:
                api.close()
        good = next((r for r in kept if r.number == _good_before(kept, after.number if after else 0)), None)
        what = left(good, after) if operation.action != "uninstall" else left(None, after)
        if what:
            error = _replace(error, message=f"{error.message} Left on the cluster: {what}.")
        revision = after.number if after is not None else 0
        return self._ending.failed(_replace(operation, revision=revision), error)

    def undo(self, hand: Hand[Operation]) -> Next:
        """Go back to the last good revision, or uninstall."""
        operation = hand.call
        error = operation.error or error_answer(PlacementError(Code.INTERNAL))
        namespace, release = operation.namespace, operation.release
        api = self._parts.api(operation)
        try:
            known = releases.revisions(api, namespace, release)
            target = _good_before(known, operation.revision or (known[-1].number if known else 0))
            if target:
                argv = rollback_argv(release, namespace, target, timeout_s=self._timeout_s)
            else:
                argv = uninstall_argv(release, namespace, timeout_s=self._timeout_s)
            operation = _replace(operation, attempt=operation.attempt + 1, since_s=api.now())
            hand.keep(operation)
            files = self._parts.files(operation, None)
            self._installer.run(api, Run(argv, files, namespace, release, operation.mark))
        except (InterruptedRunError, PlacementError) as e:
            if self._parts.now_ms() < operation.deadline_ms:
                return Next(operation, TRY_AGAIN_S)
            cause = e.error if isinstance(e, InterruptedRunError) else e
            message = f"{error.message} Going back failed too: {cause.detail}"
            return self._ending.finish(operation, "failed", error=_replace(error, message=message))
        finally:
            api.close()
        message = f"{error.message.split(' Left on the cluster: ')[0]} " + (
            f"The release was rolled back to what revision {target} was." if target else "The release was uninstalled."
        )
        changed = _replace(operation, error=_replace(error, message=message), phase=Phase.WATCH_UNDO)
        if not target:
            return self._ending.finish(_replace(changed, revision=0), "rolled-back", error=changed.error)
        return Next(self._ending.progress(changed), LOOK_SOON_S)


def _rolled_back_before(api: Api, operation: Operation) -> Revision | None:
    """What an earlier attempt, whose end was not heard of, has come to."""
    newest = releases.latest(api, operation.namespace, operation.release)
    if operation.attempt == 0 or newest is None or newest.number <= operation.before:
        return None
    is_ours = newest.description == f"Rollback to {operation.target}" and newest.status == "deployed"
    return newest if is_ours else None


def _good_before(kept: list[Revision], number: int) -> int:
    """The newest revision before `number` that was once deployed, 0 = none."""
    good = [r.number for r in kept if r.number < number and r.status in ("deployed", "superseded")]
    return max(good, default=0)
