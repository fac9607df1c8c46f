from __future__ import annotations

import pytest

from enb_app.measure import StoreOperations, distribution, percentile


@pytest.mark.parametrize(
    ("percent", "value"), [(0, 15.0), (5, 16.0), (30, 23.0), (40, 29.0), (50, 35.0), (95, 48.0), (100, 50.0)]
)
def test_percentiles_of_a_published_example(percent: float, value: float) -> None:
    """15 20 35 40 50 under linear interpolation between closest ranks (C = 1): 40 % is 29."""
    assert percentile([15, 20, 35, 40, 50], percent) == pytest.approx(value)


def test_a_hundred_known_samples() -> None:
    times = distribution(float(n) for n in range(100, 0, -1))
    assert times
    assert times.count == 100
    assert (times.min_ms, times.mean_ms, times.max_ms) == (1, 50.5, 100)
    assert (times.p50_ms, times.p95_ms, times.p99_ms) == pytest.approx((50.5, 95.05, 99.01))


def test_one_sample_is_all_of_them_and_none_is_none() -> None:
    times = distribution([7.0])
    assert times
    assert {times.min_ms, times.p50_ms, times.p99_ms, times.max_ms} == {7.0}
    assert distribution([]) is None


def test_store_operations_add_up() -> None:
    assert StoreOperations(1, 2, 3) + StoreOperations(1, 0, 1) == StoreOperations(2, 2, 4)
    assert str(StoreOperations(2, 2, 4)) == "2r 2w 4c"
