"""What Kubernetes' own suite demands of an engine for NetworkPolicies, as far as it is about ingress and TCP.

Three namespaces x, y and z with pods a, b and c each; every policy stands in x.  Names and expectations are those of
test/e2e/network/netpol/network_policy.go in kubernetes 1.34.4.  Calls of a pod to itself are left out, as there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

NAMESPACES: Final = ("x", "y", "z")
PODS: Final = tuple(f"{namespace}/{name}" for namespace in NAMESPACES for name in "abc")
PORTS: Final = (80, 81)
OF_NAMESPACE: Final = "ns"
"""The label of a namespace: x, y or z."""
OF_POD: Final = "pod"
"""The label of a pod: a, b or c."""

Pair = tuple[str, str]
Manifest = dict[str, Any]
PAIRS: Final = frozenset((source, target) for source in PODS for target in PODS if source != target)


@dataclass(frozen=True)
class Case:
    """policies: their specs.  refused: by port, the pairs (from, to) that may not; every other may."""

    name: str
    policies: tuple[Manifest, ...]
    refused: Mapping[int, frozenset[Pair]]


def all_to(*targets: str, but: Iterable[str] = ()) -> frozenset[Pair]:
    """Every pair to one of these but from those.  Each is a pod (x/a) or a namespace (x)."""
    return frozenset(
        (source, target) for source, target in PAIRS if _among(target, targets) and not _among(source, but)
    )


def _among(pod: str, some: Iterable[str]) -> bool:
    return any(pod == one or pod.startswith(f"{one}/") for one in some)


def _is(key: str, value: str) -> Manifest:
    return {"matchLabels": {key: value}}


def _expression(key: str, operator: str, *values: str) -> Manifest:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


def _spec(selector: Manifest, *ingress: Manifest) -> Manifest:
    return {"podSelector": selector, "policyTypes": ["Ingress"], "ingress": list(ingress)}


def _from(*peers: Manifest, ports: Iterable[Manifest] = ()) -> Manifest:
    return {"from": list(peers), **({"ports": list(ports)} if ports else {})}


def _port(port: int | str, protocol: str = "TCP") -> Manifest:
    return {"port": port, "protocol": protocol}


_A = _is(OF_POD, "a")
_Y = {"namespaceSelector": _is(OF_NAMESPACE, "y")}
_NOT_X = {"namespaceSelector": _expression(OF_NAMESPACE, "NotIn", "x")}
_DENY = _spec({})
_ONLY_Y = all_to("x/a", but=["y"])

CASES: Final = (
    Case("default-deny-ingress", (_DENY,), {80: all_to("x")}),
    Case(
        "pods within server namespace based on PodSelector",
        (_spec(_A, _from({"podSelector": _is(OF_POD, "b")})),),
        {80: all_to("x/a", but=["x/b"])},
    ),
    Case(
        "allow ingress traffic for a target",
        (_DENY, _spec(_A, _from({"podSelector": {}, "namespaceSelector": {}}))),
        {80: all_to("x/b", "x/c")},
    ),
    Case("ingress traffic from pods in all namespaces", (_spec(_A, _from({"namespaceSelector": {}})),), {80: all_to()}),
    Case("only from a different namespace, based on NamespaceSelector", (_spec(_A, _from(_Y)),), {80: _ONLY_Y}),
    Case(
        "PodSelector with MatchExpressions",
        (_spec(_A, _from({"podSelector": _expression(OF_POD, "In", "b")})),),
        {80: all_to("x/a", but=["x/b"])},
    ),
    Case(
        "NamespaceSelector with MatchExpressions",
        (_spec(_A, _from({"namespaceSelector": _expression(OF_NAMESPACE, "In", "y")})),),
        {80: _ONLY_Y},
    ),
    Case(
        "PodSelector or NamespaceSelector",
        (_spec(_A, _from(_NOT_X, {"podSelector": _is(OF_POD, "b")})),),
        {80: frozenset({("x/c", "x/a")})},
    ),
    Case(
        "PodSelector and NamespaceSelector",
        (_spec(_A, _from({**_NOT_X, "podSelector": _is(OF_POD, "b")})),),
        {80: all_to("x/a", but=["y/b", "z/b"])},
    ),
    Case(
        "Multiple PodSelectors and NamespaceSelectors",
        (_spec(_A, _from({**_NOT_X, "podSelector": _expression(OF_POD, "In", "b", "c")})),),
        {80: all_to("x/a", but=["y/b", "y/c", "z/b", "z/c"])},
    ),
    Case(
        "any PodSelectors",
        (_spec(_A, _from({"podSelector": _is(OF_POD, "b")}, {"podSelector": _is(OF_POD, "c")})),),
        {80: all_to("x/a", but=["x/b", "x/c"])},
    ),
    Case(
        "only from a pod in a different namespace",
        (_spec(_A, _from({**_Y, "podSelector": _A})),),
        {80: all_to("x/a", but=["y/a"])},
    ),
    Case("Ports", (_spec(_A, _from(_Y, ports=[_port(81)])),), {80: all_to("x/a"), 81: _ONLY_Y}),
    Case(
        "multiple, stacked policies with overlapping podSelectors",
        (_spec(_A, _from(_Y, ports=[_port(81)])), _spec(_A, _from(_Y, ports=[_port(80)]))),
        {80: _ONLY_Y, 81: _ONLY_Y},
    ),
    Case("allow-all", (_spec({}, {}),), {80: all_to(), 81: all_to()}),
    Case("one named port", (_spec({}, {"ports": [{"port": "serve-81-tcp"}]}),), {80: all_to("x"), 81: all_to()}),
    Case(
        "from namespace on one named port",
        (_spec(_A, _from(_Y, ports=[_port("serve-80-tcp")])),),
        {80: _ONLY_Y, 81: all_to("x/a")},
    ),
    Case(
        "deny ingress from pods on other namespaces",
        (_spec({}, _from({"podSelector": {}})),),
        {80: all_to("x", but=["x"])},
    ),
    Case("any port on a specific protocol", (_spec(_A, {"ports": [{"protocol": "TCP"}]}),), {80: all_to()}),
    Case("only port 80", (_spec({}, {"ports": [_port(80)]}),), {81: all_to("x")}),
    Case("ingress allow-all taking precedence", (_spec({}, {"ports": [_port(80)]}), _spec({}, {})), {81: all_to()}),
    Case("SCTP is not TCP", (_DENY, _spec(_A, {"ports": [_port(81, "SCTP")]})), {81: all_to("x")}),
    Case("isolated by a policy allowing SCTP", (_spec(_A, {"ports": [_port(80, "SCTP")]}),), {81: all_to("x/a")}),
    Case(
        "not by TCP when a policy specifies only UDP", (_spec(_A, {"ports": [_port(81, "UDP")]}),), {81: all_to("x/a")}
    ),
)
