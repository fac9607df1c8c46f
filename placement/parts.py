"""What the steps of an operation work with."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from durable.callbacks import Callbacks
from durable.journal import Journal
from durable.journal import Next as AnyNext
from placement.api import Api
from placement.choosing import values_files
from placement.cluster import Cluster
from placement.helm import Helm
from placement.inventory import Clusters, Inventory
from placement.operation import Operation
from placement.request import Request, decode
from placement.sealing import Sealer
from placement.settings import Secrets
from placement.underway import Underway
from placement.values import Values

Next = AnyNext[Operation]

TRY_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Parts:
    """A placement function's parts.  helm_timeout_s: one run's longest.  clock: Unix seconds."""

    journal: Journal[Operation]
    inventory: Inventory
    underway: Underway
    clusters: Clusters
    secrets: Secrets
    sealer: Sealer
    helm: Helm
    callbacks: Callbacks
    helm_timeout_s: float
    clock: Callable[[], float] = time.time

    def now_ms(self) -> int:
        """Unix milliseconds."""
        return int(self.clock() * 1000)

    def connect(self, cluster: Cluster, namespace: str = "") -> Api:
        """namespace: whose account it is asked as, "" = it is asked for what is in none.

        Raises PlacementError cluster_credentials.
        """
        return Api(cluster.name, self.secrets.kubeconfig(cluster).within(namespace))

    def api(self, operation: Operation) -> Api:
        """The API server of the operation's cluster.  Raises PlacementError unknown_cluster, cluster_credentials."""
        return self.connect(self.clusters.get(operation.cluster), operation.namespace)

    def request(self, operation: Operation) -> Request:
        """What was asked.  Raises PlacementError configuration."""
        return decode(self.sealer.open(operation.request, operation.key))

    def files(self, operation: Operation, given: Values | None) -> dict[str, str]:
        """What helm reads: the cluster's kubeconfig for this namespace, and values where there are."""
        cluster = self.clusters.get(operation.cluster)
        files = {"kubeconfig": self.secrets.kubeconfig(cluster).within(operation.namespace).as_kubeconfig()}
        return files | (values_files(given) if given is not None else {})
