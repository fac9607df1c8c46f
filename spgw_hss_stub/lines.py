"""What the stub logs, as the functions do: one JSON object a line, with the trace of the need's item."""

from __future__ import annotations

import logging

from mme import logs


class Lines(logging.Handler):
    """Writes to stderr.  A record's `need`, if it has one, is the id of a need or of the item that answers it."""

    def emit(self, record: logging.LogRecord) -> None:
        need: str | None = getattr(record, "need", None)
        fault = logging.Formatter().formatException(record.exc_info) if record.exc_info else None
        logs.log(
            record.levelname.lower(),
            record.getMessage(),
            trace=None if need is None else logs.trace_of(need),
            item=need,
            traceback=fault,
        )
