"""The clusters and what stands beside them, as the tests see them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.lab.kubectl import Cluster
from tests.lab.plan import LabPlan


@dataclass(frozen=True)
class Site:
    """Two clusters and what stands beside them.

    registry: host:port, plain HTTP.  host_address: where pods reach a server of this machine.  plan: None when the
    clusters are somebody else's (LAB_KUBECONFIGS), whose daemons no test may stop.
    """

    a: Cluster
    b: Cluster
    registry: str
    s3_endpoint: str
    s3_access_key_file: Path
    s3_secret_key_file: Path
    host_address: str
    helm: Path
    plan: LabPlan | None

    @property
    def clusters(self) -> tuple[Cluster, Cluster]:
        return self.a, self.b
