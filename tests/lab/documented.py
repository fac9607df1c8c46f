"""Commands as the pages have them, run on a cluster of the lab."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.lab.errors import LabError
from tests.lab.kubectl import Cluster
from tests.lab.run import run

ROOT: Final = Path(__file__).resolve().parents[2]
WALK: Final = ROOT / "k8s/README.md"
OPERATIONS: Final = ROOT / "docs/operations.md"


def blocks(page: Path) -> list[str]:
    """The page's commands, in their order: each block between its fences."""
    found = re.findall(r"^ *```(?:sh|console)\n(.*?)^ *```$", page.read_text(), re.M | re.S)
    return [textwrap.dedent(one) for one in found]


def block(page: Path, words: str) -> str:
    """The only block with these words.  Raises LabError."""
    found = [one for one in blocks(page) if words in one]
    if len(found) != 1:
        raise LabError(f"{page.name} has {len(found)} blocks with {words!r}, where one is wanted")
    return found[0]


@dataclass(frozen=True)
class Shell:
    """Where commands of the pages run: a folder with what they name of the repository, and the lab's programs."""

    folder: Path
    environment: Mapping[str, str]

    def run(self, commands: str, replaced: Mapping[str, str] | None = None, *, timeout_s: float = 600) -> str:
        """Run them and give their output.  replaced: words of the page by those of here; each has to be there.

        Raises LabError: one failed, or a word is not there.
        """
        for word, here in (replaced or {}).items():
            if word not in commands:
                raise LabError(f"the page has no {word!r} any more, which is {here!r} here")
            commands = commands.replace(word, here)
        argv = ["/bin/bash", "-eu", "-o", "pipefail", "-c", f"cd {self.folder}\n{commands}"]
        return run(argv, env=self.environment, timeout_s=timeout_s)


def shell(cluster: Cluster, helm: Path, folder: Path) -> Shell:
    """A shell whose kubectl and helm speak to this cluster."""
    programs = folder / "programs"
    programs.mkdir(parents=True)
    kubectl, *_ = cluster.argv()
    (programs / "kubectl").symlink_to(kubectl)
    (programs / "helm").symlink_to(helm)
    for name in ("charts", "k8s"):
        (folder / name).symlink_to(ROOT / name)
    path = os.pathsep.join((str(programs), str(Path(sys.executable).parent), os.environ["PATH"]))
    modules = os.pathsep.join((str(ROOT), str(ROOT / "enb-app")))
    return Shell(folder, {"PATH": path, "PYTHONPATH": modules, "KUBECONFIG": str(cluster.kubeconfig)})
