"""A real cluster, by its API's JSON, over a transport that somebody else brings."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from urllib3.exceptions import HTTPError

from reload.cluster import STATUS_PORT_ANNOTATION, Config, Pod
from reload.errors import ReloadError, StaleVersionError

CONNECT_S = 1.0
READ_S = 2.0
HISTORY_TYPE = "reload.edge/history"
_MERGE_PATCH = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the API.  body: to be JSON, None = without.  read_s: how long to wait for the answer."""

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: Mapping[str, object] | None
    read_s: float


Send = Callable[[Call], tuple[int, bytes]]
"""Carries a call: status and octets of whatever is answered.  Without an answer: urllib3's HTTPError, or OSError."""


class KubernetesCluster:
    """Implements reload.cluster.Cluster.  name: for messages.  send: carries a call.  close: gives connections back.

    left_s: for how many seconds more it is asked.
    """

    def __init__(
        self,
        name: str,
        send: Send,
        close: Callable[[], None] = lambda: None,
        left_s: Callable[[], float] = lambda: math.inf,
    ) -> None:
        self._name = name
        self._send = send
        self._close = close
        self._left_s = left_s

    def until(self, until_s: float, clock: Callable[[], float]) -> KubernetesCluster:
        """See Cluster.  Connections stay those of this one."""
        return KubernetesCluster(self._name, self._send, left_s=lambda: until_s - clock())

    def close(self) -> None:
        """Give connections back."""
        self._close()

    def config(self, namespace: str, name: str) -> Config | None:
        """See Cluster."""
        found = self._call("GET", _path(namespace, "configmaps", name), missing=True)
        return None if found is None else _config(found)

    def configs(self, namespace: str, selector: str) -> list[Config]:
        """See Cluster."""
        return [_config(item) for item in self._list(namespace, "configmaps", selector)]

    def replace_config(self, config: Config, files: Mapping[str, bytes]) -> Config:
        """A merge patch that carries the resourceVersion: the API server refuses it when the object has moved on."""
        gone = {name: None for name in config.files if name not in files}
        text, binary = _split(files)
        body = {
            "metadata": {"resourceVersion": config.version},
            "data": {**gone, **dict.fromkeys(binary), **text},
            "binaryData": {**gone, **dict.fromkeys(text), **binary},
        }
        found = self._call("PATCH", _path(config.namespace, "configmaps", config.name), body, missing=True)
        if found is None:
            raise StaleVersionError
        return _config(found)

    def pods(self, namespace: str, selector: str = "") -> list[Pod]:
        """See Cluster."""
        return [_pod(item) for item in self._list(namespace, "pods", selector)]

    def annotate_pod(self, namespace: str, name: str, annotations: Mapping[str, str]) -> bool:
        """See Cluster."""
        body = {"metadata": {"annotations": dict(annotations)}}
        try:
            return self._call("PATCH", _path(namespace, "pods", name), body, missing=True) is not None
        except StaleVersionError:
            # No version was given: the API server gave up on writers in between (kubernetes/kubernetes, patch.go).
            raise ReloadError("cluster_failed", f"the API server of cluster {self._name} answered 409") from None

    def pod_status(self, pod: Pod, timeout_s: float) -> Mapping[str, object] | None:
        """By the API server's pod proxy, so that nothing but the API server has to be within reach."""
        path = _path(pod.namespace, "pods", f"{pod.name}:{pod.status_port}") + "/proxy/status"
        is_short = self._left_s() < timeout_s
        try:
            return self._call("GET", path, missing=True, read_s=timeout_s)
        except ReloadError as e:
            if e.code == "cluster_denied" or (e.code == "cluster_unreachable" and is_short):
                raise
            return None

    def load_history(self, namespace: str, name: str) -> tuple[bytes, str] | None:
        """See Cluster."""
        found = self._call("GET", _path(namespace, "secrets", name), missing=True)
        if found is None:
            return None
        octets = base64.b64decode((found.get("data") or {}).get("history", ""))
        return octets, found["metadata"]["resourceVersion"]

    def save_history(self, namespace: str, name: str, octets: bytes, version: str | None, config: Config) -> None:
        """Owned by the ConfigMap, so that it goes when that goes."""
        owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": config.name, "uid": config.uid}
        data = {"history": base64.b64encode(octets).decode()}
        if version is None:
            metadata = {"name": name, "ownerReferences": [owner]}
            self._call("POST", _path(namespace, "secrets"), {"metadata": metadata, "type": HISTORY_TYPE, "data": data})
        else:
            patch = {"metadata": {"resourceVersion": version}, "data": data}
            self._call("PATCH", _path(namespace, "secrets", name), patch)

    def _list(self, namespace: str, kind: str, selector: str) -> list[dict[str, Any]]:
        found = self._call("GET", _path(namespace, kind), selector=selector) or {}
        return list(found.get("items") or [])

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        selector: str = "",
        missing: bool = False,
        read_s: float = READ_S,
    ) -> dict[str, Any] | None:
        """One call.  missing: None instead of an error for 404.  The server's own text may quote values: unused."""
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = _MERGE_PATCH if method == "PATCH" else "application/json"
        query = [("labelSelector", selector)] if selector else []
        left_s = self._left_s()
        if left_s <= 0:
            raise ReloadError(
                "cluster_unreachable",
                f"the API server of cluster {self._name} answers too slowly: there was no time left to ask it",
                "call again later",
            )
        try:
            status, octets = self._send(Call(method, path, query, headers, body, min(read_s, left_s)))
        except (HTTPError, OSError) as e:
            raise ReloadError(
                "cluster_unreachable",
                f"the API server of cluster {self._name} did not answer ({type(e).__name__})",
                "is it running, and reachable from the function?",
            ) from e
        if not 200 <= status < 300:
            return self._refused(status, missing)
        try:
            found = json.loads(octets)
        except ValueError as e:
            raise ReloadError("cluster_failed", f"cluster {self._name} answered what is no JSON") from e
        if not isinstance(found, dict):
            raise ReloadError("cluster_failed", f"cluster {self._name} answered no object")
        return found

    def _refused(self, status: int, missing: bool) -> dict[str, Any] | None:
        if status == 404 and missing:
            return None
        if status == 409:
            raise StaleVersionError
        if status in (401, 403):
            raise ReloadError(
                "cluster_denied",
                f"cluster {self._name} does not let this function do that ({status})",
                "the chart placement-target grants what it needs in its namespaces",
            )
        if status in (413, 422):
            raise ReloadError("values_invalid", f"cluster {self._name} refuses the changed object")
        raise ReloadError("cluster_failed", f"the API server of cluster {self._name} answered {status}")


