"""Which process the sidecar signals, in a /proc of our own making (proc(5): fields of stat)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reload.agent.target import AbsentError, Found, find, lives


def add(
    proc: Path, pid: int, comm: str, *, parent: int = 1, started: int = 100, state: str = "S", argv: str = ""
) -> None:
    """A process as the kernel shows it: the name in brackets may hold brackets and spaces itself."""
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    fields = [state, str(parent), *["0"] * 17, str(started), "0"]
    (folder / "stat").write_text(f"{pid} ({comm}) {' '.join(fields)}\n")
    (folder / "cmdline").write_bytes((argv or comm).encode() + b"\0")


def test_the_main_process_and_not_its_workers(tmp_path: Path) -> None:
    add(tmp_path, 30, "nginx", parent=20, started=90)
    add(tmp_path, 20, "nginx", parent=1, started=200)
    add(tmp_path, 31, "nginx", parent=20, started=300)
    assert find("nginx", None, tmp_path) == Found(20, 200)


def test_zombies_and_other_names_are_not_it(tmp_path: Path) -> None:
    add(tmp_path, 20, "nginx", state="Z")
    add(tmp_path, 21, "nginx-exporter")
    with pytest.raises(AbsentError, match="nginx"):
        find("nginx", None, tmp_path)


def test_long_and_odd_names(tmp_path: Path) -> None:
    add(tmp_path, 20, "a (b) c", argv="/usr/bin/odd")
    add(tmp_path, 21, "open5gs-amfd-wi", argv="open5gs-amfd-with-a-long-name")
    assert find("odd", None, tmp_path).pid == 20
    assert find("open5gs-amfd-with-a-long-name", None, tmp_path).pid == 21


def test_a_name_is_the_kernels_or_the_programs(tmp_path: Path) -> None:
    """nginx writes a title over its arguments; an interpreter's own name is another than its program's."""
    add(tmp_path, 20, "nginx", argv="nginx: master process")
    add(tmp_path, 21, "open5gs-amfd-wi", argv="title of the amf")
    add(tmp_path, 22, "python3", argv="/usr/bin/smfd")
    assert find("nginx", None, tmp_path).pid == 20
    assert find("open5gs-amfd-with-a-long-name", None, tmp_path).pid == 21
    assert find("smfd", None, tmp_path).pid == 22
    for name in ("open5gs-amfd", "open5gs-amfd-other-name", "master", "ngin"):
        with pytest.raises(AbsentError):
            find(name, None, tmp_path)


def test_we_ourselves_are_not_it(tmp_path: Path) -> None:
    add(tmp_path, os.getpid(), "nginx")
    with pytest.raises(AbsentError):
        find("nginx", None, tmp_path)


def test_a_pid_file_that_names_a_zombie(tmp_path: Path) -> None:
    (tmp_path / "pid").write_text("20\n")
    add(tmp_path / "proc", 20, "nginx", state="Z")
    with pytest.raises(AbsentError, match="which is not there"):
        find("", tmp_path / "pid", tmp_path / "proc")
    assert not lives(Found(20, 100), tmp_path / "proc")


def test_a_pid_that_was_given_again_is_not_the_same_process(tmp_path: Path) -> None:
    (tmp_path / "pid").write_text(str(os.getpid()))
    started = find("", tmp_path / "pid").started
    assert lives(Found(os.getpid(), started))
    assert not lives(Found(os.getpid(), started + 1))


@pytest.mark.parametrize("text", ["", "x", "4194304"])
def test_a_pid_file_that_names_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "pid").write_text(text)
    with pytest.raises(AbsentError):
        find("", tmp_path / "pid")
