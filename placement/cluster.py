"""What is known of clusters: their entry in the registry, the room on their nodes, what is placed where."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from placement.request import Toleration


class Taint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Keeps workloads away that do not tolerate it, as on a node."""

    key: str
    value: str = ""
    effect: str = "NoSchedule"

    @property
    def repels(self) -> bool:
        """PreferNoSchedule only makes a place less wanted."""
        return self.effect != "PreferNoSchedule"

    def __str__(self) -> str:
        return f"{self.key}{'=' + self.value if self.value else ''}:{self.effect}"


class Cluster(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of the registry.

    secret: the OpenFaaS secret with its kubeconfig; context: "" = the one called like the cluster, else the current
    one.  latency_ms: by place that it is measured from.
    """

    name: str
    location: str
    zone: str = ""
    labels: dict[str, str] = {}
    taints: tuple[Taint, ...] = ()
    latency_ms: dict[str, float] = {}
    secret: str = "edge-kubeconfigs"  # noqa: S105  the name of a secret
    context: str = ""

    def domain(self, by: str) -> str:
        """Which of the domains named by "cluster", "location", "zone" or a label key this cluster is in."""
        match by:
            case "cluster":
                return self.name
            case "location":
                return self.location
            case "zone":
                return self.zone
            case _:
                return self.labels.get(by, "")


class Pods(msgspec.Struct, frozen=True):
    """Pods alike that a workload asks for.  every_node: one per node (DaemonSet), replicas does not count."""

    replicas: int
    cpu_m: int
    memory_b: int
    tolerations: tuple[Toleration, ...] = ()
    node_selector: dict[str, str] = {}
    every_node: bool = False


class Node(msgspec.Struct, frozen=True):
    """A node that takes pods; free = allocatable minus what its pods requested, never below 0."""

    name: str
    free_cpu_m: int
    free_memory_b: int
    free_pods: int
    labels: dict[str, str] = {}
    taints: tuple[Taint, ...] = ()


class Room(msgspec.Struct, frozen=True):
    """The nodes of a cluster as they were just read."""

    nodes: tuple[Node, ...]


class Unreachable(msgspec.Struct, frozen=True):
    """The cluster could not be asked.  why: one clause."""

    why: str


class Placed(msgspec.Struct, frozen=True):
    """A release that is on a cluster; by the inventory, or is_coming: by a call that is under way."""

    cluster: str
    namespace: str
    release: str
    group: str = ""
    is_coming: bool = False


def is_coming_to(cluster: str, namespace: str, release: str, placed: Sequence[Placed]) -> bool:
    """Whether the release is there only by a call that is under way."""
    which = (cluster, namespace, release)
    return any(p.is_coming for p in placed if (p.cluster, p.namespace, p.release) == which)


class State(msgspec.Struct, frozen=True):
    """What `plan` is told beside the registry.

    rooms: by cluster, None = not asked.  workload: () = nothing known of its needs.
    """

    rooms: dict[str, Room | Unreachable] = {}
    placed: tuple[Placed, ...] = ()
    workload: tuple[Pods, ...] = ()


def tolerates(tolerations: tuple[Toleration, ...], taint: Taint) -> bool:
    """As the scheduler judges it."""
    return any(_matches(toleration, taint) for toleration in tolerations)


def _matches(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect not in ("", taint.effect):
        return False
    if toleration.operator == "Exists":
        return toleration.key in ("", taint.key)
    return (toleration.key, toleration.value) == (taint.key, taint.value)
