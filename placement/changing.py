"""The steps that change a cluster: helm's run, what an interrupted one left, and the way back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from durable.journal import Hand
from placement import helm_warnings, hooks, registries, releases, step_time, values
from placement.api import Api, ApiError, as_told
from placement.ending import Ending, namespace_left
from placement.errors import Code, PlacementError
from placement.helm import registry_files, registry_flags
from placement.installing import FailedRunError, Installed, Installer, Run, left
from placement.masking import all_words
from placement.operation import ErrorAnswer, Operation, Phase, error_answer, left_of, with_left, without_left
from placement.parts import TRY_AGAIN_S, Next, Parts
from placement.plan import helm_argv, rollback_argv, uninstall_argv
from placement.releases import GOOD, Revision
from placement.request import Request
from placement.settling import LOOK_SOON_S, MAY_PASS, SETTLE_S, Settling
from placement.step_time import Asked

MEND_S = 180.0
MEND_SOON_S = 0.2
MOST_RUNS = 4
"""Of helm for one operation, where the others were stopped because they had no processor: it is helm that yields."""
_MAY_PASS = (*MAY_PASS, Code.BUSY)
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
        until = self._until(api)
        begun_before = operation.attempt > 0
        try:
            run, operation = self._what_to_run(api, request, operation, until)
            book = _Book(hand, operation, api, _done_already, _may_have_left)
            try:
                installed = self._installer.run(api, run, book)
            except FailedRunError as e:
                if e.kept is None:
                    again = e.starved and book.operation.attempt < MOST_RUNS
                    return self._to_mend(_replace(book.operation, again=again), error_answer(e.error))
                return self._failed(api, book.operation, error_answer(e.error), e.kept)
            except PlacementError as e:
                if operation.action == "uninstall" and e.code is Code.NAMESPACE_MISSING:
                    # Somebody has deleted it, and the release with it.
                    return self._ending.finish(operation, "uninstalled" if operation.before else "absent")
                if begun_before:
                    raise
                return self._ending.failed(_replace(book.operation, attempt=1), error_answer(e))
            if installed.after is not None and time.monotonic() > until:
                # Helm took all of this step's time: what comes then is the next one's.
                return self._to_mend(_at(book.operation, installed.after), _standing(api.too_slow(), installed.after))
            return self._settled(api, book.operation, installed)
        except (ApiError, PlacementError) as e:
            if not begun_before:
                raise
            # An earlier run, whose end was not heard of, may have done all of it.
            return self._to_mend(hand.call, error_answer(as_told(e)))
        finally:
            api.close()

    def _until(self, api: Api) -> float:
        """When helm is to be over in a step that begins now, by the monotonic clock."""
        until = step_time.helm_until(self._timeout_s)
        api.until = step_time.asked_until(until)
        return until

    def _what_to_run(self, api: Api, request: Request, operation: Operation, until: float) -> tuple[Run, Operation]:
        namespace, release, holder = operation.namespace, operation.release, operation.mark
        files = self._parts.files
        match request.action:
            case "rollback":
                target = operation.target
                if not operation.attempt:  # a repeat goes to the same revision, which may be gone by then
                    kept = releases.revisions(api, namespace, release)
                    target = releases.target(kept, target or None).number
                argv = rollback_argv(release, namespace, target, timeout_s=self._timeout_s)
                changed = _replace(operation, target=target)
                return Run(argv, files(operation, None), namespace, release, holder, until), changed
            case "uninstall":
                argv = uninstall_argv(release, namespace, timeout_s=self._timeout_s)
                return Run(argv, files(operation, None), namespace, release, holder, until), operation
            case _:
                secrets = self._parts.secrets
                given = values.gather(request, secrets.object_store())
                api.until = step_time.asked_until(until)  # what S3 took is not the cluster's
                registry = secrets.registry(request.chart_repository)
                run = Run(
                    helm_argv(request, timeout_s=self._timeout_s, registry=registry_flags(registry)),
                    files(operation, given) | registry_files(registry),
                    namespace,
                    release,
                    holder,
                    until,
                    mark=operation.mark,
                    create_namespace=operation.create_namespaces,
                    struck=frozenset(all_words(given.parsed) | secrets.secret_words()),
                )
                return run, _replace(operation, values_digest=given.digest)

    def _settled(self, api: Api, operation: Operation, installed: Installed, *, is_last: bool = False) -> Next:
        """What is to be waited for now that helm is done; a cluster that cannot tell is asked again, unless is_last."""
        after, overtaken = installed.after, installed.overtaken
        if operation.action == "uninstall" and installed.repeated:
            status = "uninstalled" if operation.before else "absent"
            there = [] if overtaken else hooks.there(api, operation.namespace, operation.hooks)
            return self._ending.finish(operation, status, left=there, overtaken=overtaken)
        if overtaken and after is not None:
            return self._ending.finish(_at(operation, after), "deployed", overtaken=True)
        try:
            return self._settling.installed(api, operation, installed)
        except (ApiError, PlacementError) as e:
            if after is None:
                raise
            error = as_told(e)
            done, standing = _at(operation, after), _standing(error, after)
            if error.code not in _MAY_PASS or is_last:
                return self._ending.failed(done, standing)
            if operation.phase is Phase.MEND:
                return Next(_replace(done, error=standing), TRY_AGAIN_S)
            within_s = float(operation.timeout_s) if operation.waits else SETTLE_S
            return self._to_mend(done, standing, within_s=within_s)

    def _to_mend(self, operation: Operation, error: ErrorAnswer, *, within_s: float | None = None) -> Next:
        deadline_ms = self._parts.now_ms() + int((MEND_S if within_s is None else within_s) * 1000)
        mending = _replace(operation, phase=Phase.MEND, error=error, deadline_ms=deadline_ms)
        return Next(self._ending.progress(self._ending.telling(mending, "progressing")), MEND_SOON_S)

    def _is_early(self, operation: Operation) -> bool:
        return self._parts.now_ms() < operation.deadline_ms

    def mend(self, operation: Operation, asked: Asked) -> Next:
        """Look at what an interrupted run left; go on where helm had done all of it."""
        error = operation.error or error_answer(PlacementError(Code.INTERNAL))
        is_last = asked.is_whole and not self._is_early(operation)
        api = self._parts.api(operation)
        api.until = asked.until
        try:
            try:
                kept, done = self._found(api, operation)
            except (ApiError, PlacementError) as e:
                may_pass = isinstance(e, ApiError) or e.code in _MAY_PASS
                if may_pass and not is_last:
                    return Next(operation, TRY_AGAIN_S)
                return self._unknown(operation, error)
            if done is None and operation.again:
                return Next(_replace(operation, phase=Phase.HELM, again=False, error=None), TRY_AGAIN_S)
            if done is None:
                return self._failed(api, operation, error, kept)
            # Helm had done all of it.
            return self._settled(api, _replace(operation, error=None, again=False), done, is_last=is_last)
        finally:
            api.close()

    def _found(self, api: Api, operation: Operation) -> tuple[Sequence[Revision], Installed | None]:
        """The revisions after an interrupted run, and what it had done; None = not all of it."""
        namespace, release = operation.namespace, operation.release
        if operation.revision:  # helm is known to have ended: a slow cluster need not lend its lease for a look
            kept = releases.revisions(api, namespace, release)
            done = _done_already(operation, kept)
            if done is not None:
                return kept, done
        is_ours = partial(_may_have_left, operation)
        mended = self._installer.mend(api, namespace, release, operation.mark, is_ours)
        return mended, _done_already(operation, mended)

    def _unknown(self, operation: Operation, error: ErrorAnswer) -> Next:
        """The end of a run whose cluster does not tell what it left."""
        if operation.revision:  # it had been told before
            return self._ending.failed(operation, error)
        unknown = with_left(error.message, "not known, it does not answer; ask again by action status")
        return self._ending.finish(operation, "failed", error=_replace(error, message=unknown), is_unknown=True)

    def _failed(self, api: Api, operation: Operation, error: ErrorAnswer, kept: Sequence[Revision]) -> Next:
        """The end of a run that failed, with what it left.  kept: the revisions since."""
        made = _made(operation, kept)
        if made is None and operation.action == "apply" and error.code == Code.TIMEOUT:
            registry = self._parts.secrets.registry(operation.repository)
            error = error_answer(registries.stopped(Code.TIMEOUT, operation.repository, registry))
        before = next((r for r in kept if r.number == operation.before and r is not made), None)
        of_hooks = hooks.there(api, operation.namespace, hooks.of(made.hooks)) if made is not None else []
        what = left(before, made, of_hooks)
        error = _replace(error, message=with_left(without_left(error.message), what))
        return self._ending.failed(_replace(operation, revision=made.number if made is not None else 0), error)

    def undo(self, hand: Hand[Operation]) -> Next:
        """Go back to the last good revision, or uninstall."""
        operation = hand.call
        error = operation.error or error_answer(PlacementError(Code.INTERNAL))
        namespace, release = operation.namespace, operation.release
        api = self._parts.api(operation)
        until = self._until(api)
        try:
            known = releases.revisions(api, namespace, release)
            good = releases.good_before(known, operation.revision)
            target = good.number if good is not None else 0
            if target:
                argv = rollback_argv(release, namespace, target, timeout_s=self._timeout_s)
            else:
                argv = uninstall_argv(release, namespace, timeout_s=self._timeout_s)
            files = self._parts.files(operation, None)
            # Their record goes with an uninstall, and a repeat finds none.
            operation = _replace(operation, hooks=operation.hooks or _hooks_after(target, known))
            book = _Book(hand, operation, api, _undone_already(target), _undone_in_part(target))
            installed = self._installer.run(api, Run(argv, files, namespace, release, operation.mark, until), book)
            operation = book.operation
            there = [] if installed.overtaken else hooks.there(api, namespace, operation.hooks)
        except (FailedRunError, ApiError, PlacementError) as e:
            operation = hand.call
            if self._parts.now_ms() < operation.deadline_ms:
                return Next(operation, TRY_AGAIN_S)
            cause = e.error if isinstance(e, FailedRunError) else as_told(e)
            message = f"{without_left(error.message)} Going back failed too: {cause.detail}"
            message = with_left(message, _left_on_the_way_back(operation, error, e))
            return self._ending.finish(operation, "failed", error=_replace(error, message=message))
        finally:
            api.close()
        why = without_left(error.message)
        if installed.overtaken:
            message = f"{why} The release was not taken back: another call has changed it meanwhile."
            return self._ending.finish(operation, "failed", error=_replace(error, message=message), overtaken=True)
        message = f"{why} " + (
            f"The release was rolled back to what revision {target} was." if target else "The release was uninstalled."
        )
        if there:
            beside = namespace_left(operation) if not target else ""
            message = with_left(message, ", and ".join(filter(None, (hooks.told(there), beside))))
        changed = _replace(operation, error=_replace(error, message=message), phase=Phase.WATCH_UNDO)
        if not target:
            return self._ending.finish(_replace(changed, revision=0), "rolled-back", error=changed.error)
        if installed.after is not None:
            changed = _replace(_at(changed, installed.after), target=target)
        return Next(self._ending.progress(changed), LOOK_SOON_S)


class _Book:
    """A run's place in its operation's row: it is written there before helm begins.

    done: what an earlier run, whose end was not heard of, has come to.  is_left: whether one has left what is pending.
    """

    def __init__(
        self,
        hand: Hand[Operation],
        operation: Operation,
        api: Api,
        done: Callable[[Operation, Sequence[Revision]], Installed | None],
        is_left: Callable[[Operation, Sequence[Revision]], bool],
    ) -> None:
        self.operation = operation
        self._hand = hand
        self._api = api
        self._done = done
        self._is_left = is_left

    def namespace_made(self) -> None:
        """As installing.Book."""
        self._hand.keep(_replace(self.operation, namespace_made=True))
        self.operation = self._hand.call

    def begins(self, kept: Sequence[Revision]) -> Installed | None:
        """As installing.Book."""
        done = self._done(self.operation, kept)
        if done is None:
            begun = _replace(self.operation, attempt=self.operation.attempt + 1, since_s=self._api.now())
            if begun.phase is Phase.UNDO:
                begun = _replace(begun, undoing=True)
            else:
                begun = _replace(begun, before=_before(begun, kept), install=kept[-1].installed if kept else "")
                if begun.action == "uninstall":
                    begun = _replace(begun, hooks=begun.hooks or _hooks_after(0, kept))
            self._hand.keep(begun)
            self.operation = self._hand.call
        return done

    def is_ours(self, kept: Sequence[Revision]) -> bool:
        """As installing.Book."""
        return self._is_left(self.operation, kept)

    def warned(self, warnings: tuple[str, ...]) -> None:
        """As installing.Book."""
        told = helm_warnings.together(self.operation.warnings, warnings)
        self.operation = _replace(self.operation, warnings=told)


def _at(operation: Operation, revision: Revision) -> Operation:
    """The operation, come so far as to that revision."""
    return _replace(operation, revision=revision.number, chart=revision.chart)


def _standing(error: PlacementError, revision: Revision) -> ErrorAnswer:
    """An error after helm was done, with what stands on the cluster."""
    left = f"revision {revision.number} marked {revision.status}"
    return error_answer(PlacementError(error.code, error.detail, left=left))


def _left_on_the_way_back(operation: Operation, error: ErrorAnswer, failed: Exception) -> str:
    """What stands on the cluster where going back has failed.  error: why it began, with what was left then."""
    if isinstance(failed, FailedRunError) and failed.kept:
        newest = failed.kept[-1]
        return f"revision {newest.number} marked {newest.status}"
    if operation.undoing:
        return "not known, helm had begun to go back; ask again by action status"
    return left_of(error.message)


def _before(operation: Operation, kept: Sequence[Revision]) -> int:
    """The newest revision that is not this call's; one that failed may be an earlier run's of it."""
    newest = kept[-1] if kept else None
    if operation.before is not None and (newest is None or newest.status not in GOOD):
        return operation.before
    return newest.number if newest is not None else 0


def _done_already(operation: Operation, kept: Sequence[Revision]) -> Installed | None:
    """What an earlier run of this call, whose end was not heard of, has done; others may have come after it."""
    newest = kept[-1] if kept else None
    if operation.action == "uninstall":
        if operation.before is None or (newest is not None and newest.installed == operation.install):
            return None
        return Installed(None, None, repeated=True, overtaken=newest is not None)
    done = next((r for r in reversed(kept) if _is_done_by(operation, r)), None)
    if done is None or newest is None:
        return None
    before = next((r for r in kept if r.number == operation.before), None)
    return Installed(before, done, repeated=True, overtaken=done.number < newest.number)


def _is_done_by(operation: Operation, revision: Revision) -> bool:
    """Whether helm had finished this revision for this call."""
    if revision.status not in GOOD:
        return False
    if operation.action == "rollback":
        is_new = operation.before is not None and revision.number > operation.before
        return is_new and revision.description == f"Rollback to {operation.target}"
    return revision.description == operation.mark


def _undone_already(target: int) -> Callable[[Operation, Sequence[Revision]], Installed | None]:
    """For going back to `target`, 0 = uninstalling: what there is no more to be done."""

    def done(operation: Operation, kept: Sequence[Revision]) -> Installed | None:
        if not kept:
            return Installed(None, None, repeated=True, overtaken=target > 0)
        newest = kept[-1]
        if newest.status not in GOOD or newest.description == operation.mark:
            return None
        is_ours = newest.number > operation.revision and newest.description == f"Rollback to {target}"
        return Installed(None, newest, repeated=True, overtaken=not is_ours)

    return done


def _undone_in_part(target: int) -> Callable[[Operation, Sequence[Revision]], bool]:
    """As `_may_have_left`, for going back to `target`, 0 = uninstalling.  Whoever does that by hand leaves the same."""

    def is_left(operation: Operation, kept: Sequence[Revision]) -> bool:
        if not operation.undoing:
            return False
        return kept[-1].description == f"Rollback to {target}" if target else kept[-1].status == "uninstalling"

    return is_left


def _hooks_after(number: int, kept: Sequence[Revision]) -> tuple[hooks.Hook, ...]:
    """What hooks of the revisions after `number` may have made."""
    return hooks.of(text for r in kept if r.number > number for text in r.hooks)


def _made(operation: Operation, kept: Sequence[Revision]) -> Revision | None:
    """The newest revision that a failed run of this call made; None = there is none, or others came after it."""
    if operation.before is None or not kept:
        return None
    if operation.action == "uninstall":
        return kept[-1] if kept[-1].status not in GOOD else None
    since = [r for r in kept if r.number > (operation.before or 0)]
    return since[-1] if since and not any(r.status in GOOD for r in since) else None


def _may_have_left(operation: Operation, kept: Sequence[Revision]) -> bool:
    """Whether a run of this call that has ended may have left the newest revision pending; else it is somebody's."""
    if operation.action == "uninstall":
        return operation.before is not None and kept[-1].status == "uninstalling"
    return _made(operation, kept) is kept[-1]
