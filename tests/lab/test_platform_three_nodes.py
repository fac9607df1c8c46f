"""charts/edge-platform with three nodes of Cassandra: one becomes three; one at a time may die, go, or lose its volume.

All on one installation, which begins with one node.  The lab's cluster has one Kubernetes node, which has all three: to
keep them apart is a wish of the chart's, no demand.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from tests.lab.documented import OPERATIONS, block
from tests.lab.errors import LabError
from tests.lab.installed import READY_S, RELEASE, Platform, platform
from tests.lab.kubectl import Cluster, eventually
from tests.lab.policies import enforced
from tests.lab.site import Site
from tests.lab.stored import Writers, fires, keys_on, rows, writing

pytestmark = [pytest.mark.lab, pytest.mark.beside(cluster="b"), pytest.mark.timeout(2400)]

NODES = ("cassandra-0", "cassandra-1", "cassandra-2")
JAVA = "org.apache.cassandra.service.CassandraDaemon"
_STATUS = re.compile(r"^([UD?][NLJM])\s+(\S+)\s.*\s(\S+%)\s+([0-9a-f-]{36})\s", re.M)
"""A line of `nodetool status`: Up or Down and Normal or not, address, share of the keyspace's rows, the node's id."""
_JOINED = r"^INFO .* (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ .*/%s:7000 state jump to NORMAL$"


@dataclass(frozen=True)
class Growth:
    """How one node became three.  old: the pod of the one.  before: its rows, but those that the writers write anew.

    writers: clients of that time.  said: by helm.
    """

    three: Platform
    old: dict[str, Any]
    before: dict[str, str]
    writers: Writers
    said: str


@pytest.fixture(scope="module")
def growth(site: Site, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Growth]:
    """By the page's commands, while rows are written."""
    folder = tmp_path_factory.mktemp("three")
    with platform(site, cluster, f"three-{secrets.token_hex(3)}", folder, nodes=1, becomes=len(NODES)) as one:
        with writing(one, "grown") as writers:
            old, before = one.pod(NODES[0]), {key: row for key, row in rows(one).items() if not key.endswith("old")}
            commands = block(OPERATIONS, "cassandra.nodes=3")
            here = {"--namespace edge": f"--namespace {one.namespace}", "-n edge": f"-n {one.namespace}"}
            said = one.shell.run(commands, here, timeout_s=3 * READY_S)
            block_of_copies = block(OPERATIONS, "ALTER KEYSPACE edge")
            one.shell.run(block_of_copies, {"-n edge": f"-n {one.namespace}"}, timeout_s=READY_S)
        three = replace(one, values={**one.values, "cassandra": {**one.values["cassandra"], "nodes": len(NODES)}})
        three.ready()
        yield Growth(three, old, before, writers, said)


@pytest.fixture(scope="module")
def three(growth: Growth) -> Platform:
    return growth.three


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


def test_one_node_becomes_three_while_it_serves_and_each_has_every_row(growth: Growth) -> None:
    three = growth.three
    assert "each row is still on one of them" in growth.said
    assert three.pod(NODES[0])["metadata"]["uid"] == growth.old["metadata"]["uid"]
    assert growth.before
    assert growth.before.items() <= rows(three).items()
    nothing_refused_or_lost(three, growth.writers)
    known = {f"ue_context {key}" for key in growth.writers.acknowledged} | growth.before.keys()
    for name in NODES:
        alone = {f"ue_context {key}" for key in keys_on(three, three.pod(name)["status"]["podIP"])}
        assert known - alone == set(), name


def test_fewer_nodes_are_refused_and_nothing_changes(three: Platform) -> None:
    with pytest.raises(LabError, match=r"cassandra.nodes was 3 and does not get less"):
        three.install("--set", "cassandra.nodes=1")
    assert three.cluster.get("statefulset", "cassandra", namespace=three.namespace)["spec"]["replicas"] == len(NODES)


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


