"""charts/edge-platform, really installed on a cluster of the lab: its volumes, images, and a client beside it."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.lab import images, oci, platform_images
from tests.lab.documented import OPERATIONS, WALK, Shell, block, shell
from tests.lab.errors import LabError
from tests.lab.kubectl import Cluster
from tests.lab.plan import cache_folder
from tests.lab.site import Site

RELEASE: Final = "edge"
CLIENT: Final = "client"
INSTALL_S: Final = 600
READY_S: Final = 300
_OTHER_CLAIMS: Final = 2
"""Volumes beside those of Cassandra's nodes: one is for the backups."""
_GATEWAY: Final = """
import http.server, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        print(self.path, body.hex(), flush=True)
        self.send_response(503)
        self.end_headers()

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""
"""Says what it was called with, and that the function cannot be had."""


@dataclass(frozen=True)
class Platform:
    """A release of the chart.  namespace: its own; gateway, functions: the other two.  tools: edge-tools' reference.

    shell: where the pages' commands run, with the lab's helm.
    """

    cluster: Cluster
    shell: Shell
    namespace: str
    tools: str
    folder: Path
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def gateway(self) -> str:
        return f"{self.namespace}-gateway"

    @property
    def functions(self) -> str:
        return f"{self.namespace}-functions"

    @property
    def nodes(self) -> int:
        """Of Cassandra."""
        return int(self.values["cassandra"]["nodes"])

    @property
    def store(self) -> str:
        """As the chart tells it to its programs."""
        return f"cassandra://cassandra.{self.namespace}:9042/edge?rf={self.nodes}&dc=datacenter1"

    def install(self, *words: str) -> None:
        """`helm upgrade --install`, as k8s/README.md has it.  words: more of its arguments."""
        values = self.folder / "values.json"
        values.write_text(json.dumps(self.values))
        command, wait = block(WALK, "helm upgrade --install edge ").splitlines()
        repository, _, tag = self.tools.rpartition(":")
        image = {"registry.example:5000/edge-tools": repository, "tools.image.tag=1.0": f"tools.image.tag={tag}"}
        where = {"--namespace edge": f"--namespace {self.namespace} -f {values}"}
        within_s = INSTALL_S * self.nodes
        self.shell.run(" ".join((command, *words)), image | where, timeout_s=within_s)
        self.shell.run(wait, {"-n edge": f"-n {self.namespace}"}, timeout_s=within_s)

    def uninstall(self) -> None:
        """`helm uninstall`, until its pods are gone."""
        here = {"--namespace edge": f"--namespace {self.namespace}"}
        self.shell.run(block(OPERATIONS, "helm uninstall edge"), here, timeout_s=INSTALL_S)

    def kubectl(self, *words: str, stdin: str | None = None, timeout_s: float = 60) -> str:
        """In the release's namespace."""
        return self.cluster.kubectl("-n", self.namespace, *words, stdin=stdin, timeout_s=timeout_s)

    def ready(self) -> None:
        """Wait until every workload of the release is as it should be."""
        within_s = READY_S * self.nodes  # they take their turns
        self.kubectl("rollout", "status", "statefulset/cassandra", f"--timeout={within_s}s", timeout_s=within_s + 10)
        for name in (f"{RELEASE}-ticker", f"{RELEASE}-placement-ticker"):
            self.kubectl("rollout", "status", f"deployment/{name}", f"--timeout={READY_S}s", timeout_s=READY_S + 10)

    def edge(self, *words: str, timeout_s: float = 120) -> str:
        """The operator's command line in the client's pod, which stands where functions do."""
        return self.cluster.exec(CLIENT, "edge", *words, namespace=self.functions, timeout_s=timeout_s)

    def python(self, program: str, *words: str, timeout_s: float = 120) -> str:
        """A program of ours in the client's pod."""
        return self.cluster.exec(CLIENT, "python", "-c", program, *words, namespace=self.functions, timeout_s=timeout_s)

    def key(self, name: str) -> str:
        """A secret that the chart made, as the functions have it."""
        data = self.cluster.get("secret", name, namespace=self.functions)["data"]
        return base64.b64decode(data[name]).decode()

    @contextlib.contextmanager
    def forwarded(self) -> Iterator[str]:
        """The store's URL for this machine, by `kubectl port-forward` as k8s/README.md has it."""
        command = block(WALK, "svc/cassandra").replace("-n edge ", f"-n {self.namespace} ")
        with self.shell.forwarded(command) as address:
            yield f"cassandra://{address}/edge?rf={self.nodes}&dc=datacenter1"

    @contextlib.contextmanager
    def followed(self, pod: str) -> Iterator[Callable[[], str]]:
        """Follow what a pod logs from now on, also while it ends; the function gives it, once the pod has ended."""
        argv = self.cluster.argv("-n", self.namespace, "logs", "--follow", "--tail=1", pod)
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as following:
            assert following.stdout is not None
            lines = [following.stdout.readline()]
            reader = threading.Thread(target=lines.extend, args=(following.stdout,), daemon=True)
            reader.start()

            def told() -> str:
                reader.join(60)
                if reader.is_alive():
                    raise LabError(f"the log of {pod} has no end")
                return "".join(lines)

            try:
                yield told
            finally:
                if reader.is_alive():
                    reader.join(10)
                following.terminate()

    def pod(self, name: str) -> dict[str, Any]:
        return self.cluster.get("pod", name, namespace=self.namespace)

    def kill_process(self, pod: str, word: str, number: signal.Signals = signal.SIGKILL) -> None:
        """A signal to the process of this pod whose command line has this word, from outside: nobody in it is told."""
        uid = self.pod(pod)["metadata"]["uid"]
        found = [pid for pid in _pids() if _has(pid, uid, word)]
        if len(found) != 1:
            raise LabError(f"{len(found)} processes of {pod} have {word} in their command line")
        os.kill(found[0], number)


