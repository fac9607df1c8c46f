"""The step that chooses a cluster, and the one that only shows what would change."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from placement import (
    choosing,
    differences,
    helm_warnings,
    hooks,
    manifest,
    namespaces,
    policy,
    registries,
    releases,
    step_time,
    values,
)
from placement.api import Api
from placement.choosing import NOTHING, Chooser
from placement.cluster import Cluster, Placed
from placement.ending import Ending
from placement.errors import Code, NotNowError, PlacementError
from placement.helm import registry_files, registry_flags
from placement.helm_errors import meaning
from placement.masking import all_words, secret_words
from placement.operation import Answer, Operation, Phase, Why, error_answer
from placement.parts import Next, Parts
from placement.plan import HelmPlan, Refused, helm_argv
from placement.releases import Revision
from placement.request import Request
from placement.underway import Entry, Seen

_TRIES = 10
_replace = msgspec.structs.replace


class Planning:
    """The first steps."""

    def __init__(self, parts: Parts, ending: Ending) -> None:
        self.chooser = Chooser(parts.helm, parts.secrets, parts.connect)
        self._parts = parts
        self._ending = ending

    def plan(self, operation: Operation) -> Next:
        """Choose, as far as policy lets the caller."""
        request = self._parts.request(operation)
        grant = policy.grant_of(self._parts.secrets.grants(), operation.caller)
        policy.check(grant, operation.caller, request)
        clusters = self.permitted(grant, operation.caller, request)
        is_preview = request.dry_run or request.action == "diff"
        if request.action in ("rollback", "uninstall"):
            chosen: HelmPlan | Refused = self.chooser.locate(request, clusters, self.placed())
        else:
            chosen = self._chosen(operation, request, clusters, is_preview=is_preview)
        if isinstance(chosen, Refused):
            why = Why("", chosen.why_not)
            error = error_answer(PlacementError(chosen.code, chosen.detail))
            return self._ending.finish(_replace(operation, why=why), "refused", error=error, why=why)
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
        return Next(self._ending.progress(changed))

    def _chosen(
        self, operation: Operation, request: Request, clusters: Sequence[Cluster], *, is_preview: bool
    ) -> HelmPlan | Refused:
        """A choice that knows those of every other call, and that they know.  Raises NotNowError, PlacementError."""
        underway, state, until = self._parts.underway, NOTHING, step_time.helm_until(choosing.TEMPLATE_S)
        for _ in range(_TRIES):
            seen = underway.see(but=operation.key)
            state = self.chooser.look(request, clusters, self._beside(seen), state, until=until)
            chosen = self.chooser.choose(request, clusters, state, timeout_s=self._parts.helm_timeout_s)
            if isinstance(chosen, Refused) or is_preview:
                return chosen
            group = request.choose.group
            placed = Placed(chosen.cluster, operation.namespace, operation.release, group, is_coming=True)
            if underway.add(seen, Entry(operation.key, placed)):
                return chosen
        raise NotNowError

    def placed(self) -> tuple[Placed, ...]:
        """What is on the clusters, and what calls that are under way bring there."""
        return self._beside(self._parts.underway.see())

    def _beside(self, seen: Seen) -> tuple[Placed, ...]:
        there = {(p.cluster, p.namespace, p.release): p for p in self._parts.inventory.placed()}
        coming = {(p.cluster, p.namespace, p.release): p for p in seen.placed}
        return (*there.values(), *(p for which, p in coming.items() if which not in there))

    def permitted(self, grant: policy.Grant, caller: str, request: Request) -> list[Cluster]:
        """The clusters that the caller may use.  Raises PlacementError not_allowed for a named one that it may not."""
        clusters = self._parts.clusters.all()
        for cluster in clusters:
            if cluster.name == request.named:
                policy.check_cluster(grant, caller, cluster)
        return [cluster for cluster in clusters if grant.may_use(cluster)]

    def preview(self, operation: Operation) -> Next:
        """Change nothing, and tell what would differ."""
        request = self._parts.request(operation)
        until = step_time.helm_until(self._parts.helm_timeout_s)
        api = self._parts.api(operation)
        api.until = step_time.asked_until(until)
        try:
            kept = releases.revisions(api, operation.namespace, operation.release)
            now = kept[-1] if kept else None
            left: list[str] = []
            if request.action == "uninstall":
                changed, after, secret = operation, _kept_anyway(now), set[str]()
                left = _left_anyway(api, operation.namespace, kept)
            elif request.action == "rollback":
                target = releases.target(kept, request.revision)
                after, secret = manifest.objects(target.manifest), secret_words(target.config)
                changed = _replace(operation, chart=target.chart)
            else:
                if not kept and api.account and namespaces.is_missing(api, operation.namespace):
                    raise namespaces.missing(api, operation.namespace)  # nothing is rendered where nobody is let in
                changed, after, secret = self._rendered(operation, request, until)
        finally:
            api.close()
        before = manifest.objects(now.manifest) if now is not None else []
        # Those of now, too: what a rotated password was is no business of who may ask for a diff.
        secret |= secret_words(now.config if now else {}) | self._parts.secrets.secret_words()
        lines = differences.between(before, after, secret)
        return self._ending.finish(
            _replace(changed, revision=now.number if now else 0), "planned", diff=lines, left=left
        )

    def _rendered(
        self, operation: Operation, request: Request, until: float
    ) -> tuple[Operation, list[manifest.Object], set[str]]:
        """What helm would make of the chart on the cluster, and the secret words of its values.

        until: when helm is to be over, by the monotonic clock.
        """
        secrets = self._parts.secrets
        given = values.gather(request, secrets.object_store())
        registry = secrets.registry(request.chart_repository)
        timeout_s = self._parts.helm_timeout_s
        files = self._parts.files(operation, given) | registry_files(registry)
        argv = helm_argv(request, timeout_s=timeout_s, registry=registry_flags(registry), dry_run=True)
        if time.monotonic() > until:  # what S3 took as well
            raise PlacementError(Code.TIMEOUT)
        with self._parts.helm.turn() as turn:
            ran = turn.run(argv, files, timeout_s=step_time.helm_has_s(timeout_s, until))
        if ran.stopped is not None:
            raise registries.stopped(ran.stopped, request.chart_repository, registry)
        struck = all_words(given.parsed) | secrets.secret_words()
        if ran.exit_code != 0:
            raise meaning(ran.stderr, struck)
        record = releases.revision_of(msgspec.json.decode(ran.stdout))
        changed = _replace(
            operation,
            chart=record.chart,
            values_digest=given.digest,
            warnings=helm_warnings.warnings(ran.stderr, struck),
        )
        return changed, manifest.objects(record.manifest), secret_words(given.parsed)


def _left_anyway(api: Api, namespace: str, kept: Sequence[Revision]) -> list[str]:
    """What hooks have made, or would make at an uninstall, and it leaves."""
    there = hooks.there(api, namespace, hooks.of(text for revision in kept for text in revision.hooks))
    coming = hooks.left_by_uninstall(kept[-1].hooks) if kept else ()
    return list(dict.fromkeys((*there, *(f"{hook.kind}/{hook.name}" for hook in coming))))


def _kept_anyway(now: Revision | None) -> list[manifest.Object]:
    """What an uninstall leaves."""
    if now is None:
        return []
    return [thing for thing in manifest.objects(now.manifest) if manifest.is_kept(thing)]
