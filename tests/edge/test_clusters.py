"""`edge clusters`: what `add` registers is what `list` shows and the placement function reads; what `check` tells."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from durable.sqlite import SqliteStore
from edge.cli import main
from placement.cluster import Cluster, Taint
from placement.inventory import Clusters
from placement.tables import TABLES
from tests.placement.fake_cluster import FakeCluster

ALL = ("*", "*", "")
ROLES = ("create", "clusterroles", "")
USERS = ("impersonate", "users", "")
GROUPS = ("impersonate", "groups", "")
SYSTEM = ("get", "secrets", "kube-system")
BINDINGS = ("create", "rolebindings", "kube-system")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'edge.db'}"


@pytest.fixture
def target() -> Iterator[FakeCluster]:
    cluster = FakeCluster()
    cluster.forbidden |= {
        ALL,
        ROLES,
        USERS,
        GROUPS,
        SYSTEM,
        BINDINGS,
    }  # as charts/placement-target gives an account its rights
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()


def registered(url: str) -> list[Cluster]:
    with contextlib.closing(SqliteStore(Path(url.removeprefix("sqlite:///")), TABLES)) as store:
        return Clusters(store).all()


def test_every_flag_of_add_is_what_the_function_reads_and_list_shows(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--location", "munich", "--zone", "munich-1", "--label", "tier=edge", "--label", "gpu=yes"]
    flags += ["--taint", "radio=5g:NoSchedule", "--taint", "old:PreferNoSchedule", "--latency", "hq=12.5"]
    flags += ["--secret", "kubeconfig-m", "--context", "admin@m"]
    assert main(["clusters", "add", "m-1", *flags, "--store", url]) == 0
    assert registered(url) == [
        Cluster(
            "m-1",
            "munich",
            "munich-1",
            {"tier": "edge", "gpu": "yes"},
            (Taint("radio", "5g", "NoSchedule"), Taint("old", "", "PreferNoSchedule")),
            {"hq": 12.5},
            "kubeconfig-m",
            "admin@m",
        )
    ]
    capsys.readouterr()
    assert main(["clusters", "list", "--store", url]) == 0
    header, row = (line.split() for line in capsys.readouterr().out.splitlines())
    assert header == ["NAME", "LOCATION", "ZONE", "LABELS", "TAINTS", "LATENCY", "SECRET"]
    shown = "m-1 munich munich-1 gpu=yes tier=edge radio=5g:NoSchedule old:PreferNoSchedule hq=12.5ms kubeconfig-m"
    assert row == shown.split()


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--latency", "hq=nan"], "--latency"),
        (["--latency", "hq=inf"], "--latency"),
        (["--latency", "hq=-5"], "--latency"),
        (["--latency", "hq=soon"], "--latency"),
        (["--location", " "], "--location"),
        (["--taint", "radio=5g:Never"], "--taint"),
        (["--label", "tier"], "--label"),
    ],
)
def test_what_nobody_could_read_again_is_not_registered(
    url: str, capsys: pytest.CaptureFixture[str], flags: list[str], named: str
) -> None:
    """NaN is no JSON: one such row, and no call of anybody could be answered."""
    assert main(["clusters", "add", "m-1", "--location", "munich", *flags, "--store", url]) == 1
    assert named in capsys.readouterr().err
    assert registered(url) == []


@pytest.mark.parametrize(
    ("allowed", "says", "code"),
    [
        (set(), " ok", 0),
        ({SYSTEM}, "may place in every namespace", 0),
        ({BINDINGS}, "may place in every namespace", 0),
        ({ROLES}, "its account may do everything", 1),
        ({USERS}, "its account may do everything", 1),
        ({GROUPS}, "its account may do everything", 1),
        ({ALL, ROLES, SYSTEM}, "its account may do everything", 1),
    ],
)
def test_check_tells_rights_that_reach_too_far(
    url: str,
    tmp_path: Path,
    target: FakeCluster,
    capsys: pytest.CaptureFixture[str],
    *,
    allowed: set[tuple[str, str, str]],
    says: str,
    code: int,
) -> None:
    (tmp_path / "edge-kubeconfigs").write_text(target.kubeconfig)
    assert main(["clusters", "add", "m-1", "--location", "munich", "--store", url]) == 0
    target.forbidden -= allowed
    capsys.readouterr()
    assert main(["clusters", "check", "--secrets", str(tmp_path), "--store", url]) == code
    told = capsys.readouterr().out
    assert says in told
    assert "1 nodes, 4000m CPU, 8192 MiB" in told
    assert ("every namespace" in told) == (allowed in ({SYSTEM}, {BINDINGS}))


def test_check_asks_as_the_namespaces_account(
    url: str, tmp_path: Path, target: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    check = ["clusters", "check", "--namespace", "lab", "--secrets", str(tmp_path), "--store", url]
    assert main(["clusters", "add", "m-1", "--location", "munich", "--store", url]) == 0
    (tmp_path / "edge-kubeconfigs").write_text(target.kubeconfig)
    assert main(check) == 1
    assert "one account for all its namespaces" in capsys.readouterr().out
    target.acts_as = "system:serviceaccount:home:placement-{namespace}"
    target.accounts = {"lab": "system:serviceaccount:home:placement-lab"}
    (tmp_path / "edge-kubeconfigs").write_text(target.kubeconfig)
    assert main(check) == 0
    assert "one account" not in capsys.readouterr().out
    target.mighty = "system:serviceaccount:home:placement-lab"
    assert main(check) == 1
    assert "its account may do everything" in capsys.readouterr().out
    target.mighty = "nobody"
    target.accounts = {}
    assert main(check) == 1
    assert "lacks in lab: get secrets" in capsys.readouterr().out
    target.refuse.add("selfsubjectaccessreviews")  # as a server does where there is no such account
    assert main(check) == 1
    assert "refused" in capsys.readouterr().out
