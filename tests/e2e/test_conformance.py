"""The cases and a short life against the real functions, with shortened timers (docs/cases.md, docs/enb-app.md).

Nothing here depends on how fast this machine is: a case waits for what is to happen and counts it; the bounds are those
of a machine with much else to do.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from laptop.site import Site

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
# docs/procedures.md: DEVIATES, each with its reason.
DEVIATING = {"two_enbs_with_one_identity"}
# An MME has one policy for emergency attach: that of this run serves it, the cases of the others are skipped.
EMERGENCY_OFF = {"attach_emergency"}
SHORT = {
    "emergency_attach": "all",
    "tacs": "7-9",
    "request_imeisv": "true",
    "blocked_imeis": "99000000,35349006987399",
    "t3460_s": "0.6",
    "t3450_s": "0.6",
    "t3470_s": "0.6",
    "t3422_s": "0.6",
    "t3413_s": "0.6",
    "t3489_s": "0.4",
    "context_setup_s": "3.0",
    "mobile_reachable_margin_s": "12",
    "implicit_detach_s": "12",
    "t3412_s": "8",
}
EnbApp = Callable[..., subprocess.CompletedProcess[str]]


@contextmanager
def serving(folder: Path, subscribers: int, settings: dict[str, str]) -> Iterator[EnbApp]:
    """A site of its own; yields `enb-app` against it."""
    site = Site(folder / "site")
    site.provision(subscribers)
    with site.serve(port=0, settings=settings) as gateway:

        def enb_app(*arguments: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "enb_app.cli", *arguments, "--gateway", gateway.url]
            command += ["--secrets", str(site.secrets), "--subscribers", str(site.subscribers)]
            return subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)

        yield enb_app


def test_every_case_passes_but_those_that_deviate(tmp_path: Path) -> None:
    with serving(tmp_path, 600, SHORT) as enb_app:
        run = enb_app("case", "--all", "--timers", "0.1", "--concurrency", "10", "--json", str(tmp_path / "cases.json"))
    told = json.loads((tmp_path / "cases.json").read_text())
    outcomes = {case["name"]: case["outcome"] for case in told["cases"]}
    assert run.returncode == 0, run.stdout + run.stderr
    assert {name for name, outcome in outcomes.items() if outcome == "deviates"} == DEVIATING, run.stdout
    assert {name for name, outcome in outcomes.items() if outcome == "skip"} == EMERGENCY_OFF, run.stdout
    assert told["passed"] >= 200


def test_with_the_usual_settings_no_emergency_attach_and_after_a_life_each_ue_and_the_mme_agree(tmp_path: Path) -> None:
    """A life with timers as they are: a UE must not be gone because this machine was slow to come back to it."""
    with serving(tmp_path, 40, {}) as enb_app:
        cases = enb_app("case", *EMERGENCY_OFF)
        assert cases.returncode == 0, cases.stdout + cases.stderr
        assert "pass attach_emergency" in cases.stdout
        life = enb_app("life", "--ues", "8", "--minutes", "0.15", "--enbs", "2", "--first-ue", "20")
        assert life.returncode == 0, life.stdout + life.stderr
