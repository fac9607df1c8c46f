"""Tables that hold together at the widths of real terminals."""

from __future__ import annotations

import io
from dataclasses import replace

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


def lines_at_80(what: Result) -> list[str]:
    lines = shown(80, what).splitlines()
    assert max(len(line) for line in lines if "attaches/s" not in line) <= 80
    return lines


def slow_result() -> Result:
    """Replayed messages, long names and seconds: as wide as a run gets."""
    fast = result()
    (outcome,) = fast.outcomes
    store = StoreOperations(12, 3, 14)
    samples = tuple(
        MessageSample("UplinkNASTransport", nas, function, 0.0, 12345.6, "discarded", None, 1, store, 2.0)
        for nas, function in (("Security Mode Complete", "mme-uplink-nas"), ("ESM Information Response", "mme-answer"))
    )
    copy = replace(samples[0], copy=True)
    ladder = (
        *outcome.ladder,
        LadderLine(
            123456.7, True, "UplinkNASTransport", "ESM Information Response", "mme-uplink-nas", 9.5, store, "lost"
        ),
    )
    outcome = replace(outcome, messages=(*outcome.messages, *samples, copy), ladder=ladder, attach_ms=12345.6)
    return replace(fast, outcomes=(outcome,))


def test_the_narrow_ladder_keeps_every_column() -> None:
    lines = lines_at_80(slow_result())
    (head,) = [line for line in lines if "at ms" in line]
    assert head.split() == ["at", "ms", "message", "function", "ms", "store", "result"]
    name = "InitialContextSetupResponse"
    (first,) = [line for line in lines if name in line and "discarded" in line]
    assert first.split() == ["0.0", "─▶", name, "mme-ue-context", "1234", "1r", "0w", "1c", "discarded"]
    (down,) = [line for line in lines if "◀" in line]
    assert down.split() == ["9.0", "◀─", "Authentication", "Request"]
    (last,) = [line for line in lines if "lost" in line]
    assert last.split()[:5] == ["123457", "─▶", "ESM", "Information", "Response"]
    assert last.split()[5:] == ["mme-uplink-nas", "9.5", "12r", "3w", "14c", "lost"]


def test_the_narrow_figures_keep_every_column() -> None:
    lines = lines_at_80(slow_result())
    (head,) = [line for line in lines if "p95" in line]
    assert head.split() == ["message", "min", "mean", "p50", "p95", "p99", "max", "store", "each"]
    at = next(number for number, line in enumerate(lines) if line.startswith("ESM Information Response "))
    assert lines[at].split()[3:] == ["12346"] * 6 + ["12.0", "3.0", "14.0"]
    assert lines[at + 1].split() == ["mme-answer", "x", "1"]
    (whole,) = [line for line in lines if line.startswith("whole attach")]
    assert whole.split()[2:] == ["x", "1", *["12346"] * 6]
    assert "(replayed)" in "".join(lines)


@pytest.mark.parametrize("width", range(80, 140, 3))
def test_nothing_is_cut_at_any_width(width: int) -> None:
    told = shown(width, slow_result())
    assert "…" not in told
    for part in ("mme-ue-context", "mme-answer", "min", "mean", "p50", "p95", "p99", "max", "store each", "(replayed)"):
        assert part in told
