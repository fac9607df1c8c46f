"""The rules in k8s/monitoring by Prometheus' own words: valid, and each fires, holds and resolves."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from durable.rows import Conflict, Saved, Unknown
from mme import observing
from mme.enums import ItemResult
from tools.monitoring import thresholds
from tools.monitoring.dashboards import DASHBOARDS

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
    functions = thresholds.load(FOLDER / "thresholds.yaml")
    assert set(functions) == set(stack["functions"])
    for function, figures in functions.items():
        # The classic rule, each by its own threshold; what somebody has to look at, too.
        assert {"invocations", *thresholds.HEALTH} <= set(figures), function
        assert "com.openfaas.scale.max" in stack["functions"][function]["labels"]


@pytest.mark.parametrize("line", ["calls: 5", "invocations: 0", "invocations: many", "invocations: true"])
def test_a_wrong_threshold_is_refused_by_name(line: str, tmp_path: Path) -> None:
    path = tmp_path / "thresholds.yaml"
    path.write_text(f"functions:\n  mme-enb: {{{line}}}\n")
    with pytest.raises(thresholds.ThresholdError, match=f"mme-enb: {line.partition(':')[0]}"):
        thresholds.load(path)


@pytest.fixture(scope="module")
def at_start() -> str:
    """What functions and tickers tell before anything has happened."""
    program = "import mme.runtime, mme.ticker, placement.function, reload.function, prometheus_client as p; "
    argv = [sys.executable, "-c", program + "print(p.generate_latest().decode())"]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=100, cwd=ROOT).stdout


def begun(told: str, metric: str) -> set[str]:
    """Values of its label, or its labels' in the order of their names, that are told of with 0."""
    found = re.findall(rf"^{metric}(?:\{{(.*)\}})? 0\.0$", told, re.M)
    return {" ".join(re.findall(r'="([^"]*)"', labels)) for labels in found}


def test_what_may_happen_is_there_before_it_happens(at_start: str) -> None:
    """`rate` and `increase` see nothing where a series begins with its first event."""
    results = {each.value for each in ItemResult}
    assert begun(at_start, "mme_timers_total") == results | {"stale row", "open row", "no answer", "overdue", "dead"}
    # What a conditional write comes to (mme.store.base.WriteResult) is counted by the name of its class.
    assert begun(at_start, "mme_cas_total") == {each.__name__.lower() for each in (Saved, Conflict, Unknown)}
    assert begun(at_start, "mme_pushes_total") == {"taken", "failed", "no-url"}
    assert begun(at_start, "mme_procedures_total") == {
        f"{procedure} {result}" for procedure in observing.PROCEDURES for result in observing.RESULTS
    }
    assert begun(at_start, "placement_callbacks_total") == {"taken", "given up"}
    refused = {str(status) for status in refusals_of_the_code()}
    assert begun(at_start, "mme_requests_refused_total") == refused
    assert begun(at_start, "placement_requests_refused_total") == refused


def refusals_of_the_code() -> set[int]:
    """Statuses that an EnvelopeError is raised with."""
    sources = [path for package in ("trust", "mme", "placement", "reload") for path in (ROOT / package).rglob("*.py")]
    return {
        call.args[0].value
        for path in sources
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "EnvelopeError"
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, int)
    }


# Of ever so many messages: with a message's first item its other results begin (tests/mme/runtime/test_metrics.py).
IN_BULK = {"mme_messages_total"}


def test_no_panel_and_no_rule_takes_the_rate_of_a_counter_that_begins_with_its_first_event(at_start: str) -> None:
    panels = {query.expr for board in DASHBOARDS.values() for panel in board.panels for query in panel.queries}
    looked = set()
    for expr in panels | rules_of("expr"):
        for metric in re.findall(r"\b(?:rate|increase)\((\w+_total)\b", expr):
            # The gateway's are not ours, and no single event is looked for there.
            if metric.startswith("gateway_") or f"(last_over_time({metric}" in expr:
                continue
            looked.add(metric)
            if metric not in IN_BULK:
                # An agent's is not among these: without labels, it is told of from the beginning.
                assert begun(at_start, metric) or metric == "reload_daemon_starts_total", f"{metric} in {expr}"
    assert {"mme_procedures_total", "mme_timers_total", "mme_cas_total"} | IN_BULK <= looked
