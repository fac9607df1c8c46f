"""The case command and the registry, against the fake MME over HTTP."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from enb_app import cli, conformance, procedures
from enb_app.case_command import told_again
from enb_app.cases import CASES, GROUPS
from enb_app.cases.case import Case, Deviation, Needs, Script, Stage, check, deviates
from enb_app.cases.not_taken import NOT_TAKEN, OTHERWISE_NAMED
from enb_app.conformance import CaseOptions, CaseResult
from enb_app.journal import UnexpectedError
from enb_app.lab import LabOptions
from enb_app.usim import Subscriber
from mme.codec.envelope import Reply
from mme.errors import ConfigError
from tests.enb_app.fake_gateway import FakeGateway, healthy
from tests.enb_app.fake_mme import FakeMme

ROOT = Path(__file__).resolve().parents[2]


def cases(
    lab: Path, subscribers: dict[str, Subscriber], *names: str, fault: Callable[[int], str] = healthy
) -> list[CaseResult]:
    async def go() -> list[CaseResult]:
        async with FakeGateway(FakeMme(subscribers), fault).running() as gateway:
            options = LabOptions(
                gateway=gateway.url, secrets=lab / "secrets", subscribers=lab / "subscribers.csv", seed=1
            )
            return await conformance.run(CaseOptions(options, names))

    return asyncio.run(go())


def test_a_case_that_passes_and_one_that_fails(lab: Path, subscribers: dict[str, Subscriber]) -> None:
    passed, failed = cases(lab, subscribers, "attach_detach", "attach_emergency_for_another_pdn")
    assert passed.line() == "pass attach_detach"
    assert failed.line().startswith("fail attach_emergency_for_another_pdn: expected Attach Reject, came ")
    assert "Authentication Request" in failed.line()
    assert any("Attach Request: done" in line for line in failed.story)


def test_a_case_survives_lost_calls(lab: Path, subscribers: dict[str, Subscriber]) -> None:
    (result,) = cases(lab, subscribers, "attach_detach", fault=lambda call: "500" if call == 3 else "ok")
    assert result.outcome == "pass"


def test_timer_cases_are_skipped_where_timers_are_real(lab: Path, subscribers: dict[str, Subscriber]) -> None:
    (result,) = cases(lab, subscribers, "no_auth_response")
    assert (result.outcome, "--timers" in result.line()) == ("skip", True)


def test_the_table_and_the_json_tell_every_case(lab: Path, subscribers: dict[str, Subscriber]) -> None:
    results = cases(lab, subscribers, "attach_detach", "no_auth_response")
    text = conformance.markdown(results, "enb-app case attach_detach no_auth_response", date(2026, 11, 22))
    assert "Made by `enb-app case attach_detach no_auth_response`" in text
    assert "Last run, 2026-11-22: 1 passed" in text
    assert "1 passed, 0 failed, 1 skipped" in text
    assert "| `attach_detach` | 5.5.1.2, 5.5.2.2 |" in text
    assert "| `multi_enb_multi_ue_diff_plmn` | one PLMN is served" in text
    assert "| `resync` | `attach_auth_resync` |" in text
    told = json.loads(json.dumps(conformance.as_json(results)))
    assert [entry["outcome"] for entry in told["cases"]] == ["pass", "skip"]


def test_the_table_tells_the_command_again_without_where_and_whose_keys() -> None:
    given = "case --all --only tau --timers 0.1 --concurrency 8 --gateway http://gateway.example --secrets /keys"
    told = told_again(cli.parser().parse_args(given.split()))
    assert told == "enb-app case --all --only tau --timers 0.1 --concurrency 8"
    assert (
        told_again(cli.parser().parse_args(["case", "a", "b", "--long"])) == "enb-app case a b --long --concurrency 4"
    )


def test_what_was_sent_again_because_its_answer_was_late_is_done_and_what_was_refused_is_not() -> None:
    """docs/envelope.md: `duplicate`, worked off before, and later items too."""
    for result in ("done", "duplicate"):
        procedures.done(Reply("item", result), "page")
    for result in ("rejected", "stale", "retry", "discarded"):
        with pytest.raises(UnexpectedError):
            procedures.done(Reply("item", result), "page")


DEVIATION = Deviation("on purpose", "docs/decisions/0008-voided-connections.md")


async def _deviates(_stage: Stage) -> None:
    deviates("one thing", "another")


async def _fails(_stage: Stage) -> None:
    check(held=False, expected="one thing", came="a third")


def _case(script: Script, deviation: Deviation | None) -> Case:
    return Case("x", "s1", "10.6", "x", script, deviation=deviation)


@pytest.mark.parametrize(
    ("case", "line"),
    [
        (
            _case(_deviates, DEVIATION),
            "deviates x: expected one thing, came another: on purpose (docs/decisions/0008-voided-connections.md)",
        ),
        (_case(_deviates, None), "fail x: expected one thing, came another"),
        (_case(_fails, DEVIATION), "fail x: expected one thing, came a third"),
    ],
)
def test_a_deviation_counts_where_it_is_admitted_and_covers_nothing_else(
    lab: Path,
    subscribers: dict[str, Subscriber],
    monkeypatch: pytest.MonkeyPatch,
    case: Case,
    line: str,
) -> None:
    monkeypatch.setitem(CASES, "x", case)
    results = cases(lab, subscribers, "x")
    assert [result.line() for result in results] == [line]
    deviating = int(line.startswith("deviates"))
    figures = conformance.as_json(results)
    assert (figures["deviating"], figures["failed"], figures["passed"]) == (deviating, 1 - deviating, 0)
    assert conformance.summary(results).endswith("1 deviating") is bool(deviating)


def test_every_deviation_is_in_the_decision_that_it_names_and_among_the_procedures() -> None:
    deviating = {name: case.deviation for name, case in CASES.items() if case.deviation is not None}
    assert set(deviating) == {"two_enbs_with_one_identity"}
    procedures = (ROOT / "docs/procedures.md").read_text("utf-8")
    for name, deviation in deviating.items():
        assert f"`{name}`" in (ROOT / deviation.decision).read_text("utf-8")
        assert any(f"case `{name}`" in row and "DEVIATES" in row for row in procedures.splitlines())


def magmas() -> dict[str, list[str]]:
    """Names of Magma's cases by our groups."""
    lines = [line for line in (Path(__file__).parent / "s1aptests.txt").read_text().splitlines() if line[0] != "#"]
    return {group: names.split() for group, _, names in (line.partition(":") for line in lines)}


