"""What a test of the lab asks for: the two clusters, a namespace of its own on them, images, the registry and S3."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab import lab, oci
from tests.lab.kubectl import Cluster
from tests.lab.plan import LabPlan

_NAMED = (
    *("LAB_REGISTRY", "LAB_S3", "LAB_S3_ACCESS_KEY_FILE", "LAB_S3_SECRET_KEY_FILE", "LAB_HOST_ADDRESS"),
    *("LAB_HELM", "LAB_KUBECTL"),
)


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


@pytest.fixture(scope="session")
def site() -> Site:
    """Give the running lab, or the clusters that LAB_KUBECONFIGS names, with the other variables of docs/lab.md."""
    plan = LabPlan()
    values = {name: os.environ[name] for name in ("LAB_KUBECONFIGS", *_NAMED) if name in os.environ}
    ours = "LAB_KUBECONFIGS" not in values
    if ours:
        if os.geteuid() != 0 or not plan.state.exists():
            _unavailable("the lab is not up: run `make lab-test`, or `make lab-up` first (it needs root)")
        faults = lab.faults(plan)
        if faults:
            _unavailable(f"the lab is not whole, run `make lab-up`: {faults[0]}")
        values = lab.environment(plan)
    missing = [name for name in _NAMED if name not in values]
    if missing:
        pytest.fail(f"LAB_KUBECONFIGS is set, so set these too: {', '.join(missing)} (docs/lab.md)", pytrace=False)
    configs = dict(entry.split("=", 1) for entry in values["LAB_KUBECONFIGS"].split(","))
    return Site(
        Cluster("edge-a", Path(configs["a"])),
        Cluster("edge-b", Path(configs["b"])),
        values["LAB_REGISTRY"],
        values["LAB_S3"],
        Path(values["LAB_S3_ACCESS_KEY_FILE"]),
        Path(values["LAB_S3_SECRET_KEY_FILE"]),
        values["LAB_HOST_ADDRESS"],
        Path(values["LAB_HELM"]),
        plan if ours else None,
    )


@pytest.fixture
def namespace(site: Site) -> Iterator[str]:
    """Give the name of a new namespace on both clusters, deleted afterwards with all in it."""
    name = f"test-{secrets.token_hex(4)}"
    for cluster in site.clusters:
        cluster.kubectl("create", "namespace", name)
        # Pods are refused until the controller manager has made the namespace's account.
        cluster.wait("-n", name, "--for=create", "serviceaccount/default", within_s=60)
    yield name
    for cluster in site.clusters:
        cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def published(site: Site) -> Callable[[oci.Image], str]:
    """Give a function that pushes an image of `tests.lab.images` and gives its reference."""
    return lambda image: oci.push(image, site.registry)


def _unavailable(reason: str) -> None:
    if os.environ.get("CI") == "true" or os.environ.get("LAB_REQUIRED") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
