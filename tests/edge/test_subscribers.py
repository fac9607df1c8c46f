"""`edge subscribers`: what gets in, what is refused with its row, and that keys never come out."""

from __future__ import annotations

import csv
import io
import stat
import sys
from pathlib import Path

import pytest

from edge import subscribers
from edge.cli import main
from mme.crypto import milenage
from mme.hss.embedded import EmbeddedHss
from mme.hss.subscribers import KeyCipher, decode
from mme.ids import Imsi, Plmn
from mme.needs import NeedVector, Vector
from mme.store.base import Table
from mme.store.sqlite import SqliteStore
from trust.secrets import read_secret

IMSI = "001010123456780"
K = "465b5ce8b199b49faa5f0a2ee238a6bc"
OPC = "cd63cb71954a9f4e48a5994e37a02baf"
OP = "cdc202d5123e20f62b6d676ac72cb318"
"""TS 35.208 4.3.1: OPc of this K and OP is the one above."""


class Edge:
    """The command line with a store and secrets of its own."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self.url = f"sqlite:///{directory / 'store.db'}"
        self.secrets = directory / "secrets"
        self._capsys = capsys
        assert main(["secrets", "init", str(self.secrets)]) == 0
        capsys.readouterr()
        self.out = self.err = ""

    def __call__(self, command: str, *arguments: str) -> int:
        options = ["--store", self.url] if command != "generate" else []
        options += ["--secrets", str(self.secrets)] if command in ("add", "import", "reseal") else []
        code = main(["subscribers", command, *arguments, *options])
        self.out, self.err = self._capsys.readouterr()
        return code

    def csv(self, text: str) -> str:
        path = self.directory / "subscribers.csv"
        path.write_text(text)
        return str(path)

    def stored(self) -> dict[str, tuple[str, str, str, int, str]]:
        store = SqliteStore(self.directory / "store.db")
        cipher = KeyCipher(read_secret("subscriber-key", self.secrets))
        found = {}
        for imsi, row in store.scan(Table.SUBSCRIBER):
            subscriber = decode(Imsi(imsi), row.value)
            keys = cipher.open(subscriber)
            apn = subscriber.profile.apns[0].access_point_name
            found[imsi] = (keys.k.hex(), keys.opc.hex(), subscriber.amf.hex(), subscriber.sqn, apn)
        store.close()
        return found


@pytest.fixture
def edge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Edge:
    return Edge(tmp_path, capsys)


def test_add_by_files_and_the_hss_makes_vectors_of_it(edge: Edge, tmp_path: Path) -> None:
    (tmp_path / "k").write_text(K + "\n")
    (tmp_path / "opc").write_text(OPC.upper())
    arguments = ["--k-file", str(tmp_path / "k"), "--opc-file", str(tmp_path / "opc"), "--ambr-dl", "2G"]
    assert edge("add", "--imsi", IMSI, *arguments) == 0
    assert edge.stored() == {IMSI: (K, OPC, "8000", 0, "internet")}
    store = SqliteStore(tmp_path / "store.db")
    hss = EmbeddedHss(store, read_secret("subscriber-key", edge.secrets))
    vector = hss.ask(NeedVector("n", 1, Imsi(IMSI), Plmn("00101")))
    assert isinstance(vector, Vector)
    accepted = milenage.check_autn(bytes.fromhex(K), bytes.fromhex(OPC), vector.rand, vector.autn, bytes(6))
    assert isinstance(accepted, milenage.Accepted)
    store.close()


def test_add_by_op_and_from_standard_input(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(K + "\n"))
    assert edge("add", "--imsi", IMSI, "--k-file", "-", "--op", OP, "--sqn", "64", "--apn", "ims", "--amf", "9001") == 0
    assert edge.stored() == {IMSI: (K, OPC, "9001", 64, "ims")}


def test_adding_twice_changes_nothing(edge: Edge) -> None:
    edge("add", "--imsi", IMSI, "--k", K, "--opc", OPC)
    assert edge("add", "--imsi", IMSI, "--k", OPC, "--opc", K) == 1
    assert "already" in edge.err
    assert edge.stored() == {IMSI: (K, OPC, "8000", 0, "internet")}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"--imsi": "12345"}, "imsi"),
        ({"--imsi": "00101012345678x"}, "imsi"),
        ({"--k": K[:-1]}, "k must be 32 hex digits"),
        ({"--k": "x" * 32}, "k must be 32 hex digits"),
        ({"--opc": OPC + "00"}, "opc must be 32 hex digits"),
        ({"--amf": "0000"}, "separation bit"),
        ({"--amf": "80"}, "amf must be 4 hex digits"),
        ({"--sqn": "-1"}, "sqn"),
        ({"--sqn": str(1 << 48)}, "sqn"),
        ({"--apn": "no spaces"}, "apn"),
        ({"--ambr-dl": "fast"}, "ambr-dl"),
        ({"--ambr-ul": "11G"}, "ambr-ul"),
    ],
)
def test_fields_that_are_wrong(edge: Edge, changes: dict[str, str], said: str) -> None:
    arguments = {"--imsi": IMSI, "--k": K, "--opc": OPC} | changes
    assert edge("add", *[part for pair in arguments.items() for part in pair]) == 1
    assert said in edge.err
    assert edge.stored() == {}
    for secret in (arguments["--k"], arguments["--opc"]):
        assert secret not in edge.err + edge.out


@pytest.mark.parametrize(
    "arguments",
    [["--k", K], ["--k", K, "--opc", OPC, "--op", OP], ["--opc", OPC], ["--k", K, "--k-file", "f", "--opc", OPC]],
)
def test_command_lines_that_are_wrong(edge: Edge, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        edge("add", "--imsi", IMSI, *arguments)
    assert ended.value.code == 2


def test_help_warns_of_keys_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["subscribers", "add", "--help"])
    assert "visible in process lists" in " ".join(capsys.readouterr().out.split())


def test_no_store(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    monkeypatch.delenv("STORE_URL", raising=False)
    assert main(["subscribers", "list"]) == 2
    assert "STORE_URL" in capsys.readouterr().err
    monkeypatch.setenv("STORE_URL", f"sqlite:///{tmp_path}/missing/store.db")
    assert main(["subscribers", "list"]) == 1
    assert "store.db" in capsys.readouterr().err


def test_import(edge: Edge) -> None:
    path = edge.csv(
        "imsi,k,opc,op,amf,apn,sqn\n"
        f"{IMSI},{K},{OPC},,,,\n"
        f"001010123456781, {K.upper()} ,,{OP},9001,ims,32\n"
        "\n"
        f"310410123456782,{K},{OPC},,8000,internet.example,0\n"
    )
    assert edge("import", path) == 0
    assert edge.out == "imported 3\n"
    assert edge.stored() == {
        IMSI: (K, OPC, "8000", 0, "internet"),
        "001010123456781": (K, OPC, "9001", 32, "ims"),
        "310410123456782": (K, OPC, "8000", 0, "internet.example"),
    }


BAD = (
    "imsi,k,opc,amf\n"
    f"{IMSI},{K},{OPC},8000\n"
    f"12,{K},{OPC},8000\n"
    f"001010123456781,{K[:-2]},{OPC},8000\n"
    f"001010123456782,{K},,8000\n"
    f"{IMSI},{K},{OPC},8000\n"
    f"001010123456783,{K},{OPC},8000,more\n"
    f"001010123456784,{K}\n"
    f"001010123456785,{K},{OPC},0000\n"
    f"001010123456786,{K},{OPC},8000\n"
)


def test_nothing_is_imported_when_rows_are_bad(edge: Edge) -> None:
    path = edge.csv(BAD)
    assert edge("import", path) == 1
    assert [line.removeprefix(path) for line in edge.err.splitlines()[:-1]] == [
        ":3: imsi must be 6 to 15 digits",
        ":4: k must be 32 hex digits",
        ":5: one of opc and op must be given",
        ":6: the IMSI of line 2 again",
        ":7: more fields than the first row",
        ":8: one of opc and op must be given",
        ":9: amf must have the separation bit (8000) set",
    ]
    assert "7 bad rows, imported 0" in edge.err
    assert edge.stored() == {}
    assert K not in edge.err
    assert OPC not in edge.err


def test_partial_imports_the_good_rows(edge: Edge) -> None:
    assert edge("import", edge.csv(BAD), "--partial") == 1
    assert set(edge.stored()) == {IMSI, "001010123456786"}
    assert edge.out == "imported 2, 7 bad rows left out\n"


def test_a_row_that_is_there_already_is_bad(edge: Edge) -> None:
    edge("add", "--imsi", IMSI, "--k", K, "--opc", OPC, "--sqn", "320")
    path = edge.csv(f"imsi,k,opc\n{IMSI},{OPC},{K}\n001010123456781,{K},{OPC}\n")
    assert edge("import", path) == 1
    assert ":2: the subscriber is there already" in edge.err
    assert edge.stored() == {IMSI: (K, OPC, "8000", 320, "internet")}


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{IMSI},{K},{OPC}\n",
        f"imsi,k\n{IMSI},{K}\n",
        f"imsi,k,opc,secret\n{IMSI},{K},{OPC},1\n",
        f"imsi,k,opc,k\n{IMSI},{K},{OPC},{K}\n",
        "imsi,k,opc\n\udcff\udcfe,1,2\n",
    ],
    ids=["empty", "no header", "no opc", "unknown column", "column twice", "no text"],
)
def test_files_that_are_none(edge: Edge, tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert edge("import", str(path)) == 1
    assert "bad.csv" in edge.err
    assert K not in edge.err
    assert edge("import", str(tmp_path / "missing.csv")) == 1
    assert "missing.csv" in edge.err
    assert edge.stored() == {}


def test_list_shows_all_but_keys(edge: Edge) -> None:
    edge("add", "--imsi", IMSI, "--k", K, "--opc", OPC, "--ambr-dl", "1500k", "--apn", "ims.example")
    assert edge("list") == 0
    for text in (IMSI, "ims.example", "1500k", "50M", "8000", "1 subscribers"):
        assert text in edge.out
    for secret in (K, OPC):
        assert secret not in edge.out.lower()


def test_no_key_is_in_the_file_in_clear(edge: Edge, tmp_path: Path) -> None:
    edge("import", edge.csv(f"imsi,k,opc\n{IMSI},{K},{OPC}\n"))
    (tmp_path / "subscribers.csv").unlink()
    octets = b"".join(path.read_bytes() for path in tmp_path.glob("store.db*"))
    assert IMSI.encode() in octets
    for secret in (K, OPC):
        for form in (secret.encode(), secret.upper().encode(), bytes.fromhex(secret)):
            assert form not in octets


def test_generated_subscribers_can_be_imported(edge: Edge, tmp_path: Path) -> None:
    out = tmp_path / "lab.csv"
    assert edge("generate", "--count", "25", "--start-imsi", "001010000000090", "--out", str(out)) == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [row["imsi"] for row in rows] == [f"0010100000{number:05}" for number in range(90, 115)]
    assert len({row["k"] for row in rows} | {row["opc"] for row in rows}) == 50
    assert edge("import", str(out)) == 0
    assert edge.stored()["001010000000114"][0] == rows[-1]["k"]
    assert edge("generate", "--count", "1", "--start-imsi", IMSI, "--out", str(out)) == 1
    assert len(out.read_text().splitlines()) == 26, "not overwritten"


@pytest.mark.parametrize(("count", "start"), [("0", IMSI), ("2", "999999"), ("1", "12"), ("99999999", IMSI)])
def test_generate_what_cannot_be(edge: Edge, tmp_path: Path, count: str, start: str) -> None:
    assert edge("generate", "--count", count, "--start-imsi", start, "--out", str(tmp_path / "lab.csv")) == 1
    assert not (tmp_path / "lab.csv").exists()


@pytest.mark.parametrize(("seconds", "terminal", "shown"), [(1.9, True, False), (2.1, True, True), (2.1, False, False)])
def test_the_progress_bar_is_for_those_who_wait(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, seconds: float, terminal: bool, shown: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    times = iter([0.0, seconds])
    with subscribers.progress_after(2.0, "importing", 1, clock=lambda: next(times)) as advance:
        advance()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert ("importing" in captured.err) is shown
    assert bool(captured.err) is shown


def test_a_mistyped_store_is_not_made(edge: Edge, tmp_path: Path) -> None:
    edge.url = f"sqlite:///{tmp_path}/stroe.db"
    assert edge("list") == 1
    assert "there is no store" in edge.err
    assert "stroe.db" in edge.err
    assert edge.err.count("\n") == 1
    assert not (tmp_path / "stroe.db").exists()


def test_files_that_are_not_there(edge: Edge, tmp_path: Path) -> None:
    arguments = ["--imsi", IMSI, "--k-file", str(tmp_path / "none"), "--opc", OPC]
    assert edge("add", *arguments) == 1
    assert "none: cannot be read (No such file or directory)" in edge.err
    assert edge("generate", "--count", "1", "--start-imsi", IMSI, "--out", str(tmp_path / "no" / "x.csv")) == 1
    assert "x.csv: cannot be written (No such file or directory)" in edge.err


def test_the_key_of_the_keys_is_replaced_and_the_old_one_dropped(edge: Edge) -> None:
    """Without `reseal` the subscribers' keys could not be opened any more."""
    rows = "".join(f"00101012345678{n},{K},{OPC}\n" for n in range(3))
    assert edge("import", edge.csv("imsi,k,opc\n" + rows)) == 0
    before = edge.stored()
    for step in ("add-key", "use-key"):
        assert main(["secrets", step, "subscriber-key", "--secrets", str(edge.secrets)]) == 0
    assert edge("add", "--imsi", "001010123456789", "--k", K, "--opc", OPC) == 0
    assert edge("reseal") == 0
    assert edge.out == "3 of 4 subscribers resealed, all are under the key in use\n"
    assert K not in edge.out + edge.err
    assert edge("reseal") == 0
    assert edge.out.startswith("0 of 4")
    assert main(["secrets", "drop-keys", "subscriber-key", "--secrets", str(edge.secrets)]) == 0
    after = edge.stored()
    assert {imsi: after[imsi] for imsi in before} == before
    assert len(after) == 4


def test_reseal_without_the_key_of_before_says_which_subscriber_and_changes_nothing(edge: Edge) -> None:
    assert edge("add", "--imsi", IMSI, "--k", K, "--opc", OPC) == 0
    (edge.secrets / "subscriber-key").write_text("ab" * 32)
    assert edge("reseal") == 1
    assert "subscriber-key" in edge.err
    assert K not in edge.err