def test_each_of_magmas_cases_is_here_or_it_is_said_why_not() -> None:
    there = [name for names in magmas().values() for name in names]
    assert set(magmas()) == set(GROUPS)
    assert len(there) == len(set(there)) == 117
    left_out = [name for entry in NOT_TAKEN for name in entry.names]
    assert len(left_out) == len(set(left_out))
    assert set(left_out) | set(OTHERWISE_NAMED) <= set(there)
    assert not set(left_out) & set(CASES)
    assert set(OTHERWISE_NAMED.values()) <= set(CASES)
    missing = set(there) - set(CASES) - set(OTHERWISE_NAMED) - set(left_out)
    assert not missing, f"neither taken nor said why not: {sorted(missing)}"


def test_what_a_reason_names_is_there() -> None:
    for entry in NOT_TAKEN:
        assert len(entry.because.split()) > 3
        for path in re.findall(r"(?:tests|docs)/[\w./-]+\w", entry.because):
            assert (ROOT / path).is_file(), path


def test_every_group_has_cases_and_every_case_says_what_it_expects() -> None:
    assert {case.group for case in CASES.values()} == set(GROUPS)
    assert len(CASES) >= 150
    for case in CASES.values():
        assert case.expected
        assert "|" not in case.expected
        assert case.clause
        assert all(isinstance(need, Needs) for need in case.needs)


def test_names_are_checked() -> None:
    assert conformance.chosen(("attach_detach",), everything=False, only=None) == ("attach_detach",)
    only = conformance.chosen((), everything=True, only="tau")
    assert {CASES[name].group for name in only} == {"tau"}
    with pytest.raises(ConfigError, match="there is no case attach_detac; attach_detach"):
        conformance.chosen(("attach_detac",), everything=False, only=None)
    with pytest.raises(ConfigError, match="--only"):
        conformance.chosen((), everything=True, only="x")
    with pytest.raises(ConfigError, match="--all"):
        conformance.chosen((), everything=False, only=None)


def test_list_needs_no_gateway(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["case", "--list"]) == 0
    shown = capsys.readouterr().out
    assert "no_auth_response" in shown
    assert "Tracking area update (--only tau)" in shown


def test_without_a_key_the_run_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = cli.main(["case", "attach_detach", "--secrets", str(tmp_path), "--subscribers", str(tmp_path / "x.csv")])
    assert status == 2
    assert "--secrets" in capsys.readouterr().err
