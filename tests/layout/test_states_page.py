"""docs/states.md is what mme/fsm.py says."""

from __future__ import annotations

import pytest

from mme.context import UeContext
from mme.enums import EmmState, Step
from mme.fsm import ALLOWED, ALLOWED_ESM, EDGES, STATES, Verdict, may_follow, verdict
from mme.messages import EsmContainer
from tests.mme.test_fsm import ALL, BEFORE
from tools.draw_states import PAGE, cell, page

COMMON = EmmState.COMMON_PROCEDURE_INITIATED


def test_the_page_is_drawn_from_the_table() -> None:
    assert PAGE.read_text() == page(), "run: python tools/draw_states.py"


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE.keys())
def test_each_mark_of_the_page_is_the_verdict(before: UeContext) -> None:
    """A: BEFORE has no detach with re-attach.  R: of a registered UE."""
    marks = {"+": Verdict.PROCESS, "·": Verdict.IGNORE, "A": Verdict.IGNORE, "S": Verdict.STATUS}
    marks["R"] = Verdict.PROCESS if before.stays_registered else Verdict.STATUS
    for message in ALL:
        kind = type(message.esm) if isinstance(message, EsmContainer) else type(message)
        allowed = (ALLOWED | ALLOWED_ESM).get(kind)
        if allowed is not None:
            mark = cell(kind, allowed, (before.emm, before.step))
            assert verdict(before, message) is marks[mark], (kind.__name__, mark)


def test_every_state_is_reached_and_left() -> None:
    assert {edge.before for edge in EDGES} == set(STATES)
    assert {edge.after for edge in EDGES} == set(STATES)


def test_nobody_is_registered_without_having_been_proven() -> None:
    """TS 33.401 6.1: no way from a challenge to a session or to a GUTI but through security mode."""
    for step in (Step.IDENTITY, Step.VECTOR):
        assert not may_follow((COMMON, step), (COMMON, Step.SECURITY_MODE))
    assert may_follow((COMMON, Step.SECURITY_MODE), (COMMON, Step.ATTACH_COMPLETE))
    assert not may_follow((EmmState.REGISTERED, Step.NONE), (COMMON, Step.SECURITY_MODE))
    assert not may_follow((EmmState.DEREGISTERED, Step.NONE), (COMMON, Step.SECURITY_MODE))


def test_only_a_ue_that_calls_for_help_comes_to_security_mode_without_a_challenge() -> None:
    """TS 33.401 15.2.2."""
    for state in ((COMMON, Step.IDENTITY), (COMMON, Step.VECTOR), (EmmState.DEREGISTERED, Step.NONE)):
        assert may_follow(state, (COMMON, Step.SECURITY_MODE), emergency=True)
        assert not may_follow(state, (COMMON, Step.SECURITY_MODE))


def test_one_item_takes_one_edge_and_then_only_inline_ones() -> None:
    assert may_follow((EmmState.DEREGISTERED, Step.NONE), (COMMON, Step.AUTHENTICATION))
    assert may_follow((COMMON, Step.ESM_INFORMATION), (COMMON, Step.ATTACH_COMPLETE))
    assert not may_follow((COMMON, Step.AUTHENTICATION), (EmmState.DEREGISTERED_INITIATED, Step.NONE))
    assert not may_follow((COMMON, Step.ATTACH_COMPLETE), (COMMON, Step.SECURITY_MODE))
