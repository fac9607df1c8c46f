"""What a test of the lab asks for: the two clusters, a namespace of its own on them, images, the registry and S3."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab import images, lab, oci
from tests.lab import placing as placing_on_the_lab
from tests.lab.kubectl import Cluster
from tests.lab.parts import CLUSTERS, MARKER
from tests.lab.placing import Placing
from tests.lab.plan import LabPlan
from tests.lab.site import Site

_NAMED = (
    *("LAB_REGISTRY", "LAB_S3", "LAB_S3_ACCESS_KEY_FILE", "LAB_S3_SECRET_KEY_FILE", "LAB_HOST_ADDRESS"),
    *("LAB_HELM", "LAB_KUBECTL"),
)


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


@pytest.fixture(scope="module")
def cluster(site: Site, request: pytest.FixtureRequest) -> Cluster:
    """Give the cluster that the file's marker `beside` names."""
    marker = request.node.get_closest_marker(MARKER)
    assert marker is not None, "a file that is not marked so takes site.a or site.b"
    return dict(zip(CLUSTERS, site.clusters, strict=True))[marker.kwargs["cluster"]]


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


@pytest.fixture(scope="session")
def placing(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Placing]:
    """Give an installation that places on both clusters; shared, so a test names its releases like nobody else's."""
    image = oci.push(images.pause(), site.registry)
    with placing_on_the_lab.placing(site, tmp_path_factory.mktemp("placing"), image) as running:
        yield running


def _unavailable(reason: str) -> None:
    if os.environ.get("CI") == "true" or os.environ.get("LAB_REQUIRED") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
