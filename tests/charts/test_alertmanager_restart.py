"""charts/edge-platform: an Alertmanager that was killed while an alert fired tells the gateway that it is over.

The real program, with the arguments and the routes that the chart renders.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bench.stub import kept_port
from laptop import programs
from tests.charts.rendering import Manifest, named, pods
from tests.monitoring import alerted
from tests.monitoring.alerted import WITHIN_S, Gateway, is_given, wait_for
from tests.monitoring.conftest import program


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with alerted.serving("secret") as gateway:
        yield gateway


@pytest.fixture
def arguments(default: list[Manifest], gateway: Gateway, tmp_path: Path) -> list[str]:
    """The chart's, with its folders here and this gateway in the place of OpenFaaS'."""
    told = yaml.safe_load(named(default, "ConfigMap", "edge-routes")["data"]["alertmanager.yml"])
    (tmp_path / "password").write_text("secret")
    alerted.write(told, gateway, tmp_path / "password", tmp_path / "alertmanager.yml")
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


def states(gateway: Gateway) -> list[str]:
    """Of what was sent to it, in their order."""
    return [told["status"] for told in gateway.taken]


def test_an_alert_that_ends_while_alertmanager_is_gone_is_told_as_over(
    gateway: Gateway, arguments: list[str], tmp_path: Path
) -> None:
    written = tmp_path / "data/nflog"
    begun = datetime.datetime.now(datetime.UTC).isoformat()
    with kept_port() as port, contextlib.ExitStack() as stack:
        argv = [program("prometheus-alertmanager"), *arguments, f"--web.listen-address=127.0.0.1:{port}"]
        with programs.running(argv, tmp_path / "log", folder=tmp_path) as killed:
            wait_for(lambda: is_given(port, startsAt=begun), "Alertmanager takes the alert")
            wait_for(lambda: states(gateway) == ["firing"], "the gateway is told that it fires")
            wait_for(lambda: written.exists() and written.stat().st_size > 0, "what was told is on the disk")
            killed.kill()
            killed.wait(WITHIN_S)
        told = states(gateway)
        stack.enter_context(programs.running(argv, tmp_path / "log", folder=tmp_path))
        ended = datetime.datetime.now(datetime.UTC).isoformat()
        wait_for(lambda: is_given(port, startsAt=begun, endsAt=ended), "the next one takes the alert's end")
        wait_for(lambda: "resolved" in states(gateway), "the gateway is told that it is over")
        assert states(gateway) == [*told, "resolved"]
