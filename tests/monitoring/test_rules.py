"""The rules in k8s/monitoring by Prometheus' own words: valid, and each fires, holds and resolves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tools.monitoring import thresholds

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "k8s/monitoring"
RULES = sorted((FOLDER / "rules").glob("*.yml"))
TESTS = sorted((FOLDER / "tests").glob("*.test.yml"))


def run(*argv: str | Path) -> None:
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_rules(promtool: str) -> None:
    assert RULES
    run(promtool, "check", "rules", *RULES)


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_each_rule_fires_holds_and_resolves(path: Path, promtool: str) -> None:
    run(promtool, "test", "rules", path)


def rules_of(key: str) -> set[str]:
    return {
        rule[key]
        for path in RULES
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
        if key in rule
    }


def test_every_alert_has_a_test_with_a_moment_when_it_fires_and_one_before_and_one_after() -> None:
    looked: dict[str, list[bool]] = {}
    for path in TESTS:
        for test in yaml.safe_load(path.read_text())["tests"]:
            moments: dict[str, list[bool]] = {}
            for moment in test.get("alert_rule_test", []):
                moments.setdefault(moment["alertname"], []).append(bool(moment["exp_alerts"]))
            for alert, fired in moments.items():
                looked.setdefault(alert, [])
                if not fired[0] and not fired[-1]:
                    looked[alert] += fired[1:-1]
    for alert in rules_of("alert"):
        assert sum(looked.get(alert, [])) >= 2, f"{alert}: no test in which it fires and holds between silences"


def test_every_reason_to_scale_has_such_a_test() -> None:
    tested = (FOLDER / "tests/scaling.test.yml").read_text()
    for reason in thresholds.SCALING:
        assert f'reason="{reason}"' in tested
        assert f"reason: {reason}}}" in (FOLDER / "rules/scaling.yml").read_text()


def test_thresholds_are_made_from_their_values() -> None:
    functions = thresholds.load(FOLDER / "thresholds.yaml")
    made = thresholds.rules(functions)
    assert (FOLDER / "rules/thresholds.yml").read_text() == made, "run: python -m tools.monitoring"


def test_every_function_of_the_stack_has_thresholds_and_no_other() -> None:
    stack = yaml.safe_load((ROOT / "stack.yml").read_text())
    assert set(thresholds.load(FOLDER / "thresholds.yaml")) == set(stack["functions"])


@pytest.mark.parametrize("line", ["calls: 5", "invocations: 0", "invocations: many", "invocations: true"])
def test_a_wrong_threshold_is_refused_by_name(line: str, tmp_path: Path) -> None:
    path = tmp_path / "thresholds.yaml"
    path.write_text(f"functions:\n  mme-enb: {{{line}}}\n")
    with pytest.raises(thresholds.ThresholdError, match=f"mme-enb: {line.partition(':')[0]}"):
        thresholds.load(path)


def test_what_alerts_look_for_is_there_before_it_happens() -> None:
    """`increase` sees nothing where a series begins with its first event."""
    program = "import mme.metrics, prometheus_client as p; print(p.generate_latest().decode())"
    argv = [sys.executable, "-c", program]
    told = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60, cwd=ROOT).stdout
    for result in ("no answer", "overdue", "dead"):
        assert f'mme_timers_total{{result="{result}"}} 0.0\n' in told
