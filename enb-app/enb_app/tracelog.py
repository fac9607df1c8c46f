"""What a caller saw of each item, one JSON object a line, with the trace that is in the functions' logs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import TracebackType
from typing import TextIO

from enb_app.exchange import Answer


class TraceLog:
    """`with` closes the file."""

    def __init__(self, path: Path) -> None:
        """Raises OSError when the file cannot be written."""
        self._file: TextIO = path.open("w", encoding="utf-8")

    def __enter__(self) -> TraceLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, item_id: str, answer: Answer) -> None:
        """An item that was answered, or given up."""
        reply = answer.reply
        record = {
            "ts": round(time.time(), 3),
            "level": "warning" if reply is None else "info",
            "event": "given up" if reply is None else "answered",
            "function": answer.function,
            "trace": "/".join(item_id.split("/")[:2]),
            "item": item_id,
            "result": None if reply is None else reply.result,
            "label": None if reply is None else reply.label,
            "why": answer.why or None,
            "tries": answer.tries,
            "ms": round((answer.answered - answer.posted) * 1000, 3),
        }
        told = {name: value for name, value in record.items() if value is not None}
        self._file.write(json.dumps(told, separators=(",", ":")) + "\n")
        self._file.flush()
