"""Write a ConfigMap, nudge the pods that mount it, wait until each has taken it.

The one way from new configuration to running daemons.  config-reload uses all three steps; placement, whose Helm has
written the ConfigMap already, uses the last two:

    targets = apply.targets_of_release(cluster, "open5gs", "amf-a")       # after helm upgrade
    apply.nudge(cluster, *targets)
    progress = apply.wait(cluster, targets, until_s=time.monotonic() + 3.0)
    progress.applied, progress.of, progress.settled, progress.pods

Nothing here begins after the times it is given: what is not settled then is looked at again by a later, short `look`.
How long one answer may take is the cluster's own (`Cluster.until`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace

from reload.cluster import INSTANCE_LABEL, NUDGE_ANNOTATION, UNDER_RELOAD_LABEL, Cluster, Config, Pod
from reload.errors import ReloadError, StaleVersionError
from trust import hiding

WRITE_TRIES = 5
MAX_OCTETS = 900_000  # etcd takes 1 MiB for the object with everything around the files
LOOK_TIMEOUT_S = 1.0
LOOK_INTERVAL_S = 0.1
RENUDGE_S = 1.0
_WORKERS = 8
_ASKED_AT_ONCE = 32
"""Pods that are asked at a time: with fewer, some that are silent would leave no time for the others."""

Files = Mapping[str, bytes]
Asked = Sequence[tuple["Target", Pod]]
"""Pods, each with the target that it should report."""


@dataclass(frozen=True, slots=True)
class Target:
    """A ConfigMap, the digest that its pods should report, and where to look for them.

    selector: labels that narrow the pods ("" = all of the namespace); only those that mount the ConfigMap count.
    """

    namespace: str
    config: str
    digest: str
    selector: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """before, after: the files.  changed: False when they were the same, and nothing was written."""

    target: Target
    before: Config
    after: Config
    changed: bool


@dataclass(frozen=True, slots=True)
class PodReport:
    """How far one pod is.

    state: applied | rejected (the candidate is bad: it runs on its last good configuration) | failed (the candidate is
    good, but the daemon did not take it) | waiting (not yet) | silent (its agent does not answer) | unmanaged (no agent
    in it).
    detail: the agent's one sentence for rejected and failed, which may quote the configuration: without what it assigns
    to names of something secret.  digest: what it runs with, "" = unknown.
    restarts: of all its containers.
    """

    name: str
    uid: str
    config: str
    state: str
    digest: str = ""
    detail: str = ""
    phase: str = ""
    ready: bool = False
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """pods: one report per pod and target, ordered by name."""

    pods: tuple[PodReport, ...]

    @property
    def applied(self) -> int:
        """Pods that run with the wanted digest."""
        return sum(report.state == "applied" for report in self.pods)

    @property
    def of(self) -> int:
        """Pods that should."""
        return len(self.pods)

    @property
    def settled(self) -> bool:
        """Whether waiting longer would change nothing."""
        return all(report.state in ("applied", "rejected", "failed", "unmanaged") for report in self.pods)

    def without_secrets(self, files: Files) -> Progress:
        """The same, where no detail quotes what these files give to names of something secret."""
        if not any(report.detail for report in self.pods):
            return self
        words = {word for content in files.values() for word in hiding.assigned(content.decode("utf-8", "replace"))}
        return Progress(tuple(replace(report, detail=hiding.without(report.detail, words)) for report in self.pods))

    def as_json(self) -> list[dict[str, object]]:
        """The reports as an answer's `pods`."""
        return [asdict(report) for report in self.pods]


def write(
    cluster: Cluster,
    namespace: str,
    name: str,
    change: Callable[[Files], Files],
    *,
    selector: str = "",
    known: Config | None = None,
    begin_by_s: float = math.inf,
    clock: Callable[[], float] = time.monotonic,
) -> Written:
    """Read the ConfigMap, hand its files to `change`, and write what comes back under its resourceVersion.

    A conflict reads again and calls `change` again, WRITE_TRIES times in all; `change` may raise ReloadError.
    known: as it was read just now, None = it is read.  begin_by_s: nothing is written once clock says so much.
    Raises ReloadError: configmap_missing, conflict, too_large, values_invalid (immutable), and the cluster's own.
    """
    for _ in range(WRITE_TRIES):
        before, known = known or cluster.config(namespace, name), None
        if before is None:
            raise ReloadError(
                "configmap_missing",
                f"namespace {namespace} has no ConfigMap {name}",
                f"kubectl -n {namespace} get configmaps shows those there are",
            )
        files = dict(change(before.files))
        if files == dict(before.files):
            return Written(Target(namespace, name, before.digest, selector), before, before, changed=False)
        if before.immutable:
            raise ReloadError("values_invalid", f"ConfigMap {name} is immutable", "deploy it without `immutable: true`")
        if sum(len(key) + len(value) for key, value in files.items()) > MAX_OCTETS:
            raise ReloadError("too_large", f"the files together have more than {MAX_OCTETS} octets")
        if clock() >= begin_by_s:
            detail = f"the API server answers too slowly: there was no time left to change ConfigMap {name}"
            raise ReloadError("cluster_unreachable", detail, "nothing is changed: call again later")
        try:
            after = cluster.replace_config(before, files)
        except StaleVersionError:
            continue
        except ReloadError as e:
            if e.code != "cluster_unreachable":
                raise
            detail = f"{e.detail}: whether ConfigMap {name} is written nobody knows"
            raise ReloadError(e.code, detail, "call again, or see what it holds: action diff") from e
        return Written(Target(namespace, name, after.digest, selector), before, after, changed=True)
    raise ReloadError(
        "conflict",
        f"ConfigMap {name} was changed by somebody else {WRITE_TRIES} times while this change was being written",
        "call again when the other writer is done",
    )