def _path(namespace: str, kind: str, name: str = "") -> str:
    parts = ["api", "v1", "namespaces", namespace, kind, *([name] if name else [])]
    return "".join("/" + quote(part, safe=":") for part in parts)


def _config(found: Mapping[str, Any]) -> Config:
    metadata = found["metadata"]
    files = {name: text.encode() for name, text in (found.get("data") or {}).items()}
    files |= {name: base64.b64decode(text) for name, text in (found.get("binaryData") or {}).items()}
    return Config(
        metadata["namespace"],
        metadata["name"],
        files,
        metadata["resourceVersion"],
        metadata.get("labels") or {},
        bool(found.get("immutable")),
        metadata.get("uid", ""),
    )


def _split(files: Mapping[str, bytes]) -> tuple[dict[str, str], dict[str, str]]:
    """data and binaryData: a ConfigMap holds text as it is, and anything else in base64."""
    text: dict[str, str] = {}
    binary: dict[str, str] = {}
    for name, content in files.items():
        try:
            text[name] = content.decode()
        except UnicodeDecodeError:
            binary[name] = base64.b64encode(content).decode()
    return text, binary


def _pod(found: Mapping[str, Any]) -> Pod:
    metadata, spec, status = found["metadata"], found["spec"], found.get("status") or {}
    containers = status.get("containerStatuses") or []
    port = (metadata.get("annotations") or {}).get(STATUS_PORT_ANNOTATION, "")
    return Pod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        phase=status.get("phase", "Unknown"),
        ready=bool(containers) and all(container.get("ready") for container in containers),
        restarts=sum(container.get("restartCount", 0) for container in containers),
        terminating="deletionTimestamp" in metadata,
        configs=frozenset(v["configMap"]["name"] for v in spec.get("volumes") or [] if "configMap" in v),
        status_port=int(port) if port.isdecimal() and 0 < int(port) < 65536 else None,
    )
