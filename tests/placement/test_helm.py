"""Helm's runs: one at a time, at a lower priority, on one core; and whoever has to wait costs nobody anything."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from placement import helm, pacing
from placement.errors import Code, NotNowError
from placement.helm import Helm
from placement.pacing import Share
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


class Other(threading.Thread):
    """Somebody else, who wants a turn of this helm.  told: what became of it."""

    def __init__(self, shared: Helm) -> None:
        super().__init__()
        self._shared = shared
        self.told: list[str] = []

    def run(self) -> None:
        with pytest.raises(NotNowError), self._shared.turn():
            self.told.append("had a turn")
        self.told.append("not now")


class Noticed:
    """A lock that tells when somebody begins to wait for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.is_waited_for = threading.Event()

    def acquire(self, *, blocking: bool = True, timeout: float = -1) -> bool:
        if blocking:
            self.is_waited_for.set()
        return self._lock.acquire(blocking, timeout)

    def release(self) -> None:
        self._lock.release()

    def locked(self) -> bool:
        return self._lock.locked()


def test_who_comes_while_a_run_is_kept_waiting_rests_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if others had kept it waiting for a tenth of a second: two that came when the last rest was over."""
    monkeypatch.setattr(pacing, "share_of", lambda _: Share(0.1, 0.1))
    monkeypatch.setattr(helm, "TURN_WAIT_S", 60.0)
    shared = program(tmp_path, "#!/bin/sh\nsleep 0.3\n")  # long enough to be looked at
    shared._turn = turns = Noticed()  # type: ignore[assignment]
    other = Other(shared)
    with shared.turn() as turn:
        other.start()
        assert turns.is_waited_for.wait(60)
        assert turn.run((), {}, timeout_s=60).exit_code == 0
    other.join(60)
    assert other.told == ["not now"]
    assert shared.free_in_s() > 0
    with shared.turn() as turn:  # somebody who waits for the answer
        assert turn.run((), {}, timeout_s=60).exit_code == 0


def test_one_runs_at_a_time_and_the_next_is_told_to_come_later(tmp_path: Path) -> None:
    shared = program(tmp_path, "#!/bin/sh\n")
    assert shared.free_in_s() == 0
    with shared.turn():
        assert shared.free_in_s() > 0
        other = Other(shared)
        other.start()
        other.join(60)
        assert other.told == ["not now"]
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


SOON_S = 2.0
"""By when a script on a busy machine has set its trap."""
TOLD_TO_END = """#!/bin/sh
trap 'echo told > "$MARK"; exit 3' TERM
while :; do sleep 0.02; done
"""
DEAF = """#!/bin/sh
trap '' TERM
while :; do sleep 0.02; done
"""


def test_a_run_that_lasts_too_long_is_told_to_end_first(tmp_path: Path) -> None:
    """Helm marks its revision as failed then."""
    mark = tmp_path / "mark"
    with program(tmp_path, TOLD_TO_END.replace("$MARK", str(mark))).turn() as turn:
        ran = turn.run((), {}, timeout_s=SOON_S)
    assert (ran.stopped, ran.exit_code) == (Code.TIMEOUT, 3)
    assert mark.read_text() == "told\n"


def test_a_run_that_does_not_listen_is_killed_after_its_grace(tmp_path: Path) -> None:
    with program(tmp_path, DEAF).turn() as turn:
        ran = turn.run((), {}, timeout_s=SOON_S)
    assert (ran.stopped, ran.exit_code) == (Code.TIMEOUT, -signal.SIGKILL)
    assert SOON_S + helm.TERM_GRACE_S <= ran.seconds < SOON_S + helm.TERM_GRACE_S + 3


FUNCTION = """
import sys
from placement.helm import Helm

with Helm(sys.argv[1]).turn() as turn:
    turn.run((), {}, timeout_s=600)
"""


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv (util-linux) is part of the image")
def test_a_run_dies_with_the_function_that_is_killed(tmp_path: Path) -> None:
    number = tmp_path / "pid"
    path = tmp_path / "helm"
    path.write_text(f"#!/bin/sh\necho $$ > {number}.new && mv {number}.new {number}\nexec sleep 600\n")
    path.chmod(0o755)
    argv = [sys.executable, "-c", FUNCTION, str(path)]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(argv, cwd=Path(__file__).parents[2], env=environment) as function:
        try:
            wait_for(number.exists, "helm's start")
            run = int(number.read_text())
            assert is_running(run)
        finally:
            function.kill()
    try:
        wait_for(lambda: not is_running(run), "helm's end with its function", within_s=20)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(run, signal.SIGKILL)


def is_running(process: int) -> bool:
    """Nobody may be there to take its exit status."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False
