"""Control groups of version 2, on files that stand for them, and of version 1 where this machine has them.

Which files there are, and what they take: https://docs.kernel.org/admin-guide/cgroup-v2.html (cgroup.controllers,
cgroup.subtree_control, cpu.weight: 1 to 10000, 100 at first).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab import cgroups


def version_2(top: Path, controllers: str) -> Path:
    """The top of a hierarchy, and the group of a cluster in it as the kernel makes it."""
    for folder in (top, top / "edge-a", top / "edge-a" / "daemons"):
        folder.mkdir(exist_ok=True)
        (folder / "cgroup.controllers").write_text(f"{controllers}\n")
        (folder / "cgroup.subtree_control").write_text("")
        (folder / "cgroup.procs").write_text("")
        if folder != top and "cpu" in controllers.split():
            (folder / "cpu.weight").write_text("100")
    return top


def test_version_2_hands_down_what_kubelet_wants_and_takes_no_cpus_from_the_top(tmp_path: Path) -> None:
    top = version_2(tmp_path, "cpuset cpu io memory pids rdma")
    (top / "edge-a" / "cpuset.cpus").write_text("\n")
    cgroups.make("edge-a", top)
    assert (top / "cgroup.subtree_control").read_text() == "+io"  # the last of them: each was written by itself
    assert (top / "edge-a" / "cpuset.cpus").read_text() == "\n"
    assert cgroups.left("edge-a", top) == [top / "edge-a"]


def test_a_cluster_weighs_less_meanwhile_in_version_2(tmp_path: Path) -> None:
    top = version_2(tmp_path, "cpu")
    with cgroups.yielding({"edge-a": [4711]}, top) as yields:
        assert yields
        assert (top / "edge-a" / "cpu.weight").read_text() == "12"
        assert (top / "edge-a" / "daemons" / "cgroup.procs").read_text() == "4711"
    assert (top / "edge-a" / "cpu.weight").read_text() == "100"
    assert (top / "cgroup.procs").read_text() == "4711"


def test_where_groups_have_no_share_nothing_yields_and_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    top = version_2(tmp_path, "memory")
    with cgroups.yielding({"edge-a": [4711]}, top) as yields:
        assert not yields
        assert (top / "edge-a" / "daemons" / "cgroup.procs").read_text() == ""
    assert "the clusters do not yield" in capsys.readouterr().err
