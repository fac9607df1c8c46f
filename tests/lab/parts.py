"""The lab's tests in two parts: first one after the other, then those that wait for most of their time, two at a time.

A test is in the first part unless its file carries the marker `beside`, which names the one cluster that it uses: what
measures, stops daemons or needs both clusters stays alone.  A cluster has one such file.
"""

from __future__ import annotations

import codecs
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tests.lab.documented import ROOT

MARKER: Final = "beside"
CLUSTERS: Final = ("a", "b")


@dataclass(frozen=True)
class Part:
    """name: as the last lines have it.  chosen: pytest's expression of markers.  how: more of its arguments."""

    name: str
    chosen: str
    how: tuple[str, ...] = ()

    def argv(self, *words: str) -> list[str]:
        """The command line of pytest for this part.  words: more of its arguments."""
        return [sys.executable, "-m", "pytest", "-m", self.chosen, *self.how, *words]


PARTS: Final = (
    Part("alone", f"lab and not {MARKER}"),
    # A worker for each file, which is for each cluster.
    Part("beside each other", f"lab and {MARKER}", ("-n", str(len(CLUSTERS)), "--dist", "loadfile")),
)


def run(words: Sequence[str], parts: Sequence[Part] = PARTS, write: Callable[[str], object] | None = None) -> int:
    """Run every part, also after a red one, and end with a line for each; 0: all are green.

    words: more arguments for pytest, the folder among them.  A part without tests is red.  After Ctrl-C, which pytest
    gets, too, and ends by, no other part begins.
    """
    write = write or _write
    told: list[str] = []
    codes: list[int] = []
    interrupted: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: interrupted.append(number))
    try:
        for part in parts:
            if interrupted:
                told.append(f"== {part.name}: not run\n")
                continue
            begun = time.monotonic()
            write(f"== {part.name}\n")
            code, last = _run(part.argv(*words), write)
            codes.append(code)
            how = "green" if code == 0 else f"RED (pytest ended with {code})"
            told.append(f"== {part.name}: {how}, {time.monotonic() - begun:.0f} s: {last}\n")
    finally:
        signal.signal(signal.SIGINT, before)
    write("".join(told))
    return int(bool(interrupted) or any(codes))


def _run(argv: Sequence[str], write: Callable[[str], object]) -> tuple[int, str]:
    """How it ended, and the last line that it said.  What it says is written at once, parts of a line, too."""
    said, decoder = "", codecs.getincrementaldecoder("utf-8")("replace")
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=subprocess.PIPE, bufsize=0) as running:
        assert running.stdout is not None
        while octets := running.stdout.read(65536):
            some = decoder.decode(octets)
            write(some)
            said = (said + some)[-10_000:]
    lines = [line.strip("= ") for line in said.splitlines()]
    return running.returncode, next((line for line in reversed(lines) if line), "")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