def test_an_operator_elsewhere_has_the_store_by_one_forwarded_port(three: Platform, site: Site) -> None:
    """The nodes tell each other's addresses, where nobody outside gets an answer: policies see to that here."""
    if site.plan is None:
        pytest.skip("LAB_KUBECONFIGS names clusters whose nodes' rules are out of reach")
    here, nodes = three.shell, [(three.pod(name)["status"]["podIP"], 9042) for name in NODES]
    (here.folder / "keys").mkdir()
    here.run(block(OPERATIONS, "get secret $name"), {"-n edge": f"-n {three.namespace}"})
    commands = block(OPERATIONS, "edge subscribers import")
    with enforced(three.cluster), three.forwarded() as store:
        eventually(lambda: not any(map(reached, nodes)), "no node to be reached from here", within_s=60)
        said = here.run(f"STORE_URL={store.partition('?')[0]}\n{commands}")
        assert not any(map(reached, nodes))
    assert "imported 20" in said
    there = {key.removeprefix("subscriber ") for key in rows(three) if key.startswith("subscriber ")}
    assert {f"00101{number:010}" for number in range(1, 21)} <= there


def reached(address: tuple[str, int]) -> bool:
    """Whether a connection from this machine is taken there."""
    try:
        socket.create_connection(address, timeout=5).close()
    except OSError:
        return False
    return True


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def another(three: Platform, old: dict[str, Any]) -> bool:
    """Whether this pod has been replaced, and the new one is Ready."""
    new = three.pod(old["metadata"]["name"])
    return bool(new["metadata"]["uid"] != old["metadata"]["uid"] and is_ready(new))


def nothing_lost(three: Platform, writers: Writers) -> None:
    """Every row that was acknowledged is there, in its newest version or, where a write was refused, a newer one."""
    there = {key: int(row.split()[0]) for key, row in rows(three).items()}
    found = {key: there.get(f"ue_context {key}", 0) for key in writers.acknowledged}
    assert {key: (version, found[key]) for key, version in writers.acknowledged.items() if found[key] < version} == {}
    # Rows are written anew, not only once.
    assert max(writers.acknowledged.values()) > 1


def nothing_refused_or_lost(three: Platform, writers: Writers) -> None:
    """Nor did a client have to try again."""
    nothing_lost(three, writers)
    assert writers.refused == []


def evict(three: Platform, pod: str) -> None:
    """As `kubectl drain` does it.  Raises LabError: a budget does not let it go."""
    where = {"name": pod, "namespace": three.namespace}
    asked = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": where}
    path = f"/api/v1/namespaces/{three.namespace}/pods/{pod}/eviction"
    three.cluster.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(asked))


def test_a_killed_node_is_not_noticed_by_who_writes_and_comes_back_as_it_was(three: Platform, site: Site) -> None:
    if site.plan is None:
        pytest.skip("LAB_KUBECONFIGS names clusters whose nodes' processes are out of reach")
    before = identities(three)

    def restarts() -> int:
        (container,) = three.pod(NODES[0])["status"]["containerStatuses"]
        return int(container["restartCount"])

    had = restarts()
    with writing(three, "killed") as writers:
        three.kill_process(NODES[0], JAVA)
        eventually(lambda: restarts() > had and is_ready(three.pod(NODES[0])), "the killed node", within_s=READY_S)
        assert identities(three) == before
    nothing_refused_or_lost(three, writers)


def test_an_eviction_drains_a_node_and_meanwhile_no_other_one_is_let_go(three: Platform) -> None:
    # To let one go is to have a quorum by what each of the others thinks of the third.
    before, *_ = (identities(three, name) for name in NODES)
    old = three.pod(NODES[1])
    eventually(lambda: may_go(three) == 1, "the budget to let one go", within_s=60)
    with writing(three, "evicted") as writers:
        with three.followed(NODES[1]) as told:
            evict(three, NODES[1])
            with pytest.raises(LabError, match=r"\(TooManyRequests\).*disruption budget"):
                evict(three, NODES[2])
        # By `nodetool`, before anybody told the process to end, which flushes, too, but does not tell clients first.
        assert re.search(r"\[RMI [^]]*\] .* DRAINED$", told(), re.M), told()[-3000:]
        with pytest.raises(LabError, match="TooManyRequests"):
            evict(three, NODES[2])
        eventually(lambda: another(three, old), "the evicted node", within_s=READY_S)
        assert identities(three, NODES[0]) == before
    nothing_refused_or_lost(three, writers)
    eventually(lambda: may_go(three) == 1, "the budget to let one go again", within_s=60)


