"""Paging for EPS services (TS 24.301 5.6.2; TS 36.413 8.5)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mme.context import UeContext
from mme.enums import EmmState, ItemResult, TimerName
from mme.ids import Guti, Imsi, STmsi, Tai
from mme.messages import Paging, ServiceRequest
from mme.outcome import Outcome
from mme.procedures import dispatch, paging
from mme.procedures.connection import on_initial_message
from tests.mme.procedures import conftest as ue

AREAS = (Tai(ue.PLMN, 7), Tai(ue.PLMN, 9))


def test_an_idle_ue_is_paged_by_its_s_tmsi_in_every_area_of_its_list() -> None:
    outcome = paging.start(ue.idle(tai_list=AREAS), ue.env())
    assert ue.only(outcome.downlinks, Paging) == Paging(
        ue_identity_index=277,  # 1 010 123 456 789 = 986 448 688 * 1024 + 277, by hand
        ue_paging_id=STmsi(1, 0xC0FFEE01),
        tai_list=AREAS,
        cn_domain="ps",
    )
    assert ue.timers(outcome) == ({TimerName.T3413: (6.0, 0)}, set())
    assert (outcome.result, outcome.label, outcome.needs) == (ItemResult.DONE, "paging", ())


@pytest.mark.parametrize(("digits", "index"), [("001010000001023", 1023), ("001010000001024", 0), ("999999", 575)])
def test_the_identity_index_is_the_imsi_modulo_1024(digits: str, index: int) -> None:
    """TS 36.413 9.2.3.10; TS 36.304 7.1.  1 010 000 000 000 = 986 328 125 * 1024."""
    message = ue.only(paging.start(ue.idle(imsi=Imsi(digits)), ue.env()).downlinks, Paging)
    assert message.ue_identity_index == index


@pytest.mark.parametrize("cycle", ["v32", "v256", None])
def test_the_ues_own_drx_cycle_is_told_each_time(cycle: str | None) -> None:
    """TS 23.401 5.13: in each PAGING; TS 36.413 9.2.1.16."""
    idle = ue.idle(paging_drx=cycle)
    for outcome in (paging.start(idle, ue.env()), paging.on_t3413_expiry(idle, 1, ue.env())):
        assert ue.only(outcome.downlinks, Paging).paging_drx == cycle


def test_a_ue_whose_association_is_lost_is_paged_though_its_row_has_a_connection() -> None:
    outcome = paging.start(ue.registered(), ue.env(alive=False))
    ue.only(outcome.downlinks, Paging)


BUSY = [
    ue.updating(),
    ue.reallocating(),
    *(ue.rekeying(step) for step in ue.REKEYING_STEPS),
]


@pytest.mark.parametrize("before", [ue.registered(), *BUSY], ids=lambda ctx: ctx.step.value)
def test_a_connected_ue_is_not_paged_whatever_runs_there(before: UeContext) -> None:
    assert paging.start(before, ue.env()) == Outcome(before, label="already connected")


@pytest.mark.parametrize("before", BUSY, ids=lambda ctx: ctx.step.value)
def test_a_ue_that_was_busy_when_its_association_was_lost_is_paged(before: UeContext) -> None:
    outcome = paging.start(before, ue.env(alive=False))
    ue.only(outcome.downlinks, Paging)
    running = ue.running(TimerName.T3413)
    again = dispatch.on_timer(replace(before, timers=running), TimerName.T3413, running["T3413"], ue.env(alive=False))
    ue.only(again.downlinks, Paging)


@pytest.mark.parametrize("build", [ue.fresh, ue.accepted, ue.leaving])
def test_a_ue_that_is_not_registered_is_not_paged(build: object) -> None:
    before = build()  # type: ignore[operator]
    assert paging.start(before, ue.env()) == Outcome(before, result=ItemResult.REJECTED, label="not registered")


def test_a_ue_whose_mobile_reachable_timer_has_expired_is_not_paged() -> None:
    """TS 23.401 4.3.5.2: the PPF is clear."""
    before = ue.idle(timers=ue.running(TimerName.IMPLICIT_DETACH))
    assert paging.start(before, ue.env()) == Outcome(before, result=ItemResult.REJECTED, label="not reachable")


def test_a_second_trigger_while_paging_starts_nothing() -> None:
    """5.6.2.2.1: one paging procedure at a time."""
    before = ue.idle(timers=ue.running(TimerName.T3413))
    assert paging.start(before, ue.env()) == Outcome(before, label="paging already")


@pytest.mark.parametrize("expired", [0, 1])
def test_t3413_pages_again_as_often_as_configured(expired: int) -> None:
    running = ue.running(TimerName.T3413, expired)["T3413"]
    outcome = dispatch.on_timer(ue.idle(), TimerName.T3413, running, ue.env())
    ue.only(outcome.downlinks, Paging)
    assert ue.timers(outcome) == ({TimerName.T3413: (6.0, expired + 1)}, set())


@pytest.mark.parametrize(("retransmissions", "expired"), [(2, 2), (0, 0), (5, 5)])
def test_the_last_expiry_gives_up_and_the_ue_stays_registered(retransmissions: int, expired: int) -> None:
    config = replace(ue.CONFIG, paging_retransmissions=retransmissions)
    running = ue.running(TimerName.T3413, expired)["T3413"]
    outcome = dispatch.on_timer(ue.idle(), TimerName.T3413, running, ue.env(config))
    assert outcome == Outcome(ue.idle(), label="paging failed: no answer")
    assert ue.context(outcome).emm is EmmState.REGISTERED


def test_t3413_of_a_ue_that_is_back_pages_no_more() -> None:
    running = ue.running(TimerName.T3413)["T3413"]
    outcome = dispatch.on_timer(ue.registered(), TimerName.T3413, running, ue.env())
    assert (outcome.downlinks, outcome.start, outcome.label) == ((), (), "paging answered")


def test_the_answer_stops_t3413() -> None:
    """5.6.2.3: SERVICE REQUEST is the answer."""
    paged = ue.idle(timers=ue.running(TimerName.T3413))
    outcome = on_initial_message(paged, ue.NEW_CONNECTION, ServiceRequest(1, 0, b"ab"), ue.DIGEST, ue.env())
    assert ue.context(outcome).timers == {}


@pytest.mark.parametrize(("expiries", "guti"), [(0, ue.GUTI), (1, ue.RENAMED), (2, ue.GUTI)])
def test_of_two_valid_gutis_the_old_one_is_paged_first_and_then_the_other(expiries: int, guti: Guti) -> None:
    """5.4.1.6 a, b: the UE may have either; paged by one alone it would stay silent."""
    both = ue.idle(guti=ue.RENAMED, old_guti=ue.GUTI)
    outcome = paging.start(both, ue.env()) if expiries == 0 else paging.on_t3413_expiry(both, expiries, ue.env())
    assert ue.only(outcome.downlinks, Paging).ue_paging_id == STmsi(1, guti.m_tmsi)
