"""Programs beside the functions: with the function's surroundings, for as long as the gateway runs."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localfaas import stack
from localfaas.process import running
from localfaas.tickers import ANNOTATION
from tests.localfaas.conftest import REPO, wait_for

WRITES_DOWN = """
import json, os, signal, sys, threading
told = {name: os.environ.get(name) for name in ("STORE_URL", "EDGE_SECRETS_DIR", "SETTING", "NOT_OURS")}
told["secret"] = open(os.path.join(told["EDGE_SECRETS_DIR"], "key")).read()
told |= {"pid": os.getpid(), "argv": sys.argv[1:]}
with open(told["STORE_URL"], "a") as file:
    file.write(json.dumps(told) + "\\n")
print("ticking", flush=True)
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
stop.wait()
open(told["STORE_URL"] + ".stopped", "w").close()
"""


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """Where the ticker of `project` writes."""
    return tmp_path / "told"


@pytest.fixture
def ticking(project: Path, told: Path) -> Path:
    """The project, its function with a ticker that lies beside its handler, and its secrets folder."""
    (project / "functions" / "hello" / "beside.py").write_text(WRITES_DOWN)
    (project / "secrets").mkdir()
    (project / "secrets" / "key").write_text("k")
    with (project / "stack.yml").open("a") as file:
        file.write("    secrets: [key]\n    annotations: {edge.ticker: beside}\n")
        file.write(f"    environment: {{store_url: {told}, SETTING: of the function}}\n")
    return project


def lines(told: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in told.read_text().splitlines()] if told.exists() else []


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def children(pid: int) -> Iterator[str]:
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")


def test_it_runs_with_the_functions_surroundings_and_stops_with_the_gateway(
    ticking: Path, told: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOT_OURS", "x")
    with running(ticking / "stack.yml", secrets_dir=ticking / "secrets", tickers=True) as gateway:
        wait_for(lambda: len(lines(told)) == 1, 60)
        [first] = lines(told)
        assert first["argv"] == ["--gateway", gateway.url]
        assert (first["STORE_URL"], first["SETTING"], first["NOT_OURS"]) == (str(told), "of the function", None)
        assert first["secret"] == "k"
        wait_for(lambda: "ticking" in [line["text"] for line in gateway.logs("hello") if line["instance"] == "beside"])
        assert gateway.invoke("hello", b"a").body == b"a"
    assert told.with_name("told.stopped").exists(), "it was asked to stop, and did"
    assert not alive(first["pid"])


def test_another_is_started_when_it_ends(ticking: Path, told: Path) -> None:
    with running(ticking / "stack.yml", secrets_dir=ticking / "secrets", tickers=True) as gateway:
        wait_for(lambda: len(lines(told)) == 1, 60)
        os.kill(lines(told)[0]["pid"], signal.SIGKILL)
        wait_for(lambda: len(lines(told)) == 2, 60)
        said = [line["text"] for line in gateway.logs("hello") if line["instance"] == "beside"]
        assert any("ticker ended with -9, starting another" in text for text in said)
    assert not alive(lines(told)[1]["pid"])


def test_one_that_cannot_run_says_why_and_the_functions_serve_all_the_same(ticking: Path) -> None:
    (ticking / "functions" / "hello" / "beside.py").write_text("raise SystemExit('no store')\n")
    with running(ticking / "stack.yml", secrets_dir=ticking / "secrets", tickers=True) as gateway:
        wait_for(lambda: sum("no store" in line["text"] for line in gateway.logs("hello")) >= 2, 60)
        assert gateway.invoke("hello", b"a").body == b"a"


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads /proc")
def test_without_tickers_none_is_started(ticking: Path, told: Path) -> None:
    with running(ticking / "stack.yml", secrets_dir=ticking / "secrets") as gateway:
        assert gateway.invoke("hello", b"a").body == b"a"  # by now it would have been started
        assert not [command for command in children(gateway.pid) if "beside" in command]
    assert not told.exists()


def test_the_stack_names_the_ticker_of_each_function_that_has_one() -> None:
    functions = stack.load(REPO / "stack.yml", {}).functions
    named = {name: f.annotations[ANNOTATION] for name, f in functions.items() if ANNOTATION in f.annotations}
    assert named == {"mme-timer": "mme.ticker", "placement": "placement.ticker"}
