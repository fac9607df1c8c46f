"""The functions that are deployed: their specification, their replicas, and which build tree an image name means."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from localfaas.buildtree import BuildTree
from localfaas.durations import seconds
from localfaas.functionlogs import FunctionLog
from localfaas.options import NAMESPACE, Options
from localfaas.replicas import Launch, Replica, ReplicaSet
from localfaas.secretfiles import SecretFiles

SCALE_MIN = "com.openfaas.scale.min"
SCALE_MAX = "com.openfaas.scale.max"
SCALE_FACTOR = "com.openfaas.scale.factor"


@dataclass(frozen=True, slots=True)
class Spec:
    """What a function is deployed with: the fields of FunctionDeployment. Source: contract section 4."""

    service: str
    image: str
    env_process: str = ""
    env_vars: Mapping[str, str] = field(default_factory=dict)
    constraints: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, str] | None = None
    requests: Mapping[str, str] | None = None
    read_only_root_filesystem: bool = False


def whole_number(labels: Mapping[str, str], name: str, default: int) -> int:
    """Read a label as a whole number, or the default when it is absent or not one (contract section 5)."""
    try:
        return int(labels[name])
    except (KeyError, ValueError):
        return default


@dataclass(frozen=True)
class Watchdog:
    """of-watchdog's settings of one function. max_inflight 0 = no limit."""

    exec_timeout_s: float = 30.0
    max_inflight: int = 0

    @classmethod
    def of(cls, env: Mapping[str, str]) -> "Watchdog":
        """Read them from the function's environment; what is not understood keeps its default, as in of-watchdog."""
        exec_timeout_s = cls.exec_timeout_s
        with contextlib.suppress(KeyError, ValueError):
            exec_timeout_s = seconds(env["exec_timeout"])
        return cls(exec_timeout_s, whole_number(env, "max_inflight", cls.max_inflight))


class Deployment:
    """One deployed function. updated: a PUT has happened, which leaves a uid label behind."""

    def __init__(self, spec: Spec, replicas: ReplicaSet) -> None:
        self.spec = spec
        self.replicas = replicas
        self.watchdog = Watchdog.of(spec.env_vars)
        self.created_at = datetime.now(UTC)
        self.update_uid: str | None = None

    def status(self, invocation_count: int) -> dict[str, Any]:
        """Give FunctionStatus: zero counts and empty parts are omitted (contract section 4)."""
        spec = self.spec
        labels = {**spec.labels, "faas_function": spec.service}
        if self.update_uid is not None:
            labels["uid"] = self.update_uid
        body: dict[str, Any] = {
            "name": spec.service,
            "image": spec.image,
            "namespace": NAMESPACE,
            "envProcess": spec.env_process,
            "constraints": list(spec.constraints),
            "secrets": list(spec.secrets),
            "labels": labels,
            "annotations": {"prometheus.io.scrape": "false", **spec.annotations},
            "limits": spec.limits,
            "requests": spec.requests,
            "readOnlyRootFilesystem": spec.read_only_root_filesystem,
            "invocationCount": invocation_count,
            "replicas": self.replicas.desired,
            "availableReplicas": len(self.replicas.ready()),
        }
        return {key: value for key, value in body.items() if value} | {
            "createdAt": self.created_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        }


class Deployments:
    """All deployed functions by name, and the images there are."""

    def __init__(self, options: Options, work_dir: Path, secret_files: SecretFiles) -> None:
        self._options = options
        self._locks = work_dir / "locks"
        self._locks.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._secrets = secret_files
        self._starts = asyncio.Semaphore(options.parallel_starts)
        self._logs: dict[str, FunctionLog] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._images: dict[str, dict[str, BuildTree]] = {}
        self.by_name: dict[str, Deployment] = {}

    def add_image(self, function: str, image: str, tree: BuildTree) -> None:
        """Let an image name mean a build tree, as there is no registry; with one name for several, a function's own."""
        self._images.setdefault(image, {})[function] = tree

    def images(self) -> list[str]:
        """List the image names a function may be deployed with."""
        return sorted(self._images)

    def log(self, name: str) -> FunctionLog | None:
        """Give the function's log; it outlives the function."""
        return self._logs.get(name)

    def clamp(self, replicas: int) -> int:
        """Hold a replica count within 1 and the edition's maximum, which nothing may leave (contract section 4)."""
        return max(1, min(replicas, self._options.edition.max_replicas))

    def create(self, spec: Spec, replicas: int | None = None) -> Deployment:
        """Deploy a new function. spec: validated, image and secrets known. replicas: None = scale.min or 1."""
        log = self._logs.setdefault(spec.service, FunctionLog())
        deployment = Deployment(spec, ReplicaSet(self._launch(spec), log, self._starts))
        self.by_name[spec.service] = deployment
        deployment.replicas.scale(self.clamp(replicas or whole_number(spec.labels, SCALE_MIN, 1)))
        return deployment

    def update(self, spec: Spec, uid: str) -> None:
        """Replace a function's specification by a rolling update. spec: validated, deployed."""
        deployment = self.by_name[spec.service]
        deployment.spec, deployment.watchdog, deployment.update_uid = spec, Watchdog.of(spec.env_vars), uid
        deployment.replicas.update(self._launch(spec))
        if SCALE_MIN in spec.labels:
            deployment.replicas.scale(self.clamp(whole_number(spec.labels, SCALE_MIN, 1)))

    def delete(self, name: str) -> None:
        """Remove a function; its processes end in the background."""
        deployment = self.by_name.pop(name)
        task = asyncio.create_task(deployment.replicas.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        task.add_done_callback(lambda _: None if name in self.by_name else self._secrets.unmount(name))

    def find(self, name: str, instance: str | None) -> Replica | None:
        """Find a replica with a process: the named one, or the one that holds most calls."""
        alive = [r for r in self.by_name[name].replicas.replicas if r.alive and instance in (None, r.instance)]
        return max(alive, key=lambda r: (r.in_flight, r.ready), default=None)

    async def close(self) -> None:
        """Stop every process."""
        await asyncio.gather(*(deployment.replicas.close() for deployment in self.by_name.values()), *self._closing)

    def _launch(self, spec: Spec) -> Launch:
        trees = self._images[spec.image]
        tree = trees.get(spec.service) or next(iter(trees.values()))
        return Launch(
            function=spec.service,
            tree=replace(tree, fprocess=spec.env_process) if spec.env_process else tree,
            env=spec.env_vars,
            secrets_folder=self._secrets.mount(spec.service, spec.secrets),
            lock_folder=self._locks,
            start_timeout_s=self._options.start_timeout_s,
            drain_s=self._options.drain_s,
        )
