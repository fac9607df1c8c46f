"""Tickers on a real Cassandra: ready where it answers without tables, not ready where there is none."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.stub import kept_port
from laptop.site import ROOT
from tests.ready import ready

pytestmark = pytest.mark.timeout(200)


@contextmanager
def ticker(module: str, hosts: str, folder: Path) -> Iterator[int]:
    """The port where it tells whether it is ready."""
    (folder / "edge-signing-key").write_text("ab" * 32)
    store = f"cassandra://{hosts}/no_tables_{secrets.token_hex(4)}"
    argv = [sys.executable, "-m", module, "--store", store, "--gateway", "http://127.0.0.1:9", "--metrics-port"]
    environment = {**os.environ, "EDGE_SECRETS_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    with (
        kept_port() as port,
        (folder / "log").open("wb") as log,
        subprocess.Popen([*argv, str(port)], env=environment, stdin=subprocess.DEVNULL, stderr=log) as running,
    ):
        try:
            yield port
        finally:
            running.kill()


@pytest.mark.cassandra
@pytest.mark.parametrize("module", ["mme.ticker", "placement.ticker"])
def test_a_store_that_has_no_tables_yet_answers(module: str, cassandra_hosts: str, tmp_path: Path) -> None:
    """The job that makes them may wait for its release's pods: helm's --wait."""
    with ticker(module, cassandra_hosts, tmp_path) as port:
        give_up = time.monotonic() + 100
        while ready(port) != 200:
            assert time.monotonic() < give_up, (tmp_path / "log").read_text()
            time.sleep(0.1)


@pytest.mark.parametrize("module", ["mme.ticker", "placement.ticker"])
def test_no_store_is_no_answer(module: str, tmp_path: Path) -> None:
    with ticker(module, "127.0.0.1:9", tmp_path) as port:
        give_up = time.monotonic() + 100
        # Between two tries to renew its leases a ticker without any has nothing to ask.
        while (tmp_path / "log").read_text().count("the store did not answer") < 3:
            assert time.monotonic() < give_up
            assert ready(port) in (0, 503)
            time.sleep(0.1)
        assert ready(port) == 503
