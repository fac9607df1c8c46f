"""What an operation is known by, and what its answer says."""

from __future__ import annotations

import json

import pytest

from durable.journal import key_of
from placement.errors import Code, PlacementError
from placement.operation import (
    Answer,
    Operation,
    Phase,
    encode_answer,
    error_answer,
    left_of,
    with_left,
    without_left,
)


def operation(caller: str = "operator/alice", call_id: str = "one", phase: Phase = Phase.HELM) -> Operation:
    return Operation(
        key=key_of(caller, call_id),
        caller=caller,
        call_id=call_id,
        digest="d",
        request="",
        action="apply",
        namespace="lab",
        release="upf",
        phase=phase,
        begun_ms=0,
    )


def test_calls_of_two_callers_under_one_id_leave_two_marks() -> None:
    """By the mark, which is helm's description of the revision, a call finds what it has done already."""
    marks = {operation(caller, call_id).mark for caller in ("operator/a", "operator/b") for call_id in ("one", "two")}
    assert len(marks) == 4
    assert operation().mark == operation(phase=Phase.MEND).mark
    assert len(operation(call_id="x" * 128).mark) < 64


@pytest.mark.parametrize("phase", list(Phase))
def test_an_answer_is_final_before_it_is_told_and_a_call_over_only_after(phase: Phase) -> None:
    assert operation(phase=phase).is_done is (phase in (Phase.NOTIFY, Phase.DONE))
    assert operation(phase=phase).is_over is (phase is Phase.DONE)


def test_what_is_left_is_told_behind_the_sentence_and_can_be_taken_off() -> None:
    told = error_answer(PlacementError(Code.TIMEOUT, "Helm was stopped.", left="revision 2 marked failed"))
    assert told.message == "Helm was stopped. Left on the cluster: revision 2 marked failed."
    assert (told.code, told.hint) == ("timeout", Code.TIMEOUT.hint)
    assert without_left(told.message) == "Helm was stopped."
    assert (left_of(told.message), left_of("Helm was stopped.")) == ("revision 2 marked failed", "")
    assert with_left("Helm was stopped.", "") == without_left("Helm was stopped.") == "Helm was stopped."


def test_an_answer_has_the_fields_of_diff_status_and_list_only_where_they_are() -> None:
    plain = json.loads(encode_answer(Answer("ready", "a")))
    assert plain.keys().isdisjoint({"diff", "drift", "placements", "left", "warnings"})
    assert (plain["pods"], plain["error"], plain["revision"]) == ([], None, None)
    assert json.loads(encode_answer(Answer("planned", diff=[])))["diff"] == []
    assert json.loads(encode_answer(Answer("ready", drift=["x"])))["drift"] == ["x"]
