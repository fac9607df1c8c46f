"""`make demo` with few UEs, in a process of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from laptop.site import ROOT
from tests.e2e.conftest import pids_with

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e-demo")]

UES = 12
VOID = {"meta", "link", "br", "hr", "img", "input", "col", "path", "use", "rect", "line", "circle"}


def demo(folder: Path, *, port: int = 0) -> subprocess.CompletedProcess[str]:
    """Run it with everything it writes under `folder`, which also marks its processes."""
    command = [sys.executable, "-m", "laptop", "demo", "--ues", str(UES), "--port", str(port)]
    command += ["--folder", str(folder / "site"), "--report", str(folder / "report")]
    (folder / "tmp").mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(folder / "tmp")}
    environment.pop("STORE_URL", None)
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=110, check=False)


class Balance(HTMLParser):
    """Every element that is opened is closed, in the right order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self.seen.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def test_the_demonstration(tmp_path: Path) -> None:
    done = demo(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().splitlines()[-1] == f"attached {UES}/{UES}"
    for part in ("Attach Request", "Security Mode", "Authentication Reject", "was killed; 10/10 attached"):
        assert part in done.stdout
    assert not pids_with(str(tmp_path)), "something is left running"

    told = json.loads((tmp_path / "report" / "attach.json").read_text())
    assert (told["attached"], told["failed"], len(told["outcomes"])) == (UES, 0, UES)
    page = Balance()
    page.feed((tmp_path / "report" / "index.html").read_text())
    assert (page.open, page.wrong) == ([], [])
    assert {"table", "title", "h1"} <= page.seen


def test_a_port_in_use_is_said_in_one_line_with_its_cure(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = demo(tmp_path, port=port)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.strip().splitlines()
    assert f"port {port} is in use" in line
    assert "make demo PORT=" in line
    assert not (tmp_path / "site").exists()
