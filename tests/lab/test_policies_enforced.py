"""The lab's policies by packets: what Kubernetes' own suite demands of an engine, on a real cluster.

The pods, and what refuses, are of this module; each case puts its policies in the place of those before it, so that
policies that change and go are part of it.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab import images, oci
from tests.lab.kubectl import Cluster, eventually
from tests.lab.policies import Enforcement, enforced
from tests.lab.policy_cases import (
    CASES,
    NAMESPACES,
    OF_NAMESPACE,
    OF_POD,
    PODS,
    PORTS,
    Case,
    Manifest,
    Pair,
    all_to,
)
from tests.lab.reaching import Prober, prober
from tests.lab.site import Site

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

WITHIN_S = 60
SERVING = f"""
import http.server, threading
for port in {PORTS}:
    server = http.server.ThreadingHTTPServer(("", port), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever).start()
"""


@dataclass(frozen=True)
class Ground:
    """Nine pods in three namespaces of this cluster.  name: begins their namespaces'; the pods' probers, addresses."""

    cluster: Cluster
    enforcement: Enforcement
    name: str
    probers: dict[str, Prober]
    addresses: dict[str, str]

    def refused(self, port: int) -> dict[Pair, str]:
        """Who does not reach whom there, and why not."""
        found: dict[Pair, str] = {}
        for source in PODS:
            targets = [pod for pod in PODS if pod != source]
            told = self.probers[source].ask([(self.addresses[target], port) for target in targets])
            found |= {(source, target): one for target, one in zip(targets, told, strict=True)}
        return {pair: one for pair, one in found.items() if one != "open"}

    def put(self, *specs: Manifest) -> None:
        """These policies in namespace x, and no other."""
        where = f"{self.name}-x"
        self.cluster.kubectl("delete", "networkpolicy", "-n", where, "--all")
        kind = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
        for number, spec in enumerate(specs):
            apply(self.cluster, {**kind, "metadata": {"name": f"policy-{number}", "namespace": where}, "spec": spec})

    def expect(self, refused: frozenset[Pair], port: int) -> None:
        """See that these are refused, and nobody else, by what the cluster says now."""
        self.enforcement.catch_up()
        assert self.refused(port) == dict.fromkeys(refused, "refused")


def apply(cluster: Cluster, *documents: Manifest) -> None:
    """As JSON: kubectl takes the label `y` of Python's YAML for true."""
    items = {"apiVersion": "v1", "kind": "List", "items": documents}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(items))


def pod(image: str, namespace: str, name: str) -> dict[str, Any]:
    ports = [{"name": f"serve-{port}-tcp", "containerPort": port} for port in PORTS]
    container = {"name": "main", "image": image, "command": ["python3", "-c", SERVING], "ports": ports}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {OF_POD: name}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }


@pytest.fixture(scope="module")
def ground(site: Site) -> Iterator[Ground]:
    if site.plan is None:
        pytest.skip("LAB_KUBECONFIGS names clusters whose nodes' rules are out of reach")
    cluster, name = site.b, f"policies-{secrets.token_hex(3)}"
    image = oci.push(images.debian(), site.registry)
    with contextlib.ExitStack() as stack:
        for space in NAMESPACES:
            where = f"{name}-{space}"
            stack.callback(cluster.kubectl, "delete", "namespace", where, "--wait=false", "--ignore-not-found")
            document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": where}}
            apply(cluster, {**document, "metadata": {"name": where, "labels": {OF_NAMESPACE: space}}})
            cluster.wait("-n", where, "--for=create", "serviceaccount/default", within_s=WITHIN_S)
        apply(cluster, *(pod(image, f"{name}-{one[0]}", one[2]) for one in PODS))
        addresses, probers = {}, {}
        for one in PODS:
            where = f"{name}-{one[0]}"
            cluster.wait("-n", where, "--for=condition=Ready", f"pod/{one[2]}", within_s=120)
            addresses[one] = cluster.get("pod", one[2], namespace=where)["status"]["podIP"]
            probers[one] = stack.enter_context(prober(cluster, where, one[2]))
        ready = Ground(cluster, stack.enter_context(enforced(cluster)), name, probers, addresses)
        # A container is Ready before its server listens.
        eventually(lambda: not any(map(ready.refused, PORTS)), "all to listen", within_s=WITHIN_S)
        yield ready


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_kubernetes_own_suite_demands(ground: Ground, case: Case) -> None:
    ground.put(*case.policies)
    for port, refused in case.refused.items():
        ground.expect(refused, port)


def test_labels_that_change_count_at_once(ground: Ground) -> None:
    """Of the same suite: ingress access from an updated namespace, from an updated pod, to an updated pod."""
    of_pods = {"podSelector": {"matchLabels": {OF_POD: "b", "pod2": "updated"}}}
    of_spaces = {"namespaceSelector": {"matchLabels": {"ns2": "updated"}}}
    to_a = {"podSelector": {"matchLabels": {OF_POD: "a"}}, "policyTypes": ["Ingress"]}
    isolated = {"podSelector": {"matchLabels": {"target": "isolated"}}, "policyTypes": ["Ingress"]}
    ground.put({**to_a, "ingress": [{"from": [of_pods, of_spaces]}]}, isolated)
    ground.expect(all_to("x/a"), 80)
    label = ground.cluster.kubectl
    label("label", "namespace", f"{ground.name}-y", "ns2=updated")
    ground.expect(all_to("x/a", but=["y"]), 80)
    label("label", "-n", f"{ground.name}-x", "pod", "b", "pod2=updated")
    ground.expect(all_to("x/a", but=["y", "x/b"]), 80)
    label("label", "-n", f"{ground.name}-x", "pod", "c", "target=isolated")
    ground.expect(all_to("x/a", but=["y", "x/b"]) | all_to("x/c"), 80)
    label("label", "-n", f"{ground.name}-x", "pod", "c", "target-")
    label("label", "-n", f"{ground.name}-x", "pod", "b", "pod2-")
    label("label", "namespace", f"{ground.name}-y", "ns2-")
    ground.put()
    ground.expect(all_to(), 80)


def test_the_node_itself_reaches_every_pod(ground: Ground) -> None:
    """As kubelet's probes have to: "traffic to and from the node where a Pod is running is always allowed"."""
    ground.put({"podSelector": {}, "policyTypes": ["Ingress"]})
    ground.expect(all_to("x"), 80)
    path = f"/api/v1/namespaces/{ground.name}-x/pods/a:80/proxy/"
    ground.cluster.kubectl("get", "--raw", path)
