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
from tests.charts.rendering import helm_binary

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

PAGE = (ROOT / "docs/operations.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S)
SUBSCRIBERS = 20
# What an install would send to a cluster, rendered by the real helm.
HELM = """#!{python}
import subprocess, sys
assert sys.argv[1:3] == ["upgrade", "--install"], sys.argv
only_installing = ("--create-namespace", "--wait", "--reset-then-reuse-values")
rest = [word for word in sys.argv[3:] if word not in only_installing]
sys.exit(subprocess.run([{helm!r}, "template", *rest], check=False).returncode)
"""
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
    for name, text in (("helm", HELM.format(python=sys.executable, helm=helm_binary())), ("docker", DOCKER)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    # The repository's files by their names; what the commands make stays here.
    for name in ("Makefile", "charts", "stack.yml", "tools", ".venv", "requirements", "pyproject.toml", "k8s"):
        (folder / name).symlink_to(ROOT / name)
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
    said = [ground.run(BLOCKS[0])]
    serving = Site(Path(ground.environment["SITE"]), ground.environment["STORE_URL"])
    serving.folder.mkdir()
    (serving.folder / "secrets").symlink_to(ground.folder / "keys")
    with serving.serve(port=0) as gateway:
        ground.environment["GATEWAY"] = gateway.url
        said += [ground.run(block) for block in BLOCKS[1:]]
    whole = "\n".join(said)
    assert f"imported {SUBSCRIBERS}" in whole
    assert "kind: StatefulSet" in whole
    assert "munich-1" in whole
    # One attach by one grep: six messages, as the caller saw them and as the functions did.
    assert whole.count('"event":"answered"') == 6
    assert whole.count('"event":"item"') >= 6
    pushed = [line for line in Path(ground.environment["CALLS"]).read_text().splitlines() if line.startswith("push ")]
    assert len(pushed) == 20  # nine functions and the tools, twice


def test_the_page_names_every_alert_by_its_list_and_every_secret() -> None:
    assert "metrics.md#alerts" in PAGE
    stack = (ROOT / "stack.yml").read_text()
    for name in sorted(set(re.findall(r"^ +- ([a-z-]+(?:key|policy|credentials|kubeconfigs|policy))$", stack, re.M))):
        assert f"`{name}`" in PAGE, name
