"""/ready follows what the store does, and not each of its pauses; /metrics is there in any case."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

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
def url(readiness: Readiness) -> Iterator[str]:
    server = serve(0, readiness)
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


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
