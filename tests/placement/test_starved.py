"""A helm that is stopped because others had the processors, to whom it yields, is no failure of the placement."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from placement import pacing
from placement.changing import MOST_RUNS
from placement.errors import Code
from placement.helm import Helm, Ran, Turn
from placement.pacing import Share
from tests.placement.conftest import Answered, Site
from tests.placement.test_apply import release_states
from tests.placement.test_interrupted import CALLBACK, turn_to_end


@pytest.mark.parametrize(
    ("ran_s", "waited_s", "is_so"),
    [(0.4, 2.0, True), (0.1, 0.1, False), (3.4, 0.1, False), (1.8, 1.7, False)],
)
def test_starved_is_what_waited_for_a_processor_for_most_of_its_time(
    ran_s: float, waited_s: float, *, is_so: bool
) -> None:
    """A hook that sleeps, a chart that takes long to render, and a cluster that answers slowly are none."""
    assert pacing.is_starved(Share(ran_s, waited_s), 3.5) is is_so


@pytest.mark.parametrize(("waited_s", "is_so"), [(9.0, True), (0.1, False)])
def test_a_run_tells_whether_it_had_a_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waited_s: float, *, is_so: bool
) -> None:
    program = tmp_path / "helm"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(pacing, "share_of", lambda _: Share(0.1, waited_s))
    with Helm(str(program)).turn() as turn:
        ran = turn.run((), {}, timeout_s=1.0)
    assert (ran.stopped, ran.starved) == (Code.TIMEOUT, is_so)


class Starving:
    """Helm, whose first `times` upgrades are stopped in their middle; starved: for want of a processor."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, times: int, *, starved: bool = True, stopped: Code = Code.TIMEOUT
    ) -> None:
        self.runs = 0
        real = Turn.run

        def run(turn: Turn, argv: tuple[str, ...], files: Any, **options: Any) -> Ran:
            if argv[0] != "upgrade":
                return real(turn, argv, files, **options)
            self.runs += 1
            ran = real(turn, argv, files, **options)
            return Ran(-15, "", "", 3.5, stopped, starved) if self.runs <= times else ran

        monkeypatch.setattr(Turn, "run", run)


def placed(site: Site) -> Answered:
    site.call(site.request(cluster="a", wait=True) | {"id": "one"}, callback=CALLBACK)
    return turn_to_end(site, "one")


def unfinished(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cluster takes no Deployment: what is stopped has done only part of its work."""
    site.clusters[0].refuse_bodies = '"Deployment"'
    real = Turn.run

    def run(turn: Turn, argv: tuple[str, ...], files: Any, **options: Any) -> Ran:
        ran = real(turn, argv, files, **options)
        if ran.stopped is None:
            return ran
        site.clusters[0].refuse_bodies = ""
        return ran

    monkeypatch.setattr(Turn, "run", run)


def test_a_starved_run_is_followed_by_another(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    helm = Starving(monkeypatch, 1)
    unfinished(site, monkeypatch)
    answer = placed(site)
    assert (answer.status, answer.code, answer.body["revision"]) == ("ready", None, 2)
    assert helm.runs == 2
    assert release_states(site)[-1] == (2, "deployed")


def test_one_that_had_done_all_of_it_is_not(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    helm = Starving(monkeypatch, 1)
    answer = placed(site)
    assert (answer.status, answer.body["revision"], helm.runs) == ("ready", 1, 1)


@pytest.mark.parametrize(
    ("starved", "stopped", "runs"),
    [(True, Code.TIMEOUT, MOST_RUNS), (False, Code.TIMEOUT, 1), (True, Code.LEASE_LOST, 1)],
)
def test_it_ends_in_time_that_is_told_where_it_is_always_so_or_for_another_reason(
    site: Site, monkeypatch: pytest.MonkeyPatch, *, starved: bool, stopped: Code, runs: int
) -> None:
    helm = Starving(monkeypatch, 100, starved=starved, stopped=stopped)
    site.clusters[0].refuse_bodies = '"Deployment"'
    answer = placed(site)
    assert (answer.status, answer.code, helm.runs) == ("failed", stopped.value, runs)
    assert "Left on the cluster: revision " in answer.body["error"]["message"]
