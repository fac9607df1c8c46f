"""A cluster as the tests see it: its name, its kubeconfig, and kubectl on it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.lab import artefacts
from tests.lab.artefacts import KUBERNETES
from tests.lab.errors import LabError
from tests.lab.run import run

_POLL_S = 0.2


@dataclass(frozen=True)
class Cluster:
    """A running cluster.  name: also of its only node, in the lab."""

    name: str
    kubeconfig: Path

    def argv(self, *words: str | Path) -> list[str | Path]:
        """Give the command line of kubectl on this cluster."""
        program = os.environ.get("LAB_KUBECTL") or artefacts.program(KUBERNETES, "kubectl")
        return [program, f"--kubeconfig={self.kubeconfig}", *words]

    def kubectl(self, *words: str | Path, stdin: str | None = None, timeout_s: float = 60) -> str:
        """Give kubectl's standard output; raises LabError with what it said when it fails."""
        return run(self.argv(*words), stdin=stdin, timeout_s=timeout_s)

    def get(self, kind: str, name: str = "", *, namespace: str = "default", labels: str = "") -> dict[str, Any]:
        """Give one object, or a list object when no name is given."""
        words = ["get", kind, *([name] if name else []), "-n", namespace, "-o", "json"]
        found: dict[str, Any] = json.loads(self.kubectl(*words, *([f"--selector={labels}"] if labels else [])))
        return found

    def apply(self, *documents: dict[str, Any]) -> None:
        """Create or change these objects."""
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(documents))

    def wait(self, *words: str, within_s: float) -> None:
        """`kubectl wait`, also when the object does not exist yet."""
        eventually(
            lambda: bool(self.kubectl("wait", *words, "--timeout=2s")),
            f"{' '.join(words)} on {self.name}",
            within_s=within_s,
        )

    def exec(self, pod: str, *argv: str, namespace: str = "default", timeout_s: float = 60) -> str:
        """Run a command in a pod and give its output."""
        return self.kubectl("exec", "-n", namespace, pod, "--", *argv, timeout_s=timeout_s)


def eventually(check: Callable[[], bool], what: str, *, within_s: float) -> None:
    """Wait until check() is true; a LabError it raises counts as not yet, and is told when the time is up."""
    deadline = time.monotonic() + within_s
    last = ""
    while True:
        try:
            if check():
                return
        except LabError as error:
            last = f" ({error})"
        if time.monotonic() > deadline:
            raise LabError(f"waited {within_s:.0f} s in vain for {what}{last}")
        time.sleep(_POLL_S)


def pod(name: str, image: str, *, command: Sequence[str] = (), **more: Any) -> dict[str, Any]:
    """Give a small pod of one container, which ends at once when it is deleted.  more: further fields of the spec."""
    container: dict[str, Any] = {"name": "main", "image": image}
    if command:
        container["command"] = list(command)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0, **more},
    }
