"""Timers of a registered UE through `mme-timer` and the ticker: each resend, and the end, on a clock of the test's."""

from __future__ import annotations

import pytest

from mme.enums import EmmState, Step, TimerName
from mme.messages import (
    AuthenticationRequest,
    EmmMessage,
    InitialContextSetupRequest,
    TrackingAreaUpdateAccept,
    TrackingAreaUpdateComplete,
    UeContextReleaseCommand,
)
from tests.mme.runtime.pair import Network
from tests.mme.runtime.returning import Returning, attached, idle
from tests.mme.runtime.test_commands import command

# TS 24.301 table 10.2.2: T3450 and T3460 last 6 s; resent on expiries 1 to 4, given up on the fifth.
SECONDS, TIMES = 6, 4


def updating(network: Network) -> tuple[Returning, type[EmmMessage]]:
    """TRACKING AREA UPDATE ACCEPT is out, with a new GUTI."""
    back = idle(network)
    back.told.clear()
    back.comes(back.sealed(back.update_request()))
    return back, TrackingAreaUpdateAccept


def challenged(network: Network) -> tuple[Returning, type[EmmMessage]]:
    """A registered UE is challenged anew: ciphered, so that each copy has a NAS COUNT of its own."""
    back = attached(network)
    command(network, "authenticate")
    back.pushed()
    return back, AuthenticationRequest


def passes(network: Network, back: Returning, seconds: float) -> None:
    """Half a second at a time; what is pushed reaches the UE, which checks each message's MAC under its own count."""
    for _ in range(int(seconds * 2)):
        network.clock.now_s += 0.5
        network.ticker.tick()
        back.pushed()


@pytest.mark.parametrize("begin", [updating, challenged], ids=["T3450 of an update", "T3460 of authentication"])
def test_sent_again_four_times_each_under_a_count_of_its_own_and_then_given_up(network: Network, begin: object) -> None:
    assert callable(begin)
    back, kind = begin(network)
    network.ticker.tick()
    assert [type(message) for message in back.told] == [kind]
    for again in range(1, TIMES + 1):
        passes(network, back, SECONDS - 2)
        assert len(back.told) == again, f"too early, {again}"
        passes(network, back, 2.5)
        assert len(back.told) == again + 1
    passes(network, back, SECONDS + 1)
    assert back.told == [back.told[0]] * (TIMES + 1)
    assert isinstance(back.heard[-1], UeContextReleaseCommand)
    ctx = back.context()
    assert (ctx.emm, ctx.step, ctx.connection) == (EmmState.REGISTERED, Step.NONE, None)
    assert not {TimerName.T3450.value, TimerName.T3460.value} & set(ctx.timers)
    assert len(network.sessions()) == 1
    assert back.comes(back.service_request()).reply.label == "service request"


def test_an_update_is_complete_by_the_answer_to_a_resend(network: Network) -> None:
    back, _ = updating(network)
    network.ticker.tick()
    passes(network, back, 2 * SECONDS + 1)
    assert len(back.told) == 3
    back.says(TrackingAreaUpdateComplete())
    passes(network, back, 3 * SECONDS)
    assert len(back.told) == 3
    assert back.context().old_guti is None


def test_a_returning_ue_whose_context_setup_is_never_answered_is_idle_and_can_come_back(network: Network) -> None:
    back = idle(network)
    back.comes(back.service_request())
    assert isinstance(back.heard[-1], InitialContextSetupRequest)
    network.ticker.tick()
    passes(network, back, 9)
    assert isinstance(back.heard[-1], InitialContextSetupRequest)
    passes(network, back, 2)
    assert isinstance(back.heard[-1], UeContextReleaseCommand)
    assert (back.context().emm, back.context().connection) == (EmmState.REGISTERED, None)
    assert back.comes(back.service_request()).reply.label == "service request"
