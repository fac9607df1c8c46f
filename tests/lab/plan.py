"""Where everything of one lab is: names, addresses, ports and paths, all computed from a name and one octet.

A second lab of another name and octet runs beside the first (LAB_PREFIX, LAB_OCTET); the test of `down` does that.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

API_PORT = 6443
REGISTRY_PORT = 5000
S3_PORT = 8333
CLUSTER_DOMAIN = "cluster.local"


def cache_folder() -> Path:
    """Where what was built is kept for the next time, also for other clones of this user (LAB_CACHE moves it)."""
    named = os.environ.get("LAB_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge-lab"


@dataclass(frozen=True)
class ClusterPlan:
    """One one-node cluster.  name: of cluster, node, network namespace and cgroup at once."""

    name: str
    folder: Path
    octet: int
    number: int

    @property
    def node_address(self) -> str:
        return f"10.{self.octet}.{self.number}.2"

    @property
    def gateway(self) -> str:
        """The hub's end of the link to this cluster."""
        return f"10.{self.octet}.{self.number}.1"

    @property
    def pod_range(self) -> str:
        return f"10.{self.octet}.{100 + self.number}.0/24"

    @property
    def service_range(self) -> str:
        return f"10.{self.octet}.{200 + self.number}.0/24"

    @property
    def api_service_address(self) -> str:
        """The first address of the service range: where pods reach the API server."""
        return f"10.{self.octet}.{200 + self.number}.1"

    @property
    def dns_address(self) -> str:
        return f"10.{self.octet}.{200 + self.number}.10"

    @property
    def api_url(self) -> str:
        return f"https://{self.node_address}:{API_PORT}"

    @property
    def kubeconfig(self) -> Path:
        """Of the cluster's administrator."""
        return self.folder / "kubeconfig"


@dataclass(frozen=True)
class LabPlan:
    """One lab: a hub namespace with the registry and the S3 server, and two clusters linked to it."""

    prefix: str = field(default_factory=lambda: os.environ.get("LAB_PREFIX", "edge"))
    octet: int = field(default_factory=lambda: int(os.environ.get("LAB_OCTET", "203")))

    @property
    def state(self) -> Path:
        """Everything the lab writes while it runs; `down` removes it."""
        return Path("/srv") / f"{self.prefix}-lab"

    @property
    def hub(self) -> str:
        return f"{self.prefix}-hub"

    @property
    def hub_folder(self) -> Path:
        return self.state / self.hub

    @property
    def clusters(self) -> tuple[ClusterPlan, ...]:
        return tuple(
            ClusterPlan(f"{self.prefix}-{letter}", self.state / f"{self.prefix}-{letter}", self.octet, number)
            for number, letter in enumerate("ab", start=1)
        )

    @property
    def namespaces(self) -> tuple[str, ...]:
        return (self.hub, *(cluster.name for cluster in self.clusters))

    @property
    def network(self) -> str:
        return f"10.{self.octet}.0.0/16"

    @property
    def host_address(self) -> str:
        """The host's own address on its link to the hub: pods reach a server of the host here."""
        return f"10.{self.octet}.0.1"

    @property
    def hub_address(self) -> str:
        return f"10.{self.octet}.0.2"

    @property
    def registry(self) -> str:
        return f"{self.hub_address}:{REGISTRY_PORT}"

    @property
    def s3_endpoint(self) -> str:
        return f"http://{self.hub_address}:{S3_PORT}"

    @property
    def s3_access_key_file(self) -> Path:
        return self.hub_folder / "s3" / "access-key"

    @property
    def s3_secret_key_file(self) -> Path:
        return self.hub_folder / "s3" / "secret-key"
