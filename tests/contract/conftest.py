"""The gateway under test: localfaas with tests/contract/stack, or a real one (OPENFAAS_URL, see localfaas.remote).

Deploy tests/contract/stack/stack.yml on a real one first.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from localfaas.client import Client
from localfaas.process import Running, running
from localfaas.remote import Remote, from_environment
from tests.contract.recorder import Recorder

STACK = Path(__file__).parent / "stack" / "stack.yml"


@dataclass
class Target:
    """The gateway under test. metrics_url "": not known."""

    client: Client
    metrics_url: str


@pytest.fixture(scope="session")
def remote() -> Remote | None:
    """The real gateway, if one is named."""
    return from_environment()


@pytest.fixture(scope="session")
def target(remote: Remote | None) -> Iterator[Target]:
    """The gateway the whole checklist is about: one worker, every time limit as delivered."""
    if remote is not None:
        yield Target(remote, remote.metrics_url)
        return
    with running(STACK) as gateway:
        yield Target(gateway, gateway.metrics_url)


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
def recorder(remote: Remote | None) -> Iterator[Recorder]:
    """Where callbacks and functions' reports arrive; tests use paths of their own."""
    with Recorder("127.0.0.1" if remote is None else remote.callback_host) as server:
        yield server
