"""The lab's network: a namespace per cluster and one hub between them and the host.

The host gets one veth, one address and one route, and forwards nothing: packets between clusters, and from a cluster to
the registry, the S3 server or the host, pass through the hub, which alone has forwarding switched on. So the lab needs
no firewall rule and no sysctl of the host, whatever else (dockerd) has set there.
"""

import json

from tests.lab.errors import LabError
from tests.lab.plan import LabPlan
from tests.lab.run import run


def _ip(*words: str) -> str:
    return run(["ip", *words], timeout_s=30)


def namespaces() -> set[str]:
    """Names of every network namespace on this machine."""
    return {entry["name"] for entry in json.loads(_ip("-json", "netns", "list") or "[]")}


def check_free(lab: LabPlan) -> None:
    """Raise LabError when this machine already routes the lab's addresses somewhere else."""
    for route in json.loads(_ip("-json", "route", "show", "table", "all") or "[]"):
        target = str(route.get("dst", ""))
        if target.startswith(f"10.{lab.octet}.") and route.get("dev") not in (f"{lab.prefix}-host", "lo"):
            raise LabError(
                f"this machine already has a route to {target}; the lab would shadow it. "
                "Choose another 10.n.0.0/16 for it: make lab-up LAB_OCTET=n"
            )


def create(lab: LabPlan) -> None:
    """Make the namespaces and the links between them."""
    for name in lab.namespaces:
        _ip("netns", "add", name)
        _ip("-n", name, "link", "set", "lo", "up")
        _sysctl(name, "net/ipv4/ip_forward", "1")

    _link(lab.hub, f"{lab.prefix}-up", None, f"{lab.prefix}-host")
    _ip("-n", lab.hub, "address", "add", f"{lab.hub_address}/24", "dev", f"{lab.prefix}-up")
    _ip("address", "add", f"{lab.host_address}/24", "dev", f"{lab.prefix}-host")
    _ip("-n", lab.hub, "link", "set", f"{lab.prefix}-up", "up")
    _ip("link", "set", f"{lab.prefix}-host", "up")
    _ip("route", "add", lab.network, "via", lab.hub_address, "src", lab.host_address)

    for cluster in lab.clusters:
        _link(lab.hub, cluster.name, cluster.name, "uplink")
        _ip("-n", lab.hub, "address", "add", f"{cluster.gateway}/24", "dev", cluster.name)
        _ip("-n", cluster.name, "address", "add", f"{cluster.node_address}/24", "dev", "uplink")
        _ip("-n", lab.hub, "link", "set", cluster.name, "up")
        _ip("-n", cluster.name, "link", "set", "uplink", "up")
        _ip("-n", cluster.name, "route", "add", "default", "via", cluster.gateway)


def remove(lab: LabPlan) -> None:
    """Delete the namespaces and with them every link, address and route; what is already gone is no error."""
    for name in set(lab.namespaces) & namespaces():
        _ip("netns", "delete", name)
    if f"{lab.prefix}-host" in {link["ifname"] for link in json.loads(_ip("-json", "link", "show"))}:
        _ip("link", "delete", f"{lab.prefix}-host")


def _link(namespace: str, name: str, peer_namespace: str | None, peer: str) -> None:
    words = ["link", "add", "name", name, "netns", namespace, "type", "veth", "peer", "name", peer]
    _ip(*words, *(("netns", peer_namespace) if peer_namespace else ()))


def _sysctl(namespace: str, path: str, value: str) -> None:
    # /proc/sys/net shows the namespace of the process that reads it, so a process inside has to write.
    run(["nsenter", f"--net=/run/netns/{namespace}", "tee", f"/proc/sys/{path}"], stdin=value, timeout_s=30)
