"""containerd, kubelet and kube-proxy of one cluster's only node."""

import json
from pathlib import Path
from typing import Any

import yaml

from tests.lab import artefacts
from tests.lab.artefacts import KUBERNETES, NODE
from tests.lab.cluster.credentials import Credentials
from tests.lab.machine import Daemon
from tests.lab.plan import API_PORT, CLUSTER_DOMAIN, ClusterPlan

# In the namespace's private /run, so that the same path is a socket of its own in each cluster.
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"


def daemons(plan: ClusterPlan, credentials: Credentials, registry: str, pause_image: str) -> list[Daemon]:
    """Write the node's configuration files and give its daemons.

    registry: host:port that answers plain HTTP.  pause_image: what holds a pod's namespaces.
    """
    folder = plan.folder / "node"
    folder.mkdir(parents=True, exist_ok=True)
    _network_configuration(plan, folder / "cni")
    _registry_hosts(folder / "registries", registry)
    (folder / "containerd.toml").write_text(_containerd(plan, folder, pause_image))
    # Nobody resolves outside names: the lab is closed, and a test that needs the internet would show here.
    (folder / "resolv.conf").write_text("")
    _write(folder / "kubelet.yaml", _kubelet(plan, credentials, folder))
    _write(folder / "kube-proxy.yaml", _proxy(plan, credentials))
    (plan.folder / "hosts").write_text(f"127.0.0.1 localhost\n{plan.node_address} {plan.name}\n")
    api = f"{plan.node_address}:{API_PORT}"
    return [
        Daemon("containerd", ["containerd", "--config", str(folder / "containerd.toml")]),
        Daemon(
            "kubelet",
            [
                str(artefacts.program(KUBERNETES, "kubelet")),
                f"--config={folder / 'kubelet.yaml'}",
                f"--kubeconfig={credentials.kubelet}",
                f"--hostname-override={plan.name}",
                f"--node-ip={plan.node_address}",
                f"--root-dir={plan.folder / 'kubelet'}",
            ],
            after=[CONTAINERD_SOCKET, api],
        ),
        Daemon(
            "kube-proxy",
            [str(artefacts.program(KUBERNETES, "kube-proxy")), f"--config={folder / 'kube-proxy.yaml'}"],
            after=[api],
        ),
    ]


def _network_configuration(plan: ClusterPlan, folder: Path) -> None:
    """Write the CNI chain: ptp (a routed veth per pod), as a bridge's traffic may meet the host's filter."""
    folder.mkdir(exist_ok=True)
    chain = {
        "cniVersion": "0.4.0",
        "name": "lab",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": True,
                "mtu": 1500,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": plan.pod_range}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                    "dataDir": str(plan.folder / "node" / "leases"),
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }
    (folder / "10-lab.conflist").write_text(json.dumps(chain, indent=1))


def _registry_hosts(folder: Path, registry: str) -> None:
    target = folder / registry
    target.mkdir(parents=True, exist_ok=True)
    (target / "hosts.toml").write_text(
        f'server = "http://{registry}"\n\n[host."http://{registry}"]\n  capabilities = ["pull", "resolve"]\n'
    )


def _containerd(plan: ClusterPlan, folder: Path, pause_image: str) -> str:
    # restrict_oom_score_adj: without it every sandbox dies ("can't get final child's PID") where root may not lower
    # its own score, as in most virtual machines and containers.
    return f"""\
version = 2
root = "{plan.folder / "containerd"}"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]

[grpc]
  address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause_image}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{artefacts.folder(NODE) / "usr/lib/cni"}"
    conf_dir = "{folder / "cni"}"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{folder / "registries"}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"""


def _kubelet(plan: ClusterPlan, credentials: Credentials, folder: Path) -> dict[str, Any]:
    certificate, key = credentials.kubelet_server
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": plan.node_address,
        "healthzBindAddress": "127.0.0.1",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(credentials.authority)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(certificate),
        "tlsPrivateKeyFile": str(key),
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "clusterDomain": CLUSTER_DOMAIN,
        "clusterDNS": [plan.dns_address],
        "resolvConf": str(folder / "resolv.conf"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{plan.name}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "volumePluginDir": str(folder / "volume-plugins"),
        "serializeImagePulls": False,
        # The disk is the machine's, mostly full of other things: only an almost full one may evict pods here.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 99,
        "imageGCLowThresholdPercent": 98,
    }


def _proxy(plan: ClusterPlan, credentials: Credentials) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "bindAddress": plan.node_address,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "clientConnection": {"kubeconfig": str(credentials.proxy)},
        "clusterCIDR": plan.pod_range,
        "hostnameOverride": plan.name,
        # Zero leaves the kernel's connection tracking as it is: its limits belong to the whole machine.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(document, sort_keys=False))
