"""A gateway that a real Alertmanager tells its alerts, and how one is given to it."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests
import yaml

WITHIN_S = 90
LABELS = {"alertname": "FunctionWantsReplicas", "scale": "true", "function_name": "mme-enb.openfaas-fn"}


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


@contextlib.contextmanager
def serving(password: str) -> Iterator[Gateway]:
    """Until the block ends."""
    server = Gateway(password)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def write(configuration: dict[str, Any], gateway: Gateway, password_file: Path, path: Path) -> None:
    """Alertmanager's configuration at `path`, with this gateway in the place of OpenFaaS'."""
    (webhook,) = (each["webhook_configs"][0] for each in configuration["receivers"] if each["name"] == "gateway")
    webhook["url"] = f"http://127.0.0.1:{gateway.server_address[1]}/system/alert"
    webhook["http_config"]["basic_auth"]["password_file"] = str(password_file)
    path.write_text(yaml.safe_dump(configuration))


def is_given(port: int, **times: str) -> bool:
    """Give it the alert, as Prometheus does, with startsAt and endsAt where they are told.  Out: whether it took it."""
    alerts = [{"labels": LABELS, **times}]
    try:
        return requests.post(f"http://127.0.0.1:{port}/api/v2/alerts", json=alerts, timeout=5).ok
    except requests.RequestException:
        return False


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Within WITHIN_S."""
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {WITHIN_S} s: {what}"
        time.sleep(0.1)
