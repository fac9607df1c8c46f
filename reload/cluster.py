"""What a reload asks of a cluster, as values and a Protocol; `reload.kubernetes_cluster` speaks to a real one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from reload.agent.digest import digest_of

STATUS_PORT_ANNOTATION = "reload.edge/status-port"
NUDGE_ANNOTATION = "reload.edge/wanted-digest"
INSTANCE_LABEL = "app.kubernetes.io/instance"
UNDER_RELOAD_LABEL = "reload.edge/config"


@dataclass(frozen=True, slots=True)
class Config:
    """A ConfigMap.  files: contents by name, data and binaryData together (never shown).  version: resourceVersion."""

    namespace: str
    name: str
    files: Mapping[str, bytes] = field(repr=False)
    version: str
    labels: Mapping[str, str] = field(default_factory=dict)
    immutable: bool = False
    uid: str = ""

    @property
    def digest(self) -> str:
        """What a pod that runs with these files reports."""
        return digest_of(self.files)


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod, as far as a reload needs it.

    configs: names of the ConfigMaps that it mounts as volumes.  status_port: where its agent answers GET /status;
    None = no agent in it.
    """

    namespace: str
    name: str
    uid: str
    phase: str
    ready: bool
    restarts: int
    terminating: bool
    configs: frozenset[str]
    status_port: int | None


class Cluster(Protocol):
    """One cluster.  Every call may raise ReloadError (cluster_unreachable, cluster_denied, cluster_failed)."""

    def until(self, until_s: float, clock: Callable[[], float]) -> Cluster:
        """The same, asked no more once clock says until_s: an answer that is not there then is cluster_unreachable."""

    def config(self, namespace: str, name: str) -> Config | None:
        """Read one ConfigMap; None = there is none."""

    def configs(self, namespace: str, selector: str) -> list[Config]:
        """The ConfigMaps with these labels (`key=value,key=value`)."""

    def replace_config(self, config: Config, files: Mapping[str, bytes]) -> Config:
        """Write these files in place of `config.files` if it still has `config.version`; everything else in it stays.

        Out: with them and its new version.  Raises StaleVersionError: somebody else wrote since.
        """

    def pods(self, namespace: str, selector: str = "") -> list[Pod]:
        """The pods with these labels."""

    def annotate_pod(self, namespace: str, name: str, annotations: Mapping[str, str]) -> bool:
        """Patch the pod's annotations, which makes its kubelet sync it at once; False = the pod is gone."""

    def pod_status(self, pod: Pod, timeout_s: float) -> Mapping[str, object] | None:
        """GET /status of the pod's agent; None = no answer within timeout_s, or none that is JSON.

        Where so much time was not left (`until`), no answer is cluster_unreachable: it says nothing of the pod.
        """

    def load_history(self, namespace: str, name: str) -> tuple[bytes, str] | None:
        """The octets and resourceVersion of a history Secret; None = there is none."""

    def save_history(self, namespace: str, name: str, octets: bytes, version: str | None, config: Config) -> None:
        """Write it if its version is still that one (None: if it is not there).  Raises StaleVersionError."""
