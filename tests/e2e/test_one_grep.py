"""One attach is one grep: its trace is in what the caller logs, in the functions' logs, and in the store."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Core

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e-core")]

FUNCTIONS = ("mme-enb", "mme-initial-ue", "mme-uplink-nas", "mme-ue-context", "mme-answer", "mme-timer")
LEVELS = {"info", "warning", "error"}
MESSAGES = {
    "mme-initial-ue": ["AttachRequest"],
    "mme-uplink-nas": ["AuthenticationResponse", "SecurityModeComplete", "AttachComplete"],
    "mme-ue-context": ["UeCapabilityInfoIndication", "InitialContextSetupResponse"],
}


def kept(core: Core, folder: Path) -> list[Path]:
    """The functions' logs as files, a line each as they wrote it."""
    paths = []
    for name in FUNCTIONS:
        # localfaas says of itself, among a function's lines, when it starts or stops a replica.
        texts = [line["text"] for line in core.gateway.logs(name) if not line["text"].startswith("localfaas:")]
        paths.append(folder / f"{name}.log")
        paths[-1].write_text("".join(f"{text}\n" for text in texts))
    return paths


def grep(text: str, *paths: Path) -> list[dict[str, Any]]:
    found = subprocess.run(
        ["/usr/bin/env", "grep", "-h", "-F", "--", text, *paths], capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in found.stdout.splitlines()]


def test_one_attach_has_one_trace_from_the_caller_to_the_store(core: Core, tmp_path: Path) -> None:
    caller = tmp_path / "caller.log"
    result = core.attach(ues=3, concurrency=3, log=caller)
    assert result.attached == 3
    functions = kept(core, tmp_path)
    contexts = core.registered()
    for outcome in result.outcomes:
        trace = f"{outcome.enb}/{outcome.run}"
        found = grep(f'"trace":"{trace}"', caller, *functions)
        asked = [entry for entry in found if entry["event"] == "answered"]
        worked = [entry for entry in found if entry["event"] == "item"]
        # What the caller sent is what functions worked off, item by item; one sent again was a duplicate.
        assert {entry["item"] for entry in asked} == {entry["item"] for entry in worked}
        by_function = {name: {e["message"] for e in worked if e["function"] == name} for name in MESSAGES}
        assert by_function == {name: set(messages) for name, messages in MESSAGES.items()}
        assert all(entry["item"].startswith(f"{trace}/") for entry in found)
        # What each did in the store, and the row that they wrote.
        done = [entry for entry in worked if entry["result"] == "done"]
        assert {entry["item"] for entry in done} == {entry["item"] for entry in worked}
        assert all(entry["reads"] > 0 and entry["conditional_writes"] > 0 for entry in done)
        assert [ctx.origin.rpartition("/")[0] for ctx in contexts if trace in ctx.origin] == [trace]


def test_every_line_is_an_object_with_a_level_and_those_about_an_item_have_its_trace(
    core: Core, tmp_path: Path
) -> None:
    core.attach(ues=1)
    core.gateway.invoke("mme-enb", b"no JSON")  # refused, and said in a line
    files = kept(core, tmp_path)
    tickers = [core.site.folder / name for name in ("ticker.log", "placement-ticker.log")]
    seen = set()
    for path in (*files, *(path for path in tickers if path.exists())):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            assert isinstance(entry, dict), path
            assert entry["level"] in LEVELS, (path, line)
            assert entry["ts"] > 0
            assert ("item" in entry) == ("trace" in entry), (path, line)
            seen.add(entry["event"])
    assert {"item", "request refused"} <= seen
