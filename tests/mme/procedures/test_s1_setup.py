"""S1 Setup (TS 36.413 8.7.3)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mme.enb_context import EnbContext
from mme.enums import CauseGroup
from mme.ids import GlobalEnbId, Plmn
from mme.messages import (
    Cause,
    S1apMessage,
    S1SetupFailure,
    S1SetupRequest,
    S1SetupResponse,
    ServedGummei,
    SupportedTa,
)
from mme.procedures import s1_setup
from tests.mme.procedures import conftest as ue

ENB = GlobalEnbId(ue.PLMN, 0x19B)
FOREIGN = Plmn("00102")
URL = "http://enb.example/downlink"


def on_request(*tas: SupportedTa) -> tuple[EnbContext | None, S1apMessage]:
    config = replace(ue.CONFIG, tacs=(7, 9), mme_group_id=2, mme_code=3, relative_mme_capacity=10, mme_name="m")
    request = S1SetupRequest(ENB, tas, "enb-one", "v64")
    return s1_setup.on_s1_setup_request(request, "epoch1", URL, ue.env(config))


@pytest.mark.parametrize(
    "tas",
    [
        (SupportedTa(7, (ue.PLMN,)),),
        (SupportedTa(8, (ue.PLMN,)), SupportedTa(9, (FOREIGN, ue.PLMN))),
    ],
)
def test_one_tracking_area_of_ours_is_enough_and_all_that_the_enb_said_is_kept(tas: tuple[SupportedTa, ...]) -> None:
    enb, answer = on_request(*tas)
    assert enb == EnbContext(ENB, "epoch1", tas, "enb-one", "v64", URL)
    assert answer == S1SetupResponse((ServedGummei((ue.PLMN,), (2,), (3,)),), 10, "m")


def test_the_same_request_again_has_the_same_answer() -> None:
    assert on_request(SupportedTa(7, (ue.PLMN,))) == on_request(SupportedTa(7, (ue.PLMN,)))


@pytest.mark.parametrize("tas", [(SupportedTa(7, (FOREIGN,)),), ()])
def test_no_plmn_of_ours_is_refused_with_a_time_to_wait_and_nothing_is_kept(tas: tuple[SupportedTa, ...]) -> None:
    """8.7.3.3."""
    assert on_request(*tas) == (None, S1SetupFailure(Cause(CauseGroup.MISC, "unknown-PLMN"), time_to_wait_s=10))


@pytest.mark.parametrize(
    "tas",
    [
        (SupportedTa(8, (ue.PLMN,)),),
        (SupportedTa(7, (FOREIGN,)), SupportedTa(8, (ue.PLMN,))),
    ],
    ids=["unknown TAC", "our TAC only in another PLMN"],
)
def test_no_tac_of_ours_within_our_plmn_is_refused(tas: tuple[SupportedTa, ...]) -> None:
    assert on_request(*tas) == (None, S1SetupFailure(Cause(CauseGroup.MISC, "unspecified"), time_to_wait_s=10))
