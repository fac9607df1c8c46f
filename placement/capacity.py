"""What room a cluster has: allocatable minus requested of every node that takes pods, read from its API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from placement import quantities
from placement.api import Api, ApiError
from placement.cluster import Node, Room, Taint, Unreachable
from placement.errors import PlacementError
from placement.manifest import pod_requests


def room(nodes: Iterable[Mapping[str, Any]], pods: Iterable[Mapping[str, Any]]) -> Room:
    """Nodes that are ready and not cordoned, with what the pods bound to them leave free.  Pure."""
    used: dict[str, list[int]] = {}
    for pod in pods:
        if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            continue
        name = (pod.get("spec") or {}).get("nodeName")
        if not name:
            continue
        cpu_m, memory_b = _asked(pod)
        entry = used.setdefault(name, [0, 0, 0])
        entry[0] += cpu_m
        entry[1] += memory_b
        entry[2] += 1
    return Room(tuple(_node(node, used) for node in nodes if _takes_pods(node)))


def _asked(pod: Mapping[str, Any]) -> tuple[int, int]:
    try:
        return pod_requests(pod.get("spec") or {})
    except (ValueError, TypeError):
        return 0, 0  # the API server checked it; a form that we do not know must not hide a cluster


def _takes_pods(node: Mapping[str, Any]) -> bool:
    if (node.get("spec") or {}).get("unschedulable"):
        return False
    conditions = (node.get("status") or {}).get("conditions") or []
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def _node(node: Mapping[str, Any], used: Mapping[str, list[int]]) -> Node:
    name = node["metadata"]["name"]
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    cpu_m, memory_b, pods = used.get(name, [0, 0, 0])
    taints = (node.get("spec") or {}).get("taints") or []
    return Node(
        name=name,
        free_cpu_m=max(0, quantities.cpu_m(allocatable.get("cpu", 0)) - cpu_m),
        free_memory_b=max(0, quantities.memory_b(allocatable.get("memory", 0)) - memory_b),
        free_pods=max(0, quantities.whole(allocatable.get("pods", 0)) - pods),
        labels=dict(node["metadata"].get("labels") or {}),
        taints=tuple(Taint(t["key"], t.get("value") or "", t["effect"]) for t in taints),
    )


def read_room(api: Api) -> Room | Unreachable:
    """Ask the cluster; from the server's cache, so that a big cluster is no burden to its etcd."""
    try:
        nodes = api.get("/api/v1/nodes", resourceVersion="0").get("items") or []
        pods = api.get("/api/v1/pods", resourceVersion="0").get("items") or []
        return room(nodes, pods)
    except PlacementError as e:
        return Unreachable(e.detail.rstrip("."))
    except (ApiError, ValueError) as e:
        return Unreachable(str(e))
