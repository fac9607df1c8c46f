"""Render charts with the real helm: $HELM, else `helm` on the PATH, else the lab's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab import artefacts

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "core"
"""Where charts are rendered to be installed."""

Values = dict[str, Any]
Manifest = dict[str, Any]


class RefusedValuesError(Exception):
    """helm refused; its text."""


def helm_binary() -> str:
    """Skips where there is none, with one line; under CI it must be there."""
    found = os.environ.get("HELM") or shutil.which("helm")
    if found:
        return found
    built = artefacts.program(artefacts.HELM, "helm") if shutil.which("go") else None
    if built is not None and built.exists():
        return str(built)
    missing = "helm is missing: `make helm` builds it, or name one in HELM"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


class Charts:
    """A copy of charts/, with its dependencies built."""

    def __init__(self, folder: Path) -> None:
        self._helm = helm_binary()
        self.folder = folder / "charts"
        shutil.copytree(ROOT / "charts", self.folder)
        self._environment = {**os.environ, "HELM_CACHE_HOME": str(folder / "c"), "HELM_CONFIG_HOME": str(folder / "k")}
        self.run("dependency", "build", str(self.folder / "open5gs"))

    def run(self, *arguments: str, text: str = "") -> str:
        """Raises RefusedValuesError."""
        command = [self._helm, *arguments]
        # It asks no cluster, and a helm that was built without its release's flags takes 1.20 for granted.
        if "template" in arguments and "--kube-version" not in arguments:
            command += ["--kube-version", artefacts.KUBERNETES_VERSION]
        ended = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            timeout=100,
            env=self._environment,
            check=False,
        )
        if ended.returncode:
            raise RefusedValuesError(ended.stderr)
        return ended.stdout

    def render(self, chart: str, values: Values, release: str = "nf") -> list[Manifest]:
        """The manifests of that chart with these values."""
        path = str(self.folder / chart)
        text = self.run("template", release, path, "-n", NAMESPACE, "-f", "-", text=json.dumps(values))
        return [manifest for manifest in yaml.safe_load_all(text) if manifest]


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def named(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = (m for m in of_kind(manifests, kind) if m["metadata"]["name"] == name)
    return found


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Pod templates by their workload."""
    found = {}
    for manifest in manifests:
        spec = manifest.get("spec", {})
        if manifest["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if "template" in spec:
            found[f"{manifest['kind']} {manifest['metadata']['name']}"] = spec["template"]
    return found


def pod_of(manifests: list[Manifest]) -> Manifest:
    """The pod template of the only workload."""
    (workload,) = [m for m in manifests if m["kind"] in ("Deployment", "StatefulSet")]
    template: Manifest = workload["spec"]["template"]
    return template
