"""Directories of helm's runs: a killed function leaves one behind, with a kubeconfig in it; the next one removes it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from placement.helm import Helm, remove_left_over


def test_those_of_processes_that_are_gone_are_removed_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for name in (f"placement-helm-{gone.pid}-a", f"placement-helm-{os.getpid()}-b", "placement-helm-c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "kubeconfig").write_text("token")
    living = tmp_path / f"placement-helm-{os.getppid()}-d"
    living.mkdir()
    other = tmp_path / "of-somebody-else"
    other.mkdir()
    assert remove_left_over(tmp_path) == 3
    assert sorted(tmp_path.iterdir()) == sorted([living, other])


def environment_of_helm(folder: Path, tmp_path: Path) -> dict[str, str]:
    """What a program run as helm finds in its environment."""
    program = tmp_path / "helm"
    program.write_text("#!/bin/sh\nexec env\n")
    program.chmod(0o755)
    with Helm(str(program), folder=folder).turn() as turn:
        ran = turn.run((), {}, timeout_s=30)
    return dict(line.split("=", 1) for line in ran.stdout.splitlines())


def test_the_one_directory_that_stays_is_ours_alone(tmp_path: Path) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    kept = folder / f"edge-kube-cache-{os.getuid()}"
    assert environment_of_helm(folder, tmp_path)["KUBECACHEDIR"] == str(kept)
    assert (list(folder.iterdir()), kept.stat().st_mode & 0o777) == ([kept], 0o700)


def test_a_cache_that_somebody_else_has_laid_there_is_not_used(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "tmp", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (folder / f"edge-kube-cache-{os.getuid()}").symlink_to(elsewhere)
    assert "KUBECACHEDIR" not in environment_of_helm(folder, tmp_path)
