"""charts/edge-platform: an Alertmanager that was killed while an alert fired tells the gateway that it is over.

The real program, with the arguments and the routes that the chart renders.
"""

from __future__ import annotations

import contextlib
import datetime
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
from tests.charts.rendering import Manifest, named, pods
from tests.monitoring.conftest import program

WITHIN_S = 90
LABELS = {"alertname": "FunctionWantsReplicas", "scale": "true", "function_name": "mme-enb.openfaas-fn"}


class Gateway(ThreadingHTTPServer):
    """told: the states of what was sent to it, in their order."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.told: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Gateway

    def do_POST(self) -> None:
        self.server.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["status"])
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    server = Gateway()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def arguments(default: list[Manifest], gateway: Gateway, tmp_path: Path) -> list[str]:
    """The chart's, with its folders here and this gateway in the place of OpenFaaS'."""
    told = yaml.safe_load(named(default, "ConfigMap", "edge-routes")["data"]["alertmanager.yml"])
    (webhook,) = (each["webhook_configs"][0] for each in told["receivers"] if each["name"] == "gateway")
    webhook["url"] = f"http://127.0.0.1:{gateway.server_address[1]}/system/alert"
    webhook["http_config"]["basic_auth"]["password_file"] = str(tmp_path / "password")
    (tmp_path / "password").write_text("secret")
    (tmp_path / "alertmanager.yml").write_text(yaml.safe_dump(told))
    folders = {"/etc/alertmanager/routes": str(tmp_path), "/alertmanager": str(tmp_path / "data")}
    given = []
    for word in pods(default)["StatefulSet edge-alertmanager"]["spec"]["containers"][0]["args"]:
        name, _, value = word.partition("=")
        for here, there in folders.items():
            if value == here or value.startswith(f"{here}/"):
                value = there + value.removeprefix(here)
                break
        given.append(f"{name}={value}")
    return given


def send(port: int, begun: datetime.datetime, ended: datetime.datetime | None = None) -> bool:
    """As Prometheus does, which repeats for 15 minutes that an alert is over.  Out: whether it was taken."""
    alert = {"labels": LABELS, "startsAt": begun.isoformat()}
    if ended is not None:
        alert["endsAt"] = ended.isoformat()
    try:
        return requests.post(f"http://127.0.0.1:{port}/api/v2/alerts", json=[alert], timeout=5).ok
    except requests.RequestException:
        return False


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {WITHIN_S} s: {what}"
        time.sleep(0.1)


def test_an_alert_that_ends_while_alertmanager_is_gone_is_told_as_over(
    gateway: Gateway, arguments: list[str], tmp_path: Path
) -> None:
    written = tmp_path / "data/nflog"
    begun = datetime.datetime.now(datetime.UTC)
    with kept_port() as port, contextlib.ExitStack() as stack:
        argv = [program("prometheus-alertmanager"), *arguments, f"--web.listen-address=127.0.0.1:{port}"]
        with programs.running(argv, tmp_path / "log", folder=tmp_path) as killed:
            wait_for(lambda: send(port, begun), "Alertmanager takes the alert")
            wait_for(lambda: gateway.told == ["firing"], "the gateway is told that it fires")
            wait_for(lambda: written.exists() and written.stat().st_size > 0, "what was told is on the disk")
            killed.kill()
            killed.wait(WITHIN_S)
        told = list(gateway.told)
        stack.enter_context(programs.running(argv, tmp_path / "log", folder=tmp_path))
        ended = datetime.datetime.now(datetime.UTC)
        wait_for(lambda: send(port, begun, ended), "the next one takes the alert's end")
        wait_for(lambda: "resolved" in gateway.told, "the gateway is told that it is over")
        assert gateway.told == [*told, "resolved"]
