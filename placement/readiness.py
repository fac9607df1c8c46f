"""Whether a release runs, judged from its workloads and pods as the API shows them.  Pure.

Truthful: a pod that crashes or cannot start makes it fail, whatever helm said; and one that is up is not yet one that
stays up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import msgspec

from placement.manifest import Object, name_of
from placement.quantities import unix_s

_HOPELESS = frozenset(
    {
        "CrashLoopBackOff",
        "ImagePullBackOff",
        "ErrImagePull",
        "ErrImageNeverPull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "StartError",
    }
)


UNPROBED_S = 4.0
"""A container without a readiness probe is ready to Kubernetes at once: it counts when it has run that long.

One that ends after two seconds is found by that, though both ends are told to a second only.
"""
RESTARTED_S = 10.0
"""A container that has ended counts when it has run that long again: the kubelet's first pause after a crash."""

_OBSERVED = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")


class Verdict(Enum):
    """What a look at a release says."""

    READY = "ready"
    WAITING = "waiting"
    FAILED = "failed"


class Pod(msgspec.Struct, frozen=True):
    """A pod of the answer."""

    name: str
    phase: str
    ready: bool
    restarts: int
    node: str
    image: str


def pod_of(thing: Mapping[str, Any]) -> Pod:
    """The line of the answer.  phase: Kubernetes' own, or the reason why a container waits, or Terminating.

    image: of the first container.  restarts: of all.
    """
    status = thing.get("status") or {}
    containers = status.get("containerStatuses") or []
    reason = _reason(thing)
    return Pod(
        name=thing["metadata"]["name"],
        phase=reason or status.get("phase") or "Unknown",
        ready=_is_ready(thing),
        restarts=sum(int(c.get("restartCount") or 0) for c in containers),
        node=(thing.get("spec") or {}).get("nodeName") or "",
        image=((thing.get("spec") or {}).get("containers") or [{}])[0].get("image") or "",
    )


def _reason(pod: Mapping[str, Any]) -> str:
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    status = pod.get("status") or {}
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        state = container.get("state") or {}
        waiting = (state.get("waiting") or {}).get("reason") or ""
        if waiting in _HOPELESS:
            return waiting
        ended = state.get("terminated") or {}
        if ended and (ended.get("exitCode") or 0) != 0:
            return str(ended.get("reason") or "Error")
    return str(status.get("reason") or "")


def _is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def crashes(pod: Mapping[str, Any]) -> str:
    """Why a pod cannot run as it is, in a clause; "" = nothing says so.

    One that is over has no say: evicted ones stay for long beside those that came for them, and so do a Job's tries.
    """
    status = pod.get("status") or {}
    name = pod["metadata"]["name"]
    if pod["metadata"].get("deletionTimestamp") or status.get("phase") == "Failed":
        return ""
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        state = container.get("state") or {}
        waiting = (state.get("waiting") or {}).get("reason") or ""
        if waiting in _HOPELESS:
            return f"pod {name}: container {container.get('name')} is in {waiting}"
        ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated") or {}
        if (ended.get("exitCode") or 0) != 0 and not container.get("ready"):
            return f"pod {name}: container {container.get('name')} ended with exit code {ended.get('exitCode')}"
    return ""


def unsettled(pod: Mapping[str, Any], now_s: float) -> str:
    """Why it is too early to say that a pod stays up, in a clause; "" = it has shown it, or need not.

    Only containers that have ended before, or that nobody probes, have to.  now_s: by the cluster's clock.
    """
    status, spec = pod.get("status") or {}, pod.get("spec") or {}
    if pod["metadata"].get("deletionTimestamp") or status.get("phase") != "Running":
        return ""
    probed = {c.get("name") for c in spec.get("containers") or [] if c.get("readinessProbe")}
    mains = status.get("containerStatuses") or []
    sidecars = [c for c in status.get("initContainerStatuses") or [] if (c.get("state") or {}).get("running")]
    for container in [*sidecars, *mains]:
        running = (container.get("state") or {}).get("running")
        if running is None:
            continue
        restarts = int(container.get("restartCount") or 0)
        has_ended = restarts > 0 or bool((container.get("lastState") or {}).get("terminated"))
        is_unprobed = container in mains and container.get("name") not in probed
        needs_s = RESTARTED_S if has_ended else UNPROBED_S if is_unprobed else 0.0
        # Without a time nothing is known of one that never ended; of one that did, that it may end again.
        unknown_s = now_s if has_ended else 0.0
        ran_s = now_s - unix_s(running.get("startedAt"), unknown_s)
        if ran_s < needs_s:
            why = f"after {restarts} restarts" if has_ended else "without a readiness probe"
            who = f"pod {pod['metadata']['name']}: container {container.get('name')}"
            return f"{who} has run for {max(0, ran_s):.0f} s {why}, and counts after {needs_s:g}"
    return ""


