"""The run as a person starts it, small and on the embedded store; its history is judged again from its file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chaos import history
from chaos.__main__ import main
from chaos.history import Injected, Last
from laptop.site import ROOT

UES = 10


def chaos(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "chaos", *arguments],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )


@pytest.mark.e2e
@pytest.mark.timeout(900)
def test_a_small_run_passes_and_says_what_it_did(tmp_path: Path) -> None:
    told = ["--store", "sqlite", "--ues", str(UES), "--minutes", "0.5", "--pause", "3", "--seed", "7"]
    ran = chaos(*told, "--folder", str(tmp_path))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.rstrip().endswith(
        f"PASSED: no violation, {UES}/{UES} UEs attached (seed 7, {UES} UEs, 0.5 minutes)"
    )
    assert "replica killed" in ran.stdout
    events = history.read(tmp_path / "history.jsonl")
    assert sum(isinstance(event, Last) for event in events) == UES
    assert any(isinstance(event, Injected) for event in events)
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["violations"] == []
    assert result["wire"]["call"]["none"] > 5 * UES
    assert main(["--check", str(tmp_path / "history.jsonl")]) == 0


def test_a_violation_in_a_recorded_history_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "history.jsonl"
    history.write(path, [history.Nas(7, 1, "up", "k", 3, "a"), history.Nas(8, 1, "up", "k", 3, "b")])
    assert main(["--check", str(path)]) == 1
    printed = capsys.readouterr().out
    assert "uplink NAS COUNT 3 stands for two messages under key k" in printed
    assert '"octets":"a"' in printed
    assert '"octets":"b"' in printed


def test_without_java_it_says_what_to_do(tmp_path: Path) -> None:
    ran = chaos("--folder", str(tmp_path), environment={"PATH": str(tmp_path), "JAVA_HOME": "", "CASSANDRA_HOSTS": ""})
    assert ran.returncode == 2
    assert "Java 17" in ran.stderr
    assert "make chaos STORE=sqlite" in ran.stderr
