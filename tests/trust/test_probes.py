"""/ready follows what the store does, and not each of its pauses; /metrics is there in any case."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from wsgiref.simple_server import WSGIServer

import pytest
import requests
from prometheus_client import REGISTRY
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from tests.going_away import broken, reset_in_mid_request
from trust.probes import REASON_LENGTH, UNREADY_AFTER_S, Readiness, serve


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def readiness(clock: Clock) -> Readiness:
    return Readiness(clock=clock)


@pytest.fixture
def server(readiness: Readiness) -> Iterator[WSGIServer]:
    server = serve(0, readiness)
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def url(server: WSGIServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def asked(url: str) -> tuple[int, str]:
    answer = requests.get(url, timeout=20)
    return answer.status_code, answer.text


def test_it_is_ready_once_the_store_has_answered(url: str, readiness: Readiness) -> None:
    assert asked(f"{url}/ready") == (503, "the store has not answered yet\n")
    readiness.answered()
    assert asked(f"{url}/ready") == (200, "ready\n")


def test_a_pause_changes_nothing_and_a_silence_does_until_it_ends(url: str, readiness: Readiness, clock: Clock) -> None:
    readiness.answered()
    for _ in range(3):
        clock.now_s += UNREADY_AFTER_S
        assert asked(f"{url}/ready")[0] == 200
        readiness.answered()
    clock.now_s += UNREADY_AFTER_S + 1
    assert asked(f"{url}/ready") == (503, "the store has not answered for 31 s\n")
    readiness.answered()
    assert asked(f"{url}/ready")[0] == 200


def test_the_reason_is_the_last_error_until_the_store_answers(url: str, readiness: Readiness, clock: Clock) -> None:
    readiness.failed("an earlier one")
    readiness.failed("the clock\nis off")
    assert asked(f"{url}/ready") == (503, "no look at the store has gone well yet: the clock is off\n")
    readiness.answered()
    readiness.failed("a node is gone")
    assert asked(f"{url}/ready") == (200, "ready\n")
    clock.now_s += UNREADY_AFTER_S + 1
    assert asked(f"{url}/ready") == (503, "no look at the store has gone well for 31 s: a node is gone\n")
    readiness.answered()
    clock.now_s += UNREADY_AFTER_S + 1
    assert asked(f"{url}/ready") == (503, "the store has not answered for 31 s\n")


def test_an_error_of_any_length_makes_a_short_reason(readiness: Readiness) -> None:
    readiness.failed("é" * REASON_LENGTH)
    assert readiness.why_not().endswith(f": {'é' * REASON_LENGTH}")
    readiness.failed("é" * 10_000)
    assert readiness.why_not().endswith(f": {'é' * (REASON_LENGTH - 1)}…")


def test_metrics_are_there_whether_it_is_ready_or_not(url: str) -> None:
    status, text = asked(f"{url}/metrics")
    assert status == 200
    assert "# HELP python_info" in text


def test_a_client_that_went_away_is_no_event(
    server: WSGIServer,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    over = broken(server, monkeypatch)
    reset_in_mid_request(server.server_port)
    assert over()
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_what_else_breaks_a_connection_is_logged_once_and_not_as_text(
    server: WSGIServer,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("of a connection")

    over = broken(server, monkeypatch)
    monkeypatch.setattr(server, "finish_request", fail)
    with pytest.raises(requests.ConnectionError):
        asked(f"http://127.0.0.1:{server.server_port}/ready")
    assert over()
    assert capfd.readouterr() == ("", "")
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.exc_info
    assert str(record.exc_info[1]) == "of a connection"


class Torn(Collector):
    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        raise RuntimeError("of a gauge")


def test_a_metric_that_cannot_be_had_is_logged_once_and_not_as_text(
    url: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    torn = Torn()
    REGISTRY.register(torn)
    try:
        assert asked(f"{url}/metrics") == (500, "metrics failed\n")
    finally:
        REGISTRY.unregister(torn)
    assert capfd.readouterr() == ("", "")
    (record,) = caplog.records
    assert record.exc_info
    assert str(record.exc_info[1]) == "of a gauge"
