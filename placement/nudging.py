"""After an upgrade that changed only configuration: the pods are nudged, so that they reload in seconds and live on.

The work is reload.apply's, the same as config-reload's; here is how it reaches the cluster.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

from placement import readiness
from placement.api import Api, ApiError
from placement.errors import Code, PlacementError
from reload import apply
from reload.apply import Progress, Target
from reload.cluster import STATUS_PORT_ANNOTATION, Cluster, Config, Pod
from reload.errors import ReloadError

WAIT_S = 2.0


@dataclass(frozen=True, slots=True)
class Taken:
    """How far the pods are.  is_settled: waiting longer changes nothing.  error: a pod that did not take it (yet)."""

    is_settled: bool
    error: PlacementError | None


class Reloads:
    """Nudges and waits on one cluster."""

    def __init__(self, api: Api) -> None:
        # The rest of the Protocol is what writing a ConfigMap needs; Helm has written it already.
        self._cluster = cast(Cluster, _Cluster(api))

    def begin(self, namespace: str, release: str, configs: Sequence[str]) -> bool:
        """Nudge the pods that mount these ConfigMaps; False = none of them is under reload.  Raises PlacementError."""
        try:
            nudged = [apply.nudge(self._cluster, t) for t in self._targets(namespace, release, configs)]
            return sum(nudged) > 0
        except ReloadError as e:
            raise _told(e) from e

    def wait(self, namespace: str, release: str, configs: Sequence[str], wait_s: float = WAIT_S) -> Taken:
        """Wait a little; nudge again where that was not enough.  Raises PlacementError."""
        try:
            targets = self._targets(namespace, release, configs)
            progress = apply.wait(self._cluster, targets, until_s=time.monotonic() + wait_s)
            if not progress.settled:
                for target in targets:
                    apply.nudge(self._cluster, target)
            return _taken(progress)
        except ReloadError as e:
            raise _told(e) from e

    def _targets(self, namespace: str, release: str, configs: Sequence[str]) -> list[Target]:
        return [t for t in apply.targets_of_release(self._cluster, namespace, release) if t.config in configs]


def _taken(progress: Progress) -> Taken:
    bad = [report for report in progress.pods if report.state in ("rejected", "failed")]
    if bad:
        first = bad[0]
        what = "keeps its last good configuration" if first.state == "rejected" else "did not take the new one"
        detail = f"{len(bad)} of {progress.of} pods: {first.name} {what}: {first.detail or 'no reason given'}"
        return Taken(progress.settled, PlacementError(Code.CONFIG_REJECTED, f"{detail.rstrip('.')}."))
    late = [report for report in progress.pods if report.state in ("waiting", "silent")]
    if late:
        detail = f"{len(late)} of {progress.of} pods have not confirmed the new configuration, {late[0].name} first."
        return Taken(False, PlacementError(Code.CONFIG_NOT_TAKEN, detail))
    return Taken(True, None)


def _told(error: ReloadError) -> PlacementError:
    code = {"cluster_unreachable": Code.CLUSTER_DOWN, "cluster_denied": Code.CLUSTER_REFUSED}.get(error.code)
    return PlacementError(code or Code.CONFIG_NOT_TAKEN, f"{error.detail.rstrip('.')}.")


class _Cluster:
    """As much of reload.cluster.Cluster as nudging asks."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def configs(self, namespace: str, selector: str) -> list[Config]:
        found = self._get(f"/api/v1/namespaces/{namespace}/configmaps", labelSelector=selector)
        return [_config(thing) for thing in found.get("items") or []]

    def pods(self, namespace: str, selector: str = "") -> list[Pod]:
        found = self._get(f"/api/v1/namespaces/{namespace}/pods", labelSelector=selector)
        return [_pod(thing) for thing in found.get("items") or []]

    def annotate_pod(self, namespace: str, name: str, annotations: Mapping[str, str]) -> bool:
        try:
            path = f"/api/v1/namespaces/{namespace}/pods/{quote(name, safe='')}"
            self._api.patch(path, {"metadata": {"annotations": dict(annotations)}})
        except ApiError as e:
            if e.status == 404:
                return False
            raise ReloadError("cluster_failed", e.message) from e
        return True

    def pod_status(self, pod: Pod, timeout_s: float) -> Mapping[str, object] | None:
        """Through the API server, which reaches the pod where the function cannot."""
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}:{pod.status_port}/proxy/status"
        try:
            return self._api.get(path, read_s=timeout_s)
        except (ApiError, PlacementError):
            return None

    def _get(self, path: str, *, labelSelector: str) -> dict[str, Any]:  # noqa: N803  the API's own name
        try:
            return self._api.get(path, labelSelector=labelSelector)
        except ApiError as e:
            raise ReloadError("cluster_failed", e.message) from e


def _config(thing: Mapping[str, Any]) -> Config:
    metadata = thing["metadata"]
    files = {name: text.encode() for name, text in (thing.get("data") or {}).items()}
    files |= {name: base64.b64decode(text) for name, text in (thing.get("binaryData") or {}).items()}
    return Config(
        metadata["namespace"], metadata["name"], files, metadata["resourceVersion"], metadata.get("labels") or {}
    )


def _pod(thing: Mapping[str, Any]) -> Pod:
    metadata, spec = thing["metadata"], thing.get("spec") or {}
    shown = readiness.pod_of(thing)
    names = set()
    for volume in spec.get("volumes") or []:
        names.add((volume.get("configMap") or {}).get("name"))
        for source in (volume.get("projected") or {}).get("sources") or []:
            names.add((source.get("configMap") or {}).get("name"))
    port = (metadata.get("annotations") or {}).get(STATUS_PORT_ANNOTATION)
    return Pod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata.get("uid") or "",
        phase=(thing.get("status") or {}).get("phase") or "",
        ready=shown.ready,
        restarts=shown.restarts,
        terminating=bool(metadata.get("deletionTimestamp")),
        configs=frozenset(name for name in names if name),
        status_port=int(port) if port and port.isdecimal() else None,
    )
