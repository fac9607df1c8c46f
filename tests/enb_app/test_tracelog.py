"""The caller's lines: one JSON object for each item that ends, with the trace of the functions' logs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from enb_app.exchange import Answer
from enb_app.tracelog import TraceLog
from mme.codec.envelope import Reply

ITEM = "00101-0019b/a1b2c3-7/4"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        pytest.param(
            Answer(Reply(ITEM, "rejected", label="attach reject #8", error="no"), "mme-initial-ue", 10.0, 10.25, 2),
            {
                "level": "info",
                "event": "answered",
                "result": "rejected",
                "label": "attach reject #8",
                "tries": 2,
                "ms": 250.0,
            },
            id="answered",
        ),
        pytest.param(
            Answer(None, "mme-initial-ue", 10.0, 70.0, 3, "no answer, 3 times sent"),
            {
                "level": "warning",
                "event": "given up",
                "why": "no answer, 3 times sent",
                "tries": 3,
                "ms": 60000.0,
            },
            id="given up",
        ),
    ],
)
def test_a_line_says_how_an_item_ended(tmp_path: Path, answer: Answer, told: dict[str, object]) -> None:
    path = tmp_path / "run.log"
    with TraceLog(path) as log:
        log.write(ITEM, answer)
        while_it_runs = path.read_text()
    (line,) = path.read_text().splitlines()
    entry = json.loads(line)
    assert entry.pop("ts") > 1_700_000_000
    assert entry == {"trace": "00101-0019b/a1b2c3-7", "item": ITEM, "function": "mme-initial-ue", **told}
    assert while_it_runs == line + "\n"
