"""What `make demo` checks before it starts anything: one line and its cure each."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from laptop import preflight
from laptop.preflight import NotReadyError

SCRIPT = Path(preflight.__file__)
Usage = namedtuple("Usage", "total used free")


def test_a_busy_port_is_named_with_its_cure_before_there_is_an_environment() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        run = subprocess.run(
            [sys.executable, "-S", "-E", str(SCRIPT), str(port)],
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert f"port {port} is in use" in run.stderr
    assert "make demo PORT=" in run.stderr


def test_a_free_machine_passes() -> None:
    run = subprocess.run([sys.executable, str(SCRIPT), "0"], check=False, capture_output=True, text=True, timeout=30)
    assert (run.returncode, run.stderr) == (0, "")


def test_a_python_that_is_not_served_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 1))
    with pytest.raises(NotReadyError, match=r"3\.10 is not served.*PYTHON="):
        preflight.check(0, tmp_path)


def test_a_full_disk_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: Usage(10**10, 10**10, 10**7))
    with pytest.raises(NotReadyError, match="only 10 MB are free"):
        preflight.check(0, tmp_path)


def test_a_missing_venv_module_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(preflight.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(NotReadyError, match="python3-venv"):
        preflight.check(0, tmp_path)


def test_two_do_not_share_a_folder(tmp_path: Path) -> None:
    held, wanted = preflight.alone(tmp_path / "site"), preflight.alone(tmp_path / "site")
    with held, pytest.raises(NotReadyError, match="another one is running"):
        wanted.__enter__()
    with preflight.alone(tmp_path / "site"):
        assert (tmp_path / "site").is_dir()
