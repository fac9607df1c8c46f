"""After an upgrade that changed only configuration: the pods are nudged, so that they reload in seconds and live on.

The work is reload.apply's on reload.kubernetes_cluster, the same as config-reload's, over the placement's connection.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from placement.api import Api
from placement.errors import Code, PlacementError
from reload import apply
from reload.apply import Progress, Target
from reload.errors import ReloadError
from reload.kubernetes_cluster import KubernetesCluster

WAIT_S = 2.0
_CODES = {
    "cluster_unreachable": Code.CLUSTER_DOWN,
    # 429, 5xx, or 409 on a pod: the API server's trouble of a moment, and nothing that a pod said
    "cluster_failed": Code.CLUSTER_DOWN,
    "cluster_denied": Code.CLUSTER_REFUSED,
}
_NOT_TAKEN = ("waiting", "rejected", "failed", "silent")


@dataclass(frozen=True, slots=True)
class Taken:
    """How far the pods are.  is_settled: waiting longer changes nothing.  error: a pod that did not take it (yet)."""

    is_settled: bool
    error: PlacementError | None


@dataclass(frozen=True, slots=True)
class Behind:
    """ConfigMaps that pods do not run with.  waiting: not yet.  refused: they were offered it, and keep another.

    silent: nobody knows, because a pod's agent does not answer or may not be asked.
    """

    waiting: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()


class Reloads:
    """Nudges and waits on one cluster."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._cluster = KubernetesCluster(api.cluster, api.send)

    def begin(self, namespace: str, release: str, configs: Sequence[str]) -> bool:
        """Nudge the pods that mount these ConfigMaps; False = none of them is under reload.  Raises PlacementError."""
        try:
            return apply.nudge(self._cluster, *self._targets(namespace, release, configs)) > 0
        except ReloadError as e:
            raise _told(e) from e

    def wait(self, namespace: str, release: str, configs: Sequence[str], wait_s: float = WAIT_S) -> Taken:
        """Wait a little; nudge again where that was not enough.  Raises PlacementError."""
        try:
            until_s = time.monotonic() + wait_s
            targets = self._targets(namespace, release, configs)
            pods = apply.pods_of(self._cluster, targets)
            progress = apply.wait(self._cluster, targets, until_s=until_s, pods=pods)
            if not progress.settled:
                apply.nudge_pods(self._cluster, pods)
            return _taken(progress)
        except ReloadError as e:
            raise _told(e) from e

    def nudged_behind(self, namespace: str, release: str) -> Behind:
        """What the release's pods say that they run with, against its ConfigMaps as they are on the cluster.

        What helm changed does not tell it: an earlier run, or config-reload, may have changed them before.  Pods that
        wait for one are nudged.  Raises PlacementError cluster_down, cluster_refused.
        """
        targets: list[Target] = []
        try:
            targets = apply.targets_of_release(self._cluster, namespace, release)
            pods = apply.pods_of(self._cluster, targets)
            progress = apply.look(self._cluster, targets, pods=pods)
        except ReloadError as e:
            if e.code == "cluster_denied":
                return Behind(silent=frozenset(t.config for t in targets))
            raise PlacementError(Code.CLUSTER_DOWN, f"{e.detail.rstrip('.')}.") from e
        if self._api.left_s() <= 0:  # a pod that was not asked for lack of time is none that does not answer
            raise self._api.too_slow()
        states = {state: {r.config for r in progress.pods if r.state == state} for state in _NOT_TAKEN}
        try:
            apply.nudge_pods(self._cluster, [pair for pair in pods if pair[0].config in states["waiting"]])
        except ReloadError as e:
            raise _told(e) from e
        refused = frozenset(states["rejected"] | states["failed"])
        return Behind(frozenset(states["waiting"]), refused, frozenset(states["silent"]))

    def unconfirmed(self, namespace: str, release: str) -> PlacementError | None:
        """What keeps the release's pods from being known to run with its ConfigMaps as they are; none is nudged.

        config_rejected: a pod keeps another one.  config_not_taken: it has not confirmed it, or does not answer.
        None = all of them run with them, or may not be asked.  Raises PlacementError cluster_down.
        """
        try:
            progress = apply.look(self._cluster, apply.targets_of_release(self._cluster, namespace, release))
        except ReloadError as e:
            if e.code == "cluster_denied":
                return None
            raise _told(e) from e
        if self._api.left_s() <= 0:
            raise self._api.too_slow()
        return _taken(progress).error

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
    return PlacementError(_CODES.get(error.code, Code.CONFIG_NOT_TAKEN), f"{error.detail.rstrip('.')}.")
