"""The dashboards' files are what the code makes, and every panel says what it shows."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.monitoring.__main__ import FOLDER, made
from tools.monitoring.dashboards import DASHBOARDS

FILES = sorted((FOLDER / "dashboards").glob("*.json"))


Look = tuple[str, str, Mapping[str, float]]
"""Expression, when, and what it gives by its labels."""


def panels(path: Any) -> list[dict[str, Any]]:
    return [panel for panel in json.loads(path.read_text())["panels"] if panel["type"] != "row"]


def test_the_files_are_what_the_code_makes_and_there_are_no_others() -> None:
    assert {path.stem for path in FILES} == set(DASHBOARDS)
    for path, text in made().items():
        assert path.read_text() == text, "run: python -m tools.monitoring"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_panel_has_unit_legend_and_description(path: Any) -> None:
    shown = panels(path)
    assert shown
    for panel in shown:
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert len(panel["description"]) > 20, panel["title"]
        assert panel["options"]["legend"]["showLegend"], panel["title"]
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            assert target["expr"], panel["title"]
            assert target["legendFormat"] not in ("", "__auto"), panel["title"]


def test_an_axis_begins_at_0_but_where_a_figure_may_drift_below() -> None:
    shown = [panel for path in FILES for panel in panels(path)]
    below = {panel["title"] for panel in shown if "below 0" in panel["description"]}
    assert below == {"UEs by EMM state", "UEs by ECM state"}
    for panel in shown:
        assert panel["fieldConfig"]["defaults"].get("min") == (None if panel["title"] in below else 0), panel["title"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_panels_do_not_overlap_and_ask_the_source_that_is_chosen(path: Any) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels(path):
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
        assert panel["datasource"] == {"type": "prometheus", "uid": "${source}"}


def test_what_the_rules_record_is_shown_or_something_else_is_recorded_from_it() -> None:
    rules = [
        rule
        for path in sorted((FOLDER / "rules").glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
        if "record" in rule
    ]
    asked = [query.expr for board in DASHBOARDS.values() for panel in board.panels for query in panel.queries]
    asked += [rule["expr"] for rule in rules]
    recorded = {rule["record"] for rule in rules}
    assert "function:refusals:share" in recorded
    assert {name for name in recorded if not any(name in expr for expr in asked)} == set()


def test_a_pod_that_has_applied_no_configuration_has_no_age(promtool: str, tmp_path: Path) -> None:
    """Its agent tells 0, which is 1970."""
    (age,) = (panel for panel in DASHBOARDS["placement-and-reload"].panels if panel.title == "Age of the digest")
    told = [("waiting", "0x30"), ("younger", "0x10 540x20"), ("older", "0x10 500x20")]
    series = {f'reload_last_applied_timestamp_seconds{{cluster="a",pod="{pod}"}}': values for pod, values in told}
    looks = [(query.expr, "10m", {'{cluster="a"}': value}) for query, value in zip(age.queries, (100, 60), strict=True)]
    shows(promtool, tmp_path, series, looks)


def shows(promtool: str, folder: Path, series: Mapping[str, str], looks: Sequence[Look]) -> None:
    """What is seen of series that have a value every 30 s."""
    tests = {
        "interval": "30s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": expr,
                "eval_time": at,
                "exp_samples": [{"labels": labels, "value": value} for labels, value in samples.items()],
            }
            for expr, at, samples in looks
        ],
    }
    path = folder / "panel.test.yml"
    path.write_text(yaml.safe_dump({"tests": [tests]}))
    done = subprocess.run([promtool, "test", "rules", path], check=False, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr


RARE = [
    ("scaling", "Items refused", 'mme_items_refused_total{function_name="mme-enb.openfaas-fn"}'),
    ("mme", "NAS rejects by cause", 'mme_nas_rejects_total{message="AttachReject",cause="22 congestion"}'),
    (
        "placement-and-reload",
        "Operations by cluster and outcome",
        'placement_operations_total{cluster="a",action="apply",outcome="failed"}',
    ),
    ("placement-and-reload", "Drift", 'placement_comparisons_total{cluster="a",found="drift"}'),
    ("placement-and-reload", "Requests refused whole", 'placement_requests_refused_total{status="401"}'),
    ("placement-and-reload", "Final answers to callback URLs", 'placement_callbacks_total{result="given up"}'),
    ("placement-and-reload", "Calls by outcome", 'config_reload_requests_total{action="apply",status="error"}'),
    ("placement-and-reload", "Verdicts by cluster", 'reload_verdicts_total{cluster="a",verdict="failed"}'),
]


def queries(board: str, title: str) -> list[str]:
    (panel,) = (panel for panel in DASHBOARDS[board].panels if panel.title == title)
    return [query.expr for query in panel.queries]


@pytest.mark.parametrize(("board", "title", "series"), RARE, ids=[title for _, title, _ in RARE])
def test_what_happens_once_is_shown_for_ten_minutes(
    board: str, title: str, series: str, promtool: str, tmp_path: Path
) -> None:
    (expr,) = queries(board, title)
    total = f"round(sum({expr}))"
    nothing: dict[str, float] = {}
    never, once = {"{}": 0}, {"{}": 1}
    cases: dict[str, list[tuple[str, Mapping[str, float]]]] = {
        # A series that begins with its first event, 5 minutes after the beginning.
        "_x10 1x70": [
            ("4m30s", nothing),
            ("5m", once),
            ("10m", once),
            ("14m30s", once),
            ("15m30s", never),
            ("30m", never),
        ],
        # Its replica is gone soon after.
        "_x10 1x4 stale": [("7m", once), ("12m", once), ("18m", nothing)],
        # One that was there all along.
        "0x19 1x60": [("9m", never), ("15m", once), ("25m", never)],
        "7x19 8x60": [("15m", once), ("25m", never)],
        # A scrape that failed is no beginning.
        "5x29 stale 5x60": [("16m", never), ("20m", never), ("25m", never), ("25m30s", never), ("30m", never)],
        # A replica that began anew counts from 0.
        "5x29 1x60": [("20m", once), ("30m", never)],
    }
    for values, looks in cases.items():
        shows(promtool, tmp_path, {series: values}, [(total, at, samples) for at, samples in looks])


@pytest.mark.parametrize(
    ("title", "metric", "labels"),
    [
        ("Duration by cluster", "placement_operation_seconds", {"cluster": "a", "action": "apply"}),
        ("Steps", "placement_step_seconds", {"phase": "helm"}),
        ("Time of a call", "config_reload_seconds", {"action": "apply"}),
    ],
)
def test_a_first_operation_has_a_duration(
    title: str, metric: str, labels: dict[str, str], promtool: str, tmp_path: Path
) -> None:
    """One between 1 and 2 s: its quantiles are taken as if it lay anywhere between."""
    told = ",".join(f'{name}="{value}"' for name, value in labels.items())
    series = {
        f'{metric}_bucket{{{told},le="{le}"}}': f"_x10 {count}x30" for le, count in (("1", 0), ("2", 1), ("+Inf", 1))
    }
    shares = {"0.5": 1.5, "0.99": 1.99}
    looks: list[Look] = []
    for expr in queries("placement-and-reload", title):
        (share,) = (share for share in shares if f"({share}, " in expr)
        looks.append((f"round({expr}, 0.01)", "10m", {f"{{{told}}}": shares[share]}))
    assert looks
    shows(promtool, tmp_path, series, looks)
