"""Commands as the pages have them, run on a cluster of the lab."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.lab.errors import LabError
from tests.lab.kubectl import Cluster
from tests.lab.run import run

ROOT: Final = Path(__file__).resolve().parents[2]
WALK: Final = ROOT / "k8s/README.md"
OPERATIONS: Final = ROOT / "docs/operations.md"


_FENCED: Final = re.compile(r"^ *```(\S*)\n(.*?)^ *```$", re.M | re.S)


def fenced(page: Path) -> list[tuple[str, str]]:
    """Language and text of each block of the page, in their order."""
    return [(language, textwrap.dedent(text)) for language, text in _FENCED.findall(page.read_text())]


def blocks(page: Path) -> list[str]:
    """The page's commands, in their order: each block between its fences."""
    return [text for language, text in fenced(page) if language in ("sh", "console")]


def quoted(page: Path) -> list[str]:
    """What its sentences have between backticks, each on one line."""
    return [" ".join(one.split()) for one in re.findall(r"`([^`]+)`", _FENCED.sub("", page.read_text()))]


def block(page: Path, words: str) -> str:
    """The only block with these words.  Raises LabError."""
    found = [one for one in blocks(page) if words in one]
    if len(found) != 1:
        raise LabError(f"{page.name} has {len(found)} blocks with {words!r}, where one is wanted")
    return found[0]


def between(page: Path, first: str, last: str, *, but: Sequence[str] = ()) -> list[str]:
    """The blocks from the only one with the first words to the only one with the last, both with them.

    but: without those that have one of these.
    """
    found = blocks(page)
    those = found[found.index(block(page, first)) : found.index(block(page, last)) + 1]
    return [one for one in those if not any(words in one for words in but)]


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

    @contextlib.contextmanager
    def forwarded(self, command: str) -> Iterator[str]:
        """Run a `kubectl port-forward` of the page for as long, to any free port of here; give that as `host:port`."""
        argv = shlex.split(re.sub(r" (\d+)$", r" :\1", command.strip()))
        environment = {**os.environ, **self.environment}
        with subprocess.Popen(
            argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, env=environment
        ) as forwarding:
            try:
                assert forwarding.stdout is not None
                found = re.match(r"Forwarding from (127\.0\.0\.1:\d+) ", forwarding.stdout.readline())
                if found is None:
                    raise LabError("kubectl port-forward names no port")
                yield found[1]
            finally:
                forwarding.terminate()


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
