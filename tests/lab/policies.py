"""NetworkPolicies as packets meet them: what an engine would do on a one-node cluster, for ingress, by iptables.

The lab's CNI enforces none.  `peers_of` reads the objects as the API describes them
(https://kubernetes.io/docs/concepts/services-networking/network-policies/); `enforced` keeps them in the node's
namespace.  What comes from the node itself, as kubelet's probes do, is let through, as the API demands, and no policy
keeps a pod from itself.  Egress and IPv6 are an error, not left out: who relies on them has to add them here.
`tests/lab/policy_cases.py` holds it to what Kubernetes' own suite demands of an engine.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Network
from typing import Any, Final

from tests.lab import artefacts
from tests.lab.errors import LabError
from tests.lab.kubectl import Cluster
from tests.lab.run import run

_CHAIN: Final = "LAB-POLICIES"
_EVERY_S: Final = 1.0
ANYBODY: Final = "0.0.0.0/0"

Object = Mapping[str, Any]


@dataclass(frozen=True, order=True)
class Allowed:
    """Who may reach a pod.  source: a CIDR.  protocol "": every one.  first, last: ports, 0 = all."""

    source: str
    protocol: str = ""
    first: int = 0
    last: int = 0


def peers_of(
    pod: Object, policies: Sequence[Object], pods: Sequence[Object], namespaces: Sequence[Object]
) -> frozenset[Allowed] | None:
    """Who may reach this pod; None: no policy selects it, everybody may.  Raises LabError: what is not done here."""
    mine = [
        policy
        for policy in policies
        if policy["metadata"]["namespace"] == pod["metadata"]["namespace"]
        and selects(policy["spec"].get("podSelector", {}), pod)
    ]
    for one in mine:
        if one["spec"].get("policyTypes", ["Ingress"]) != ["Ingress"]:
            raise LabError(f"the lab enforces no policy of egress: {one['metadata']['name']}")
    if not mine:
        return None
    found: set[Allowed] = set()
    for policy in mine:
        for rule in policy["spec"].get("ingress", []):
            for source in _sources(rule, policy["metadata"]["namespace"], pods, namespaces):
                found |= {Allowed(source, *port) for port in _ports(rule, pod)}
    return frozenset(found)


def selects(selector: Object, what: Object) -> bool:
    """Whether a label selector of the API selects this object; an empty one selects all."""
    labels = what["metadata"].get("labels", {})
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    for one in selector.get("matchExpressions", []):
        key, values = one["key"], one.get("values", [])
        match one["operator"]:
            case "In":
                holds = labels.get(key) in values
            case "NotIn":
                holds = key not in labels or labels[key] not in values
            case "Exists":
                holds = key in labels
            case "DoesNotExist":
                holds = key not in labels
            case operator:
                raise LabError(f"a selector with operator {operator} is not of the API")
        if not holds:
            return False
    return True


def _sources(rule: Object, namespace: str, pods: Sequence[Object], namespaces: Sequence[Object]) -> Iterator[str]:
    if not rule.get("from"):
        yield ANYBODY
    for peer in rule.get("from", []):
        if block := peer.get("ipBlock"):
            yield from _without(block)
            continue
        within = {namespace}
        if "namespaceSelector" in peer:
            within = {one["metadata"]["name"] for one in namespaces if selects(peer["namespaceSelector"], one)}
        for pod in pods:
            if pod["metadata"]["namespace"] in within and selects(peer.get("podSelector", {}), pod):
                yield f"{pod['status']['podIP']}/32"


def _without(block: Object) -> list[str]:
    """The block's addresses but its exceptions, as blocks."""
    try:
        left, exceptions = [IPv4Network(block["cidr"])], [IPv4Network(one) for one in block.get("except", [])]
    except AddressValueError as error:
        raise LabError(f"the lab enforces no policy of IPv6: {error}") from error
    for exception in exceptions:
        left = [
            part
            for whole in left
            for part in (whole.address_exclude(exception) if exception.subnet_of(whole) else [whole])
        ]
    return [str(part) for part in left]


def _ports(rule: Object, pod: Object) -> Iterator[tuple[str, int, int]]:
    if not rule.get("ports"):
        yield "", 0, 0
    for port in rule.get("ports", []):
        protocol = port.get("protocol", "TCP").lower()
        number = port.get("port", 0)
        if isinstance(number, str):
            named = [
                each["containerPort"]
                for container in pod["spec"]["containers"]
                for each in container.get("ports", [])
                if each.get("name") == number and each.get("protocol", "TCP").lower() == protocol
            ]
            if not named:
                continue
            number = named[0]
        yield protocol, number, port.get("endPort", number)


