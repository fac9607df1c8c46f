"""What eNBs let through between OVERLOAD START and OVERLOAD STOP (TS 36.413 8.7.6, 9.2.3.20)."""

from __future__ import annotations

from itertools import permutations
from random import Random

import pytest

from enb_app.overload import LONGEST_WAIT_S, MO_SIGNALLING, RadioAccess
from mme.messages import OverloadStart, OverloadStop, Paging


def rejected(access: RadioAccess, cause: str = MO_SIGNALLING, asked: int = 1000) -> int:
    return sum(access.asks(cause) is not None for _ in range(asked))


def test_so_many_per_cent_are_rejected_and_none_once_it_is_over() -> None:
    access = RadioAccess(Random(1))
    assert rejected(access) == 0
    access.hear(OverloadStart("reject-rrc-cr-signalling", 40))
    assert 350 < rejected(access) < 450
    access.hear(OverloadStart("reject-rrc-cr-signalling", 80))
    assert 750 < rejected(access) < 850
    assert access.overloaded
    access.hear(OverloadStop())
    assert rejected(access) == 0
    assert (access.starts, access.stops) == (2, 1)


@pytest.mark.parametrize("last", [OverloadStart("reject-rrc-cr-signalling", 80), OverloadStop()])
def test_what_a_later_decision_has_overtaken_is_dropped(last: OverloadStart | OverloadStop) -> None:
    """In whatever order the three arrive, the eNB ends where the last decision wants it; twice is as once."""
    decisions = [(1, OverloadStart("reject-rrc-cr-signalling", 40)), (2, OverloadStop()), (3, last)]
    for order in permutations(decisions + decisions[:1]):
        access = RadioAccess(Random(1))
        for number, message in order:
            access.hear(message, number)
        assert access.overloaded is isinstance(last, OverloadStart)
        assert (rejected(access, asked=100) > 60) is isinstance(last, OverloadStart)
        later = [n for at, (n, _) in enumerate(order) if n < max(m for m, _ in order[: at + 1])]
        assert access.overtaken == len(later)


def test_without_a_number_the_last_to_arrive_counts() -> None:
    access = RadioAccess(Random(1))
    access.hear(OverloadStart("reject-rrc-cr-signalling", 40), 7)
    access.hear(OverloadStop())
    assert not access.overloaded


def test_without_a_reduction_all_are_rejected() -> None:
    access = RadioAccess(Random(1))
    access.hear(OverloadStart("reject-rrc-cr-signalling"))
    assert rejected(access) == 1000


@pytest.mark.parametrize(
    ("action", "cause", "passes"),
    [
        ("reject-rrc-cr-signalling", "mo-Signalling", False),
        ("reject-rrc-cr-signalling", "mo-Data", False),
        ("reject-rrc-cr-signalling", "mt-Access", True),
        ("reject-rrc-cr-signalling", "emergency", True),
        ("reject-non-emergency-mo-dt", "mo-Data", False),
        ("reject-non-emergency-mo-dt", "mo-Signalling", True),
        ("permit-emergency-sessions-and-mobile-terminated-services-only", "mo-Signalling", False),
        ("permit-emergency-sessions-and-mobile-terminated-services-only", "mt-Access", True),
    ],
)
def test_what_an_action_lets_through(action: str, cause: str, passes: bool) -> None:
    access = RadioAccess(Random(1))
    access.hear(OverloadStart(action))
    assert (access.asks(cause) is None) is passes


def test_ues_wait_as_long_as_rrc_can_tell_them_each_differently() -> None:
    """TS 36.331 6.2.2: waitTime of RRCConnectionReject is 1 to 16 s."""
    access = RadioAccess(Random(1))
    access.hear(OverloadStart("reject-rrc-cr-signalling"))
    waits = [access.asks(MO_SIGNALLING) or 0.0 for _ in range(200)]
    assert 1 <= min(waits) < max(waits) <= LONGEST_WAIT_S == 16
    assert len(set(waits)) > 100
    assert access.rejected == 200


def test_one_that_ignores_it_rejects_nobody() -> None:
    access = RadioAccess(Random(1), honours=False)
    access.hear(OverloadStart("reject-rrc-cr-signalling"))
    assert rejected(access) == 0
    assert access.overloaded


def test_other_messages_change_nothing() -> None:
    access = RadioAccess(Random(1))
    access.hear(OverloadStart("reject-rrc-cr-signalling"))
    access.hear(Paging.__new__(Paging))
    assert access.overloaded