def test_a_rolling_restart_takes_one_after_the_other_and_is_not_noticed_by_who_writes(three: Platform) -> None:
    before, *_ = (identities(three, name) for name in NODES)
    old = [three.pod(name) for name in NODES]
    with writing(three, "restarted") as writers:
        three.kubectl("rollout", "restart", "statefulset/cassandra")

        def all_new() -> bool:
            found = three.cluster.get("pods", namespace=three.namespace, labels="app.kubernetes.io/component=cassandra")
            ready = [pod["metadata"]["name"] for pod in found["items"] if is_ready(pod)]
            assert len(ready) >= 2, ready
            uids = {pod["metadata"]["uid"] for pod in found["items"]}
            return len(ready) == 3 and uids.isdisjoint(pod["metadata"]["uid"] for pod in old)

        eventually(all_new, "three new pods", within_s=3 * READY_S)
        assert identities(three) == before
    nothing_refused_or_lost(three, writers)


@contextlib.contextmanager
def stopped(three: Platform, *pods: str) -> Iterator[None]:
    """Their processes stand still: nothing answers."""
    try:
        for pod in pods:
            three.kill_process(pod, JAVA, signal.SIGSTOP)
        yield
    finally:
        for pod in pods:
            three.kill_process(pod, JAVA, signal.SIGCONT)


def test_a_lost_volume_is_waited_for_and_its_rows_fetched_by_the_pages_commands(three: Platform, site: Site) -> None:
    """That of cassandra-0, which founded the ring and may not found another one."""
    before, old = identities(three), three.pod(NODES[0])
    claim = three.cluster.get("pvc", f"data-{NODES[0]}", namespace=three.namespace)
    here = {"-n edge": f"-n {three.namespace}"}
    with writing(three, "emptied") as writers:
        three.shell.run(block(OPERATIONS, "delete pvc data-cassandra-0"), here, timeout_s=120)

        def waits() -> bool:
            log = three.kubectl("logs", NODES[0], "-c", "cassandra")
            return three.pod(NODES[0])["metadata"]["uid"] != old["metadata"]["uid"] and "has to be removed first" in log

        eventually(waits, "the new pod to say what it waits for", within_s=120)
        assert not is_ready(three.pod(NODES[0]))
        new_claim = three.cluster.get("pvc", f"data-{NODES[0]}", namespace=three.namespace)
        assert new_claim["spec"]["volumeName"] != claim["spec"]["volumeName"]
        # The ring is what it was: nobody else has joined.
        assert {m.identity for m in members(three, NODES[1]).values()} == set(before.values())
        three.shell.run(block(OPERATIONS, "nodetool removenode"), here, timeout_s=READY_S)
        eventually(lambda: another(three, old), "the new node", within_s=READY_S)
        after = identities(three)
    nothing_refused_or_lost(three, writers)
    assert after[NODES[0]] not in before.values()
    assert {name: after[name] for name in NODES[1:]} == {name: before[name] for name in NODES[1:]}
    if site.plan is None:
        return  # where processes are out of reach
    known = {key.removeprefix("ue_context ") for key in rows(three) if key.startswith("ue_context ")}
    found: set[str] = set()

    def found_alone() -> bool:
        # Until it knows that the others are down it asks them, and gets no answer.
        found.update(keys_on(three, three.pod(NODES[0])["status"]["podIP"]))
        return True

    with stopped(three, *NODES[1:]):
        eventually(found_alone, "an answer of the new node alone", within_s=90)
    assert known - found == set()
    assert identities(three) == after
