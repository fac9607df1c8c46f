"""k8s/monitoring/thresholds.yaml as recording rules: one series function:threshold for each function and figure."""

from __future__ import annotations

from pathlib import Path

import yaml

NAMESPACE = "openfaas-fn"
SCALING = ("invocations", "messages", "backlog", "queue_seconds")
HEALTH = ("p99_seconds", "error_share")
_HEAD = "# Made from k8s/monitoring/thresholds.yaml by `python -m tools.monitoring`: change it there.\n"


class ThresholdError(ValueError):
    """A line of thresholds.yaml that is none."""


def load(source: Path) -> dict[str, dict[str, float]]:
    """Figures by function.  Raises ThresholdError."""
    functions = yaml.safe_load(source.read_text())["functions"]
    for function, figures in functions.items():
        for name, value in figures.items():
            if name not in (*SCALING, *HEALTH):
                raise ThresholdError(f"{function}: {name} is none of {', '.join((*SCALING, *HEALTH))}")
            if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
                raise ThresholdError(f"{function}: {name} must be a number above 0")
    return dict(functions)


def rules(functions: dict[str, dict[str, float]]) -> str:
    """The text of rules/thresholds.yml."""
    recorded = [
        {
            "record": "function:threshold",
            "labels": {"function_name": f"{function}.{NAMESPACE}", "of": name},
            "expr": f"vector({value})",
        }
        for function, figures in functions.items()
        for name, value in figures.items()
    ]
    groups = [{"name": "edge-thresholds", "interval": "5s", "rules": recorded}]
    return _HEAD + yaml.safe_dump({"groups": groups}, sort_keys=False)
