"""Prometheus' own programs: Debian's packages `prometheus` and `prometheus-alertmanager`, or any on PATH."""

from __future__ import annotations

import os
import shutil

import pytest


def program(name: str) -> str:
    """Where it is.  Skips on a laptop without it; fails where CI=true says that everything is to run."""
    found = shutil.which(name)
    if found is None:
        text = f"no {name} on PATH: apt-get install prometheus prometheus-alertmanager"
        if os.environ.get("CI") == "true":
            pytest.fail(text)
        pytest.skip(text)
    return found


@pytest.fixture(scope="session")
def promtool() -> str:
    return program("promtool")


@pytest.fixture(scope="session")
def prometheus_program() -> str:
    return program("prometheus")
