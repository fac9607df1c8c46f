"""A look at a release on its cluster: its workloads and pods, whether it runs, and what differs from what was asked."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from placement import hooks, quantities, readiness
from placement.api import CONNECTIONS, Api, ApiError
from placement.manifest import WORKLOADS, Object, name_of, selector_of
from placement.readiness import Pod, Verdict

_PATHS = {
    "Deployment": ("/apis/apps/v1", "deployments"),
    "StatefulSet": ("/apis/apps/v1", "statefulsets"),
    "DaemonSet": ("/apis/apps/v1", "daemonsets"),
    "ReplicaSet": ("/apis/apps/v1", "replicasets"),
    "Job": ("/apis/batch/v1", "jobs"),
    "CronJob": ("/apis/batch/v1", "cronjobs"),
    "Pod": ("/api/v1", "pods"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "Secret": ("/api/v1", "secrets"),
    "Service": ("/api/v1", "services"),
    "ServiceAccount": ("/api/v1", "serviceaccounts"),
    "PersistentVolumeClaim": ("/api/v1", "persistentvolumeclaims"),
    "NetworkPolicy": ("/apis/networking.k8s.io/v1", "networkpolicies"),
    "Ingress": ("/apis/networking.k8s.io/v1", "ingresses"),
    "PodDisruptionBudget": ("/apis/policy/v1", "poddisruptionbudgets"),
    "HorizontalPodAutoscaler": ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
}
MOST_PODS = 100
_CONTENT = ("data", "binaryData")
_FILLED_BY_THE_SERVER = "kubernetes.io/service-account-token"
_QUANTITY = re.compile(
    r"^spec\..*\.(?:(?:requests|limits|capacity|overhead)\.[^\]]+|sizeLimit|divisor|averageValue|target\.value)$"
)
"""Where the API server writes a quantity as it likes."""


@dataclass(frozen=True, slots=True)
class Look:
    """pods: at most MOST_PODS, by name.  why: the verdict's reason."""

    pods: tuple[Pod, ...]
    verdict: Verdict
    why: str


def look(api: Api, namespace: str, manifest: Sequence[Object], since_s: float = 0.0) -> Look:
    """Raises PlacementError, ApiError."""
    workloads = [thing for thing in manifest if thing.get("kind") in WORKLOADS]
    live: list[Object] = []
    pods: dict[str, Mapping[str, Any]] = {}
    with ThreadPoolExecutor(min(CONNECTIONS, max(1, len(workloads)))) as pool:  # one by one takes too long
        for thing, of_it in pool.map(lambda thing: _with_pods(api, namespace, thing), workloads):
            live.append(thing)
            pods |= {pod["metadata"]["name"]: pod for pod in of_it}
    pods |= {thing["metadata"]["name"]: thing for thing in live if thing["kind"] == "Pod" and thing.get("status")}
    shown = [pods[name] for name in sorted(pods)]
    verdict, why = readiness.judge(live, shown, since_s, now_s=api.now())
    return Look(tuple(readiness.pod_of(pod) for pod in shown[:MOST_PODS]), verdict, why)


def _with_pods(api: Api, namespace: str, thing: Object) -> tuple[Object, Sequence[Mapping[str, Any]]]:
    live = _live(api, namespace, thing) or {"kind": thing["kind"], "metadata": thing["metadata"]}
    labels = selector_of(thing)
    if not labels:
        return live, ()
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    found = api.get(f"/api/v1/namespaces/{_in(thing, namespace)}/pods", labelSelector=selector)
    return live, found.get("items") or ()


def _in(thing: Object, namespace: str) -> str:
    return name_of(thing)[1] or namespace


def _live(api: Api, namespace: str, thing: Object) -> Object | None:
    """The object as the cluster has it, None = it is not there."""
    folder, plural = _PATHS[thing["kind"]]
    name = quote(name_of(thing)[2], safe="")
    try:
        found = api.get(f"{folder}/namespaces/{_in(thing, namespace)}/{plural}/{name}")
    except ApiError as e:
        if e.status == 404:
            return None
        raise
    return {"kind": thing["kind"], **found}


