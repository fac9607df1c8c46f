"""One line when a step begins and one when it ends, so that nobody waits before a silent terminal."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_BEGIN = time.monotonic()
_HEARTBEAT_S = 20.0


def say(text: str) -> None:
    """Print one line, with the seconds since the command began, to standard error (standard output is for answers)."""
    sys.stderr.write(f"[{time.monotonic() - _BEGIN:4.0f} s] {text}\n")
    sys.stderr.flush()


@contextmanager
def step(text: str, *, usual: str = "") -> Iterator[None]:
    """Announce a step and its end; every 20 s in between say that it still runs.  usual: how long it mostly takes."""
    say(f"{text} ..." + (f" (about {usual})" if usual else ""))
    begin = time.monotonic()
    done = threading.Event()

    def beat() -> None:
        while not done.wait(_HEARTBEAT_S):
            say(f"{text}: still at it after {time.monotonic() - begin:.0f} s")

    heart = threading.Thread(target=beat, daemon=True)
    heart.start()
    try:
        yield
    finally:
        done.set()
        heart.join()
    say(f"{text}: {time.monotonic() - begin:.1f} s")
