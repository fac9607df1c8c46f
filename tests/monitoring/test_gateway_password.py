"""docs/operations.md, Replace the gateway's password: what a real Alertmanager does with it."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from bench.stub import kept_port
from laptop import programs
from tests.monitoring.conftest import program
from tests.monitoring.test_alertmanager import told

WITHIN_S = 90
ALERT = {"alertname": "FunctionWantsReplicas", "scale": "true", "function_name": "mme-enb.openfaas-fn"}


class Gateway(ThreadingHTTPServer):
    """Takes alerts from who has its password.  refused: how many it did not take.  taken: the others' bodies."""

    def __init__(self, password: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.wanted = "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()
        self.refused = 0
        self.taken: list[dict[str, Any]] = []


class Handler(BaseHTTPRequestHandler):
    server: Gateway

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        known = self.headers.get("Authorization") == self.server.wanted
        if known:
            self.server.taken.append(json.loads(body))
        else:
            self.server.refused += 1
        self.send_response(200 if known else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """One that has the new password already."""
    server = Gateway("second")
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_an_alert_that_the_gateway_refused_is_sent_again_with_the_password_that_the_file_has_then(
    gateway: Gateway, tmp_path: Path
) -> None:
    configuration, file = told(), tmp_path / "basic-auth-password"
    file.write_text("first")
    (webhook,) = (each["webhook_configs"][0] for each in configuration["receivers"] if each["name"] == "gateway")
    webhook["url"] = f"http://127.0.0.1:{gateway.server_address[1]}/system/alert"
    webhook["http_config"]["basic_auth"]["password_file"] = str(file)
    (route,) = configuration["route"]["routes"]
    route |= {"group_wait": "1s", "group_interval": "2s", "repeat_interval": "1h"}  # by which of them it is sent again
    (tmp_path / "alertmanager.yml").write_text(yaml.safe_dump(configuration))
    argv = [program("prometheus-alertmanager"), f"--config.file={tmp_path}/alertmanager.yml"]
    argv += [f"--storage.path={tmp_path}/data", "--cluster.listen-address="]
    with (
        kept_port() as port,
        programs.running([*argv, f"--web.listen-address=127.0.0.1:{port}"], tmp_path / "log", folder=tmp_path),
    ):
        wait_for(lambda: is_given(port), "Alertmanager takes the alert")
        wait_for(lambda: gateway.refused >= 2, "the gateway refuses it twice")
        assert gateway.taken == []
        file.write_text("second")
        wait_for(lambda: bool(gateway.taken), "the gateway takes it")
    (alert,) = gateway.taken[0]["alerts"]
    assert (alert["status"], alert["labels"]) == ("firing", ALERT)


def is_given(port: int) -> bool:
    try:
        return requests.post(f"http://127.0.0.1:{port}/api/v2/alerts", json=[{"labels": ALERT}], timeout=5).ok
    except requests.RequestException:
        return False


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {WITHIN_S} s: {what}"
        time.sleep(0.1)
