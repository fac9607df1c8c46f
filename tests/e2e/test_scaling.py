"""Real Prometheus and Alertmanager make a function grow and shrink: sections of `make scaling`, short.

Over localfaas or the gateway that OPENFAAS_URL names: by the rule on invocations; by that on messages where callers
batch and invocations stay below their threshold; by that on waits where a slow HSS keeps both below theirs.  And what
more replicas are good for where waiting dominates.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from bench import __main__ as bench
from bench.monitoring import INTERVAL_S
from bench.scaling import allowed_after_the_rate_s
from bench.sections.scaling import FIRST_WITHIN_S, after_the_rate_s, ordered_after_the_rate_s
from tests.monitoring.conftest import program

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

LATE_S = float(INTERVAL_S)
"""Prometheus, which waits for a core as others do, leaves an evaluation out whose turn is over."""


def measured(section: str, folder: Path) -> dict[str, Any]:
    for name in ("prometheus", "prometheus-alertmanager"):
        program(name)
    assert bench.main(["--only", section, "--quick", "--out", str(folder)]) == 0
    figures: dict[str, Any] = json.loads((folder / f"{section}.json").read_text())["figures"]
    return figures


def most_seen(figures: dict[str, Any], name: str) -> float:
    return max((float(value) for _, value in figures["series"][name]), default=0.0)


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
    first_replica_in_time(figures)


def first_replica_in_time(figures: dict[str, Any]) -> None:
    """Within 40 s of the rule's own figure passing; and ordered no later than scrapes and evaluations explain.

    However busy the machine is: the first leaves room for a start that takes long, of which the second knows nothing.
    """
    after_s, ordered_s = after_the_rate_s(figures), ordered_after_the_rate_s(figures)
    assert after_s is not None
    assert ordered_s is not None
    assert 0 < after_s <= FIRST_WITHIN_S
    assert 0 < ordered_s <= allowed_after_the_rate_s() + LATE_S


def test_by_invocations(tmp_path: Path) -> None:
    grew_and_shrank(measured("scaling", tmp_path))


@pytest.mark.localfaas_only("its rule reads the functions' own metrics, which this machine does not reach")
def test_by_messages_where_callers_batch(tmp_path: Path) -> None:
    figures = measured("scaling-batched", tmp_path)
    grew_and_shrank(figures)
    assert most_seen(figures, "messages") > figures["thresholds"]["messages"]
    assert most_seen(figures, "invocations") < figures["thresholds"]["invocations"], "the classic rule would do"


@pytest.mark.localfaas_only("its rule reads the functions' own metrics, which this machine does not reach")
def test_by_waits_where_a_slow_hss_keeps_the_rates_low(tmp_path: Path) -> None:
    figures = measured("scaling-waits", tmp_path)
    grew_and_shrank(figures)
    assert most_seen(figures, "queue_s") > figures["thresholds"]["queue_seconds"]
    for rate in ("invocations", "messages"):
        assert most_seen(figures, rate) < figures["thresholds"][rate], "another reason would do"


@pytest.mark.localfaas_only("it needs a stub beside the gateway")
def test_four_replicas_do_at_least_two_and_a_half_times_as_much_where_waiting_dominates(tmp_path: Path) -> None:
    figures = measured("waiting", tmp_path)
    assert [run["failed"] for run in figures["runs"]] == [0, 0]
    assert figures["times"] >= 2.5
