"""Mix, options and reports of lives."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from rich.console import Console

from enb_app import cli, life_report, mix
from enb_app.checker import Disagreement
from enb_app.exchange import Counters
from enb_app.lab import LabOptions
from enb_app.life import LifeOptions, LifeResult, ProcedureSample, Progress
from enb_app.life_command import options_from
from enb_app.measure import MessageSample, StoreOperations
from mme.errors import ConfigError


def result(*, fault: str = "", wrong: tuple[Disagreement, ...] = ()) -> LifeResult:
    message = MessageSample(
        "InitialUEMessage", "Service Request", "mme-initial-ue", 1, 9, "done", "", 1, StoreOperations()
    )
    samples = (
        ProcedureSample(1, mix.PAGING, 100.0, 20.0, True, fault),
        ProcedureSample(1, mix.RELEASE, 50.0, 10.0, False),
        ProcedureSample(2, mix.PAGING, 150.0, 30.0, True),
    )
    options = LifeOptions(LabOptions(secrets=Path("x")))
    return LifeResult(options, 0.0, 2.0, 0.1, samples, (message,), wrong, 2, Counters(), 0, 0, 0)


def test_default_mix_is_the_issues_and_says_what_is_left_out() -> None:
    found = mix.load(None)
    assert found.shares == {
        "mobility": 30.0, "paging": 30.0, "service request": 20.0, "release": 10.0, "attach": 4.0, "detach": 1.0
    }  # fmt: skip
    assert found.left_out == {"bearers": 5.0}
    assert found.note().endswith("bearers (5 %), handover")


def test_handover_is_said_to_be_missing_where_the_mix_has_nothing_of_it() -> None:
    assert mix.mix_of({"paging": 1}).note().endswith("bearers, handover")


def test_what_is_not_built_is_shown_as_that_in_help_live_view_table_and_page(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["life", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "bearers 5)" in said
    assert "bearers and handover are left out" in said
    console = Console(record=True, width=160)
    progress = Progress(done={"paging": 3}, left_out=mix.load(None).left_out)
    console.print(life_report.screen(progress))
    life_report.print_tables(console, result())
    rows = [line.split() for line in console.export_text().splitlines()]
    assert ["bearers", "not", "built"] in rows
    assert ["bearers", "not", "built", "(5", "%)"] in rows
    assert ["release", "-", "-", "1", "0"] in [row[:5] for row in rows], "nobody chose it: no row of zeros"
    page = life_report.write_html(result(), tmp_path).read_text()
    assert '<td class="">bearers</td><td class="n">not built</td>' in page


def test_choices_follow_the_shares() -> None:
    random = Random(1)
    counts = Counter(mix.mix_of({"paging": 3, "release": 1}).choose(random) for _ in range(2000))
    assert 1400 < counts["paging"] < 1600
    assert set(counts) == {"paging", "release"}


@pytest.mark.parametrize(
    "text", ['{"dancing": 3}', '{"paging": -1}', '{"paging": true}', '{"bearers": 5}', "[1]", "{", '{"paging": 0}']
)
def test_a_wrong_mix_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mix.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match="--mix"):
        mix.load(path)


def test_options(tmp_path: Path) -> None:
    path = tmp_path / "mix.json"
    path.write_text('{"paging": 1, "handover": 2}')
    words = ["life", "--ues", "5", "--tacs", "7,8", "--mix", str(path), "--seed", "3"]
    options = options_from(cli.parser().parse_args(words))
    assert (options.ues, options.tacs, options.lab.seed) == (5, (7, 8), 3)
    assert options.mix.left_out == {"handover": 2.0}
    for wrong in (["--ues", "0"], ["--tacs", "x"], ["--tacs", "70000"], ["--minutes", "0"], ["--gateway", "x"]):
        with pytest.raises(ConfigError):
            options_from(cli.parser().parse_args(["life", *wrong]))


def test_exit_code_tells_faults_and_disagreements() -> None:
    assert result().exit_code == 0
    assert result(fault="expected Paging, came nothing").exit_code == 1
    assert result(wrong=(Disagreement(1, "00101~x", "GUTI", "Paging", "nothing"),)).exit_code == 1


def test_figures_tell_chosen_from_needed() -> None:
    found = life_report.as_json(result(fault="expected A, came B"))
    by_name = {entry["name"]: entry for entry in found["per_procedure"]}
    assert (by_name["paging"]["chosen"], by_name["paging"]["first"], by_name["paging"]["faults"]) == (2, 0, 1)
    assert (by_name["release"]["chosen"], by_name["release"]["first"]) == (0, 1)
    assert by_name["paging"]["max_ms"] == 30.0  # the failed one does not count
    json.dumps(found)


def test_the_page_is_one_file_and_escapes(tmp_path: Path) -> None:
    path = life_report.write_html(result(fault="<b>expected</b>"), tmp_path)
    page = path.read_text()
    assert "&lt;b&gt;expected" in page
    assert "<b>expected</b>" not in page
    assert "http" not in page.replace("http://www.w3.org", "")
