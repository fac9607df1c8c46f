"""Which caller may change what: the secret `reload-policy`; and the clusters: the secret `edge-kubeconfigs`.

reload-policy, YAML; names may end in *:
    callers:
      operator/alice: {clusters: ["edge-*"], namespaces: [open5gs]}

edge-kubeconfigs: one kubeconfig with a context per cluster, called like it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import yaml

from reload.cluster import Cluster
from reload.errors import ReloadError
from reload.kubernetes_client import from_kubeconfig

POLICY = "reload-policy"
KUBECONFIGS = "edge-kubeconfigs"

Open = Callable[[str, str], Cluster]
"""Cluster name and kubeconfig text to a connection."""


class Grant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one caller may change."""

    clusters: tuple[str, ...]
    namespaces: tuple[str, ...]


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole secret."""

    callers: dict[str, Grant]

    def require(self, caller: str, cluster: str, namespace: str) -> None:
        """Raises ReloadError namespace_not_allowed; the same for a cluster that is not the caller's."""
        grant = self.callers.get(caller)
        if grant is None or not (_fits(cluster, grant.clusters) and _fits(namespace, grant.namespaces)):
            raise ReloadError(
                "namespace_not_allowed",
                f"{caller} may not change namespace {namespace} of cluster {cluster}",
                f"the secret {POLICY} says who may change what",
            )


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(name == p or (p.endswith("*") and name.startswith(p[:-1])) for p in patterns)


class Clusters:
    """Policy and connections; each secret is read again when its file has changed."""

    def __init__(self, secrets: Path, connect: Open = from_kubeconfig) -> None:
        self._secrets = secrets
        self._connect = connect
        self._lock = threading.Lock()
        self._open: dict[str, Cluster] = {}
        self._text = ""

    def for_caller(self, caller: str, cluster: str, namespace: str) -> Cluster:
        """The connection, once the caller may have it.  Raises ReloadError namespace_not_allowed, cluster_unknown."""
        self._policy().require(caller, cluster, namespace)
        text = self._read(KUBECONFIGS)
        with self._lock:
            if text != self._text:
                self._open, self._text = {}, text
            if cluster not in self._open:
                self._require_context(text, cluster)
                self._open[cluster] = self._connect(cluster, text)
            return self._open[cluster]

    def _policy(self) -> Policy:
        try:
            return msgspec.convert(yaml.safe_load(self._read(POLICY)), Policy)
        except (yaml.YAMLError, msgspec.ValidationError):
            raise ReloadError(
                "namespace_not_allowed", f"nobody may change anything: the secret {POLICY} is not as it should be"
            ) from None

    def _read(self, name: str) -> str:
        try:
            return (self._secrets / name).read_text()
        except (OSError, UnicodeDecodeError):
            code = "namespace_not_allowed" if name == POLICY else "cluster_unknown"
            raise ReloadError(
                code, f"this function has no secret {name}", "docs/reload.md shows what is in it"
            ) from None

    @staticmethod
    def _require_context(text: str, cluster: str) -> None:
        try:
            names = [entry["name"] for entry in yaml.safe_load(text)["contexts"]]
        except (yaml.YAMLError, TypeError, KeyError):
            raise ReloadError("cluster_unknown", f"the secret {KUBECONFIGS} is no kubeconfig") from None
        if cluster not in names:
            raise ReloadError("cluster_unknown", f"no cluster is called {cluster}", "there are: " + ", ".join(names))
