"""The keys that charts/edge-platform makes, by the real helm on a stand-in of the API server: made once, kept."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.charts.rendering import ROOT, helm_binary
from tests.placement import fake_cluster
from tests.placement.fake_cluster import FakeCluster

CHART = ROOT / "charts/edge-platform"
NAMES = ("edge-signing-key", "subscriber-key", "m-tmsi-key")
NAMESPACES = ("edge", "openfaas-fn")


@dataclass(frozen=True)
class Installation:
    """chart: this chart's with its secrets only."""

    cluster: FakeCluster
    chart: Path
    folder: Path

    def helm(self, *words: str) -> None:
        """Raises CalledProcessError."""
        kept = {f"HELM_{what}_HOME": str(self.folder / what) for what in ("CACHE", "CONFIG", "DATA")}
        environment = {**os.environ, **kept, "KUBECONFIG": str(self.folder / "kubeconfig")}
        argv = [helm_binary(), *words, "--namespace", NAMESPACES[0]]
        subprocess.run(argv, env=environment, check=True, capture_output=True, timeout=60)

    def upgrade(self, *words: str) -> None:
        self.helm("upgrade", "--install", "edge", str(self.chart), *words)

    def keys(self) -> dict[str, set[str]]:
        """What each is, in the namespaces that have it."""
        return {name: {text for space in NAMESPACES if (text := self._key(space, name))} for name in NAMES}

    def replace(self, name: str, key: str) -> None:
        for namespace in NAMESPACES:
            self._secret(namespace, name)["data"][name] = base64.b64encode(key.encode()).decode()

    def remove(self, namespace: str, name: str) -> None:
        del self.cluster.objects[self._path(namespace, name)]

    def _key(self, namespace: str, name: str) -> str:
        found = self.cluster.objects.get(self._path(namespace, name))
        return base64.b64decode(found["data"][name]).decode() if found else ""

    def _secret(self, namespace: str, name: str) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = self.cluster.objects[self._path(namespace, name)]
        return found

    @staticmethod
    def _path(namespace: str, name: str) -> str:
        return f"/api/v1/namespaces/{namespace}/secrets/{name}"


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    chart = tmp_path / "edge-platform"
    (chart / "templates").mkdir(parents=True)
    for name in ("Chart.yaml", "values.yaml", "templates/_helpers.tpl", "templates/secrets.yaml"):
        shutil.copy(CHART / name, chart / name)
    with fake_cluster.running() as (cluster,):
        (tmp_path / "kubeconfig").write_text(cluster.kubeconfig)
        for namespace in NAMESPACES:
            cluster.objects[f"/api/v1/namespaces/{namespace}"] = {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": namespace},
            }
        one = Installation(cluster, chart, tmp_path)
        one.upgrade()
        yield one


def test_a_key_that_was_replaced_stays_with_upgrades_and_with_a_rollback(installation: Installation) -> None:
    before = installation.keys()
    assert all(len(found) == 1 for found in before.values())
    installation.replace("subscriber-key", "new\n")
    wanted = before | {"subscriber-key": {"new\n"}}
    installation.upgrade("--set", "tools.image.tag=1.1")
    assert installation.keys() == wanted
    installation.helm("rollback", "edge", "1")
    assert installation.keys() == wanted
    installation.upgrade()
    assert installation.keys() == wanted


def test_those_that_an_older_chart_made_as_part_of_its_release_stay(installation: Installation) -> None:
    installation.helm("uninstall", "edge")
    for name in NAMES:
        for namespace in NAMESPACES:
            installation.remove(namespace, name)
    template = installation.chart / "templates/secrets.yaml"
    newer = template.read_text()
    template.write_text("\n".join(line for line in newer.splitlines() if "helm.sh/hook" not in line))
    installation.upgrade()
    before = installation.keys()
    assert all(len(found) == 1 for found in before.values())
    template.write_text(newer)
    installation.upgrade()
    assert installation.keys() == before
    assert all(installation._key(namespace, name) for name in NAMES for namespace in NAMESPACES)


def test_keys_outlive_the_release_and_another_one_takes_them_over(installation: Installation) -> None:
    before = installation.keys()
    installation.helm("uninstall", "edge")
    installation.upgrade()
    assert installation.keys() == before


def test_a_key_that_one_namespace_lacks_is_that_of_the_other(installation: Installation) -> None:
    before = installation.keys()
    installation.remove("openfaas-fn", "m-tmsi-key")
    installation.upgrade()
    assert installation.keys() == before
    assert installation._key("openfaas-fn", "m-tmsi-key")


def test_keys_that_are_not_the_same_are_not_touched(installation: Installation) -> None:
    installation._secret("edge", "subscriber-key")["data"]["subscriber-key"] = base64.b64encode(b"other\n").decode()
    before = installation.keys()
    with pytest.raises(subprocess.CalledProcessError) as refused:
        installation.upgrade()
    assert b"secret subscriber-key is not the same in edge and openfaas-fn" in refused.value.stderr
    assert installation.keys() == before
