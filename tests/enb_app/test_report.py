"""Tables that hold together at the widths of real terminals."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from enb_app import report
from enb_app.effects import Verdict
from enb_app.exchange import Counters
from enb_app.measure import LadderLine, MessageSample, StoreOperations, UeOutcome
from enb_app.options import AttachOptions
from enb_app.result import Result


def result(verdict: Verdict = Verdict.ATTACHED, cause: str = "attached") -> Result:
    store = StoreOperations(1, 0, 1)
    name = "InitialContextSetupResponse"
    sample = MessageSample(name, None, "mme-ue-context", 0.0, 1234.5, "done", None, 1, store, 2.0)
    ladder = (
        LadderLine(0.0, True, name, None, "mme-ue-context", 1234.5, store, "discarded"),
        LadderLine(9.0, False, "DownlinkNASTransport", "Authentication Request"),
    )
    outcome = UeOutcome(
        1, "00101~x", "e", "r-1", verdict, cause, None, 0.0, 9.0, 8.0, False, 0, 0, 0, {}, (sample,), ladder
    )
    return Result(AttachOptions(ues=1), 0.0, 0.5, 0.1, (), (outcome,), Counters(calls=2, items=2), 0, 0)


def shown(width: int, what: Result) -> str:
    console = Console(file=io.StringIO(), width=width)
    report.print_ladder(console, what.outcomes[0])
    report.print_tables(console, what)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 132])
def test_nothing_is_cut_off(width: int) -> None:
    told = shown(width, result())
    assert "…" not in told
    for part in ("InitialContextSetupResponse", "Authentication Request", "1234", "discarded", "attached 1/1"):
        assert part in told


def test_causes_of_failure_are_told(width: int = 132) -> None:
    told = shown(width, result(Verdict.REJECTED, "Attach Reject #8"))
    assert "1 x Attach Reject #8" in told
    assert "attached 0/1" in told
