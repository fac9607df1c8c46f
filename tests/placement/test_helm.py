"""Helm's runs: one at a time, at a lower priority, on one core; and whoever has to wait costs nobody anything."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from placement import helm
from placement.errors import NotNowError
from placement.helm import Helm
from tests.placement.conftest import CALLER, Site
from tests.placement.fake_cluster import wait_for
from tests.placement.test_apply import release_states

YIELDS = """#!/bin/sh
# Its session's value is written a moment after its start.
for n in $(seq 3000); do
    grep -q "nice 10" /proc/self/autogroup 2>/dev/null && break
    [ -e /proc/self/autogroup ] || break
    sleep 0.01
done
echo "nice $(nice) cores $GOMAXPROCS"
cat /proc/self/autogroup 2>/dev/null
"""


def program(folder: Path, text: str) -> Helm:
    path = folder / "helm"
    path.write_text(text)
    path.chmod(0o755)
    return Helm(str(path), folder=folder)


def test_a_run_yields_as_a_process_and_as_a_session(tmp_path: Path) -> None:
    with program(tmp_path, YIELDS).turn() as turn:
        ran = turn.run((), {}, timeout_s=60)
    first, *rest = ran.stdout.splitlines()
    assert first == f"nice {min(19, os.nice(0) + 10)} cores 1"
    assert not Path("/proc/self/autogroup").exists() or rest[0].endswith("nice 10")


def test_one_runs_at_a_time_and_the_next_is_told_to_come_later(tmp_path: Path) -> None:
    shared = program(tmp_path, "#!/bin/sh\n")
    assert shared.free_in_s() == 0
    with shared.turn():
        assert shared.free_in_s() > 0
        told: list[str] = []

        def other() -> None:
            with pytest.raises(NotNowError), shared.turn():
                told.append("had a turn")
            told.append("not now")

        thread = threading.Thread(target=other)
        thread.start()
        thread.join(60)
        assert told == ["not now"]
    assert shared.free_in_s() == 0
    with shared.turn() as turn:
        assert turn.run((), {}, timeout_s=60).exit_code == 0


def test_a_turn_is_given_back_when_its_run_fails(tmp_path: Path) -> None:
    missing = Helm(str(tmp_path / "no-helm"))
    for _ in range(2):
        with pytest.raises(Exception, match="no helm"), missing.turn() as turn:
            turn.run((), {}, timeout_s=1)
    assert missing.free_in_s() == 0


def test_operations_that_wait_for_helm_wait_in_the_ticker_and_ask_nothing_of_the_cluster(site: Site) -> None:
    cluster = site.clusters[0]
    cluster.stall = ("POST", "/deployments")
    first = threading.Thread(target=lambda: site.call(cluster="a", id="one"))
    first.start()
    wait_for(cluster.stalled.is_set, "helm in its middle")
    site.call(cluster="a", id="two", function_name="other", callback="http://127.0.0.1:9/")
    site.turn()  # its cluster is chosen
    before = list(cluster.calls)
    for _ in range(5):
        site.turn()
    mine = [call for call in cluster.calls if call not in before and "other" in call[1]]
    assert mine == []
    assert site.store.due(int(time.time() * 1000)), "it is still due"
    cluster.stall = None
    cluster.go_on.set()
    first.join()
    site.turn_until(lambda: len(site.inventory.all()) == 2, "the second one's turn")
    assert release_states(site) == [(1, "deployed"), (1, "deployed")]
    assert {p.history[-1].who for p in site.inventory.all()} == {CALLER}


def test_the_wait_for_a_turn_is_short() -> None:
    assert helm.TURN_WAIT_S <= 1
