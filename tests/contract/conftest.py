"""The gateway under test: localfaas with tests/contract/stack, or a real one.

OPENFAAS_URL                    a real gateway; deploy tests/contract/stack/stack.yml there first
OPENFAAS_USER                   default admin
OPENFAAS_PASSWORD_FILE          file with its password
OPENFAAS_METRICS_URL            its :8082/metrics, for the items that read it
OPENFAAS_CALLBACK_HOST          address by which the cluster reaches this machine, for callbacks
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from localfaas.client import Client
from localfaas.process import Running, running
from tests.contract.recorder import Recorder

STACK = Path(__file__).parent / "stack" / "stack.yml"
REAL_URL = os.environ.get("OPENFAAS_URL", "")

_deselected: list[tuple[str, str]] = []


@dataclass
class Target:
    """The gateway under test. metrics_url "": not known."""

    client: Client
    metrics_url: str


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker of items that reach behind the gateway."""
    config.addinivalue_line("markers", "localfaas_only(reason): not run when OPENFAAS_URL names a real gateway")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, on a real gateway, what would have to control it."""
    if not REAL_URL:
        return
    kept = []
    for item in items:
        marker = item.get_closest_marker("localfaas_only")
        if marker is None:
            kept.append(item)
        else:
            _deselected.append((item.name, marker.args[0]))
    if len(kept) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out and why."""
    for name, reason in _deselected:
        terminalreporter.write_line(f"left out on a real gateway: {name}: {reason}")


@pytest.fixture(scope="session")
def target() -> Iterator[Target]:
    """The gateway the whole checklist is about: one worker, every time limit as delivered."""
    if not REAL_URL:
        with running(STACK) as gateway:
            yield Target(gateway, gateway.metrics_url)
        return
    password_file = os.environ.get("OPENFAAS_PASSWORD_FILE")
    auth = None
    if password_file:
        auth = (os.environ.get("OPENFAAS_USER", "admin"), Path(password_file).read_text().strip())
    yield Target(Client(REAL_URL, auth), os.environ.get("OPENFAAS_METRICS_URL", ""))


@pytest.fixture
def gateway(target: Target) -> Client:
    """A client of it."""
    return target.client


@pytest.fixture(scope="session")
def hurried() -> Iterator[Running]:
    """A localfaas with short limits, which does not hold calls: ack_wait 1 s, upstream timeout 2 s."""
    limits = ["--ack-wait", "1s", "--upstream-timeout", "2s", "--no-scale-from-zero"]
    with running(STACK, options=limits) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def pair() -> Iterator[Running]:
    """A localfaas with two workers."""
    with running(STACK, workers=2) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def recorder() -> Iterator[Recorder]:
    """Where callbacks and functions' reports arrive; tests use paths of their own."""
    with Recorder(os.environ.get("OPENFAAS_CALLBACK_HOST", "127.0.0.1")) as server:
        yield server
