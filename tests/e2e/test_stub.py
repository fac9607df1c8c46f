"""HSS and gateway in processes of their own: in line, late, silent, refusing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.stub import stub
from enb_app.effects import Verdict
from enb_app.options import Mode
from enb_app.result import Result
from mme.needs import Refusal
from spgw_hss_stub.behaviour import Behaviour
from tests.e2e.conftest import Core
from tests.e2e.stub_thread import served

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e-stub")]

TSHARK = shutil.which("tshark")
NAS_NAMES = {
    "0x41": "Attach Request",
    "0x42": "Attach Accept",
    "0x43": "Attach Complete",
    "0x52": "Authentication Request",
    "0x53": "Authentication Response",
    "0x5d": "Security Mode Command",
    "0x5e": "Security Mode Complete",
}


@contextmanager
def processes(core: Core, *options: str) -> Iterator[None]:
    """Both as processes until the block ends, with these options."""
    with stub(core.site, core.hss_port, options), stub(core.site, core.sgw_port, options):
        yield


@contextmanager
def threads(core: Core, hss: Behaviour | None = None, sgw: Behaviour | None = None) -> Iterator[None]:
    """Both until the block ends, each behaving as told."""
    with (
        served(core.site, core.hss_port, hss or Behaviour()),
        served(core.site, core.sgw_port, sgw or Behaviour()),
    ):
        yield


def answers_taken(core: Core) -> int:
    """How many items mme-answer has worked off as new."""
    return sum('"result":"done"' in line["text"] for line in core.gateway.logs("mme-answer"))


def only_cause(result: Result) -> tuple[int | None, str]:
    """Of the one UE, which was refused."""
    (outcome,) = result.outcomes
    assert outcome.verdict is Verdict.REJECTED, outcome.cause
    return outcome.emm_cause, outcome.cause


def test_answers_in_line(stub_core: Core) -> None:
    before = answers_taken(stub_core)
    with processes(stub_core):
        results = [stub_core.attach(ues=5, concurrency=2, mode=mode) for mode in Mode]
    causes = [[outcome.cause for outcome in result.outcomes] for result in results]
    assert [result.attached for result in results] == [5, 5], causes
    assert answers_taken(stub_core) - before < 15, "at most a few are late on a busy machine"


def test_late_answers_come_by_mme_answer(stub_core: Core) -> None:
    """Vector, profile and session each come too late for the function that asked; what follows is pushed."""
    with processes(stub_core, "--delay-ms", "200"):
        for mode in Mode:
            before = answers_taken(stub_core)
            result = stub_core.attach(ues=5, concurrency=5, mode=mode)
            assert result.attached == 5, [outcome.cause for outcome in result.outcomes]
            assert answers_taken(stub_core) - before == 15
            assert result.counters.pushes >= 10


def test_a_silent_hss_is_17(stub_core: Core) -> None:
    """The guard timer ends the wait, not the UE's T3410."""
    with threads(stub_core, hss=Behaviour(loss=1.0)):
        result = stub_core.attach(ues=1)
    assert only_cause(result)[0] == 17
    assert result.outcomes[0].ended_ms - result.outcomes[0].started_ms < 10_000


def test_a_silent_gateway_is_19_with_esm_38(stub_core: Core) -> None:
    with threads(stub_core, sgw=Behaviour(loss=1.0)):
        result = stub_core.attach(ues=1)
    cause, text = only_cause(result)
    assert cause == 19
    assert "#38" in text


@pytest.mark.parametrize(
    ("reason", "expected"),
    [(Refusal.UNKNOWN_SUBSCRIBER, 8), (Refusal.NOT_ALLOWED, 7), (Refusal.UNREACHABLE, 17)],
    ids=lambda value: value.value if isinstance(value, Refusal) else None,
)
def test_what_the_hss_refuses(stub_core: Core, reason: Refusal, expected: int) -> None:
    with threads(stub_core, hss=Behaviour(refuse=reason)):
        assert only_cause(stub_core.attach(ues=1))[0] == expected


@pytest.mark.parametrize(
    ("reason", "esm"),
    [(Refusal.REJECTED, 31), (Refusal.NO_RESOURCES, 26), (Refusal.UNKNOWN_APN, 27)],
    ids=lambda value: value.value if isinstance(value, Refusal) else None,
)
def test_what_the_gateway_refuses(stub_core: Core, reason: Refusal, esm: int) -> None:
    with threads(stub_core, sgw=Behaviour(refuse=reason)):
        cause, text = only_cause(stub_core.attach(ues=1))
    assert cause == 19
    assert f"#{esm}" in text


@pytest.mark.skipif(TSHARK is None and os.environ.get("CI") != "true", reason="tshark is not installed")
def test_a_capture_reads_well_in_wireshark(stub_core: Core, tmp_path: Path) -> None:
    """With EEA0 every NAS message is named, nothing is malformed, and no setting is needed."""
    path = tmp_path / "run.pcap"
    with threads(stub_core):
        assert stub_core.attach(ues=3, concurrency=1, pcap=path).attached == 3
    fields = ["frame.protocols", "s1ap.procedureCode", "nas_eps.nas_msg_emm_type", "_ws.malformed"]
    command = [TSHARK or "tshark", "-r", str(path), "-T", "fields", *(w for name in fields for w in ("-e", name))]
    read = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    frames = [line.split("\t") for line in read.stdout.splitlines()]
    association, messages = frames[:4], frames[4:]
    assert not [frame for frame in association if frame[1]], "SCTP's INIT to COOKIE ACK come first"
    assert len(messages) == 2 + 3 * 10, read.stdout
    assert all("sctp:s1ap" in protocols and code for protocols, code, *_ in messages)
    assert not [frame for frame in frames if frame[3]]
    types = Counter(kind for frame in frames for kind in frame[2].split(",") if kind)
    assert {kind: types[kind] for kind in NAS_NAMES} == dict.fromkeys(NAS_NAMES, 3), types
