"""The steps after helm: pods that take a new configuration, workloads that become ready, or do not."""

from __future__ import annotations

import time
from collections.abc import Iterable

import msgspec

from placement import hooks, manifest, masking, releases, watching
from placement.api import Api
from placement.ending import Ending, told
from placement.errors import Code, PlacementError
from placement.installing import Installed
from placement.nudging import Behind, Reloads
from placement.operation import Operation, Phase, error_answer
from placement.parts import Next, Parts
from placement.readiness import Verdict
from placement.releases import Revision
from placement.step_time import Asked

LOOK_EVERY_S = 1.0
LOOK_SOON_S = 0.1
RELOAD_S = 30.0
SETTLE_S = 10.0
"""A caller who does not wait is told so much later at most that helm is done and the pods could not be looked at."""
MAY_PASS = (Code.CLUSTER_DOWN, Code.CLUSTER_REFUSED)
"""What a cluster says that is asked again for a while."""
_replace = msgspec.structs.replace


class Settling:
    """From what helm has done to an answer."""

    def __init__(self, parts: Parts, ending: Ending) -> None:
        self._parts = parts
        self._ending = ending

    def installed(self, api: Api, operation: Operation, installed: Installed) -> Next:
        """Helm is done: what has to be waited for."""
        after = installed.after
        if operation.action == "uninstall":
            status = "uninstalled" if installed.before is not None or operation.attempt > 1 else "absent"
            return self._ending.finish(operation, status, left=hooks.there(api, operation.namespace, operation.hooks))
        if after is None:
            raise PlacementError(Code.NO_SUCH_RELEASE)
        objects = manifest.objects(after.manifest)
        before = installed.before
        changed = _replace(operation, revision=after.number, chart=after.chart)
        if before is not None:
            older = manifest.objects(before.manifest)
            # At once, also where other workloads roll: pods of those that do not would wait for a minute.
            configs = manifest.changed_configuration(older, objects)
            nudged = configs and Reloads(api).begin(operation.namespace, operation.release, configs)
            if nudged and before.status in releases.GOOD and manifest.only_configuration_changed(older, objects):
                return self._to_reload(changed, configs)
            changed = _replace(changed, under_pods=tuple(manifest.changed_under_pods(older, objects)))
        return self._to_watch(changed, Asked(api.until or 0.0), api)

    def _to_reload(self, operation: Operation, configs: Iterable[str]) -> Next:
        deadline_ms = self._parts.now_ms() + int(RELOAD_S * 1000)
        waited_for = tuple(sorted({*operation.configs, *configs}))
        reloading = _replace(operation, phase=Phase.RELOAD, configs=waited_for, deadline_ms=deadline_ms)
        return Next(self._ending.progress(self._ending.telling(reloading, "progressing")))

    def _to_watch(self, operation: Operation, asked: Asked, api: Api | None = None) -> Next:
        """Where nobody waits: look at once, in a step of its own where this one's time does not suffice.

        Who waits does so from helm's end on, and has not its time anew when pods have taken another configuration.
        """
        now_ms = self._parts.now_ms()
        deadline_ms = now_ms + operation.timeout_s * 1000
        if operation.phase is Phase.RELOAD:
            deadline_ms = max(_last_ms(operation), now_ms + int(SETTLE_S * 1000))
        if not operation.waits:
            try:
                return self.watch(operation, asked, api)
            except PlacementError as e:
                is_out_of_time = e.code is Code.CLUSTER_DOWN and time.monotonic() >= asked.until
                has_its_error = operation.error is not None and e.code in MAY_PASS
                if not (is_out_of_time or has_its_error):
                    raise
                deadline_ms = self._parts.now_ms() + int(SETTLE_S * 1000)
        watching_on = _replace(operation, phase=Phase.WATCH, deadline_ms=deadline_ms)
        return Next(self._ending.progress(self._ending.telling(watching_on, "progressing")), LOOK_SOON_S)

    def reload(self, operation: Operation, asked: Asked) -> Next:
        """Wait a little for pods to run with their new configuration."""
        begun_ms = self._parts.now_ms()
        try:
            return self._reloaded(operation, asked)
        except PlacementError as e:
            waiting = self._waiting_out(operation, e, begun_ms if asked.is_whole else 0)
            if waiting is None:
                raise
            return waiting

    def _waiting_out(self, operation: Operation, error: PlacementError, begun_ms: int) -> Next | None:
        """A cluster that cannot be asked for a moment is no failure of the configuration; None = it was too long.

        One that is down is waited for as long as the caller waits, and its pods have their time again afterwards.
        begun_ms: when the step began, 0 = it was cut short for its caller.
        """
        last_ms = operation.deadline_ms
        if error.code is Code.CLUSTER_DOWN and operation.waits:
            last_ms = max(last_ms, _last_ms(operation))
        if error.code not in MAY_PASS or begun_ms >= last_ms:
            return None
        if error.code is Code.CLUSTER_DOWN:
            again_ms = min(last_ms, self._parts.now_ms() + int(RELOAD_S * 1000))
            operation = _replace(operation, deadline_ms=max(operation.deadline_ms, again_ms))
        return Next(operation, LOOK_EVERY_S)

    def _reloaded(self, operation: Operation, asked: Asked) -> Next:
        api = self._parts.api(operation)
        api.until = asked.until
        try:
            taken = Reloads(api).wait(operation.namespace, operation.release, operation.configs)
            error = self._without_secrets(api, operation, taken.error)
        finally:
            api.close()
        if error is not None and (taken.is_settled or self._parts.now_ms() >= operation.deadline_ms):
            failed = _replace(operation, error=error_answer(error))
            return self._to_watch(_replace(failed, waits=False), asked)
        if not taken.is_settled:
            return Next(operation, LOOK_SOON_S)
        return self._to_watch(operation, asked)

    def _without_secrets(self, api: Api, operation: Operation, error: PlacementError | None) -> PlacementError | None:
        """A check that refuses a configuration says so with the line that it refuses, and any password in it."""
        if error is None or error.code is not Code.CONFIG_REJECTED:
            return error
        newest = releases.latest(api, operation.namespace, operation.release)
        words = self._parts.secrets.secret_words()
        if newest is not None:
            words |= masking.secret_words(newest.config) | masking.words_of_files(manifest.objects(newest.manifest))
        return PlacementError(error.code, masking.strike(error.detail, words))

    def watch(self, operation: Operation, asked: Asked, connected: Api | None = None) -> Next:
        """Look at the release: ready, failed, or to be looked at again.

        Where the cluster is too slow for all of it, what pods run with is asked in a step of its own, once they are
        found ready.  connected: the API server, where there is a connection to it.
        """
        is_last = asked.is_whole and self._is_late(operation)
        undone = operation.phase is Phase.WATCH_UNDO
        is_apart = undone or operation.phase is Phase.WATCH  # else one that follows something else in its step
        was_seen, operation = operation.is_seen, _replace(operation, is_seen=False)
        look: watching.Look | None = None
        api = connected or self._parts.api(operation)
        api.until = asked.until
        try:
            newest = releases.latest(api, operation.namespace, operation.release)
            if newest is None and undone:
                return self._ending.finish(operation, "rolled-back", error=operation.error)
            if newest is None:
                raise PlacementError(Code.NO_SUCH_RELEASE, "The release was removed meanwhile.")
            look = self._looked(api, operation, newest, was_seen=was_seen)
            behind = Behind()
            if look.verdict is Verdict.READY and self._has_to_confirm(operation):
                behind = Reloads(api).nudged_behind(operation.namespace, operation.release)
        except PlacementError as e:
            # A cluster that is down for a while is no failure of the release; when it comes back, its API server
            # refuses everybody until it has read its roles.
            if not is_apart or e.code not in MAY_PASS:
                raise
            is_cut = time.monotonic() >= asked.until
            if is_cut and look is not None and not was_seen:
                return self._to_confirm(operation, look)  # the last one, too: it was found ready
            if is_last:
                return self._unseen(operation, e)
            return Next(operation, LOOK_EVERY_S)
        finally:
            if connected is None:
                api.close()
        operation = _replace(operation, answer=_replace(operation.answer, pods=look.pods))
        if undone:
            if (look.verdict is Verdict.WAITING or behind.waiting) and not self._is_late(operation):
                return Next(operation, LOOK_EVERY_S)
            error = operation.error
            if error is not None and look.verdict is not Verdict.READY:
                state = "do not run either" if look.verdict is Verdict.FAILED else "are not ready yet"
                error = _replace(error, message=f"{error.message} Its pods {state}: {look.why}.")
            elif error is not None and behind.waiting:
                error = _replace(error, message=f"{error.message} Not every pod has confirmed that configuration yet.")
            overtaken = newest.number > operation.revision
            return self._ending.finish(operation, "rolled-back", error=error, overtaken=overtaken)
        if operation.error is not None:
            return self._ending.failed(operation, operation.error, newest)
        silent = behind.silent & set(operation.under_pods)  # of what did not change, nothing is owed
        if unheard := (behind.waiting | behind.refused | silent) - set(operation.configs):
            return self._to_reload(operation, unheard)
        if look.verdict is Verdict.FAILED:
            return self._ending.failed(operation, told(Code.PODS_CRASH, look.why), newest)
        if not operation.waits:
            return self._ending.finish(operation, "deployed" if look.verdict is Verdict.WAITING else "ready")
        if look.verdict is Verdict.READY:
            return self._ending.finish(operation, "ready")
        if self._is_late(operation):
            return self._ending.failed(operation, told(Code.NOT_READY, look.why), newest)
        return Next(self._ending.telling(operation, "progressing"), LOOK_EVERY_S)

    def _unseen(self, operation: Operation, error: PlacementError) -> Next:
        """The end where a cluster does not show how the pods are: what was found out before it went away counts."""
        known = operation.error
        if known is None:
            raise error
        if operation.phase is Phase.WATCH:
            return self._ending.failed(operation, known)
        known = _replace(known, message=f"{known.message} Its pods could not be looked at: {error.detail}")
        return self._ending.finish(operation, "rolled-back", error=known)

    @staticmethod
    def _looked(api: Api, operation: Operation, newest: Revision, *, was_seen: bool) -> watching.Look:
        """How the pods are; the step just before has seen it where they only have to say what they run with."""
        if was_seen:
            return watching.Look(operation.answer.pods, Verdict.READY, "")
        return watching.look(api, operation.namespace, manifest.objects(newest.manifest), operation.since_s)

    @staticmethod
    def _has_to_confirm(operation: Operation) -> bool:
        """Whether the pods are asked what they run with: those of a first revision have read it when they began."""
        undone = operation.phase is Phase.WATCH_UNDO
        return undone or (operation.revision > 1 and operation.error is None)

    @staticmethod
    def _to_confirm(operation: Operation, look: watching.Look) -> Next:
        answer = _replace(operation.answer, pods=look.pods)
        return Next(_replace(operation, is_seen=True, answer=answer), LOOK_SOON_S)

    def _is_late(self, operation: Operation) -> bool:
        return self._parts.now_ms() >= operation.deadline_ms


def _last_ms(operation: Operation) -> int:
    """Until when the caller of one that waits does."""
    return operation.begun_ms + operation.timeout_s * 1000
