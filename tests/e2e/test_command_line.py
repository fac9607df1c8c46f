"""`enb-app attach`: exit status, JSON, and every bad UE."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.stub import kept_port
from enb_app import cli
from tests.e2e.conftest import Core

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e-core")]


def run(core: Core, tmp_path: Path, *more: str, ues: int = 2) -> tuple[int, dict[str, Any]]:
    """(exit status, the JSON)."""
    path = tmp_path / "run.json"
    status = cli.main([*core.arguments(ues), "--quiet", "--json", str(path), *more])
    return status, json.loads(path.read_text())


def test_attached_ues_end_with_0(core: Core, tmp_path: Path) -> None:
    status, told = run(core, tmp_path, "--mode", "sync")
    assert status == 0
    assert (told["attached"], told["failed"], len(told["samples_ms"])) == (2, 0, 2)
    assert told["p50_ms"] <= told["p99_ms"] <= told["max_ms"]
    assert told["rate_per_s"] > 0
    assert {outcome["verdict"] for outcome in told["outcomes"]} == {"attached"}


def test_open_loop_begins_attaches_at_the_rate(core: Core, tmp_path: Path) -> None:
    status, told = run(core, tmp_path, "--rate", "10", ues=10)
    assert (status, told["attached"]) == (0, 10)
    started = [outcome["started_ms"] for outcome in told["outcomes"]]
    assert started[-1] - started[0] >= 890
    assert told["options"]["rate_per_s"] == 10


@pytest.mark.parametrize(
    ("option", "cause", "last"),
    [
        ("--wrong-key", None, "Authentication Reject"),
        ("--wrong-res", None, "Authentication Reject"),
        ("--unknown-imsi", 8, "Attach Reject"),
    ],
)
def test_bad_ues_are_refused_with_1(core: Core, tmp_path: Path, option: str, cause: int | None, last: str) -> None:
    """cause None: an Authentication Reject carries none."""
    for mode in ("sync", "async"):
        status, told = run(core, tmp_path, option, "--mode", mode)
        assert (status, told["attached"], told["failed"]) == (1, 0, 2)
        for outcome in told["outcomes"]:
            assert outcome["verdict"] == "rejected"
            assert cause is None or outcome["emm_cause"] == cause
            assert last.lower() in outcome["cause"].lower()


def test_replayed_messages_are_discarded_and_counted(core: Core, tmp_path: Path) -> None:
    status, told = run(core, tmp_path, "--replay")
    assert (status, told["attached"]) == (0, 2)
    assert set(told["replayed"]) <= {"discarded", "stale"}
    assert told["replayed"]["discarded"] >= 2
    reasons = [line["text"] for line in core.gateway.logs("mme-uplink-nas") if '"discarded"' in line["text"]]
    assert reasons


def test_no_gateway_ends_with_2(core: Core, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with kept_port() as port:
        assert cli.main([*core.arguments(1), "--gateway", f"http://127.0.0.1:{port}", "--quiet"]) == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert "localfaas up" in line


def test_too_few_subscribers_end_with_2(core: Core, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["attach", "--gateway", core.gateway.url, "--secrets", str(core.site.secrets), "--quiet"]
    assert cli.main([*arguments, "--subscribers", str(core.site.subscribers), "--ues", "100000"]) == 2
    assert "--ues" in capfd.readouterr().err


def test_a_tracking_area_that_is_not_served_ends_with_2(core: Core, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*core.arguments(1), "--tac", "99", "--quiet"]) == 2
    assert "S1 Setup Failure" in capfd.readouterr().err