def drift(api: Api, namespace: str, manifest: Sequence[Object]) -> list[str]:
    """What the cluster has otherwise than the release's manifest says, a clause each; no content is shown.

    Only fields that the manifest names are compared, in `spec` and `data`: the server and controllers add others.
    Keys of a ConfigMap or Secret that the manifest gives any of are the chart's, so that one more is told, too.
    Kinds beyond those that charts of network functions usually hold are not looked at.
    """
    found = []
    known = [thing for thing in manifest if thing.get("kind") in _PATHS]
    with ThreadPoolExecutor(CONNECTIONS) as pool:  # an Open5GS core has 66 objects
        lives = list(pool.map(lambda thing: _live(api, namespace, thing), known))
    for thing, live in zip(known, lives, strict=True):
        kind, _, name = name_of(thing)
        if live is None:
            found.append(f"{kind}/{name} is missing")
            continue
        wanted = _as_stored(thing)
        for part in ("spec", *_CONTENT):
            found += [f"{kind}/{name}: {path} differs" for path in _differing(wanted.get(part), live.get(part), part)]
        if added := _added(wanted, live):
            found.append(f"{kind}/{name}: {hooks.listed(added)} added")
    return found


def _as_stored(thing: Object) -> Object:
    """With a Secret's stringData where the API server puts it."""
    texts = thing.get("stringData")
    if thing["kind"] != "Secret" or not isinstance(texts, dict):
        return thing
    coded = {key: base64.b64encode(str(text).encode()).decode() for key, text in texts.items()}
    return {**thing, "data": {**(thing.get("data") or {}), **coded}}


def _added(wanted: Object, live: Object) -> list[str]:
    """Places in the content of a ConfigMap or Secret that its chart does not have; where it has none others fill it."""
    if wanted["kind"] not in ("ConfigMap", "Secret") or wanted.get("type") == _FILLED_BY_THE_SERVER:
        return []
    ours = {str(key) for part in _CONTENT for key in _keys(wanted.get(part))}
    return [f"{part}.{key}" for part in _CONTENT for key in sorted(_keys(live.get(part)) - ours)] if ours else []


def _keys(content: Any) -> set[Any]:
    return set(content) if isinstance(content, dict) else set()


def _differing(wanted: Any, live: Any, path: str) -> list[str]:
    # Left to the server, as `clusterIP: ""`; of a ConfigMap's data it is the content.
    if wanted is None or (wanted in ({}, [], "") and not path.startswith(("data.", "binaryData."))):
        return []
    if isinstance(wanted, dict):
        if not isinstance(live, dict):
            return [path]
        return [line for key, value in wanted.items() for line in _differing(value, live.get(key), f"{path}.{key}")]
    if isinstance(wanted, list):
        if not isinstance(live, list) or len(live) < len(wanted):
            return [path]
        named = {part.get("name"): part for part in live if isinstance(part, dict)}
        pairs = [
            (part, named.get(part.get("name")) if isinstance(part, dict) and "name" in part else live[index], index)
            for index, part in enumerate(wanted)
        ]
        return [line for part, other, index in pairs for line in _differing(part, other, f"{path}[{index}]")]
    return [] if _same(wanted, live, path) else [path]


def _same(wanted: Any, live: Any, path: str) -> bool:
    if wanted == live or str(wanted) == str(live):
        return True
    if not _QUANTITY.search(path):
        return False  # "0007" and "7" are one number, and two TACs
    try:  # "0.5" and "500m" are one quantity
        return quantities.memory_b(str(wanted)) == quantities.memory_b(str(live)) and quantities.cpu_m(
            str(wanted)
        ) == quantities.cpu_m(str(live))
    except ValueError:
        return False
