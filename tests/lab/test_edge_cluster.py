"""docs/operations.md on adding an edge cluster, as it stands, on a real one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.documented import OPERATIONS, Shell, between, block, shell
from tests.lab.errors import LabError
from tests.lab.kubectl import eventually
from tests.lab.site import Site

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

NAMES = ("placement-system", "lab")


@pytest.fixture
def here(site: Site, tmp_path: Path) -> Iterator[Shell]:
    """Give a shell on edge-a with keys; what the page installs is gone afterwards."""
    there = site.a.kubectl("get", "namespaces", "-o", "name")
    if taken := [name for name in NAMES if f"namespace/{name}\n" in there]:
        pytest.skip(f"{site.a.name} has the page's namespaces already, which are not this test's: {', '.join(taken)}")
    made = shell(site.a, site.helm, tmp_path / "shell")
    one = replace(made, environment={**made.environment, "STORE_URL": f"sqlite:///{tmp_path / 'edge.db'}"})
    one.run("edge secrets init keys")
    yield one
    with contextlib.suppress(LabError):
        one.run("helm uninstall placement-target --namespace default")
    site.a.kubectl("delete", "namespace", *NAMES, "--ignore-not-found", timeout_s=120)


def test_the_page_adds_a_cluster_with_its_rights_and_no_more(here: Shell) -> None:
    said = ""
    kubeconfig, before = here.folder / "keys/edge-kubeconfigs", here.folder / "before"
    for one in between(
        OPERATIONS, "helm upgrade --install placement-target", "edge clusters remove", but=("faas-cli", "keys/together")
    ):
        said += here.run(one, timeout_s=120)
        if "second-token.yaml" in one:
            before.write_bytes(kubeconfig.read_bytes())
            before.chmod(0o600)
            here.run(block(OPERATIONS, "cat > keys/edge-kubeconfigs"), {"placement-token": "placement-token-2"})
    assert "added munich-1" in said
    (room,) = [line for line in said.splitlines() if line.startswith("munich-1") and "CPU" in line]
    assert room.endswith(" ok"), room
    assert "removed munich-1" in said
    assert kubeconfig.stat().st_mode & 0o077 == 0
    # The token may act as the namespace's account, which may no more than the chart grants, and as nobody else.
    account = "system:serviceaccount:placement-system:placement-lab"
    as_account = f"env KUBECONFIG={kubeconfig} kubectl --context munich-1 --as"
    assert here.run(f"{as_account} {account} auth whoami -o jsonpath={{.status.userInfo.username}}") == account
    here.run(f"{as_account} {account} --namespace lab get secrets")
    with pytest.raises(LabError, match="cannot list resource"):
        here.run(f"{as_account} {account} get secrets --all-namespaces")
    with pytest.raises(LabError, match="cannot impersonate"):
        here.run(f"{as_account} system:serviceaccount:kube-system:default --namespace lab get secrets")
    # The first token opens nothing any more; an API server remembers for some seconds what it has seen.
    eventually(lambda: is_refused(here, before), "the token that was taken away to be refused", within_s=60)


def test_the_page_puts_a_second_clusters_kubeconfig_beside_the_first(here: Shell) -> None:
    keys = here.folder / "keys"
    for name, cluster in (("edge-kubeconfigs", "berlin-1"), ("munich-1", "munich-1")):
        (keys / name).write_text(
            f"""
            apiVersion: v1
            kind: Config
            contexts: [{{name: {cluster}, context: {{cluster: {cluster}, user: {cluster}}}}}]
            clusters: [{{name: {cluster}, cluster: {{server: "https://{cluster}.example:6443"}}}}]
            users: [{{name: {cluster}, user: {{token: of-{cluster}, as: "placement-{{namespace}}"}}}}]
            """
        )
    here.run(block(OPERATIONS, "config view --flatten"))
    both = keys / "edge-kubeconfigs"
    assert both.stat().st_mode & 0o077 == 0
    assert here.run(f"KUBECONFIG={both} kubectl config get-contexts -o name").split() == ["berlin-1", "munich-1"]
    assert {f"of-{cluster}" in both.read_text() for cluster in ("berlin-1", "munich-1")} == {True}
    assert both.read_text().count("as: placement-{namespace}") == 2


def is_refused(here: Shell, kubeconfig: Path) -> bool:
    try:
        here.run(f"KUBECONFIG={kubeconfig} kubectl --context munich-1 auth whoami")
    except LabError as e:
        return "Unauthorized" in str(e) or "must be logged in" in str(e)
    return False
