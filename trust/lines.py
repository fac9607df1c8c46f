"""What libraries log, and what ends a thread or the process, as lines of the log: JSON objects, like all others.

A function has this from its template, which stands alone.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from types import TracebackType

Log = Callable[..., None]
"""Level, event and fields by name; None ones are left out."""
Fields = Callable[[logging.LogRecord], Mapping[str, object]]


def no_fields(_record: logging.LogRecord) -> Mapping[str, object]:
    """What a library's record is told with beside its logger's name."""
    return {}


class Lines(logging.Handler):
    """Writes a record by `log`: its logger's name, the traceback, if it has one, and `fields` of it."""

    def __init__(self, log: Log, fields: Fields = no_fields) -> None:
        super().__init__()
        self._log, self._fields = log, fields

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line.  What does not fit its own arguments is said as it stands: it must not break the call."""
        try:
            try:
                event = record.getMessage()
            except Exception:  # noqa: BLE001  whatever an argument raises when it is made text
                event = str(record.msg)
            fault = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else None
            self._log(record.levelname.lower(), event, logger=record.name, traceback=fault, **self._fields(record))
        except Exception:  # noqa: BLE001  nor may it where there is no text of it at all
            self.handleError(record)


def log_in_lines(log: Log) -> None:
    """Have this process write by `log` all that would be text otherwise."""

    def uncaught(
        kind: type[BaseException],
        error: BaseException | None,
        frames: TracebackType | None,
        thread: str | None = None,
    ) -> None:
        # A thread's SystemExit is an end as wanted.
        if not issubclass(kind, SystemExit):
            text = "".join(traceback.format_exception(kind, error, frames))
            log("error", "uncaught exception", thread=thread, traceback=text)

    logging.getLogger().addHandler(Lines(log))
    logging.captureWarnings(capture=True)
    sys.excepthook = uncaught
    threading.excepthook = lambda of: uncaught(
        of.exc_type, of.exc_value, of.exc_traceback, of.thread.name if of.thread else None
    )
    sys.unraisablehook = lambda of: uncaught(of.exc_type, of.exc_value, of.exc_traceback)
