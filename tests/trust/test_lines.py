"""Processes beside the functions write nothing but JSON lines: what libraries, threads and finalizers say, too."""

from __future__ import annotations

import io
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from laptop.site import ROOT
from mme import logs
from tests.trust.reading import lines_of
from trust.lines import Lines

TICKERS = ("mme.ticker", "placement.ticker")
NOISY = """
import logging, sys, threading, warnings
from {package} import logs
from trust.lines import log_in_lines

class Torn:
    def __del__(self):
        raise OSError("of a finalizer")

def fail():
    raise RuntimeError("of a thread")

log_in_lines(logs.log)
logging.getLogger("cassandra").warning("%s is down", "a host")
logging.getLogger("a.library").info("not asked for")
logging.getLogger("a.library").warning("%d of them", "two")
try:
    {{}}["key"]
except KeyError:
    logging.getLogger("a.library").exception("two\\nlines")
warnings.warn("of Python", RuntimeWarning)
for what in (fail, sys.exit):
    thread = threading.Thread(target=what, name="worker")
    thread.start()
    thread.join()
Torn()
{{}}["last"]
"""


def lines(arguments: list[str], folder: Path) -> tuple[int, list[dict[str, Any]]]:
    """Exit status of a Python and what it wrote."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "EDGE_SECRETS_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == ""
    return done.returncode, lines_of(done.stderr)


@pytest.mark.parametrize("package", ["mme", "placement"])
def test_what_was_text_is_a_line_each(package: str, tmp_path: Path) -> None:
    status, found = lines(["-c", NOISY.format(package=package)], tmp_path)
    assert status == 1
    down, misfit, logged, warned, of_thread, of_finalizer, last = found
    assert (down["level"], down["logger"], down["event"]) == ("warning", "cassandra", "a host is down")
    assert misfit["event"] == "%d of them"
    assert (logged["level"], logged["event"]) == ("error", "two\nlines")
    assert "KeyError: 'key'" in logged["traceback"]
    assert "RuntimeWarning: of Python" in warned["event"]
    assert {line["event"] for line in (of_thread, of_finalizer, last)} == {"uncaught exception"}
    assert (of_thread["thread"], last["level"]) == ("worker", "error")
    assert "RuntimeError: of a thread" in of_thread["traceback"]
    assert "OSError: of a finalizer" in of_finalizer["traceback"]
    assert "KeyError: 'last'" in last["traceback"]


@pytest.mark.parametrize("module", TICKERS)
def test_a_ticker_s_wrong_setting_is_a_line(module: str, tmp_path: Path) -> None:
    status, (line,) = lines(["-m", module], tmp_path)
    assert (status, line["level"], line["event"]) == (1, "error", "configuration")
    assert "STORE_URL" in line["why"]


@pytest.mark.parametrize("module", TICKERS)
def test_a_ticker_s_crash_is_a_line(module: str, tmp_path: Path) -> None:
    (tmp_path / "edge-signing-key").write_text("ab" * 32)
    with socket.create_server(("", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, found = lines(
            ["-m", module, "--store", f"sqlite:///{tmp_path}/edge.db", "--metrics-port", port], tmp_path
        )
    assert status == 1
    assert (found[-1]["level"], found[-1]["event"]) == ("error", "uncaught exception")
    assert "OSError" in found[-1]["traceback"]


def test_a_finalizer_may_tell_something_while_a_line_is_written() -> None:
    """A collection of garbage may come anywhere, in the thread that holds the log."""
    written = io.StringIO()

    class Out(io.StringIO):
        def write(self, text: str) -> int:
            logs.log("error", "of a finalizer", stream=written)
            return written.write(text)

    thread = threading.Thread(target=logs.log, args=("info", "one"), kwargs={"stream": Out()}, daemon=True)
    thread.start()
    thread.join(timeout=30)
    assert not thread.is_alive()
    assert [json.loads(line)["event"] for line in written.getvalue().splitlines()] == ["of a finalizer", "one"]


class Textless:
    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize("said", ["a name \udcff", Textless()], ids=["no character", "no text"])
def test_what_cannot_be_written_breaks_no_call_of_a_library(said: object, capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("tests.of.lines")
    handler = Lines(logs.log)
    logger.addHandler(handler)
    logger.propagate = False  # pytest's own handler would have to make text of it, too
    try:
        logger.warning(said)
    finally:
        logger.removeHandler(handler)
        logger.propagate = True
    assert "--- Logging error ---" in capsys.readouterr().err
