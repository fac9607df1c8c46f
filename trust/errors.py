"""Errors that every function answers alike."""

from __future__ import annotations

REFUSALS = (400, 401, 405, 413)
"""HTTP statuses of a request that is refused whole."""


class EnvelopeError(Exception):
    """The request is refused whole, before anything in it is looked at.  status: one of REFUSALS."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class ConfigError(Exception):
    """A setting is missing or wrong: at start, exit 1.  key: its name."""

    def __init__(self, key: str, detail: str) -> None:
        super().__init__(f"{key}: {detail}")
        self.key = key
