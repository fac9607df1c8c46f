"""What readings of two clocks prove, and what they do not."""

from __future__ import annotations

from itertools import product

import pytest

from mme.clock_offset import ClockOffset

BOUND = 200


@pytest.mark.parametrize(
    ("before", "store", "after", "offset"),
    [(1000, 1010, 1020, 0), (1000, 900, 1020, 100), (1000, 1500, 1020, -480), (1000, 1000, 1000, 0)],
)
def test_a_clock_is_only_off_by_what_the_readings_prove(before: int, store: int, after: int, offset: int) -> None:
    assert ClockOffset.seen(before, store, after).at_least_ms == offset


@pytest.mark.parametrize(("there", "back"), list(product((0, 50, 500), repeat=2)))
@pytest.mark.parametrize("real", [-300, -150, 0, 150, 300])
def test_nothing_is_proven_that_is_not_so(real: int, there: int, back: int) -> None:
    store = 10_000
    seen = ClockOffset.seen(store + real - there, store, store + real + back)
    assert seen.low_ms <= real <= seen.high_ms
    assert abs(seen.at_least_ms) <= abs(real)
    assert not (seen.within(BOUND) and abs(real) > BOUND)
    assert not (seen.beyond(BOUND) and abs(real) <= BOUND)
    assert seen.at_least_ms == real or there or back


@pytest.mark.parametrize(
    ("low", "high", "within", "beyond"),
    [
        (-200, 200, True, False),
        (-201, 0, False, False),
        (0, 201, False, False),
        (-5000, 5000, False, False),
        (201, 300, False, True),
        (-300, -201, False, True),
        (200, 300, False, False),
    ],
)
def test_between_proven_right_and_proven_wrong_is_nothing_proven(
    low: int, high: int, within: bool, beyond: bool
) -> None:
    offset = ClockOffset(low, high)
    assert (offset.within(BOUND), offset.beyond(BOUND)) == (within, beyond)


def test_a_proof_ages_by_what_clocks_drift() -> None:
    """500 ppm (RFC 5905's largest frequency tolerance of a discipline loop): 30 ms in a minute."""
    assert ClockOffset(-10, 10).later(60, 60_000) == ClockOffset(-41, 41)


def test_a_clock_that_is_set_is_off_by_as_much_more() -> None:
    assert ClockOffset(-10, 10).later(2, 2500) == ClockOffset(488, 512)


def test_what_two_readings_prove_together() -> None:
    assert ClockOffset(-100, 300).and_also(ClockOffset(-300, 100)) == ClockOffset(-100, 100)


def test_readings_that_exclude_each_other_leave_the_later_one() -> None:
    assert ClockOffset(-100, 300).and_also(ClockOffset(400, 500)) == ClockOffset(-100, 300)
