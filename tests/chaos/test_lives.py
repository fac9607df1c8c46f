"""What the run counts as a UE that was attached."""

from __future__ import annotations

from chaos.lives import taken_in
from enb_app.journal import Sent


def test_an_attach_counts_from_the_moment_its_end_is_taken() -> None:
    """What is slow or lost after that, a release for example, takes nothing back."""
    complete = [Sent("Attach Complete", "done", ""), Sent("UEContextReleaseRequest", "lost", "")]
    assert taken_in(complete)
    assert taken_in([Sent("Attach Complete", "duplicate", "")])


def test_an_attach_whose_end_was_not_taken_does_not_count() -> None:
    assert not taken_in([Sent("Attach Request", "done", ""), Sent("Attach Complete", "lost", "")])
    assert not taken_in([Sent("Attach Complete", "stale", "")])
    assert not taken_in([])
