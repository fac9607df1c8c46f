"""GUTI reallocation on its own (TS 24.301 5.4.1)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mme.context import UeContext
from mme.enums import EmmState, ItemResult, SecurityHeader, Step, TimerName
from mme.ids import Gummei, Guti
from mme.m_tmsi import m_tmsi
from mme.messages import DownlinkNasTransport, GutiReallocationCommand, GutiReallocationComplete
from mme.outcome import Outcome
from mme.procedures import dispatch, guti_reallocation
from tests.mme.procedures import conftest as ue


def test_the_command_names_the_next_guti_and_the_old_one_stays_valid() -> None:
    outcome = guti_reallocation.start(ue.registered(), ue.env())
    after = ue.context(outcome)
    expected = Guti(Gummei(ue.PLMN, 1, 1), m_tmsi(ue.CONFIG.m_tmsi_key, ue.KEY, 2))
    assert ue.said(ue.only(outcome.downlinks, DownlinkNasTransport)) == (
        GutiReallocationCommand(expected),
        SecurityHeader.INTEGRITY_CIPHERED,
    )
    assert (after.guti, after.old_guti) == (expected, ue.GUTI)
    assert (after.emm, after.step) == (EmmState.COMMON_PROCEDURE_INITIATED, Step.GUTI_REALLOCATION)
    assert ue.timers(outcome) == ({TimerName.T3450: (6.0, 0)}, set())


@pytest.mark.parametrize(
    "ctx", [ue.idle(), ue.updating(), ue.reallocating(), ue.leaving(), ue.accepted(), ue.fresh()], ids=lambda c: c.step
)
def test_an_idle_or_busy_ue_keeps_its_guti(ctx: UeContext) -> None:
    outcome = guti_reallocation.start(ctx, ue.env())
    assert outcome == Outcome(ctx, result=ItemResult.REJECTED, label="the UE is idle or busy")


def test_complete_voids_the_old_guti() -> None:
    """5.4.1.4."""
    outcome = dispatch.on_nas(ue.reallocating(), GutiReallocationComplete(), ue.DIGEST, ue.TAI, ue.env())
    after = ue.context(outcome)
    assert (after.guti, after.old_guti, after.emm, after.step) == (ue.RENAMED, None, EmmState.REGISTERED, Step.NONE)
    assert (outcome.downlinks, ue.timers(outcome)) == ((), ({}, {TimerName.T3450}))
    assert after.connection == ue.CONNECTION


@pytest.mark.parametrize("expired", [0, 1, 2, 3])
def test_expiries_one_to_four_of_t3450_send_the_same_command_again(expired: int) -> None:
    """5.4.1.6 b."""
    before = ue.reallocating()
    running = ue.running(TimerName.T3450, expired)["T3450"]
    outcome = dispatch.on_timer(before, TimerName.T3450, running, ue.env())
    assert [ue.said(m)[0] for m in outcome.downlinks] == [GutiReallocationCommand(ue.RENAMED)]
    assert (outcome.ctx, ue.timers(outcome)) == (before, ({TimerName.T3450: (6.0, expired + 1)}, set()))


def test_the_fifth_expiry_ends_it_and_both_gutis_stay_valid() -> None:
    running = ue.running(TimerName.T3450, 4)["T3450"]
    outcome = dispatch.on_timer(ue.reallocating(), TimerName.T3450, running, ue.env())
    after = ue.context(outcome)
    assert (outcome.downlinks, outcome.start) == ((), ())
    assert (after.guti, after.old_guti) == (ue.RENAMED, ue.GUTI)
    assert (after.emm, after.step, after.connection) == (EmmState.REGISTERED, Step.NONE, ue.CONNECTION)


@pytest.mark.parametrize("held", [ue.GUTI, ue.RENAMED])
def test_the_guti_that_the_ue_shows_is_the_valid_one_from_then_on(held: Guti) -> None:
    """5.4.1.6 a."""
    after = guti_reallocation.as_used(ue.idle(guti=ue.RENAMED, old_guti=ue.GUTI), held)
    assert (after.guti, after.old_guti) == (held, None)


@pytest.mark.parametrize("shown", [None, Guti(ue.GUTI.gummei, 1)])
def test_another_guti_decides_nothing(shown: Guti | None) -> None:
    both = ue.idle(guti=ue.RENAMED, old_guti=ue.GUTI)
    assert guti_reallocation.as_used(both, shown) == both


@pytest.mark.parametrize("generation", [0, 7, 14, 15])
def test_the_next_guti_is_never_the_one_that_is_valid_still(generation: int) -> None:
    guti = Guti(ue.CONFIG.gummei, m_tmsi(ue.CONFIG.m_tmsi_key, ue.KEY, generation))
    after = guti_reallocation.with_new_guti(ue.registered(guti=guti, generation=generation), ue.env())
    assert after.guti != guti
    assert after.old_guti == guti
    assert replace(after, guti=None, old_guti=None, generation=0) == ue.registered(guti=None, generation=0)
