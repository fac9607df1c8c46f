"""Whether a release runs, judged from its workloads and pods as the API shows them.  Pure.

Truthful: a pod that crashes or cannot start makes it fail, whatever helm said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any

import msgspec

from placement.manifest import Object, name_of

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
    """Why a pod cannot run as it is, in a clause; "" = nothing says so."""
    status = pod.get("status") or {}
    name = pod["metadata"]["name"]
    if pod["metadata"].get("deletionTimestamp"):
        return ""
    if status.get("phase") == "Failed":
        return f"pod {name} failed"
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        state = container.get("state") or {}
        waiting = (state.get("waiting") or {}).get("reason") or ""
        if waiting in _HOPELESS:
            return f"pod {name}: container {container.get('name')} is in {waiting}"
        ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated") or {}
        if (ended.get("exitCode") or 0) != 0 and not container.get("ready"):
            return f"pod {name}: container {container.get('name')} ended with exit code {ended.get('exitCode')}"
    return ""


def judge(workloads: Sequence[Object], pods: Sequence[Mapping[str, Any]], since_s: float = 0.0) -> tuple[Verdict, str]:
    """The verdict, and why in one clause.

    workloads: the release's, as the API has them now ({"kind", "metadata"} alone for one that is not there yet).
    since_s: when they were last written, by the cluster's clock: while they roll, older pods are on their way out and
    do not count.
    """
    judged = [_judge_one(thing) for thing in workloads]
    rolling = any(verdict is Verdict.WAITING and is_rolling for verdict, _, is_rolling in judged)
    for pod in pods:
        if (not rolling or _created_s(pod) >= since_s - 1) and (trouble := crashes(pod)):
            return Verdict.FAILED, trouble
    for verdict, why, _ in judged:
        if verdict is not Verdict.READY:
            return verdict, why
    return Verdict.READY, f"{len(pods)} pods" if len(pods) != 1 else "1 pod"


def _created_s(pod: Mapping[str, Any]) -> float:
    try:
        return datetime.fromisoformat(str(pod["metadata"].get("creationTimestamp"))).timestamp()
    except ValueError:
        return float("inf")


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
            if status.get("currentRevision") == status.get("updateRevision"):
                updated = wanted  # nothing rolls: the count of updated ones is left out then
            return _counted(label, min(updated, status.get("readyReplicas") or 0), wanted, updated < wanted)
        case "DaemonSet":
            wanted = status.get("desiredNumberScheduled") or 0
            updated = status.get("updatedNumberScheduled") or 0
            return _counted(label, min(updated, status.get("numberReady") or 0), wanted, updated < wanted)
        case "ReplicaSet":
            return _counted(label, status.get("readyReplicas") or 0, spec.get("replicas", 1), False)
        case "Job":
            if any(c.get("type") == "Failed" and c.get("status") == "True" for c in status.get("conditions") or []):
                return Verdict.FAILED, f"{label} failed", False
            return _counted(label, status.get("succeeded") or 0, spec.get("completions") or 1, False)
        case "Pod":
            if status.get("phase") == "Succeeded" or _is_ready(thing):
                return Verdict.READY, label, False
            return Verdict.WAITING, f"{label} is not ready", False
        case _:
            return Verdict.READY, label, False


def _counted(label: str, have: int, wanted: int, rolling: bool) -> tuple[Verdict, str, bool]:
    if have >= wanted and not rolling:
        return Verdict.READY, label, False
    return Verdict.WAITING, f"{label}: {have} of {wanted} ready{', old pods remain' if rolling else ''}", rolling
