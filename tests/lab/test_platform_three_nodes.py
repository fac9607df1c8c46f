"""charts/edge-platform with three nodes of Cassandra: they join in turn, and one of them may go at a time.

All on one installation.  The lab's cluster has one Kubernetes node, which has all three: to keep them apart is a wish
of the chart's, no demand.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from tests.lab.errors import LabError
from tests.lab.installed import READY_S, RELEASE, Platform, platform
from tests.lab.kubectl import eventually
from tests.lab.site import Site
from tests.lab.stored import fires

pytestmark = [pytest.mark.lab, pytest.mark.timeout(2400)]

NODES = ("cassandra-0", "cassandra-1", "cassandra-2")
_STATUS = re.compile(r"^([UD?][NLJM])\s+(\S+)\s.*\s(\S+%)\s+([0-9a-f-]{36})\s", re.M)
"""A line of `nodetool status`: Up or Down and Normal or not, address, share of the keyspace's rows, the node's id."""
_JOINED = r"^INFO .* (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ .*/%s:7000 state jump to NORMAL$"


@pytest.fixture(scope="module")
def three(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("three")
    with platform(site, site.b, f"three-{secrets.token_hex(3)}", folder, nodes=len(NODES)) as running:
        yield running


@dataclass(frozen=True)
class Member:
    """A node as another one sees it.  state: "UN" where it is up and has joined.  share: of the keyspace's rows."""

    state: str
    share: str
    identity: str


def members(three: Platform, asked: str) -> dict[str, Member]:
    """The nodes that this one knows, by address."""
    said = three.cluster.exec(asked, "nodetool", "status", "edge", namespace=three.namespace, timeout_s=120)
    return {address: Member(state, share, identity) for state, address, share, identity in _STATUS.findall(said)}


def identities(three: Platform, asked: str = NODES[1]) -> dict[str, str]:
    """Each pod's node, once the three pods' addresses are the three nodes', up and joined, with all rows each."""
    found: dict[str, str] = {}

    def whole() -> bool:
        known = members(three, asked)
        addresses = {name: three.pod(name)["status"].get("podIP", "") for name in NODES}
        if known.keys() != set(addresses.values()) or {(m.state, m.share) for m in known.values()} != {
            ("UN", "100.0%")
        }:
            raise LabError(f"{asked} knows {known}, the pods are at {addresses}")
        found.update({name: known[address].identity for name, address in addresses.items()})
        return True

    eventually(whole, "three nodes, up and joined", within_s=READY_S)
    return found


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def became_ready(pod: dict[str, Any]) -> datetime:
    """In whole seconds."""
    (since,) = [one["lastTransitionTime"] for one in pod["status"]["conditions"] if one["type"] == "Ready"]
    return moment(since)


def joined(three: Platform, pod: dict[str, Any]) -> datetime:
    """When this node said of itself that it had."""
    log = three.kubectl("logs", pod["metadata"]["name"], "-c", "cassandra")
    found = re.search(_JOINED % re.escape(pod["status"]["podIP"]), log, re.M)
    assert found is not None, log[-3000:]
    return datetime.fromisoformat(found[1]).replace(tzinfo=UTC)


def may_go(three: Platform) -> int:
    """How many nodes an eviction may take away now."""
    status = three.cluster.get("poddisruptionbudget", "cassandra", namespace=three.namespace)["status"]
    return int(status["disruptionsAllowed"])


def test_three_join_one_after_the_other_and_each_is_ready_once_it_has_joined(three: Platform) -> None:
    pods = [three.pod(name) for name in NODES]
    # By one machine's clocks, in whole seconds.
    for pod in pods:
        assert joined(three, pod) <= became_ready(pod)
    for before, after in pairwise(pods):
        assert became_ready(before) <= moment(after["metadata"]["creationTimestamp"])
    seen = [identities(three, name) for name in NODES]
    assert seen[0] == seen[1] == seen[2]
    assert len(set(seen[0].values())) == 3
    claims = {
        c["metadata"]["name"]: c["status"]["phase"]
        for c in three.cluster.get("pvc", namespace=three.namespace)["items"]
    }
    assert {f"data-{name}": "Bound" for name in NODES}.items() <= claims.items()
    eventually(lambda: may_go(three) == 1, "the budget to let one go", within_s=60)


def test_tables_tickers_and_the_operator_have_their_store(three: Platform) -> None:
    assert three.cluster.get("job", f"{RELEASE}-migrate", namespace=three.namespace)["status"]["succeeded"] == 1
    said = three.cluster.exec(NODES[2], "nodetool", "describecluster", namespace=three.namespace, timeout_s=120)
    assert re.search(r"^\s*edge -> Replication class: NetworkTopologyStrategy \{datacenter1=3\}$", said, re.M), said
    three.edge("store", "status", "--store", three.store)
    for name in ("ticker", "placement-ticker"):
        found = three.cluster.get("deployment", f"{RELEASE}-{name}", namespace=three.namespace)
        assert found["status"]["readyReplicas"] == 2, name
    fires(three, "before")
