"""Pieces the localfaas tests share: a small project folder, and a function's process without a gateway."""

import contextlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
TEMPLATE = REPO / "template" / "python3-flask-edge"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder with our template, one function `hello` and a stack file."""
    root = tmp_path / "project"
    shutil.copytree(TEMPLATE, root / "template" / "python3-flask-edge", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "functions" / "hello").mkdir(parents=True)
    (root / "functions" / "hello" / "handler.py").write_text(
        "def handle(event, context):\n    return event.body, 200\n"
    )
    (root / "stack.yml").write_text(
        "functions:\n  hello:\n    lang: python3-flask-edge\n    handler: ./functions/hello\n    image: hello:dev\n"
    )
    return root


@dataclass
class Served:
    """A function's process. log: what it has written, complete once it has ended."""

    process: subprocess.Popen[bytes]
    lock: Path
    log: Path

    def port(self, within_s: float = 20.0) -> int:
        """Wait for the readiness lock and read the port from it."""
        wait_for(lambda: self.lock.exists() or self.process.poll() is not None, within_s)
        return int(self.lock.read_text())


Serve = Callable[..., Served]


def wait_for(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    """Ask until it is true, with a bound."""
    pause = threading.Event()
    for _ in range(int(within_s / 0.02)):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError(f"not so within {within_s} s")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start the template with a handler's source; give its process. Ends what it started."""
    started: list[Served] = []

    def start(handler: str, **env: str) -> Served:
        folder = tmp_path / f"tree{len(started)}"
        (folder / "function").mkdir(parents=True)
        shutil.copy(TEMPLATE / "index.py", folder)
        (folder / "function" / "handler.py").write_text(handler)
        lock, log = folder / "ready", folder / "log"
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(folder / "function"),
            "PORT": "0",
            "READY_LOCK": str(lock),
            **env,
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "index.py"], cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
            )
        started.append(Served(process, lock, log))
        return started[-1]

    yield start
    for served in started:
        with contextlib.suppress(ProcessLookupError):
            served.process.kill()
        served.process.wait()
