"""What the lab's policies let through, against the examples and the words of the Kubernetes documentation
(https://kubernetes.io/docs/concepts/services-networking/network-policies/, read for version 1.34), and against what
Kubernetes' own suite demands.  `test_policies_enforced.py` sends packets."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from tests.lab import policy_cases
from tests.lab.errors import LabError
from tests.lab.policies import ANYBODY, Allowed, peers_of, rules
from tests.lab.policy_cases import CASES, PAIRS, Case

Manifest = dict[str, Any]


def namespace(name: str, **labels: str) -> Manifest:
    return {"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name, **labels}}}


def pod(where: str, address: str, **labels: str) -> Manifest:
    ports = [{"name": "web", "containerPort": 8080}, {"name": "web", "containerPort": 53, "protocol": "UDP"}]
    return {
        "metadata": {"name": address, "namespace": where, "labels": labels},
        "spec": {"containers": [{"ports": ports}]},
        "status": {"podIP": address},
    }


def policy(where: str, selector: Manifest, *ingress: Manifest, types: tuple[str, ...] = ("Ingress",)) -> Manifest:
    return {
        "metadata": {"name": "one", "namespace": where},
        "spec": {"podSelector": selector, "policyTypes": list(types), "ingress": list(ingress)},
    }


DB = pod("default", "10.0.0.1", role="db")
FRONTEND = pod("default", "10.0.0.2", role="frontend")
ELSEWHERE = pod("other", "10.0.0.3", role="frontend")
PROJECT = pod("mine", "10.0.0.4", role="anything")
PODS = [DB, FRONTEND, ELSEWHERE, PROJECT]
NAMESPACES = [namespace("default"), namespace("other"), namespace("mine", project="myproject")]
OF_DB = {"matchLabels": {"role": "db"}}


def sources(*ingress: Manifest) -> set[str]:
    found = peers_of(DB, [policy("default", OF_DB, *ingress)], PODS, NAMESPACES)
    assert found is not None
    return {one.source for one in found}


def test_the_example_of_the_documentation() -> None:
    """Its test-network-policy: an ipBlock with an exception, a namespaceSelector, a podSelector, TCP 6379."""
    block = {"ipBlock": {"cidr": "172.17.0.0/16", "except": ["172.17.1.0/24"]}}
    project = {"namespaceSelector": {"matchLabels": {"project": "myproject"}}}
    frontend = {"podSelector": {"matchLabels": {"role": "frontend"}}}
    one = policy("default", OF_DB, {"from": [block, project, frontend], "ports": [{"protocol": "TCP", "port": 6379}]})
    found = peers_of(DB, [one], PODS, NAMESPACES)
    assert found is not None
    assert {(each.protocol, each.first, each.last) for each in found} == {("tcp", 6379, 6379)}

    def may(address: str) -> bool:
        return any(IPv4Address(address) in IPv4Network(each.source) for each in found)

    assert all(may(address) for address in ("172.17.0.1", "172.17.2.0", "172.17.255.255", "10.0.0.4", "10.0.0.2"))
    assert not any(may(address) for address in ("172.17.1.0", "172.17.1.255", "172.16.0.1", "10.0.0.1", "10.0.0.3"))
    assert peers_of(FRONTEND, [one], PODS, NAMESPACES) is None


def test_two_selectors_in_one_peer_are_both_to_hold_and_two_peers_are_either() -> None:
    there = {"matchLabels": {"kubernetes.io/metadata.name": "other"}}
    frontend = {"matchLabels": {"role": "frontend"}}
    assert sources({"from": [{"namespaceSelector": there, "podSelector": frontend}]}) == {"10.0.0.3/32"}
    assert sources({"from": [{"namespaceSelector": there}, {"podSelector": frontend}]}) == {
        "10.0.0.3/32",
        "10.0.0.2/32",
    }
    assert sources({"from": [{"namespaceSelector": {}}]}) == {f"10.0.0.{number}/32" for number in (1, 2, 3, 4)}


def test_default_deny_allow_all_and_the_union_of_several() -> None:
    deny, allow = policy("default", {}), policy("default", OF_DB, {})
    assert peers_of(DB, [deny], PODS, NAMESPACES) == frozenset()
    assert peers_of(DB, [deny, allow], PODS, NAMESPACES) == frozenset({Allowed(ANYBODY)})
    assert peers_of(FRONTEND, [deny, allow], PODS, NAMESPACES) == frozenset()
    assert peers_of(ELSEWHERE, [deny, allow], PODS, NAMESPACES) is None


def test_selectors_of_expressions() -> None:
    def of(key: str, operator: str, *values: str) -> set[str]:
        expression = {"key": key, "operator": operator, **({"values": list(values)} if values else {})}
        return sources({"from": [{"namespaceSelector": {}, "podSelector": {"matchExpressions": [expression]}}]})

    assert of("role", "In", "frontend", "anything") == {"10.0.0.2/32", "10.0.0.3/32", "10.0.0.4/32"}
    assert of("role", "NotIn", "frontend", "db") == {"10.0.0.4/32"}
    assert of("tier", "NotIn", "x") == of("tier", "DoesNotExist") == of("role", "Exists")
    assert of("tier", "Exists") == set()


def test_ports_have_a_protocol_may_be_a_range_and_may_be_named() -> None:
    def of(*ports: Manifest) -> set[tuple[str, int, int]]:
        found = peers_of(DB, [policy("default", OF_DB, {"ports": list(ports)})], PODS, NAMESPACES)
        assert found is not None
        return {(one.protocol, one.first, one.last) for one in found}

    assert of({"port": 6379}, {"protocol": "UDP", "port": 53}) == {("tcp", 6379, 6379), ("udp", 53, 53)}
    assert of({"port": 32000, "endPort": 32768}) == {("tcp", 32000, 32768)}
    assert of({"port": "web"}) == {("tcp", 8080, 8080)}
    assert of({"port": "web", "protocol": "UDP"}) == {("udp", 53, 53)}
    assert of({"port": "nobody"}) == set()
    assert of({"protocol": "UDP"}) == {("udp", 0, 0)}


def test_the_last_rule_of_a_pod_under_a_policy_refuses() -> None:
    text = rules([policy("default", OF_DB, {"ports": [{"port": 9042}]})], PODS, NAMESPACES)
    of_db = [line for line in text.splitlines() if "10.0.0.1/32" in line]
    assert of_db[0].endswith("-s 10.0.0.1/32 -d 10.0.0.1/32 -j RETURN")
    assert of_db[1].endswith("-s 0.0.0.0/0 -d 10.0.0.1/32 -p tcp -m multiport --dports 9042 -j RETURN")
    assert of_db[-1].endswith("-d 10.0.0.1/32 -j REJECT")
    assert "10.0.0.2" not in text


@pytest.mark.parametrize("types", [("Egress",), ("Ingress", "Egress")])
def test_egress_is_an_error_where_it_would_be_left_out(types: tuple[str, ...]) -> None:
    with pytest.raises(LabError, match="no policy of egress: one"):
        peers_of(DB, [policy("default", {}, types=types)], PODS, NAMESPACES)
    assert peers_of(ELSEWHERE, [policy("default", {}, types=types)], PODS, NAMESPACES) is None


def test_ipv6_is_an_error_where_it_would_be_left_out() -> None:
    with pytest.raises(LabError, match="IPv6"):
        sources({"from": [{"ipBlock": {"cidr": "2001:db8::/64"}}]})


ALL = {
    name: pod(name[0], f"10.1.{'xyz'.index(name[0])}.{'abc'.index(name[2])}", pod=name[2]) for name in policy_cases.PODS
}
for one in ALL.values():
    one["spec"]["containers"] = [
        {"ports": [{"name": f"serve-{port}-tcp", "containerPort": port}]} for port in policy_cases.PORTS
    ]
THREE = [namespace(name, ns=name) for name in policy_cases.NAMESPACES]


def refused(case: Case, port: int, protocol: str = "tcp") -> set[tuple[str, str]]:
    policies = [{"metadata": {"name": "one", "namespace": "x"}, "spec": spec} for spec in case.policies]

    def may(source: str, target: str) -> bool:
        allowed = peers_of(ALL[target], policies, list(ALL.values()), THREE)
        address = IPv4Address(ALL[source]["status"]["podIP"])
        return allowed is None or any(
            address in IPv4Network(one.source)
            and one.protocol in ("", protocol)
            and (not one.first or one.first <= port <= one.last)
            for one in allowed
        )

    return {pair for pair in PAIRS if not may(*pair)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_kubernetes_own_suite_demands(case: Case) -> None:
    assert {port: refused(case, port) for port in case.refused} == case.refused


def test_a_policy_of_one_protocol_refuses_the_others() -> None:
    """Of the same suite, on UDP and SCTP."""
    of = {case.name: case for case in CASES}
    to_a = policy_cases.all_to("x/a")
    assert refused(of["any port on a specific protocol"], 80, "udp") == to_a
    assert refused(of["SCTP is not TCP"], 81, "sctp") == policy_cases.all_to("x/b", "x/c")
    assert refused(of["not by TCP when a policy specifies only UDP"], 81, "udp") == set()
    assert refused(of["not by TCP when a policy specifies only UDP"], 80, "udp") == to_a
