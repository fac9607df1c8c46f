"""What the whole suite leaves out, each with a line.

Tests on a real Cassandra unless `--cassandra` or CASSANDRA_HOSTS is given; those that must control the gateway where
OPENFAAS_URL names a real one, and those that need a real one where it names none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from cassandra_lab.cluster import Cluster, running

_HOSTS = "CASSANDRA_HOSTS"
_left_out = pytest.StashKey[int]()
_not_on_this_gateway = pytest.StashKey[list[tuple[str, str]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cassandra", action="store_true", help="run what needs Cassandra; starts nodes where it must")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if "own_node" in getattr(item, "fixturenames", ()):
            item.add_marker("nodes")
    _leave_out_what_needs_the_other_kind_of_gateway(config, items)
    if config.getoption("--cassandra") or os.environ.get(_HOSTS):
        return
    chosen = [item for item in items if item.get_closest_marker("cassandra") is None]
    out = [item for item in items if item.get_closest_marker("cassandra") is not None]
    config.hook.pytest_deselected(items=out)
    items[:] = chosen
    config.stash[_left_out] = len(out)


def _leave_out_what_needs_the_other_kind_of_gateway(config: pytest.Config, items: list[pytest.Item]) -> None:
    other = "localfaas_only" if os.environ.get("OPENFAAS_URL") else "openfaas_only"
    out = [item for item in items if item.get_closest_marker(other) is not None]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in out]
    config.stash[_not_on_this_gateway] = [
        (item.name, marker.args[0]) for item in out for marker in item.iter_markers(other)
    ]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    # Workers of xdist collect, not the process that prints: there the count is not known.
    distributed = config.getoption("numprocesses", default=None)
    out = config.stash.get(_left_out, 0)
    if not (config.getoption("--cassandra") or os.environ.get(_HOSTS)) and (out or distributed):
        terminalreporter.write_line("left out: the tests on a real Cassandra; `make test-cassandra` runs them")
    kind = "a real gateway" if os.environ.get("OPENFAAS_URL") else "localfaas"
    names: dict[str, list[str]] = {}
    for name, reason in config.stash.get(_not_on_this_gateway, []):
        names.setdefault(reason, []).append(name)
    for reason, those in names.items():
        terminalreporter.write_line(f"left out on {kind}: {', '.join(those)}: {reason}")


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
