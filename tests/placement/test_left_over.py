"""Directories of helm's runs: a killed function leaves one behind, with a kubeconfig in it; the next one removes it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from placement.helm import remove_left_over


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
