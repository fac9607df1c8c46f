from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from enb_app.ordering import Ordering


def test_in_order_nothing_waits() -> None:
    ordering: Ordering[str] = Ordering()
    assert [ordering.take(f"d{n}", n, f"m{n}") for n in range(3)] == [["m0"], ["m1"], ["m2"]]
    assert not ordering.waiting


def test_a_gap_holds_back_what_follows_until_it_closes() -> None:
    ordering: Ordering[str] = Ordering()
    assert ordering.take("d1", 1, "m1") == []
    assert ordering.take("d2", 2, "m2") == []
    assert ordering.waiting
    assert ordering.take("d0", 0, "m0") == ["m0", "m1", "m2"]
    assert not ordering.waiting
    assert ordering.gaps == 0


def test_a_gap_given_up_lets_through_up_to_the_next_one_and_the_late_one_still_comes() -> None:
    ordering: Ordering[str] = Ordering()
    for n in (1, 3):
        ordering.take(f"d{n}", n, f"m{n}")
    assert ordering.give_up_gap() == ["m1"]
    assert ordering.waiting
    assert ordering.give_up_gap() == ["m3"]
    assert ordering.take("d0", 0, "m0") == ["m0"]
    assert (ordering.gaps, ordering.late) == (2, 1)
    assert ordering.give_up_gap() == []


def test_a_gap_of_several_is_given_up_at_once() -> None:
    ordering: Ordering[str] = Ordering()
    ordering.take("d3", 3, "m3")
    assert ordering.give_up_gap() == ["m3"]
    assert not ordering.waiting


def test_a_repeated_id_is_dropped_whether_delivered_or_held() -> None:
    ordering: Ordering[str] = Ordering()
    ordering.take("d0", 0, "m0")
    ordering.take("d2", 2, "m2")
    assert ordering.take("d0", 0, "m0") == []
    assert ordering.take("d2", 2, "m2") == []
    assert ordering.repeats == 2


def test_without_a_number_it_is_delivered_at_once() -> None:
    ordering: Ordering[str] = Ordering()
    ordering.take("d1", 1, "m1")
    assert ordering.take("x", None, "x") == ["x"]


@given(st.permutations(range(8)), st.data())
def test_every_message_is_delivered_once_and_in_order_however_they_come(
    arrival: list[int], data: st.DataObject
) -> None:
    ordering: Ordering[int] = Ordering()
    delivered: list[int] = []
    for number in arrival:
        for _ in range(data.draw(st.integers(1, 2))):
            delivered += ordering.take(f"d{number}", number, number)
    assert delivered == sorted(arrival)