def targets_of_release(cluster: Cluster, namespace: str, release: str) -> list[Target]:
    """What the pods of a Helm release should run with now: its ConfigMaps that are under reload, as they are."""
    selector = f"{INSTANCE_LABEL}={release}"
    found = configs_of_release(cluster, namespace, release)
    return [Target(namespace, config.name, config.digest, selector) for config in found]


def configs_of_release(cluster: Cluster, namespace: str, release: str) -> list[Config]:
    """The ConfigMaps of a Helm release that are under reload; empty for a release without any.

    Found by the labels app.kubernetes.io/instance=<release> and reload.edge/config.
    """
    return cluster.configs(namespace, f"{INSTANCE_LABEL}={release},{UNDER_RELOAD_LABEL}")


def pods_of(cluster: Cluster, targets: Sequence[Target]) -> list[tuple[Target, Pod]]:
    """Each target with the pods that mount its ConfigMap and are not on their way out, ordered by name.

    One API read for all targets of a release.
    """
    wanted = dict.fromkeys((target.namespace, target.selector) for target in targets)
    there = {where: sorted(cluster.pods(*where), key=lambda pod: pod.name) for where in wanted}
    return [
        (target, pod)
        for target in targets
        for pod in there[target.namespace, target.selector]
        if target.config in pod.configs and not pod.terminating and pod.phase not in ("Succeeded", "Failed")
    ]


def nudge(cluster: Cluster, *targets: Target) -> int:
    """Annotate their pods with the wanted digest, so that kubelets sync the volumes now and not within a minute.

    Out: how many pods were annotated (one may be gone meanwhile).  Harmless to repeat; a repeat nudges again.
    """
    return nudge_pods(cluster, pods_of(cluster, targets))


def nudge_pods(cluster: Cluster, asked: Asked) -> int:
    """`nudge`, for pods that are listed already."""
    if not asked:
        return 0
    # With the time in it, because a patch that changes nothing would reach no kubelet.
    now_ms = time.time_ns() // 1_000_000

    def annotated(pair: tuple[Target, Pod]) -> bool:
        target, pod = pair
        note = {NUDGE_ANNOTATION: f"{target.digest} {target.config} {now_ms}"}
        return cluster.annotate_pod(pod.namespace, pod.name, note)

    with ThreadPoolExecutor(min(_WORKERS, len(asked))) as pool:
        return sum(pool.map(annotated, asked))


def look(
    cluster: Cluster, targets: Sequence[Target], *, timeout_s: float = LOOK_TIMEOUT_S, pods: Asked | None = None
) -> Progress:
    """Ask every pod's agent once what it runs with; lasts about timeout_s per 32 silent pods, and one API read.

    pods: as they were listed just now, None = they are listed.
    """
    asked = pods_of(cluster, targets) if pods is None else pods
    if not asked:
        return Progress(())
    with ThreadPoolExecutor(min(_ASKED_AT_ONCE, len(asked))) as pool:
        reports = list(pool.map(lambda pair: _report(cluster, pair[0], pair[1], timeout_s), asked))
    return Progress(tuple(sorted(reports, key=lambda report: (report.name, report.config))))


def wait(
    cluster: Cluster,
    targets: Sequence[Target],
    *,
    until_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    timeout_s: float = LOOK_TIMEOUT_S,
    pods: Asked | None = None,
) -> Progress:
    """`look` until it is settled; the last look begins before `until_s` (of `clock`).  Always looks once.

    Call `nudge` before.  Nudges again every RENUDGE_S: a kubelet may be nudged before the change has reached its own
    watch.  timeout_s, pods: as `look` takes them.

    Out: the last look that came to its end.  Not settled: nudge and look again later, by another short call.
    """
    nudge_s = clock() + RENUDGE_S
    progress = look(cluster, targets, timeout_s=timeout_s, pods=pods)
    while not progress.settled and clock() + LOOK_INTERVAL_S < until_s:
        try:
            if clock() >= nudge_s:
                waiting = {report.config for report in progress.pods if report.state == "waiting"}
                nudge(cluster, *(target for target in targets if target.config in waiting))
                nudge_s = clock() + RENUDGE_S
            sleep(LOOK_INTERVAL_S)
            progress = look(cluster, targets, timeout_s=timeout_s)
        except ReloadError as e:
            if e.code != "cluster_unreachable" or clock() < until_s:
                raise
            break
    return progress


def _report(cluster: Cluster, target: Target, pod: Pod, timeout_s: float) -> PodReport:
    report = PodReport(pod.name, pod.uid, target.config, "unmanaged", "", "", pod.phase, pod.ready, pod.restarts)
    if pod.status_port is None:
        return report
    status = cluster.pod_status(pod, timeout_s)
    if status is None:
        return replace(report, state="silent", detail="its reload agent does not answer")
    digest = str(status.get("digest") or "")
    report = replace(report, digest=digest)
    if digest == target.digest:
        return replace(report, state="applied")
    verdict = status.get("verdict")
    if status.get("candidate") == target.digest and verdict in ("rejected", "failed"):
        detail = hiding.without_assigned(str(status.get("reason") or ""))[:500]
        return replace(report, state=str(verdict), detail=detail)
    return replace(report, state="waiting")
