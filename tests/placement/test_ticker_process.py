"""The ticker of placement and config-reload as a process: it tells when it last read what is due."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import requests

from bench.stub import kept_port
from laptop.site import ROOT
from reload.tables import TABLES as RELOAD
from tests.ready import ready

NAME = "placement_ticker_last_tick_timestamp_seconds"


def last_tick_s(port: int) -> float:
    """Unix seconds; 0.0: never, or it does not serve metrics."""
    with contextlib.suppress(OSError):
        answer = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
        (value,) = (line.split()[1] for line in answer.splitlines() if line.startswith(f"{NAME} "))
        return float(value)
    return 0.0


def until(what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


def test_it_tells_when_it_last_read_what_is_due_of_all_its_functions(tmp_path: Path) -> None:
    (tmp_path / "edge-signing-key").write_text("ab" * 32)
    store, log = tmp_path / "edge.db", tmp_path / "ticker.log"
    argv = [
        sys.executable,
        "-m",
        "placement.ticker",
        "--store",
        f"sqlite:///{store}",
        "--gateway",
        "http://127.0.0.1:9",
    ]
    environment = {**os.environ, "EDGE_SECRETS_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    with (
        kept_port() as port,
        log.open("wb") as errors,
        subprocess.Popen(
            [*argv, "--metrics-port", str(port), "--unready-after-s", "1"], env=environment, stderr=errors
        ) as running,
    ):
        try:
            until("its first look", lambda: last_tick_s(port) > time.time() - 60)
            first_s = last_tick_s(port)
            until("a later one", lambda: last_tick_s(port) > first_s)
            until("it to be ready", lambda: ready(port) == 200)
            with contextlib.closing(sqlite3.connect(store, timeout=60)) as file:
                file.execute(f"DROP TABLE {RELOAD.due}")
            until("what it says of the store", lambda: "the store did not answer" in log.read_text())
            stood_s = last_tick_s(port)
            said = log.read_text().count("the store did not answer")
            until("it to say so again", lambda: log.read_text().count("the store did not answer") > said + 1)
            assert last_tick_s(port) == stood_s
            until("it to be no more ready", lambda: ready(port) == 503)
            assert "no such table" in requests.get(f"http://127.0.0.1:{port}/ready", timeout=10).text
            running.terminate()
            assert running.wait(60) == 0
        finally:
            running.kill()
