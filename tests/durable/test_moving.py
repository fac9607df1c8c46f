"""Nodes that start anew elsewhere, as pods do; a real one moves in tests/lab/test_platform.py."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from cassandra.cluster import NoHostAvailable

from durable.cassandra import CassandraStore as Journal
from durable.errors import StoreError
from durable.moving import PAUSE_S, Whereabouts
from mme.errors import StoreUnavailableError
from mme.store.base import Table, Unknown
from mme.store.cassandra import CassandraStore
from placement.tables import TABLES as PLACEMENT


@dataclass
class Names:
    """What names lead to; an address leads to itself."""

    lead_to: dict[str, list[str]] = field(default_factory=dict)
    asked: int = 0

    def getaddrinfo(self, host: str, *_: object, **__: object) -> list[Any]:
        self.asked += 1
        if host[0].isdigit():
            return [(0, 0, 0, "", (host, 0))]
        if host not in self.lead_to:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(0, 0, 0, "", (address, 0)) for address in self.lead_to[host]]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    found = Names()
    monkeypatch.setattr(socket, "getaddrinfo", found.getaddrinfo)
    return found


class Cluster:
    """The driver's, which knows these addresses, and its session, which fails when it is asked to do `fails_at`."""

    def __init__(self, *addresses: str, error: Exception | None = None, fails_at: str = "execute") -> None:
        hosts = [SimpleNamespace(endpoint=SimpleNamespace(address=address)) for address in addresses]
        self.metadata = SimpleNamespace(all_hosts=lambda: hosts)
        self.ended = False
        self._error = error or NoHostAvailable("nobody", {})
        self._fails_at = fails_at

    def prepare(self, _: str) -> Any:
        if self._fails_at == "prepare":
            raise self._error
        return SimpleNamespace()

    def execute(self, *_: object, **__: object) -> Any:
        raise self._error

    def execute_async(self, *_: object, **__: object) -> Any:
        return SimpleNamespace(result=self.execute, attempted_hosts=[])

    def shutdown(self) -> None:
        self.ended = True


@pytest.mark.parametrize(
    ("lead_to", "known", "left"),
    [
        (["10.0.0.9"], ["10.0.0.1"], True),
        (["10.0.0.9", "10.0.0.1"], ["10.0.0.1", "10.0.0.2"], False),
        (["10.0.0.1"], ["10.0.0.1"], False),
        (None, ["10.0.0.1"], False),
        (["10.0.0.9"], [], True),
    ],
)
def test_a_session_is_left_behind_when_names_lead_only_elsewhere(
    names: Names, lead_to: list[str] | None, known: list[str], left: bool
) -> None:
    if lead_to is not None:
        names.lead_to["cassandra.edge"] = lead_to
    assert Whereabouts(["cassandra.edge"]).left(Cluster(*known)) is left


def test_an_address_never_leads_elsewhere_and_one_name_of_several_is_enough(names: Names) -> None:
    assert not Whereabouts(["10.0.0.1"]).left(Cluster("10.0.0.1"))
    names.lead_to["two"] = ["10.0.0.2"]
    assert not Whereabouts(["gone", "two"]).left(Cluster("10.0.0.2"))
    assert Whereabouts(["gone", "two"]).left(Cluster("10.0.0.1"))


def test_names_are_looked_up_only_now_and_then(names: Names) -> None:
    now = 100.0
    names.lead_to["one"] = ["10.0.0.1"]
    whereabouts = Whereabouts(["one"], stop_watch=lambda: now)
    for _ in range(3):
        assert not whereabouts.left(Cluster("10.0.0.1"))
    assert names.asked == 1
    names.lead_to["one"] = ["10.0.0.2"]
    now += PAUSE_S
    assert whereabouts.left(Cluster("10.0.0.1"))


@pytest.mark.parametrize("fails_at", ["prepare", "execute"])
@pytest.mark.parametrize("moved", [True, False])
@pytest.mark.parametrize("error", [NoHostAvailable("nobody", {}), OSError("reset")])
def test_the_next_call_opens_a_session_anew_once_the_node_has_moved(
    names: Names, error: Exception, moved: bool, fails_at: str
) -> None:
    names.lead_to["cassandra.edge"] = ["10.0.0.2" if moved else "10.0.0.1"]
    for act in ("load", "save", "scan"):
        cluster: Any = Cluster("10.0.0.1", error=error, fails_at=fails_at)
        store = CassandraStore(("cassandra.edge",), "edge")
        store._cluster, store._session, store._pid = cluster, cluster, os.getpid()
        match act:
            case "load":
                with pytest.raises(StoreUnavailableError):
                    store.load(Table.ENB, "a")
            case "scan":
                with pytest.raises(StoreUnavailableError):
                    store.scan(Table.ENB)
            case _ if isinstance(error, NoHostAvailable) or fails_at == "prepare":
                with pytest.raises(StoreUnavailableError):
                    store.save(Table.ENB, "a", b"x", expect=None, writer="w")
            case _:
                assert store.save(Table.ENB, "a", b"x", expect=None, writer="w") == Unknown()
        assert (cluster.ended, store._session is None) == (moved, moved), act

    cluster = Cluster("10.0.0.1", error=error, fails_at=fails_at)
    journal = Journal(("cassandra.edge",), "edge", PLACEMENT)
    journal._cluster = journal._session = cluster
    with pytest.raises(StoreError):
        journal.due(0)
    assert (cluster.ended, journal._session is None) == (moved, moved)
