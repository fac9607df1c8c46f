"""The history's file: what is written is read again, in order, and what is no event is refused."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from chaos import history
from chaos.history import Context, Injected, Last, Nas


def test_what_was_written_is_read_in_order_of_time(tmp_path: Path) -> None:
    events = [
        Last(900, 1, registered=True, guti="g"),
        Injected(5, what="node killed", whom="node 2"),
        Context(900, 1, timers={"T3450": -5}, rows=("T3450",)),
        Nas(7, 1, way=history.UP, key="k", count=3, octets="o"),
    ]
    path = tmp_path / "history.jsonl"
    history.write(path, events)
    assert history.read(path) == [events[1], events[3], events[0], events[2]]
    assert path.read_text().splitlines()[0] == '{"event":"injected","at_ms":5,"what":"node killed","whom":"node 2"}'


def test_a_line_that_is_no_event_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text('{"event":"rumour","at_ms":5}\n')
    with pytest.raises(msgspec.DecodeError):
        history.read(path)
