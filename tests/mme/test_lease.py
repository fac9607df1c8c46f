"""How a group divides its leases, by itself: time is a number here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mme.lease import NOBODY, Leases, renewed, without

NAMES = tuple(f"timer-{n}" for n in range(16))
LENGTH_MS = 10_000


def held_by(leases: Leases, me: str, now_ms: int) -> set[str]:
    return {name for name in NAMES if leases.holds(me, name, now_ms)}


def settled(members: tuple[str, ...], leases: Leases, now_ms: int) -> Leases:
    """Every member renews twice: one gives back, another takes."""
    for me in members * 2:
        leases = renewed(leases, me, NAMES, {}, now_ms, LENGTH_MS)
    return leases


def test_one_alone_takes_everything() -> None:
    leases = renewed(Leases(), "a", NAMES, {}, 1000, LENGTH_MS)
    assert held_by(leases, "a", 1000) == set(NAMES)
    assert held_by(leases, "a", 10_999) == set(NAMES)
    assert held_by(leases, "a", 11_000) == set()


@pytest.mark.parametrize(("members", "shares"), [(2, [8, 8]), (3, [4, 6, 6]), (5, [0, 4, 4, 4, 4])])
def test_shares_are_even(members: int, shares: list[int]) -> None:
    names = tuple("abcde"[:members])
    leases = settled(names, Leases(), 1000)
    assert sorted(len(held_by(leases, me, 1000)) for me in names) == shares


def test_who_joins_gets_only_what_was_given_back() -> None:
    leases = renewed(Leases(), "a", NAMES, {}, 1000, LENGTH_MS)
    leases = renewed(leases, "b", NAMES, {}, 2000, LENGTH_MS)
    assert held_by(leases, "b", 2000) == set()
    leases = renewed(leases, "a", NAMES, {}, 3000, LENGTH_MS)
    assert len(held_by(leases, "a", 3000)) == 8
    leases = renewed(leases, "b", NAMES, {}, 4000, LENGTH_MS)
    assert held_by(leases, "a", 4000) | held_by(leases, "b", 4000) == set(NAMES)
    assert len(held_by(leases, "b", 4000)) == 8


def test_the_dead_ones_share_is_free_when_its_lease_has_run_out_and_not_before() -> None:
    leases = settled(("a", "b"), Leases(), 1000)
    of_b = held_by(leases, "b", 1000)
    leases = renewed(leases, "a", NAMES, {}, 10_999, LENGTH_MS)
    assert not held_by(leases, "a", 10_999) & of_b
    leases = renewed(leases, "a", NAMES, {}, 11_000, LENGTH_MS)
    assert held_by(leases, "a", 11_000) == set(NAMES)
    assert "b" not in leases.members


def test_who_leaves_is_followed_at_once() -> None:
    leases = without(settled(("a", "b"), Leases(), 1000), "b", {"timer-15": 44})
    leases = renewed(leases, "a", NAMES, {}, 1000, LENGTH_MS)
    assert held_by(leases, "a", 1000) == set(NAMES)
    assert leases.held["timer-15"].mark == 44


def test_a_fence_grows_with_each_holder_and_only_then() -> None:
    leases = renewed(Leases(), "a", ("x",), {}, 1000, LENGTH_MS)
    assert leases.held["x"].fence == 1
    leases = renewed(leases, "a", ("x",), {}, 5000, LENGTH_MS)
    assert leases.held["x"].fence == 1
    leases = renewed(without(leases, "a", {}), "b", ("x",), {}, 6000, LENGTH_MS)
    assert (leases.held["x"].holder, leases.held["x"].fence) == ("b", 2)
    leases = renewed(leases, "a", ("x",), {}, 16_000, LENGTH_MS)
    assert (leases.held["x"].holder, leases.held["x"].fence) == ("a", 3)


def test_a_member_that_comes_back_late_is_a_new_holder() -> None:
    """Its own lease has run out: others may have been there meanwhile."""
    leases = renewed(Leases(), "a", ("x",), {}, 1000, LENGTH_MS)
    leases = renewed(leases, "a", ("x",), {}, 11_000, LENGTH_MS)
    assert leases.held["x"].fence == 2


def test_marks_are_handed_on() -> None:
    leases = renewed(Leases(), "a", ("x",), {}, 1000, LENGTH_MS)
    leases = renewed(leases, "a", ("x",), {"x": 7}, 2000, LENGTH_MS)
    leases = renewed(leases, "b", ("x",), {"x": 99}, 12_000, LENGTH_MS)
    assert (leases.held["x"].holder, leases.held["x"].mark) == ("b", 7)


steps = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["renew", "leave"]), st.integers(0, 12_000)))


@given(steps)
def test_no_name_ever_has_two_holders(history: list[tuple[str, str, int]]) -> None:
    """Whatever comes in whatever order: until_ms that was promised to a holder is kept, unless it gave it back."""
    leases, now_ms = Leases(), 0
    promised: dict[str, tuple[str, int]] = {}
    for me, what, passes_ms in history:
        now_ms += passes_ms
        changed = without(leases, me, {}) if what == "leave" else renewed(leases, me, NAMES, {}, now_ms, LENGTH_MS)
        for name, (holder, until_ms) in list(promised.items()):
            lease = changed.held[name]
            if lease.holder != holder:
                assert holder == me or until_ms <= now_ms, (name, holder, me)
        for name in NAMES:
            lease = changed.held.get(name)
            if lease is not None:
                assert lease.fence >= (leases.held[name].fence if name in leases.held else 0)
                promised[name] = (lease.holder, lease.until_ms)
                if lease.holder == NOBODY:
                    del promised[name]
        leases = changed
