"""Programs beside the functions end with the block that started them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from laptop import programs

SAYS_AND_WAITS = "import signal, sys; {first}; print('up', flush=True); signal.pause()"


def command(first: str = "pass") -> list[str]:
    return [sys.executable, "-c", SAYS_AND_WAITS.format(first=first)]


def test_it_is_told_to_end_also_where_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), programs.running(command(), tmp_path / "log", told=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        raise ZeroDivisionError
    assert process.returncode == -15


def test_one_that_does_not_listen_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "STOP_S", 0.2)
    deaf = command("signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    with programs.running(deaf, tmp_path / "log", told=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
    assert process.returncode == -9


def test_what_it_writes_is_appended_to_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    with programs.running([sys.executable, "-c", "print('said')"], log) as process:
        assert process.wait(60) == 0
    assert log.read_text() == "before\nsaid\n"
