"""The end of what a daemon leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from reload.agent import process_group

SLEEP = ("sleep", "600")
NEVER_REAPS = """
import os, sys
print(os.posix_spawnp("sleep", ["sleep", "600"], os.environ, setpgroup=0), flush=True)
sys.stdin.read()
"""


def test_the_end_is_over_when_all_of_them_are_gone() -> None:
    """Fifty, so that some still are on their way out when the first look is taken."""
    leader = os.posix_spawnp(SLEEP[0], SLEEP, os.environ, setpgroup=0)
    for _ in range(49):
        os.posix_spawnp(SLEEP[0], SLEEP, os.environ, setpgroup=leader)
    assert process_group.end(leader) == 50
    with pytest.raises(ProcessLookupError):
        os.killpg(leader, 0)
    assert process_group.end(leader) == 0
    process_group.kill(leader)


def test_one_that_does_not_go_keeps_nobody_for_ever() -> None:
    """It is dead at once, but its parent, which is not of the group, does not take note."""
    with subprocess.Popen(
        [sys.executable, "-c", NEVER_REAPS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        group = int(parent.stdout.readline())
        with pytest.raises(process_group.LeftError, match=f"group {group} is not gone 0.1 s after SIGKILL"):
            process_group.end(group, within_s=0.1)
        parent.kill()
