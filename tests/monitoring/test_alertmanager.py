"""k8s/monitoring/alertmanager.yml by Alertmanager's own words: which alerts go where, and in which groups."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
import yaml

from bench import scaling
from tests.monitoring.conftest import program
from tests.monitoring.test_rules import FOLDER, RULES

CONFIGURATION = FOLDER / "alertmanager.yml"


def amtool(*arguments: str) -> str:
    argv = [program("amtool"), *arguments]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def told() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(CONFIGURATION.read_text())
    return read


def alerts() -> list[dict[str, Any]]:
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def test_alertmanager_takes_it() -> None:
    assert "SUCCESS" in amtool("check-config", str(CONFIGURATION))


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_only_what_scales_goes_to_the_gateway(alert: dict[str, Any]) -> None:
    labels = [f"{name}={value}" for name, value in {"alertname": alert["alert"], **alert["labels"]}.items()]
    receiver = amtool("config", "routes", "test", f"--config.file={CONFIGURATION}", *labels).strip()
    assert receiver == ("gateway" if alert["alert"] == "FunctionWantsReplicas" else "people")


def test_a_function_is_a_group_of_its_own() -> None:
    """The gateway steps every function that a notification names."""
    (route,) = told()["route"]["routes"]
    assert "function_name" in route["group_by"]


def test_the_gateway_learns_of_the_end_and_the_password_is_in_a_file() -> None:
    (gateway,) = (each["webhook_configs"][0] for each in told()["receivers"] if each["name"] == "gateway")
    assert gateway["send_resolved"] is True
    assert set(gateway["http_config"]["basic_auth"]) == {"username", "password_file"}


def test_what_the_scaling_run_reckons_with_is_what_is_configured() -> None:
    (route,) = told()["route"]["routes"]
    assert route["group_wait"] == f"{scaling.GROUP_WAIT_S:g}s"
    assert f"[{scaling.RULES_WINDOW_S:g}s]" in (FOLDER / "rules/scaling.yml").read_text()
