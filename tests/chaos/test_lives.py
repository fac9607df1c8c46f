"""What the run counts as a UE that was attached."""

from __future__ import annotations

import pytest

from chaos.history import Answered, Event
from chaos.recorder import Recorder, WatchedJournal
from enb_app.journal import Sent


def journal(*results: tuple[str, str]) -> tuple[WatchedJournal, list[Event]]:
    recorder = Recorder(lambda: 0.0)
    written = WatchedJournal(recorder, 7)
    for name, result in results:
        written.write(Sent(name, result, ""))
    return written, recorder.events


@pytest.mark.parametrize("result", ["done", "duplicate"])
def test_an_attach_counts_from_the_moment_its_end_is_taken(result: str) -> None:
    """However late that is; and what is slow or lost after it, a release for example, takes nothing back."""
    written, events = journal(("Attach Complete", result), ("UEContextReleaseRequest", "lost"))
    assert written.taken_in
    assert [(event.ue, event.result) for event in events if isinstance(event, Answered)] == [(7, result), (7, "lost")]


@pytest.mark.parametrize("result", ["lost", "stale", "rejected"])
def test_an_attach_whose_end_was_not_taken_does_not_count(result: str) -> None:
    assert not journal(("Attach Request", "done"), ("Attach Complete", result))[0].taken_in


def test_each_attach_counts_by_itself() -> None:
    """Done is one whose end was taken since it began: not by what an earlier one has come to."""
    first = ("Attach Complete", "done")
    assert journal(first, ("Attach Request", "done"))[0].taken_in == 1
    assert journal(first, ("Attach Request", "done"), ("Attach Complete", "stale"))[0].taken_in == 1
    assert journal(first, ("Attach Request", "done"), ("Attach Complete", "duplicate"))[0].taken_in == 2
