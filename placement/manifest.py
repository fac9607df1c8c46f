"""Rendered manifests: their objects, what they ask of nodes, which pods are theirs, what changed.  Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import yaml

from placement import quantities
from placement.cluster import Pods
from placement.errors import Code, PlacementError
from placement.request import Toleration

Object = dict[str, Any]
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "Pod")


def objects(text: str) -> list[Object]:
    """The objects of a manifest, those of a List one by one.  Raises PlacementError render_failed."""
    try:
        documents = list(yaml.load_all(text, Loader=_LOADER))
    except yaml.YAMLError as e:
        raise PlacementError(Code.RENDER_FAILED, f"The rendered chart is no YAML{_at(e)}.") from None
    found: list[Object] = []
    for document in documents:
        found += _objects_of(document)
    return found


def _at(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f" (line {mark.line + 1})" if mark is not None else ""


def _objects_of(document: object) -> Iterator[Object]:
    if not isinstance(document, dict):
        return
    items = document.get("items")
    if str(document.get("kind", "")).endswith("List") and isinstance(items, list):
        for item in items:
            yield from _objects_of(item)
    elif isinstance(document.get("kind"), str):
        yield document


def name_of(thing: Object) -> tuple[str, str, str]:
    """Kind, namespace ("" = the release's) and name."""
    metadata = _mapping(thing.get("metadata"))
    return str(thing.get("kind", "")), str(metadata.get("namespace") or ""), str(metadata.get("name", ""))


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def is_kept(thing: Object) -> bool:
    """Whether helm leaves it when it uninstalls the release: its annotation helm.sh/resource-policy says keep."""
    return annotation(thing, "resource-policy") == {"keep"}


def annotation(thing: Object, name: str) -> set[str]:
    """The words, lower case, of one of helm's annotations: helm.sh/<name>: a,b."""
    text = _mapping(_mapping(thing.get("metadata")).get("annotations")).get(f"helm.sh/{name}") or ""
    return {word.strip().lower() for word in str(text).split(",")}


def pod_template(thing: Object) -> Object | None:
    """The pod (template) of a workload, None for other kinds."""
    if thing.get("kind") == "Pod":
        return thing
    if thing.get("kind") == "CronJob":
        return None
    template = _mapping(thing.get("spec")).get("template")
    return template if isinstance(template, dict) and "spec" in template else None


def needs(manifest: Iterable[Object]) -> tuple[Pods, ...]:
    """What the workloads ask of nodes.  Raises PlacementError render_failed for a quantity that is none."""
    found = []
    for thing in manifest:
        template = pod_template(thing)
        if template is None or thing.get("kind") == "ReplicationController":
            continue
        spec, pod = _mapping(thing.get("spec")), _mapping(template.get("spec"))
        replicas = spec.get("parallelism" if thing.get("kind") == "Job" else "replicas", 1)
        try:
            cpu_m, memory_b = pod_requests(pod)
            count = 1 if thing.get("kind") == "Pod" or replicas is None else int(replicas)
            found.append(
                Pods(
                    replicas=count,
                    cpu_m=cpu_m,
                    memory_b=memory_b,
                    tolerations=tolerations_of(pod),
                    node_selector={str(k): str(v) for k, v in _mapping(pod.get("nodeSelector")).items()},
                    every_node=thing.get("kind") == "DaemonSet",
                )
            )
        except (ValueError, TypeError):
            kind, _, name = name_of(thing)
            raise PlacementError(Code.RENDER_FAILED, f"The resources of {kind}/{name} are no quantities.") from None
    return tuple(found)


def tolerations_of(pod: Mapping[str, Any]) -> tuple[Toleration, ...]:
    """A pod's tolerations; those of another shape are left out."""
    found = []
    for entry in pod.get("tolerations") or ():
        known = {key: entry[key] for key in ("key", "operator", "value", "effect") if entry.get(key) is not None}
        try:
            found.append(msgspec.convert(known, Toleration))
        except msgspec.ValidationError:
            continue
    return tuple(found)


def pod_requests(pod: Mapping[str, Any]) -> tuple[int, int]:
    """CPU in millicores and memory in octets that the scheduler counts for a pod.  Raises ValueError.

    The larger of the containers' sum and the largest init container, plus overhead.  A sidecar (an init container with
    restartPolicy Always) runs beside the containers, and beside the init containers after it.  A limit without a
    request is one.
    """
    sidecars, largest = [0, 0], [0, 0]
    for container in pod.get("initContainers") or ():
        together = [a + b for a, b in zip(sidecars, _requests(container), strict=True)]
        largest = [max(a, b) for a, b in zip(largest, together, strict=True)]
        if container.get("restartPolicy") == "Always":
            sidecars = together
    total = sidecars
    for container in pod.get("containers") or ():
        total = [a + b for a, b in zip(total, _requests(container), strict=True)]
    overhead = _mapping(pod.get("overhead"))
    cpu_m = max(total[0], largest[0]) + quantities.cpu_m(overhead.get("cpu", 0))
    return cpu_m, max(total[1], largest[1]) + quantities.memory_b(overhead.get("memory", 0))


def _requests(container: Mapping[str, Any]) -> list[int]:
    resources = _mapping(container.get("resources"))
    asked = _mapping(resources.get("limits")) | _mapping(resources.get("requests"))
    return [quantities.cpu_m(asked.get("cpu") or 0), quantities.memory_b(asked.get("memory") or 0)]


def selector_of(thing: Object) -> dict[str, str] | None:
    """Labels by which a workload's pods are found, None for kinds without pods."""
    spec = _mapping(thing.get("spec"))
    match thing.get("kind"):
        case "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet":
            labels = _mapping(_mapping(spec.get("selector")).get("matchLabels"))
        case "Job":
            labels = {"job-name": name_of(thing)[2]}
        case _:
            return None
    return {str(key): str(value) for key, value in labels.items()} or None


def only_configuration_changed(before: Sequence[Object], after: Sequence[Object]) -> list[str]:
    """Names of the ConfigMaps whose content changed, where no workload's definition did; otherwise none.

    Workloads that change are rolled by Kubernetes: their new pods read the new configuration anyway.
    """
    old, new = ({name_of(thing): thing for thing in things} for things in (before, after))
    workloads = [name for name in old.keys() | new.keys() if name[0] in WORKLOADS]
    if any(_definition(old.get(name)) != _definition(new.get(name)) for name in workloads):
        return []
    return changed_configuration(before, after)


def changed_configuration(before: Sequence[Object], after: Sequence[Object]) -> list[str]:
    """Names of the ConfigMaps whose content changed, whatever else did."""
    old, new = ({name_of(thing): thing for thing in things} for things in (before, after))
    both = [name for name in old.keys() & new.keys() if name[0] == "ConfigMap"]
    return sorted(name[2] for name in both if _content(old[name]) != _content(new[name]))


def changed_under_pods(before: Sequence[Object], after: Sequence[Object]) -> list[str]:
    """Names of the ConfigMaps whose content changed under a workload whose definition did not: its pods live on."""
    old = {name_of(thing): thing for thing in before}
    staying = [thing for thing in after if thing.get("kind") in WORKLOADS]
    staying = [thing for thing in staying if _definition(old.get(name_of(thing))) == _definition(thing)]
    mounted = {name for thing in staying for name in _mounted(thing)}
    return [name for name in changed_configuration(before, after) if name in mounted]


def _mounted(workload: Object) -> Iterator[str]:
    for volume in _mapping(_mapping(pod_template(workload)).get("spec")).get("volumes") or ():
        yield str(_mapping(_mapping(volume).get("configMap")).get("name", ""))


def _definition(thing: Object | None) -> str:
    """A workload without its own labels: a chart's version there rolls nothing."""
    return "" if thing is None else json.dumps(_mapping(thing.get("spec")), sort_keys=True, default=str)


def _content(thing: Object) -> tuple[Any, Any]:
    return thing.get("data"), thing.get("binaryData")


def digest(value: object) -> str:
    """The first 16 hex digits of the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]
