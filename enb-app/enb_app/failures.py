"""What ends a run before its time."""

from __future__ import annotations


class RunBrokeError(Exception):
    """The run could not be made; the text says what to do next."""
