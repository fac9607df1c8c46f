"""Reset and configuration update of the S1 interface (TS 36.413 8.7.1, 8.7.4)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mme.enb_context import EnbContext
from mme.enums import CauseGroup, EmmState, Step, TimerName
from mme.ids import GlobalEnbId, Plmn
from mme.messages import (
    Cause,
    EnbConfigurationUpdate,
    EnbConfigurationUpdateAcknowledge,
    EnbConfigurationUpdateFailure,
    Reset,
    ResetAcknowledge,
    SupportedTa,
    UeS1apIds,
)
from mme.needs import ModifySession
from mme.procedures import s1_management
from mme.procedures.initial_context import on_reset_of_ue
from tests.mme.procedures import conftest as ue

HOME = SupportedTa(7, (ue.PLMN,))
ENB = EnbContext(GlobalEnbId(ue.PLMN, 0x19B), "epoch1", (HOME,), name="old", downlink_url="http://enb")
FAILURE = Cause(CauseGroup.MISC, "hardware-failure")


# --------------------------------------------------------------------------- reset


def test_a_full_reset_voids_every_connection_by_one_count_and_is_acknowledged_without_a_list() -> None:
    """8.7.1.2.1, 9.1.8.2."""
    after, answer = s1_management.on_reset(ENB, Reset(FAILURE))
    assert answer == ResetAcknowledge()
    assert after == replace(ENB, resets=1)
    assert after.connection_epoch != ENB.connection_epoch
    again, _ = s1_management.on_reset(after, Reset(FAILURE))
    assert len({e.connection_epoch for e in (ENB, after, again)}) == 3


def test_a_partial_reset_is_acknowledged_with_the_same_list_in_the_same_order() -> None:
    """8.7.1.2.1: known or not, "in the same order as received"."""
    ids = (UeS1apIds(0x50, 5), UeS1apIds(None, 7), UeS1apIds(0x10, None), UeS1apIds(0x50, 5))
    after, answer = s1_management.on_reset(ENB, Reset(FAILURE, ids))
    assert (after, answer) == (replace(ENB, voided=((7, 1),), id_resets=1), ResetAcknowledge(ids))


def test_an_empty_partial_reset_is_no_full_one() -> None:
    assert s1_management.on_reset(ENB, Reset(FAILURE, ()))[0] == ENB


def test_a_registered_ue_that_is_reset_is_idle_and_keeps_its_session_without_a_command() -> None:
    """8.7.1.3.2; TS 23.401 5.3.5: the gateway is told."""
    outcome = on_reset_of_ue(ue.registered(), ue.env())
    after = ue.context(outcome)
    assert (outcome.downlinks, after.connections) == ((), ())
    assert (after.emm, after.step, after.bearer) == (EmmState.REGISTERED, Step.NONE, ue.bearer())
    assert outcome.needs == (ModifySession(f"{ue.ITEM}/release-access", ue.KEY, "session1", None, None),)
    assert ue.timers(outcome)[0] == {TimerName.MOBILE_REACHABLE: (3480.0, 0)}


def test_an_attach_whose_connection_is_reset_is_over() -> None:
    outcome = on_reset_of_ue(ue.accepted(), ue.env())
    after = ue.context(outcome)
    assert (outcome.downlinks, after.connections, after.emm) == ((), (), EmmState.DEREGISTERED)
    assert outcome.forget


@pytest.mark.parametrize("build", [ue.updating, ue.reallocating], ids=lambda b: b.__name__)
def test_a_ue_whose_update_or_reallocation_is_cut_off_stays_registered_with_both_gutis(build: object) -> None:
    """5.4.1.6 a, 5.5.3.2.7 a: the procedure is aborted, both GUTIs are valid; the UE is idle, not detached."""
    after = ue.context(on_reset_of_ue(build(), ue.env()))  # type: ignore[operator]
    assert (after.emm, after.step) == (EmmState.REGISTERED, Step.NONE)
    assert (after.guti, after.old_guti) == (ue.RENAMED, ue.GUTI)


# --------------------------------------------------------------------------- eNB configuration update


def test_an_update_changes_what_it_names() -> None:
    """8.7.4.1.2."""
    areas = (HOME, SupportedTa(8, (ue.PLMN,)))
    update = EnbConfigurationUpdate("new", areas, "v64")
    after, answer = s1_management.on_enb_configuration_update(ENB, update, ue.env())
    assert answer == EnbConfigurationUpdateAcknowledge()
    assert after == replace(ENB, name="new", supported_tas=areas, default_paging_drx="v64")


@pytest.mark.parametrize(
    ("update", "changed"),
    [
        (EnbConfigurationUpdate(), {}),
        (EnbConfigurationUpdate(enb_name="new"), {"name": "new"}),
        (EnbConfigurationUpdate(default_paging_drx="v32"), {"default_paging_drx": "v32"}),
    ],
)
def test_what_is_not_in_it_stays(update: EnbConfigurationUpdate, changed: dict[str, str]) -> None:
    """8.7.4.1.2: "shall not … modify"; an empty update is acknowledged."""
    after, answer = s1_management.on_enb_configuration_update(ENB, update, ue.env())
    assert (after, answer) == (replace(ENB, **changed), EnbConfigurationUpdateAcknowledge())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("areas", "cause"),
    [
        ((SupportedTa(7, (Plmn("99999"),)),), Cause(CauseGroup.MISC, "unknown-PLMN")),
        ((SupportedTa(8, (ue.PLMN,)),), Cause(CauseGroup.MISC, "unspecified")),
        ((SupportedTa(7, (Plmn("99999"),)), SupportedTa(8, (ue.PLMN,))), Cause(CauseGroup.MISC, "unspecified")),
    ],
)
def test_areas_without_one_of_ours_are_refused_with_time_to_wait_and_nothing_changes(
    areas: tuple[SupportedTa, ...], cause: Cause
) -> None:
    """8.7.4.1.3; as for S1 SETUP FAILURE (8.7.3.3)."""
    update = EnbConfigurationUpdate("new", areas)
    after, answer = s1_management.on_enb_configuration_update(ENB, update, ue.env())
    assert (after, answer) == (ENB, EnbConfigurationUpdateFailure(cause, 10))
