"""What the run counts as a UE that was attached."""

from __future__ import annotations

import pytest

from chaos.history import Answered, Event
from chaos.lives import taken_in
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


def test_an_attach_is_done_when_its_end_was_taken() -> None:
    """And not when the network let go of the connection first, though the UE holds itself to be registered."""
    accepted = [Sent("Attach Request", "done", ""), Sent("Security Mode Complete", "done", "")]
    assert taken_in([*accepted, Sent("Attach Complete", "done", "")])
    assert taken_in([*accepted, Sent("Attach Complete", "duplicate", "")])
    assert not taken_in(accepted)
    assert not taken_in([*accepted, Sent("Attach Complete", "stale", "")])
