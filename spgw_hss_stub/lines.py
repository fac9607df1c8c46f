"""What the stub's lines tell beside what it says: the trace of the need's item, as the functions' do."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from mme import logs


def of_need(record: logging.LogRecord) -> Mapping[str, object]:
    """A record's `need`, if it has one, is the id of a need or of the item that answers it."""
    need: str | None = getattr(record, "need", None)
    return {} if need is None else {"trace": logs.trace_of(need), "item": need}
