"""Every `sh` block of docs/operations.md, run in its order, on an installation of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from laptop.site import ROOT, Site
from mme.store.opening import open_store
from tests.charts.rendering import helm_binary
from tests.lab import artefacts

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

PAGE = (ROOT / "docs/operations.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S)
SUBSCRIBERS = 20
# What an install would send to a cluster, rendered by the real helm.  What a release was told before is kept as helm
# keeps it, by a chart that shows its values; images of ours have to be pushed by then.
HELM = """#!{python}
import os, re, subprocess, sys
from pathlib import Path

def template(chart):
    argv = [{helm!r}, "template", name, chart, "--kube-version", {version!r}, *old, *words]
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout

assert sys.argv[1:3] == ["upgrade", "--install"], sys.argv
name, chart, *words = sys.argv[3:]
told = Path({folder!r}, name + ".yaml")
old = ["-f", str(told)] if told.exists() else []
assert not old or "--reset-then-reuse-values" in words, "what the release was told is forgotten"
words = [word for word in words if word not in ("--create-namespace", "--wait", "--reset-then-reuse-values")]
rendered = template(chart)
told.write_text(template({shows!r}))
pushed = set(re.findall("^push (.*)$", Path(os.environ["CALLS"]).read_text(), re.M))
images = set(re.findall("image: (.*edge-tools.*)", rendered))
assert images <= pushed, f"{{images}} of {{pushed}}"
print(rendered)
"""
SHOWS = {"Chart.yaml": "{apiVersion: v2, name: shows, version: 1.0.0}", "templates/told.yaml": "{{ toYaml .Values }}"}
DOCKER = """#!/bin/sh
printf '%s\\n' "$*" >> "$CALLS"
[ "$1" != run ] || printf '{"installed": []}'
"""


@dataclass
class Ground:
    """folder: where the commands run, with what they name of the repository."""

    folder: Path
    environment: dict[str, str]

    def run(self, block: str) -> str:
        done = subprocess.run(
            ["/bin/bash", "-eu", "-o", "pipefail", "-c", block],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return done.stdout


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("operations")
    programs = folder / "programs"
    programs.mkdir()
    shows = folder / "shows"
    for name, text in SHOWS.items():
        (shows / name).parent.mkdir(exist_ok=True)
        (shows / name).write_text(text)
    helm = HELM.format(
        version=artefacts.KUBERNETES_VERSION,
        python=sys.executable,
        helm=helm_binary(),
        folder=str(programs),
        shows=str(shows),
    )
    for name, text in (("helm", helm), ("docker", DOCKER)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    # The repository's files by their names; what the commands make stays here.
    for name in ("Makefile", "charts", "stack.yml", "tools", ".venv", "requirements", "pyproject.toml", "k8s"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "functions/placement").mkdir(parents=True)  # where the command puts helm
    environment = {
        **os.environ,
        "PATH": os.pathsep.join((str(programs), str(Path(sys.executable).parent), os.environ["PATH"])),
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "enb-app"))),
        "STORE_URL": f"sqlite:///{folder / 'store.db'}",
        "SITE": str(folder / "serving"),
        "CALLS": str(folder / "calls"),
    }
    yield Ground(folder, environment)


def test_every_block_runs(ground: Ground) -> None:
    assert len(BLOCKS) >= 8
    first = next(number for number, block in enumerate(BLOCKS) if "--gateway" in block)
    said = [ground.run(block) for block in BLOCKS[:first]]
    serving = Site(Path(ground.environment["SITE"]), ground.environment["STORE_URL"])
    serving.folder.mkdir()
    (serving.folder / "secrets").symlink_to(ground.folder / "keys")
    with serving.serve(port=0) as gateway:
        ground.environment["GATEWAY"] = gateway.url
        said += [ground.run(block) for block in BLOCKS[first:]]
    whole = "\n".join(said)
    assert f"imported {SUBSCRIBERS}" in whole
    assert (ground.folder / "functions/placement/helm").read_bytes() == Path(helm_binary()).read_bytes()
    assert "kind: StatefulSet" in whole
    assert "munich-1" in whole
    # One attach by one grep: six messages, as the caller saw them and as the functions did.
    assert whole.count('"event":"answered"') == 6
    assert whole.count('"event":"item"') >= 6
    pushed = [line for line in Path(ground.environment["CALLS"]).read_text().splitlines() if line.startswith("push ")]
    assert len(pushed) == 20  # nine functions and the tools, twice
    # The release goes on migrating: what no migration was wanted for was one upgrade.
    assert "name: edge-migrate" in said[-1]


def test_the_clusters_keys_are_had_before_a_subscriber_is_sealed_under_one() -> None:
    fetched = PAGE.index("kubectl -n edge get secret $name")
    assert PAGE.index("\nedge secrets init keys\n") < fetched < PAGE.index("\nedge subscribers import ")


def test_stores_that_the_page_names_can_be_had_in_cassandra_too() -> None:
    """Above they are SQLite's files."""
    named = {word for block in BLOCKS for word in re.findall(r'--store "(.*?)"', block)}
    for word in named:
        open_store(re.sub(r"\$STORE_URL\b|\$\{STORE_URL\}", "cassandra://127.0.0.1:9042/edge", word)).close()
    assert len(named) == 2


def test_the_page_names_every_alert_by_its_list_and_every_secret() -> None:
    assert "metrics.md#alerts" in PAGE
    stack = (ROOT / "stack.yml").read_text()
    for name in sorted(set(re.findall(r"^ +- ([a-z-]+(?:key|policy|credentials|kubeconfigs|policy))$", stack, re.M))):
        assert f"`{name}`" in PAGE, name
