"""What functions and tickers tell on /metrics, asked of their processes: each family stands in docs/metrics.md."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

import pytest
import requests

from bench.stub import kept_port
from laptop.site import ROOT
from tests.mme.assembled import write_secrets
from tests.monitoring.test_metrics_page import PAGE, ROW

INDEX = ROOT / "template/python3-flask-edge/index.py"
OF_THE_LIBRARY = re.compile(r"^\| (.*) \| of the library \|", re.M)
"""Patterns of families that are no metrics of ours."""
CREATED = "_created"


def patterns() -> list[str]:
    (cell,) = OF_THE_LIBRARY.findall(PAGE)
    return re.findall(r"`([\w*]+)`", cell)


@contextmanager
def told_by(program: list[str], port: int, environment: Mapping[str, str]) -> Iterator[str]:
    """The text of /metrics."""
    with subprocess.Popen([sys.executable, *program], env={**os.environ, **environment}) as running:
        try:
            until = time.monotonic() + 60
            while True:
                assert running.poll() is None, "it has ended"
                assert time.monotonic() < until, "it does not serve"
                try:
                    yield requests.get(f"http://127.0.0.1:{port}/metrics", timeout=20).text
                    break
                except requests.ConnectionError:
                    time.sleep(0.05)
        finally:
            running.kill()


@pytest.mark.parametrize(
    "name", ["mme-initial-ue", "mme-timer", "placement", "config-reload", "mme.ticker", "placement.ticker"]
)
def test_every_family_that_comes_is_on_the_page(name: str, tmp_path: Path) -> None:
    write_secrets(tmp_path)
    store = f"sqlite:///{tmp_path}/edge.db"
    is_ticker = name.endswith(".ticker")
    with kept_port() as port:
        program = [str(INDEX)]
        path = f"{ROOT}:{ROOT / 'functions' / name}"
        if is_ticker:
            program = ["-m", name, "--store", store, "--gateway", "http://127.0.0.1:9", "--metrics-port", str(port)]
            path = str(ROOT)
        environment = {
            "PYTHONPATH": path,
            "EDGE_SECRETS_DIR": str(tmp_path),
            "PORT": str(port),
            "READY_LOCK": str(tmp_path / "ready"),
            "store_url": store,
        }
        with told_by(program, port, environment) as text:
            families = {name.removesuffix("_total") for name in re.findall(r"^# TYPE (\S+) \w+$", text, re.M)}
    ours = {name.removesuffix("_total") for name, _, _ in ROW.findall(PAGE)}
    library = [pattern for pattern in patterns() if pattern != f"*{CREATED}"]
    assert f"*{CREATED}" in patterns()
    known = {
        each
        for each in families
        if each in ours
        or (each.removesuffix(CREATED) in ours and each.endswith(CREATED))
        or any(fnmatch(each, pattern) for pattern in library)
    }
    assert families - known == set()
    assert families & ours
    assert [pattern for pattern in library if not any(fnmatch(each, pattern) for each in families)] == []