def _pids() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]


def _has(pid: int, uid: str, word: str) -> bool:
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text()
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return uid in groups and word.encode() in command.split(b"\0")


@contextlib.contextmanager
def platform(
    site: Site, cluster: Cluster, name: str, folder: Path, *, nodes: int = 1, becomes: int = 0
) -> Iterator[Platform]:
    """Install it in namespaces of this name, with a client and a stand-in for the gateway; gone when the block ends.

    nodes: Cassandra's, 1 or 3.  becomes: how many there will be, when more: there are volumes for them.
    """
    claims = max(nodes, becomes) + _OTHER_CLAIMS
    references = _pushed(site.registry)
    storage = {"size": "1Gi", "className": name if site.plan else ""}
    one = Platform(
        cluster,
        shell(cluster, site.helm, folder / "shell"),
        name,
        references["tools"],
        folder,
        {
            "openfaas": {"namespace": f"{name}-gateway", "functionNamespace": f"{name}-functions"},
            "cassandra": {
                "nodes": nodes,
                "image": image_values(references["cassandra"]),
                "heap": "400M",
                "resources": {"requests": {"cpu": "100m", "memory": "700Mi"}, "limits": {"memory": "1400Mi"}},
                "storage": storage,
                "drainSeconds": 60,  # `nodetool` alone has taken 20 s on a machine that did much else
                "backup": {"keep": 2, "storage": storage},
            },
            "monitoring": {"deploy": False},
        },
    )
    with places(site, cluster, name, claims, (one.namespace, one.gateway, one.functions)):
        cluster.apply(*_gateway(one.gateway, references["debian"]), client(one, CLIENT))
        # As docs/operations.md has it: helm waits for the tables, and these for two nodes.
        one.install(*(["--timeout", "20m"] if nodes > 1 else []))
        one.ready()
        for namespace, pod in ((one.gateway, "gateway"), (one.functions, CLIENT)):
            cluster.wait("-n", namespace, "--for=condition=Ready", f"pod/{pod}", within_s=READY_S)
        yield one


@contextlib.contextmanager
def places(site: Site, cluster: Cluster, name: str, claims: int, namespaces: Sequence[str]) -> Iterator[None]:
    """So many volumes, in the lab of a class of this name; namespaces, but the first, which the page's command makes.

    Gone when the block ends, all of them.
    """
    with contextlib.ExitStack() as stack:
        if site.plan:
            volumes = site.plan.state / cluster.name / "volumes" / name
            stack.enter_context(_local_volumes(cluster, name, volumes, claims))
        else:
            _require_storage(cluster, claims)
        for namespace in namespaces:
            stack.callback(_delete_namespace, cluster, namespace)
        for namespace in namespaces[1:]:
            cluster.kubectl("create", "namespace", namespace)
        yield


