"""The run as a person starts it, small and on the embedded store; its history is judged again from its file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chaos import history
from chaos.__main__ import _options, main, parser
from chaos.history import Answered, Challenged, Context, Event, HomeSqn, Injected, Last, Named, Nas, Opened
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


def of_a_whole_life(events: list[Event], ue: int) -> bool:
    """Whether the recorder saw all that the judge looks at: else its silence would say nothing."""
    own = [event for event in events if event.ue == ue]
    ways = {(event.way, event.count) for event in own if isinstance(event, Nas)}
    named = [event for event in own if isinstance(event, Named)]
    challenged = {event.sqn for event in own if isinstance(event, Challenged)}
    (home,) = (event for event in own if isinstance(event, HomeSqn))
    (last,) = (event for event in own if isinstance(event, Last))
    connections = {event.connection for event in own if isinstance(event, Opened)}
    return (
        {("up", 0), ("up", 1), ("down", 0), ("down", 1)} <= ways
        and bool(named[0].guti and named[0].address)
        and home.sqn == max(challenged)
        and all(event.connection in connections for event in own if isinstance(event, Challenged))
        and any(isinstance(event, Answered) and event.message == "Attach Complete" for event in own)
        and (any(isinstance(event, Context) and event.indexed for event in own) or not last.registered)
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
    assert any(isinstance(event, Injected) for event in events)
    for ue in range(1, UES + 1):
        assert of_a_whole_life(events, ue)
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


@pytest.mark.parametrize(
    ("hosts", "told", "nodes"),
    [
        ("", [], 3),
        ("", ["--nodes", "1"], 1),
        ("10.0.0.1", [], 1),
        ("10.0.0.1:9142,10.0.0.2", [], 1),
        ("10.0.0.1,10.0.0.2,10.0.0.3", [], 3),
        ("10.0.0.1", ["--nodes", "3"], 3),
        ("", ["--store", "sqlite"], 0),
    ],
)
def test_a_cluster_that_is_given_has_the_replicas_that_it_has_nodes_for(
    hosts: str, told: list[str], nodes: int
) -> None:
    assert _options(parser().parse_args(told), hosts).nodes == nodes
