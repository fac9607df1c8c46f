"""The ticker as a process: it does not stay when a part of it has died, and tells of no lease that it has lost."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.stub import kept_port
from laptop.site import ROOT
from mme.backups import note
from mme.overload_guard import LEASE
from mme.store.base import Table
from mme.store.sqlite import SqliteStore
from mme.ticker import SHARD_LEASES, parser, readiness_for
from tests.ready import ready

NO_MSGPACK = b"\xc1"
"""Which the format never uses (msgpack's specification, "Formats")."""
ALL = len((LEASE, *SHARD_LEASES))
MODULE = ("-m", "mme.ticker")
HANGS = """
import os, sys, threading
from mme import ticker
tick = ticker.Ticker.tick
def tick_and_hang(self):
    if os.path.exists(os.environ["HANG"]):
        threading.Event().wait()
    return tick(self)
ticker.Ticker.tick = tick_and_hang
sys.exit(ticker.main())
"""


@dataclass
class Process:
    """A ticker on a file.  port: of its metrics."""

    running: subprocess.Popen[bytes]
    port: int

    def told(self, name: str) -> float | None:
        """What its metrics tell; None: it does not serve them."""
        with contextlib.suppress(OSError):
            answer = urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10).read().decode()
            (value,) = (line.split()[1] for line in answer.splitlines() if line.startswith(f"{name} "))
            return float(value)
        return None

    def wait_until_ready_is(self, status: int) -> None:
        until = time.monotonic() + 60
        while ready(self.port) != status:
            assert time.monotonic() < until, f"waited in vain for {status}"
            assert self.running.poll() is None, "it has ended"
            time.sleep(0.05)

    def wait_for(self, leases: int) -> None:
        self.wait_to_tell("mme_leases", leases)

    def wait_to_tell(self, name: str, value: float) -> None:
        until = time.monotonic() + 60
        while self.told(name) != value:
            assert time.monotonic() < until, f"waited in vain for {name} {value}"
            assert self.running.poll() is None, "it has ended"
            time.sleep(0.05)


@contextlib.contextmanager
def ticker(folder: Path, *program: str) -> Iterator[Process]:
    (folder / "edge-signing-key").write_text("ab" * 32)
    argv = [sys.executable, *program, "--store", f"sqlite:///{folder}/edge.db", "--gateway", "http://127.0.0.1:9"]
    argv += ["--lease-s", "1", "--metrics-port"]
    environment = {**os.environ, "EDGE_SECRETS_DIR": str(folder), "PYTHONPATH": str(ROOT), "HANG": str(folder / "hang")}
    with (
        kept_port() as port,
        subprocess.Popen(
            [*argv, str(port)], env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as running,
    ):
        try:
            yield Process(running, port)
        finally:
            running.kill()


@pytest.mark.parametrize(("table", "key"), [(Table.LEASE, "ticker"), (Table.LOAD, "decision")])
def test_a_process_of_which_a_part_has_died_ends_with_what_it_died_of(tmp_path: Path, table: Table, key: str) -> None:
    """Its loop of the timers, or its overload guard's: or nobody would start another, for its metrics are there."""
    with contextlib.closing(SqliteStore(tmp_path / "edge.db")) as store:
        store.save(table, key, NO_MSGPACK, expect=None, writer="w")
    with ticker(tmp_path, *MODULE) as process:
        _, errors = process.running.communicate(timeout=60)
    assert process.running.returncode == 1
    *others, last = [json.loads(line) for line in errors.splitlines()]
    assert all(line["ts"] > 0 for line in others)
    assert (last["level"], last["event"]) == ("error", "uncaught exception")
    assert "DecodeError" in last["traceback"]


def test_what_a_process_held_that_hangs_it_holds_no_longer(tmp_path: Path) -> None:
    with ticker(tmp_path, "-c", HANGS) as process:
        process.wait_for(ALL)
        (tmp_path / "hang").touch()
        process.wait_for(0)


def test_a_process_tells_how_many_leases_it_holds(tmp_path: Path) -> None:
    with ticker(tmp_path, *MODULE) as process:
        process.wait_for(ALL)
        process.running.terminate()
        assert process.running.wait(60) == 0


def test_a_process_tells_when_the_store_was_last_backed_up(tmp_path: Path) -> None:
    with contextlib.closing(SqliteStore(tmp_path / "edge.db")) as store:
        note(store, 1_000)
    with ticker(tmp_path, *MODULE) as process:
        process.wait_to_tell("mme_last_backup_timestamp_seconds", 1_000)


def test_a_process_is_ready_while_its_store_answers(tmp_path: Path) -> None:
    """Here somebody else holds the store's file for as long as it takes."""
    with (
        ticker(tmp_path, *MODULE, "--unready-after-s", "1") as process,
        contextlib.closing(sqlite3.connect(tmp_path / "edge.db", timeout=60, isolation_level=None)) as other,
    ):
        process.wait_until_ready_is(200)
        other.execute("BEGIN EXCLUSIVE")
        process.wait_until_ready_is(503)
        assert process.told("mme_leases") is not None
        other.execute("COMMIT")
        process.wait_until_ready_is(200)


@pytest.mark.parametrize(("words", "silent_s"), [([], 30.0), (["--lease-s", "60"], 60.0)])
def test_how_long_a_silence_is_borne_is_never_less_than_a_lease(words: list[str], silent_s: float) -> None:
    now_s = 1000.0
    readiness = readiness_for(parser().parse_args(words), lambda: now_s)
    readiness.answered()
    now_s += silent_s
    assert not readiness.why_not()
    now_s += 1
    assert readiness.why_not()
