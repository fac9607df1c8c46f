"""Where others want the processors helm rests between runs, and only those wait for it who can come again."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from placement import pacing
from placement.helm import Helm
from placement.pacing import MOST_S, Share
from tests.placement.conftest import Site
from tests.placement.test_apply import release_states

COUNTS = "#!/bin/sh\ni=0\nwhile [ $i -lt 30000 ]; do i=$((i+1)); done\n"
WANTS_ALL = "while True: pass"


@contextlib.contextmanager
def one_processor(others: int) -> Iterator[None]:
    """This thread, and what it starts, on one processor, with so many beside it that want all of it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    busy = [subprocess.Popen([sys.executable, "-S", "-c", WANTS_ALL]) for _ in range(others)]
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
        for process in busy:
            process.kill()
            process.wait()


def counting(folder: Path) -> Helm:
    path = folder / "helm"
    path.write_text(COUNTS)
    path.chmod(0o755)
    return Helm(str(path), folder=folder)


@pytest.mark.parametrize(("waited_s", "rest_s"), [(0.0, 0.0), (0.01, 0.6), (0.1, 6.0), (0.2, 8.0), (60.0, 8.0)])
def test_a_rest_is_sixty_times_what_a_run_waited_and_eight_seconds_at_most(waited_s: float, rest_s: float) -> None:
    assert pacing.rest_s(Share(0.25, waited_s)) == pytest.approx(rest_s)


def test_what_a_process_had_of_the_processors_is_the_kernels_account() -> None:
    """Held against another account of the kernel's: times(2) of a child that has ended."""
    before = os.times()
    counts = [sys.executable, "-S", "-c", "for n in range(3_000_000): pass\nprint(flush=True)\ninput()"]
    with subprocess.Popen(counts, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        share = pacing.share_of(child.pid)
        child.communicate(b"\n")
    after = os.times()
    ran_s = after.children_user + after.children_system - before.children_user - before.children_system
    assert share.ran_s == pytest.approx(ran_s, rel=0.3, abs=0.05)
    assert pacing.share_of(child.pid) == Share()


def test_helm_that_others_kept_waiting_rests(tmp_path: Path) -> None:
    helm = counting(tmp_path)
    with one_processor(others=4), helm.turn() as turn:
        assert turn.run((), {}, timeout_s=60).exit_code == 0
    assert 0 < helm.free_in_s() <= MOST_S


def test_while_helm_rests_the_ticker_waits_and_a_caller_does_not(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if others had kept every run waiting."""
    monkeypatch.setattr(pacing, "MOST_S", 600.0)
    monkeypatch.setattr(pacing, "share_of", lambda _: Share(0.1, 60.0))
    assert site.call(cluster="a", id="one").body["error"] is None
    site.call(cluster="a", id="two", function_name="other", callback="http://127.0.0.1:9/")
    for _ in range(5):
        site.turn()
    assert len(site.inventory.all()) == 1
    assert site.store.due(int(time.time() * 1000)), "it is still due"
    assert site.call(cluster="a", id="three", function_name="third").body["error"] is None
    assert release_states(site) == [(1, "deployed"), (1, "deployed")]
