"""A real Cassandra for tests: left out with one line unless `--cassandra` or CASSANDRA_HOSTS is given."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from cassandra_lab.cluster import Cluster, running

_HOSTS = "CASSANDRA_HOSTS"
_left_out = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cassandra", action="store_true", help="run what needs Cassandra; starts nodes where it must")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if "own_node" in getattr(item, "fixturenames", ()):
            item.add_marker("nodes")
    if config.getoption("--cassandra") or os.environ.get(_HOSTS):
        return
    chosen = [item for item in items if item.get_closest_marker("cassandra") is None]
    out = [item for item in items if item.get_closest_marker("cassandra") is not None]
    config.hook.pytest_deselected(items=out)
    items[:] = chosen
    config.stash[_left_out] = len(out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    # Workers of xdist collect, not the process that prints: there the count is not known.
    distributed = config.getoption("numprocesses", default=None)
    out = config.stash.get(_left_out, 0)
    if not (config.getoption("--cassandra") or os.environ.get(_HOSTS)) and (out or distributed):
        terminalreporter.write_line("left out: the tests on a real Cassandra; `make test-cassandra` runs them")


@pytest.fixture(scope="session")
def own_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of one node that tests may stop and kill: whoever does starts it again."""
    with running(tmp_path_factory.mktemp("cassandra") / "one") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def cassandra_hosts(request: pytest.FixtureRequest) -> str:
    """Contact points: CASSANDRA_HOSTS, or those of a node started for this run."""
    named = os.environ.get(_HOSTS)
    if named:
        return named
    cluster: Cluster = request.getfixturevalue("own_node")
    return cluster.hosts
