"""Status messages, and refusals of what is not served (TS 24.301 5.5.3.2.5, 5.6.1.5, 5.7, 6.7, 7)."""

from __future__ import annotations

import pytest

from mme.context import UeContext
from mme.enums import EmmCause, EsmCause, ItemResult, SecurityHeader, Step
from mme.messages import (
    DownlinkNasTransport,
    EmmMessage,
    EmmStatus,
    EsmContainer,
    EsmInformationResponse,
    EsmStatus,
    ServiceReject,
    TrackingAreaUpdateReject,
)
from mme.outcome import Outcome
from mme.procedures import status
from tests.mme.procedures import conftest as ue


@pytest.mark.parametrize(
    ("before", "header"),
    [(ue.challenged(), SecurityHeader.PLAIN), (ue.registered(), SecurityHeader.INTEGRITY_CIPHERED)],
    ids=["attaching", "registered"],
)
def test_emm_status_says_its_cause_and_changes_nothing(before: UeContext, header: SecurityHeader) -> None:
    outcome = status.emm_status(before, EmmCause.INVALID_MANDATORY_INFORMATION)
    assert ue.said(ue.only(outcome.downlinks, DownlinkNasTransport)) == (EmmStatus(96), header)
    assert outcome == Outcome(before, outcome.downlinks, result=ItemResult.DISCARDED, label="EMM status #96")


def test_esm_status_is_about_the_same_bearer_and_pti_and_changes_nothing() -> None:
    before = ue.registered()
    outcome = status.esm_status(before, EsmInformationResponse(5, 9), EsmCause.MESSAGE_TYPE_NON_EXISTENT)
    message = ue.only(outcome.downlinks, DownlinkNasTransport)
    assert ue.said(message) == (EsmContainer(EsmStatus(5, 9, 97)), SecurityHeader.INTEGRITY_CIPHERED)
    assert outcome == Outcome(before, outcome.downlinks, result=ItemResult.DISCARDED, label="ESM status #97")


def test_a_status_to_an_idle_ue_goes_nowhere() -> None:
    before = ue.registered(connections=())
    assert status.emm_status(before, EmmCause.PROTOCOL_ERROR).downlinks == ()


def test_a_status_of_the_ue_changes_nothing_and_is_not_answered() -> None:
    before = ue.proven(Step.PROFILE)
    assert status.on_emm_status(before, EmmStatus(97), ue.env()) == Outcome(before, label="UE sent EMM status #97")
    assert status.on_esm_status(before, EsmStatus(5, 0, 111), ue.env()) == Outcome(
        before, label="UE sent ESM status #111"
    )


@pytest.mark.parametrize(
    "reject",
    [
        ServiceReject(EmmCause.UE_IDENTITY_CANNOT_BE_DERIVED),
        TrackingAreaUpdateReject(EmmCause.IMPLICITLY_DETACHED),
    ],
)
def test_a_ue_without_a_context_is_refused_in_plain_and_released(reject: EmmMessage) -> None:
    before = ue.fresh()
    outcome = status.refuse_without_context(before, reject, ue.env())
    refusal, release = outcome.downlinks
    assert ue.said(refusal) == (reject, SecurityHeader.PLAIN)
    assert ue.released(release) == "unspecified"
    assert (outcome.result, outcome.label) == (ItemResult.REJECTED, "no context")
    ue.assert_gone(outcome, before)
