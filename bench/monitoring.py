"""A real Prometheus and Alertmanager over a gateway on this machine, with the rules and routes of k8s/monitoring."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from bench.stub import kept_port
from laptop import programs
from laptop.site import ROOT
from localfaas.process import Running
from localfaas.remote import Remote
from tools.monitoring import thresholds

FOLDER = ROOT / "k8s/monitoring"
INTERVAL_S = 5
"""Between scrapes, as k8s/monitoring's rules reckon with, and between evaluations."""
_READY_S = 60.0
_LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class Prometheus:
    """Where it listens."""

    url: str

    def ask(self, path: str, **parameters: str | float) -> Any:
        """The data of an API call.  Raises requests.RequestException, RuntimeError with Prometheus' own words."""
        told = requests.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=20).json()
        if told["status"] != "success":
            raise RuntimeError(f"Prometheus: {told.get('error')}")
        return told["data"]

    def over(self, expr: str, begin_s: float, end_s: float, step_s: float) -> list[list[float]]:
        """[[unix s, value] ...] of the only series of `expr`; none where there is no series."""
        found = self.ask("query_range", query=expr, start=begin_s, end=end_s, step=step_s)["result"]
        if len(found) > 1:
            raise RuntimeError(f"{expr}: {len(found)} series, and one was meant")
        return [[at, float(value)] for each in found for at, value in each["values"]]

    def series(self, expr: str, begin_s: float, end_s: float) -> list[dict[str, Any]]:
        """As a panel asks, every 5 s; only series with a number somewhere."""
        data = self.ask("query_range", query=expr, start=begin_s, end=end_s, step=INTERVAL_S)
        return [each for each in data["result"] if any(value not in ("NaN", "+Inf") for _, value in each["values"])]

    def waits_for(self, expr: str, within_s: float) -> None:
        """Until `expr` gives something.  Raises RuntimeError: not within that time."""
        give_up = time.monotonic() + within_s
        while not self.ask("query", query=expr)["result"]:
            if time.monotonic() > give_up:
                raise RuntimeError(f"Prometheus has nothing for {expr} after {within_s:.0f} s")
            threading.Event().wait(_LOOK_S)


def program(name: str) -> str:
    """Where it is.  Raises RuntimeError with the cure."""
    found = shutil.which(name)
    if found is None:
        raise RuntimeError(f"no {name} on PATH: apt-get install prometheus prometheus-alertmanager")
    return found


@contextlib.contextmanager
def watched(
    gateway: Running | Remote, folder: Path, functions: Mapping[str, Mapping[str, float]], targets: Mapping[str, int]
) -> Iterator[Prometheus]:
    """Watch it until the block ends; alerts of too much load go to its /system/alert.

    functions: thresholds by function, see tools.monitoring.thresholds.  targets: ports of 127.0.0.1 that are scraped
    too, by job.  A real gateway's functions are not: this machine does not reach their pods.
    Raises RuntimeError: a program is missing or does not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "thresholds.yml").write_text(thresholds.rules({name: dict(of) for name, of in functions.items()}))
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(_routes(gateway, folder)))
    routes = [f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/alertmanager"]
    with (
        kept_port() as port,
        _running(
            "prometheus-alertmanager",
            [*routes, "--cluster.listen-address=", f"--web.listen-address=127.0.0.1:{port}"],
            folder,
            port,
        ),
        prometheus(folder, _scraping(gateway, folder, targets, port)) as watching,
    ):
        yield watching


@contextlib.contextmanager
def prometheus(folder: Path, configuration: Mapping[str, Any]) -> Iterator[Prometheus]:
    """A Prometheus with this configuration until the block ends; its data and log are in `folder`."""
    (folder / "prometheus.yml").write_text(yaml.safe_dump(dict(configuration)))
    arguments = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/prometheus"]
    with (
        kept_port() as port,
        _running(
            "prometheus",
            [*arguments, f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"],
            folder,
            port,
        ),
    ):
        yield Prometheus(f"http://127.0.0.1:{port}")


def _routes(gateway: Running | Remote, folder: Path) -> dict[str, Any]:
    """k8s/monitoring/alertmanager.yml, for this gateway."""
    told: dict[str, Any] = yaml.safe_load((FOLDER / "alertmanager.yml").read_text())
    (webhook,) = (each["webhook_configs"][0] for each in told["receivers"] if each["name"] == "gateway")
    webhook["url"] = f"{gateway.url}/system/alert"
    if gateway.auth is None:
        del webhook["http_config"]
        return told
    webhook["http_config"]["basic_auth"] = _login(gateway.auth, folder)
    return told


def _login(auth: tuple[str, str], folder: Path) -> dict[str, str]:
    user, password = auth
    file = folder / "basic-auth-password"
    file.touch(mode=0o600)
    file.write_text(password)
    return {"username": user, "password_file": str(file)}


def _scraping(
    gateway: Running | Remote, folder: Path, targets: Mapping[str, int], alertmanager_port: int
) -> dict[str, Any]:
    discovery: dict[str, Any] = {"url": f"{gateway.url}/localfaas/targets", "refresh_interval": f"{INTERVAL_S}s"}
    if gateway.auth is not None:
        discovery["basic_auth"] = _login(gateway.auth, folder)
    static = {"gateway": gateway.metrics_url.removeprefix("http://").removesuffix("/metrics")}
    functions = [] if isinstance(gateway, Remote) else [{"job_name": "functions", "http_sd_configs": [discovery]}]
    static |= {job: f"127.0.0.1:{port}" for job, port in targets.items()}
    return {
        "global": {"scrape_interval": f"{INTERVAL_S}s", "evaluation_interval": f"{INTERVAL_S}s"},
        "rule_files": [*(str(FOLDER / f"rules/{name}.yml") for name in ("scaling", "health")), "thresholds.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager_port}"]}]}]},
        "scrape_configs": [
            *({"job_name": job, "static_configs": [{"targets": [at]}]} for job, at in static.items()),
            *functions,
        ],
    }


@contextlib.contextmanager
def _running(name: str, arguments: list[str], folder: Path, port: int) -> Iterator[None]:
    """The program, from when it is ready."""
    log = folder / f"{name}.log"
    with programs.running([str(program(name)), *arguments], log, folder=folder) as process:
        give_up = time.monotonic() + _READY_S
        while not _ready(port):
            if process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"{name} did not start: {log.read_text(errors='replace').strip()[-300:]}")
            threading.Event().wait(_LOOK_S)
        yield


def _ready(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/-/ready", timeout=5).status_code == 200
    except requests.RequestException:
        return False
