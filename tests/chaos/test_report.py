"""What a run says in the end: counts of what was struck, the verdict, and how to strike the same again."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from chaos import report
from chaos.checker import check
from chaos.history import Answered, Event, Injected, Last, Nas
from chaos.run import Options, Outcome

STRUCK: list[Event] = [
    Injected(1, what="node killed", whom="node 2"),
    Injected(2, what="replica killed", whom="mme-timer", hit=0),
    Injected(3, what="replica killed", whom="mme-uplink-nas", hit=2),
    Answered(8, 1, message="Attach Complete", result="done"),
    Last(9, 1),
]
WRONG: list[Event] = [Nas(4, 1, "down", "k", 3, "a"), Nas(5, 1, "down", "k", 3, "b")]


def outcome(events: list[Event], nodes: int = 3) -> Outcome:
    return Outcome(
        options=Options(seed=7, minutes=2, ues=1, nodes=nodes),
        started_unix_s=0,
        duration_s=130,
        events=events,
        wire={"call": {"none": 98, "lose": 2, "delay": 0}},
        procedures={"attach": 3},
        faults=2,
        restless=0,
        resends=5,
        retries=1,
        calls=40,
    )


def shown(told: Outcome) -> str:
    console = Console(file=io.StringIO(), width=160)
    report.show(console, told, check(told.events))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_replicas_in_the_middle_of_a_call_are_counted_apart() -> None:
    assert report.strikes(STRUCK) == {
        "node killed": 1,
        "replica killed": 2,
        "replica killed in the middle of a call": 1,
    }


def test_what_passed_says_so_in_its_last_line() -> None:
    text = shown(outcome(STRUCK))
    assert text.rstrip().endswith("PASSED: no violation, 1/1 UEs attached (seed 7, 1 UEs, 2 minutes)")
    assert "2 of 100" in text
    assert "call: delay" not in text


@pytest.mark.parametrize(("nodes", "how"), [(3, "NODES=3"), (1, "NODES=1"), (0, "STORE=sqlite")])
def test_a_failure_shows_the_seed_and_the_shortest_history(nodes: int, how: str) -> None:
    text = shown(outcome([*STRUCK, *WRONG], nodes))
    assert "FAILED: 1 violations (seed 7" in text
    assert f"make chaos SEED=7 MINUTES=2 UES=1 {how}" in text
    lines = [line for line in text.splitlines() if line.startswith("  {")]
    assert lines == [f"  {report.history.line(event)}" for event in WRONG]


def test_the_figures_keep_the_history_of_each_violation() -> None:
    told = outcome([*STRUCK, *WRONG])
    figures = report.as_json(told, check(told.events))
    (violation,) = figures["violations"]
    assert violation["invariant"] == "counts"
    assert [event["octets"] for event in violation["history"]] == ["a", "b"]
    assert figures["attached"] == 1
    assert "folder" not in figures["options"]
