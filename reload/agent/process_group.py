"""What a daemon leaves behind: the processes of its group, which may hold its sockets and files."""

from __future__ import annotations

import contextlib
import os
import signal
import time

WITHIN_S = 5.0
"""SIGKILL is obeyed within milliseconds, but for a process that waits in the kernel, for a disk say."""
_PAUSE_S = 0.005


class LeftError(Exception):
    """Some of the group still live, or are not ours to end; one sentence."""


def kill(group: int) -> bool:
    """SIGKILL to all of it; whether there was any.  Raises LeftError where no process may be signalled."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return False
    except PermissionError:
        raise LeftError(f"process group {group} belongs to another user: may not end it") from None
    return True


def end(group: int, within_s: float = WITHIN_S) -> int:
    """Kill what is left of it, and wait until it is gone: only then are its addresses free.

    Its leader has been reaped, so that the others are children of this process, or of each other, which ends the same.
    Out: how many were reaped.  Raises LeftError.
    """
    reaped = 0
    until_s = time.monotonic() + within_s
    while kill(group):
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-group, os.WNOHANG)[0]:
                reaped += 1
        if time.monotonic() >= until_s:
            raise LeftError(f"process group {group} is not gone {within_s:g} s after SIGKILL")
        time.sleep(_PAUSE_S)
    return reaped
