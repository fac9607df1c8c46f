"""Real Prometheus and Alertmanager make a function grow and shrink: sections of `make scaling`, short.

Over localfaas or the gateway that OPENFAAS_URL names: by the rule on invocations, and by that on messages where callers
batch and invocations stay below their threshold.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from bench import __main__ as bench
from tests.monitoring.conftest import program

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def measured(section: str, folder: Path) -> dict[str, Any]:
    for name in ("prometheus", "prometheus-alertmanager"):
        program(name)
    assert bench.main(["--only", section, "--quick", "--out", str(folder)]) == 0
    figures: dict[str, Any] = json.loads((folder / f"{section}.json").read_text())["figures"]
    return figures


def grew_and_shrank(figures: dict[str, Any]) -> None:
    """In steps of scale.factor percent of scale.max, to more than one, and to the minimum at once; nobody failed."""
    assert figures["failed"] == 0, figures["causes"]
    *growth, last = figures["wanted_in_turn"]
    assert (growth[0], last) == (1, 1)
    step = math.ceil(figures["most"] * figures["factor"] / 100)
    assert growth == [min(1 + number * step, figures["most"]) for number in range(len(growth))]
    assert len(growth) > 1
    assert figures["most_ready"] == growth[-1]
    assert figures["attached"] == sum(each["ues"] for each in figures["steps"])
    firing = [at for at, _ in figures["series"]["firing"]]
    assert min(firing) > figures["passed_s"], "it grew before there was a reason to"
    assert figures["first_new_replica_s"] > 0


def test_by_invocations(tmp_path: Path) -> None:
    grew_and_shrank(measured("scaling", tmp_path))


@pytest.mark.localfaas_only("its rule reads the functions' own metrics, which this machine does not reach")
def test_by_messages_where_callers_batch(tmp_path: Path) -> None:
    figures = measured("scaling-batched", tmp_path)
    grew_and_shrank(figures)
    most = {of: max(value for _, value in figures["series"][of]) for of in ("invocations", "messages")}
    assert most["messages"] > figures["thresholds"]["messages"]
    assert most["invocations"] < figures["thresholds"]["invocations"], "the classic rule would have been enough"
