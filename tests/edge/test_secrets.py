"""Secrets: made once, read with a clear error, never shown."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from edge.cli import main
from mme.errors import ConfigError
from trust.secrets import NAMES, read_secret
from trust.signing import derive_key


def test_init_makes_each_secret_for_its_owner_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "deep" / "secrets"
    assert main(["secrets", "init", str(directory)]) == 0
    out = capsys.readouterr().out
    values = set()
    for name in NAMES:
        path = directory / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        values.add(read_secret(name, directory))
        assert path.read_text().strip() not in out
    assert len(values) == 3
    assert all(len(value) == 32 for value in values)


@pytest.mark.parametrize("there", NAMES)
def test_init_overwrites_nothing_and_writes_nothing_then(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], there: str
) -> None:
    (tmp_path / there).write_text("precious")
    assert main(["secrets", "init", str(tmp_path)]) == 1
    assert there in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "precious"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "edge secrets init"),
        (b"", "0 octets"),
        (b"c0ffee" * 5, "15 octets"),
        (b"c0ffee" * 10 + b"not hex", "no hex text"),
        (b"\xff\xfec0ffee", "no hex text"),
    ],
)
def test_a_secret_that_is_none(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "subscriber-key").write_bytes(content)
    with pytest.raises(ConfigError, match=said) as raised:
        read_secret("subscriber-key", tmp_path)
    assert raised.value.key == "subscriber-key"
    shown = "".join(str(error) for error in (raised.value, raised.value.__cause__, raised.value.__context__) if error)
    assert "c0ffee" not in str(raised.value)
    assert "c0ffee" not in shown or raised.value.__suppress_context__


def test_a_directory_in_place_of_a_secret(tmp_path: Path) -> None:
    (tmp_path / "subscriber-key").mkdir()
    with pytest.raises(ConfigError, match="cannot read"):
        read_secret("subscriber-key", tmp_path)


def test_the_directory_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m-tmsi-key").write_text("ab" * 32)
    monkeypatch.setenv("EDGE_SECRETS_DIR", str(tmp_path))
    assert read_secret("m-tmsi-key") == b"\xab" * 32


def test_an_enbs_key_is_derived_from_the_master(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["secrets", "init", str(tmp_path)])
    capsys.readouterr()
    assert main(["enbs", "key", "00101-0019b", "--secrets", str(tmp_path)]) == 0
    master = read_secret("edge-signing-key", tmp_path)
    assert capsys.readouterr().out == derive_key(master, "00101-0019b").hex() + "\n"


@pytest.mark.parametrize("name", ["", "0019b", "00101-0019B", "00101-19b", "operator/me", "port/hss", "00101-0019b\n"])
def test_names_that_no_enb_has(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    main(["secrets", "init", str(tmp_path)])
    capsys.readouterr()
    assert main(["enbs", "key", name, "--secrets", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "00101-0019b" in captured.err
