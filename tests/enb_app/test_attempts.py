"""The attach attempt counter (TS 24.301 5.5.1.1, 5.5.1.2.6) and the timers that it chooses between (table 10.2.1)."""

from __future__ import annotations

from enb_app.attempts import AttemptCounter
from enb_app.profile import T3402_S, T3411_S


def waits(counter: AttemptCounter, times: int, told_s: float | None = None) -> list[float]:
    return [counter.wait_s(None, told_s)[0] for _ in range(times)]


def test_each_fifth_refusal_is_followed_by_t3402() -> None:
    """T3411 is 10 s, T3402 12 minutes by default."""
    assert waits(AttemptCounter(T3411_S, T3402_S), 11) == [10, 10, 10, 10, 720, 10, 10, 10, 10, 720, 10]


def test_t3402_is_as_told_and_the_default_where_it_is_deactivated() -> None:
    assert waits(AttemptCounter(10, 720), 5, 360.0)[-1] == 360
    assert waits(AttemptCounter(10, 720), 5, 0.0)[-1] == 720


def test_a_refusal_with_t3346_is_no_attempt() -> None:
    """5.5.1.2.5 #22: the counter is reset and T3346 is waited for."""
    counter = AttemptCounter(10, 720)
    waits(counter, 4)
    assert counter.wait_s((900.0, 1800.0), None) == (900, 1800)
    assert waits(counter, 5) == [10, 10, 10, 10, 720]