def rules(policies: Sequence[Object], pods: Sequence[Object], namespaces: Sequence[Object]) -> str:
    """For iptables-restore: the chain, with what is let through to each pod under a policy, and the rest refused."""
    lines = ["*filter", f":{_CHAIN} - [0:0]", f"-A {_CHAIN} -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"]
    for pod in pods:
        allowed = peers_of(pod, policies, pods, namespaces)
        if allowed is None:
            continue
        to = f"-d {pod['status']['podIP']}/32"
        lines.append(f"-A {_CHAIN} -s {pod['status']['podIP']}/32 {to} -j RETURN")
        for one in sorted(allowed):
            what = f" -p {one.protocol}" if one.protocol else ""
            if one.first:  # by `multiport`, which knows SCTP where the kernel has no match for it
                what += f" -m multiport --dports {one.first}" + (f":{one.last}" if one.last != one.first else "")
            lines.append(f"-A {_CHAIN} -s {one.source} {to}{what} -j RETURN")
        lines.append(f"-A {_CHAIN} {to} -j REJECT")
    return "\n".join([*lines, "COMMIT", ""])


@dataclass
class Enforcement:
    """Policies of this cluster in force, time and again.  fault: why those of now could not be put in force."""

    cluster: Cluster
    fault: LabError | None = None
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _begun: int = 0
    _done: int = 0
    _asked: bool = False
    _ended: bool = False

    def follow(self) -> None:
        """Until `end`."""
        in_force = ""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._asked or self._ended, _EVERY_S)
                if self._ended:
                    return
                self._asked = False
                self._begun += 1
            fault = None
            try:
                in_force = _keep(self.cluster, in_force)
            except LabError as error:  # the API server may be busy: the rules of before hold
                fault = error
            with self._changed:
                self._done, self.fault = self._begun, fault
                self._changed.notify_all()

    def catch_up(self, within_s: float = 60) -> None:
        """Wait until what the cluster says now is in force.  Raises LabError."""
        with self._changed:
            wanted, self._asked = self._begun + 1, True
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: self._done >= wanted and self.fault is None, within_s):
                raise LabError(f"policies are not in force within {within_s:g} s: {self.fault}")

    def end(self) -> None:
        """Let `follow` return."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()


@contextlib.contextmanager
def enforced(cluster: Cluster) -> Iterator[Enforcement]:
    """Enforce the cluster's policies until the block ends; within some seconds after pods or policies change.

    Raises LabError at the block's end when those of then could not be put in force.
    """
    enforcement = Enforcement(cluster)
    follower = threading.Thread(target=enforcement.follow, daemon=True)
    with contextlib.ExitStack() as stack:
        _keep(cluster, "")
        stack.callback(_iptables, cluster, "iptables", "-X", _CHAIN)
        stack.callback(_iptables, cluster, "iptables", "-F", _CHAIN)
        _iptables(cluster, "iptables", "-I", "FORWARD", "1", "-j", _CHAIN)
        stack.callback(_iptables, cluster, "iptables", "-D", "FORWARD", "-j", _CHAIN)
        follower.start()
        stack.callback(follower.join)
        stack.callback(enforcement.end)
        yield enforcement
    if enforcement.fault:
        raise LabError(f"policies were not enforced to the end: {enforcement.fault}") from enforcement.fault


def _keep(cluster: Cluster, in_force: str) -> str:
    """Put the rules of now in force, and give them.  in_force: those of before."""
    found = json.loads(cluster.kubectl("get", "pods,networkpolicies,namespaces", "-A", "-o", "json"))["items"]
    of: dict[str, list[Object]] = {"Pod": [], "NetworkPolicy": [], "Namespace": []}
    for one in found:
        of[one["kind"]].append(one)
    pods = [
        pod
        for pod in of["Pod"]
        if pod["status"].get("podIP")
        and not pod["spec"].get("hostNetwork")
        and pod["status"]["phase"] not in ("Succeeded", "Failed")
    ]
    text = rules(of["NetworkPolicy"], pods, of["Namespace"])
    if text != in_force:
        _iptables(cluster, "iptables-restore", "--noflush", stdin=text)
    return text


def _iptables(cluster: Cluster, program: str, *words: str, stdin: str | None = None) -> str:
    """In the node's network namespace, with the node's own programs."""
    (folder, *_), libraries = artefacts.node_paths()
    wait = [] if program == "iptables-restore" else ["-w", "10"]
    return run(
        ["nsenter", f"--net=/run/netns/{cluster.name}", folder / program, *wait, *words],
        env={"LD_LIBRARY_PATH": str(libraries), "XTABLES_LIBDIR": str(libraries / "xtables")},
        stdin=stdin,
        timeout_s=30,
    )
