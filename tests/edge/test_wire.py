"""`edge enbs sign`, `edge decode` and `edge ue`: speaking to a function by hand."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from edge.cli import main
from mme.access import fault_of
from mme.codec import envelope
from mme.codec.envelope import Reply, Response
from mme.errors import EnvelopeError
from trust.access import Access

ENB = "00101-0019b"
EXAMPLE = Path(__file__).resolve().parents[2] / "docs/examples/s1-setup.json"


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    assert main(["secrets", "init", str(tmp_path / "secrets")]) == 0
    return tmp_path / "secrets"


def master(secrets: Path) -> bytes:
    return bytes.fromhex((secrets / "edge-signing-key").read_text())


def signed_headers(secrets: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, str]:
    capsys.readouterr()
    arguments = ["enbs", "sign", ENB, "--secrets", str(secrets), "--function", "mme-enb", "--body", str(EXAMPLE)]
    assert main([*arguments, *more]) == 0
    return dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())


def test_the_printed_headers_open_the_function(secrets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    headers = signed_headers(secrets, capsys)
    access = Access(master(secrets), "http://127.0.0.1", 600)
    assert access.authenticate("mme-enb", headers, EXAMPLE.read_bytes(), time.time()).name == ENB
    [item] = envelope.decode_request(EXAMPLE.read_bytes()).items
    assert fault_of(item, ENB) is None


def test_they_sign_this_callback_and_no_other(secrets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    headers = signed_headers(secrets, capsys, "--callback-url", "http://127.0.0.1:9/cb")
    access = Access(master(secrets), "http://127.0.0.1", 600)
    assert access.authenticate("mme-enb", headers, EXAMPLE.read_bytes(), time.time()).name == ENB
    with pytest.raises(EnvelopeError):
        access.authenticate("mme-enb", headers | {"X-Callback-Url": "http://127.0.0.1:10/cb"}, b"", time.time())


def test_an_answer_is_shown_by_message_and_field(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # DOWNLINK NAS TRANSPORT with ATTACH REJECT #8 inside: TS 36.413 9.1.7.2, TS 24.301 8.2.3 (07 44 08).
    pdu = bytes.fromhex("000b401a0000030000000 5c04a7b2c1000080002000 1001a000403074408".replace(" ", ""))
    answer = {
        "replies": [
            {
                "id": f"{ENB}/1/1",
                "result": "rejected",
                "label": "attach reject #8",
                "downlink": [
                    {"id": "d0", "enb": ENB, "stream": 1, "s1ap": base64.b64encode(pdu).decode(), "ue": 1, "order": 0}
                ],
            }
        ]
    }
    file = tmp_path / "answer.json"
    file.write_text(json.dumps(answer))
    assert main(["decode", str(file)]) == 0
    shown = capsys.readouterr().out
    assert f"{ENB}/1/1: rejected (attach reject #8)" in shown
    assert "DownlinkNasTransport" in shown
    assert "AttachReject" in shown
    assert "cause: EPS_SERVICES_AND_NON_EPS_SERVICES_NOT_ALLOWED" in shown


def test_what_is_no_answer_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "answer.json"
    file.write_text("<html>")
    assert main(["decode", str(file)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


class Gateway:
    """One function that keeps what it was asked and answers as told."""

    def __init__(self, status: int, body: bytes) -> None:
        kept: list[tuple[str, dict[str, str], bytes]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                octets = self.rfile.read(int(self.headers["Content-Length"]))
                kept.append((self.path, dict(self.headers.items()), octets))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing on stderr."""

        self.kept = kept
        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def gateways() -> Iterator[list[Gateway]]:
    made: list[Gateway] = []
    yield made
    for gateway in made:
        gateway.close()


@pytest.mark.parametrize(("result", "status"), [("done", 0), ("rejected", 1)])
def test_a_command_is_signed_by_an_operator_and_its_result_is_the_exit_status(
    secrets: Path, gateways: list[Gateway], capsys: pytest.CaptureFixture[str], result: str, status: int
) -> None:
    gateway = Gateway(200, envelope.encode(Response([Reply("x", result, label="paging")])))
    gateways.append(gateway)
    assert main(["ue", "page", "001010000000001", "--gateway", gateway.url, "--secrets", str(secrets)]) == status
    assert capsys.readouterr().out.endswith(f"{result}: paging\n")
    [(path, headers, body)] = gateway.kept
    assert path == "/function/mme-downlink"
    caller = Access(master(secrets), "", 600).authenticate("mme-downlink", headers, body, time.time())
    assert caller.name.startswith("operator/")
    [item] = envelope.decode_request(body).items
    assert item.command == {"action": "page", "imsi": "001010000000001"}
    assert fault_of(item, caller.name) is None


@pytest.mark.parametrize(("status", "body"), [(401, b'{"error":"no"}'), (200, b"<html>")])
def test_an_answer_that_is_none_is_said_in_one_line(
    secrets: Path, gateways: list[Gateway], capsys: pytest.CaptureFixture[str], status: int, body: bytes
) -> None:
    gateways.append(Gateway(status, body))
    assert main(["ue", "page", "001010000000001", "--gateway", gateways[0].url, "--secrets", str(secrets)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_gateway_that_is_down_is_said_in_one_line(secrets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ue", "page", "001010000000001", "--gateway", "http://127.0.0.1:9", "--secrets", str(secrets)]) == 1
    assert "is the gateway up?" in capsys.readouterr().err


def test_an_answer_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "none"
    assert main(["decode", str(path)]) == 1
    why = "cannot be read (No such file or directory): name a file that holds a function's answer"
    assert capsys.readouterr().err == f"edge: {path}: {why}\n"
