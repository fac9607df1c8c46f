"""docs/operations.md, Replace the gateway's password: what a real Alertmanager does with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.stub import kept_port
from laptop import programs
from tests.monitoring import alerted
from tests.monitoring.alerted import LABELS, Gateway, is_given, wait_for
from tests.monitoring.conftest import program
from tests.monitoring.test_alertmanager import told


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """One that has the new password already."""
    with alerted.serving("second") as gateway:
        yield gateway


def test_an_alert_that_the_gateway_refused_is_sent_again_with_the_password_that_the_file_has_then(
    gateway: Gateway, tmp_path: Path
) -> None:
    configuration, file = told(), tmp_path / "basic-auth-password"
    file.write_text("first")
    (route,) = configuration["route"]["routes"]
    route |= {"group_wait": "1s", "group_interval": "2s", "repeat_interval": "1h"}  # by which of them it is sent again
    alerted.write(configuration, gateway, file, tmp_path / "alertmanager.yml")
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
    assert (alert["status"], alert["labels"]) == ("firing", LABELS)
