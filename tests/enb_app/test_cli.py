"""The command line: errors in one line, defaults, and what is written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from enb_app import cli
from enb_app.attach import attach
from enb_app.options import AttachOptions, Mode
from enb_app.usim import Subscriber
from mme.ids import GlobalEnbId, Plmn
from tests.enb_app.fake_gateway import FakeGateway
from tests.enb_app.fake_mme import FakeMme


def run(*words: object) -> int:
    return cli.main(["attach", *(str(word) for word in words)])


def of_lab(lab: Path) -> list[object]:
    return ["--subscribers", lab / "subscribers.csv", "--secrets", lab / "secrets", "--gateway", "http://127.0.0.1:9"]


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGE_SECRETS_DIR", raising=False)
    options = cli.options_from(cli.parser().parse_args(["attach"]))
    assert (options.gateway, options.ues, options.concurrency) == ("http://127.0.0.1:8080", 200, 50)
    assert (options.mode, options.tac) == (Mode.ASYNC, 7)
    assert options.enb == GlobalEnbId(Plmn("00101"), 0x19B)
    assert options.secrets == Path(".localfaas/secrets")
    assert options.subscribers == Path(".localfaas/subscribers.csv")
    monkeypatch.setenv("EDGE_SECRETS_DIR", "elsewhere")
    assert AttachOptions().secrets == Path("elsewhere")


@pytest.mark.parametrize("words", [["--help"], ["attach", "--help"]])
def test_help_is_documentation(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert stop.value.code == 0
    told = capsys.readouterr().out
    assert "exit status" in told
    assert "examples" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--ues", 21], "has 20"),
        (["--secrets", "nowhere"], "--secrets: nowhere/edge-signing-key is missing"),
        (["--subscribers", "nowhere.csv"], "--subscribers: cannot read nowhere.csv"),
        (["--enb-key-file", "nowhere"], "--enb-key-file: cannot read nowhere"),
        (["--enb-key-file", "x", "--enbs", 2], "--enb-key-file: holds the key of one eNB"),
        (["--gateway", "127.0.0.1:8080"], "--gateway: must begin with http://"),
        (["--enb-id", "0x100000"], "--enb-id"),
        (["--replay", "--eager"], "--replay"),
        (["--tac", 70000], "--tac"),
        (["--ues", 1], "cannot be reached"),
        (["--ues", 1, "--pcap", "no/such/directory/a.pcap"], "no/such/directory/a.pcap"),
    ],
)
def test_what_cannot_run_says_so_in_one_line_and_exits_2(
    lab: Path, words: list[object], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*of_lab(lab), *words) == 2
    captured = capsys.readouterr()
    assert told in captured.err
    assert captured.err.startswith("enb-app: ")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("imsi,k\n1,2\n", "needs the columns imsi,k,opc"),
        ("imsi,k,opc\n001010000000001,00,00\n", "line 2: k must be 32 hex digits"),
        (f"imsi,k,opc\nx,{'0' * 32},{'0' * 32}\n", "line 2"),
        (f"imsi,k,opc\n001010000000001,{'0' * 32}\n", "line 2: opc"),
    ],
)
def test_a_bad_subscriber_list(lab: Path, content: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    (lab / "subscribers.csv").write_text(content)
    assert run(*of_lab(lab), "--ues", 1) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--ues", "0"], ["--rate", "-1"], ["--mode", "x"], ["--detach", "--switch-off"]])
def test_bad_options_are_usage_errors(words: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["attach", *words])
    assert stop.value.code == 2


@pytest.mark.parametrize("content", [b"imsi,k,opc\n\xff\xfe\x00\n", b"\x89PNG\r\n\x1a\n\x00"])
def test_a_subscriber_list_that_is_no_text(lab: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    (lab / "subscribers.csv").write_bytes(content)
    assert run(*of_lab(lab), "--ues", 1) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "subscribers.csv is no CSV file in UTF-8" in told


def test_a_subscriber_list_with_a_byte_order_mark(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = lab / "subscribers.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert run(*of_lab(lab), "--ues", 1) == 2
    assert "cannot be reached" in capsys.readouterr().err


@pytest.fixture
def no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object, **__: object) -> object:
        raise AssertionError

    monkeypatch.setattr(cli, "_attach", never)


@pytest.mark.usefixtures("no_run")
@pytest.mark.parametrize(
    ("option", "place", "told"),
    [
        ("--pcap", "nowhere/x.pcap", "nowhere: make it or name another"),
        ("--log", "nowhere/x.log", "nowhere: make it or name another"),
        ("--json", "nowhere/x.json", "nowhere: make it or name another"),
        ("--json", "secrets", "is a folder: name a file in it"),
        ("--report", "subscribers.csv", "name a folder that you may write to"),
        ("--report", "subscribers.csv/below", "name a folder that you may write to"),
        ("--pcap", "/proc/x.pcap", "name a place in a folder that you may write to"),
    ],
)
def test_where_nothing_can_be_written_is_said_before_the_run(
    lab: Path, option: str, place: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*of_lab(lab), option, lab / place) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"enb-app: {option}: ")
    assert told in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", [["case", "--all", "--markdown"], ["life", "--json"]])
def test_other_commands_look_where_they_write_too(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*command, "no/such/x"]) == 2
    assert capsys.readouterr().err.startswith(f"enb-app: {command[-1]}: cannot write no/such/x")


def test_looking_leaves_no_file_behind(lab: Path) -> None:
    assert run(*of_lab(lab), "--ues", 1, "--json", lab / "a.json", "--report", lab / "r") == 2
    assert not (lab / "a.json").exists()
    assert list((lab / "r").iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--ues", "abc"], "--ues: must be a whole number above 0"),
        (["--ues", "0"], "--ues: must be a whole number above 0"),
        (["--rate", "x"], "--rate: must be a number above 0"),
        (["--rate", "nan"], "--rate: must be a number above 0"),
        (["--tac", "x"], "--tac: must be a whole number"),
    ],
)
def test_numbers_that_are_none(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["attach", *words])
    assert stop.value.code == 2
    assert told in capsys.readouterr().err


def test_a_missing_key_names_what_makes_one(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (lab / "secrets" / "edge-signing-key").unlink()
    assert run(*of_lab(lab)) == 2
    told = capsys.readouterr().err
    assert "`make up`" in told
    assert "`edge secrets init DIR`" in told
    assert "localfaas" not in told


def test_a_whole_run_with_everything_it_can_write(
    lab: Path, subscribers: dict[str, Subscriber], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway = FakeGateway(FakeMme(subscribers))

    async def through_gateway(options: AttachOptions, *more: object, **_: object) -> object:
        async with gateway.running():
            return await attach(replace(options, gateway=gateway.url))

    monkeypatch.setattr(cli, "_attach", through_gateway)
    files = lab / "out.json", lab / "report", lab / "out.pcap", lab / "out.log"
    words = [*of_lab(lab), "--ues", 20, "--ladder", "--json", files[0], "--report", files[1], "--pcap", files[2]]
    words += ["--log", files[3]]
    assert run(*words) == 0
    told = capsys.readouterr().out
    assert told.count("attached 20/20") == 1
    for name in ("InitialUEMessage", "Attach Request", "mme-initial-ue", "Security Mode Complete", "EMM Information"):
        assert name in told
    figures = json.loads(files[0].read_text())
    assert (figures["attached"], figures["failed"], figures["invocations"]) == (20, 0, 121)
    assert figures["p50_ms"] <= figures["p95_ms"] <= figures["p99_ms"] <= figures["max_ms"]
    assert len(figures["samples_ms"]) == len(figures["outcomes"]) == 20
    assert figures["store_reads"] == figures["store_conditional_writes"] == 120
    page = (files[1] / "index.html").read_text()
    assert page.count("<svg") == 4
    assert "http://" not in page.replace("http://www.w3.org/", "")
    assert "20/20" in page
    assert files[2].stat().st_size > 20 * 6 * 50
    lines = [json.loads(line) for line in files[3].read_text().splitlines()]
    assert len(lines) == 1 + 20 * 6  # S1 SETUP, and six messages a UE
    for outcome in figures["outcomes"]:
        of_one = [line for line in lines if line["trace"] == f"{outcome['enb']}/{outcome['run']}"]
        assert {(line["event"], line["result"], line["tries"]) for line in of_one} == {("answered", "done", 1)}
        assert len({line["item"] for line in of_one}) == len(of_one) == 6


def test_an_interrupted_run_says_so(
    lab: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def interrupted(*_: object, **__: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_attach", interrupted)
    assert run(*of_lab(lab)) == 130
    assert "interrupted" in capsys.readouterr().err