def _pushed(registry: str) -> dict[str, str]:
    """The references of its images.  Who comes meanwhile waits, and does not build the same anew."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / "platform-images.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return {
            "tools": oci.push(platform_images.edge_tools(), registry),
            "cassandra": oci.push(platform_images.cassandra(), registry),
            "debian": oci.push(images.debian(), registry),
        }


def _delete_namespace(cluster: Cluster, name: str) -> None:
    """With its pods at once: nobody waits for what they would do with their grace."""
    cluster.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")
    cluster.kubectl("-n", name, "delete", "pods", "--all", "--force", "--grace-period=0", timeout_s=120)
    cluster.kubectl("wait", "--for=delete", f"namespace/{name}", f"--timeout={READY_S}s", timeout_s=READY_S + 10)


def client(one: Platform, name: str) -> dict[str, Any]:
    """A pod with the tools, under the label that OpenFaaS gives one of the functions, that does nothing by itself."""
    return tool_pod(one, name, one.functions, {"faas_function": "mme-enb"})


def tool_pod(
    one: Platform,
    name: str,
    namespace: str,
    labels: Mapping[str, str],
    *,
    command: Sequence[str] = ("sleep", "infinity"),
) -> dict[str, Any]:
    """A pod of edge-tools."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "restartPolicy": "Never",
            "securityContext": {"runAsNonRoot": True},
            "containers": [{"name": "main", "image": one.tools, "command": list(command)}],
        },
    }


def image_values(reference: str) -> dict[str, str]:
    repository, _, tag = reference.rpartition(":")
    return {"repository": repository, "tag": tag}


def _gateway(namespace: str, image: str) -> list[dict[str, Any]]:
    labels = {"app": "gateway"}
    meta = {"name": "gateway", "namespace": namespace}
    container = {"name": "main", "image": image, "command": ["python3", "-c", _GATEWAY]}
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**meta, "labels": labels},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"selector": labels, "ports": [{"port": 8080}]},
        },
    ]


@contextlib.contextmanager
def _local_volumes(cluster: Cluster, name: str, folder: Path, count: int) -> Iterator[None]:
    """Folders of the node as volumes of a class of this name: local ones, which is all that the lab has."""
    numbers = range(count)
    kind = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    here = [{"key": "kubernetes.io/hostname", "operator": "In", "values": [cluster.name]}]
    made = [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"{name}-{number}"},
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": name,
                "local": {"path": str(folder / str(number))},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": here}]}},
            },
        }
        for number in numbers
    ]
    for number in numbers:
        (folder / str(number)).mkdir(parents=True)
    try:
        cluster.apply(kind, *made)
        yield
    finally:
        # A volume in use goes once its claim has gone with the namespace.
        names = [f"{name}-{number}" for number in numbers]
        cluster.kubectl("delete", "persistentvolume", *names, "--wait=false", "--ignore-not-found")
        cluster.kubectl("delete", "storageclass", name, "--ignore-not-found")
        shutil.rmtree(folder, ignore_errors=True)


def _require_storage(cluster: Cluster, count: int) -> None:
    """Raise LabError at once where no claim without a class would get a volume, for helm would wait for minutes."""
    default = "storageclass.kubernetes.io/is-default-class"
    for found in cluster.get("storageclasses")["items"]:
        if found["metadata"].get("annotations", {}).get(default) == "true":
            return
    volumes = cluster.get("persistentvolumes")["items"]
    free = [v for v in volumes if v["status"]["phase"] == "Available" and not v["spec"].get("storageClassName")]
    if len(free) < count:
        raise LabError(f"{cluster.name} has no default StorageClass, nor {count} free volumes without a class")


def gateway_calls(one: Platform) -> list[tuple[str, bytes]]:
    """What the stand-in for the gateway was called with: path and body, oldest first."""
    lines = one.cluster.kubectl("-n", one.gateway, "logs", "gateway").splitlines()
    return [(path, bytes.fromhex(body)) for path, _, body in (line.partition(" ") for line in lines)]