def judge(
    workloads: Sequence[Object], pods: Sequence[Mapping[str, Any]], since_s: float = 0.0, *, now_s: float
) -> tuple[Verdict, str]:
    """The verdict, and why in one clause.

    workloads: the release's, as the API has them now ({"kind", "metadata"} alone for one that is not there yet).
    since_s: when they were last written, by the cluster's clock: while they roll, older pods are on their way out and
    do not count.  now_s: by the same clock.
    """
    judged = [_judge_one(thing) for thing in workloads]
    rolling = any(verdict is Verdict.WAITING and is_rolling for verdict, _, is_rolling in judged)
    for pod in pods:
        if (not rolling or _created_s(pod) >= since_s - 1) and (trouble := crashes(pod)):
            return Verdict.FAILED, trouble
    for verdict, why, _ in judged:
        if verdict is not Verdict.READY:
            return verdict, why
    for pod in pods:
        if early := unsettled(pod, now_s):
            return Verdict.WAITING, early
    return Verdict.READY, f"{len(pods)} pods" if len(pods) != 1 else "1 pod"


def _created_s(pod: Mapping[str, Any]) -> float:
    return unix_s(pod["metadata"].get("creationTimestamp"), float("inf"))


def _judge_one(thing: Object) -> tuple[Verdict, str, bool]:
    """Verdict, why, and whether pods of an older definition may still be there."""
    kind, _, name = name_of(thing)
    label = f"{kind}/{name}"
    spec, status = thing.get("spec") or {}, thing.get("status") or {}
    seen, current = status.get("observedGeneration") or 0, thing["metadata"].get("generation") or 0
    if kind in _OBSERVED and (not status or seen < current):
        return Verdict.WAITING, f"{label} is not looked at by its controller yet", True
    match kind:
        case "Deployment":
            updated, wanted = status.get("updatedReplicas") or 0, spec.get("replicas", 1)
            for condition in status.get("conditions") or []:
                if condition.get("type") == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
                    return Verdict.FAILED, f"{label} passed its progress deadline", False
            rolling = updated < wanted or (status.get("replicas") or 0) > updated
            return _counted(label, min(updated, status.get("availableReplicas") or 0), wanted, rolling)
        case "StatefulSet":
            updated, wanted = status.get("updatedReplicas") or 0, spec.get("replicas", 1)
            to_come = max(0, _rolled(spec, wanted) - updated)
            if status.get("currentRevision") == status.get("updateRevision"):
                to_come = 0  # nothing rolls: the count of updated ones is left out then
            return _counted(label, min(wanted - to_come, status.get("readyReplicas") or 0), wanted, to_come > 0)
        case "DaemonSet":
            wanted = status.get("desiredNumberScheduled") or 0
            to_come = max(0, _rolled(spec, wanted) - (status.get("updatedNumberScheduled") or 0))
            return _counted(label, min(wanted - to_come, status.get("numberReady") or 0), wanted, to_come > 0)
        case "ReplicaSet":
            return _counted(label, status.get("readyReplicas") or 0, spec.get("replicas", 1), False)
        case "Job":
            if any(c.get("type") == "Failed" and c.get("status") == "True" for c in status.get("conditions") or []):
                return Verdict.FAILED, f"{label} failed", False
            return _counted(label, status.get("succeeded") or 0, spec.get("completions") or 1, False)
        case "Pod":
            if status.get("phase") == "Succeeded" or _is_ready(thing):
                return Verdict.READY, label, False
            if status.get("phase") == "Failed":
                return Verdict.FAILED, f"{label} failed", False
            return Verdict.WAITING, f"{label} is not ready", False
        case _:
            return Verdict.READY, label, False


def _rolled(spec: Mapping[str, Any], wanted: int) -> int:
    """Of so many pods those that the controller makes anew by itself; the others are old until somebody deletes them.

    Kubernetes' documentation, "StatefulSets", "Update strategies" and "Partitioned rolling updates".
    """
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return 0
    return max(0, wanted - int((strategy.get("rollingUpdate") or {}).get("partition") or 0))


def _counted(label: str, have: int, wanted: int, rolling: bool) -> tuple[Verdict, str, bool]:
    if have >= wanted and not rolling:
        return Verdict.READY, label, False
    return Verdict.WAITING, f"{label}: {have} of {wanted} ready{', old pods remain' if rolling else ''}", rolling
