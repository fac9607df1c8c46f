"""The dashboards' files are what the code makes, and every panel says what it shows."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.monitoring.__main__ import FOLDER, made
from tools.monitoring.dashboards import DASHBOARDS

FILES = sorted((FOLDER / "dashboards").glob("*.json"))


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


def test_a_pod_that_has_applied_no_configuration_has_no_age(promtool: str, tmp_path: Path) -> None:
    """Its agent tells 0, which is 1970."""
    (age,) = (panel for panel in DASHBOARDS["placement-and-reload"].panels if panel.title == "Age of the digest")
    told = [("waiting", "0x30"), ("younger", "0x10 540x20"), ("older", "0x10 500x20")]
    series = [
        {"series": f'reload_last_applied_timestamp_seconds{{cluster="a",pod="{pod}"}}', "values": values}
        for pod, values in told
    ]
    looks = [
        {"expr": query.expr, "eval_time": "10m", "exp_samples": [{"labels": '{cluster="a"}', "value": value}]}
        for query, value in zip(age.queries, (100, 60), strict=True)
    ]
    test = tmp_path / "age.test.yml"
    test.write_text(yaml.safe_dump({"tests": [{"interval": "30s", "input_series": series, "promql_expr_test": looks}]}))
    done = subprocess.run([promtool, "test", "rules", test], check=False, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
