"""Run a command to its end: argv only, and what it wrote in the error when it fails."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.lab.errors import LabError


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout_s: float = 600,
    cure: str = "",
) -> str:
    """Give the command's standard output.

    env: added to ours.  cure: what to do when it fails, appended to the error.
    Raises LabError when the command is missing, fails or takes longer than timeout_s.
    """
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError as error:
        raise LabError(f"there is no {words[0]} here. {cure}".strip()) from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(words[:4])} took longer than {timeout_s:.0f} s. {cure}".strip()) from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise LabError(f"{' '.join(words[:4])} ended with {done.returncode}: {said} {cure}".strip())
    return done.stdout
