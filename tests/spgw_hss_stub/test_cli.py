"""The stub as a process, and a command line that is wrong."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from mme.codec.needs import encode_need
from mme.ids import Imsi, Plmn
from mme.needs import NeedVector
from spgw_hss_stub.cli import main, parser


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "subscriber-key"
    path.write_text("00" * 32 + "\n")
    return path


def test_it_says_where_it_listens_and_stops_at_a_signal(tmp_path: Path, key_file: Path) -> None:
    arguments = ["--port", "0", "--store", f"sqlite:///{tmp_path}/s.db", "--subscriber-key", str(key_file)]
    with subprocess.Popen(
        [sys.executable, "-m", "spgw_hss_stub.cli", *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert found, line
        assert requests.get(f"{found[0]}/healthz", timeout=10).text == "OK"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_it_logs_a_json_line_for_each_need_with_the_trace_of_its_item(tmp_path: Path, key_file: Path) -> None:
    arguments = ["--port", "0", "--store", f"sqlite:///{tmp_path}/s.db", "--subscriber-key", str(key_file)]
    imsi = "001019999999999"
    need = NeedVector("00101-0019b/a1b2c3-7/1/vector", 77, Imsi(imsi), Plmn("00101"))
    body = {"need": encode_need(need), "answer_url": "http://127.0.0.1:9/", "wait_ms": 5000}
    command = [sys.executable, "-m", "spgw_hss_stub.cli", *arguments]
    log = tmp_path / "log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert found
        assert requests.post(f"{found[0]}/hss", json=body, timeout=30).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    told = [json.loads(line) for line in log.read_text().splitlines()]
    (line,) = [entry for entry in told if entry.get("item") == need.id]
    assert (line["level"], line["trace"]) == ("info", "00101-0019b/a1b2c3-7")
    assert line["event"] == "hss: NeedVector is answered Refused"
    assert imsi not in log.read_text()


def test_settings_that_are_wrong(tmp_path: Path, key_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = tmp_path / "short"
    short.write_text("c0ffee")
    for store, key, said in (
        ("nothing", key_file, "STORE_URL"),
        (f"sqlite:///{tmp_path}/s.db", tmp_path / "missing", "edge secrets init"),
        (f"sqlite:///{tmp_path}/s.db", short, "3 octets"),
    ):
        assert main(["--port", "0", "--store", store, "--subscriber-key", str(key)]) == 1
        err = capsys.readouterr().err
        assert said in err
        assert "c0ffee" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--delay-ms", "-1"],
        ["--delay-share", "2"],
        ["--loss", "x"],
        ["--refuse", "because"],
        ["--refuse", "rejected:3"],
    ],
)
def test_command_lines_that_are_wrong(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["--store", "s", "--subscriber-key", "f", *arguments])
    assert ended.value.code == 2
    assert arguments[0] in capsys.readouterr().err
