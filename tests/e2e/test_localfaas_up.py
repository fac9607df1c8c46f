"""`localfaas up` and nothing beside it: timers fire."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from laptop.site import ROOT, Site
from localfaas.process import running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_a_challenge_that_nobody_answers_is_sent_again_and_given_up(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    site.provision(9)
    settings = {"store_url": site.store_url, "t3460_s": "0.6"}
    with running(ROOT / "stack.yml", secrets_dir=site.secrets, env=settings, tickers=True) as gateway:
        command = [sys.executable, "-m", "enb_app.cli", "case", "no_auth_response", "--timers", "0.1"]
        command += ["--gateway", gateway.url, "--secrets", str(site.secrets), "--subscribers", str(site.subscribers)]
        case = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
        assert "pass no_auth_response" in case.stdout, case.stdout + case.stderr
        for function in ("mme-timer", "placement"):
            lines = [line["text"] for line in gateway.logs(function)]
            assert not [text for text in lines if "ticker ended" in text]
