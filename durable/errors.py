"""What the journal's store may raise."""

from __future__ import annotations


class StoreError(Exception):
    """The store did not answer, or not in time."""


class TablesMissingError(StoreError):
    """The store answered that it lacks what was asked for: `edge store migrate` makes the tables."""
