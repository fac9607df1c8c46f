"""Secrets: made once, read with a clear error, never shown."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from edge.cli import main
from mme.errors import ConfigError
from trust.secrets import NAMES, read_keys, read_secret
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


# --------------------------------------------------------------------------- replacing a key


@pytest.fixture
def directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["secrets", "init", str(tmp_path / "secrets")]) == 0
    capsys.readouterr()
    return tmp_path / "secrets"


@pytest.mark.parametrize("name", NAMES)
def test_a_key_is_added_taken_into_use_and_the_old_one_dropped(
    directory: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (old,) = read_keys(name, directory)
    others = {other: read_keys(other, directory) for other in NAMES if other != name}
    assert main(["secrets", "add-key", name, "--secrets", str(directory)]) == 0
    old_again, new = read_keys(name, directory)
    assert (old_again, len(new), read_secret(name, directory)) == (old, 32, old)
    assert new != old
    assert main(["secrets", "use-key", name, "--secrets", str(directory)]) == 0
    assert read_keys(name, directory) == (new, old)
    assert main(["secrets", "drop-keys", name, "--secrets", str(directory)]) == 0
    assert read_keys(name, directory) == (new,)
    assert {other: read_keys(other, directory) for other in others} == others
    assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600
    assert not list(directory.glob(".*")), "no copy is left behind"
    told = "".join(capsys.readouterr())
    assert old.hex() not in told
    assert new.hex() not in told


def test_each_step_says_who_is_to_have_the_file_and_what_comes_then(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = []
    for step in ("add-key", "use-key", "drop-keys"):
        main(["secrets", step, "subscriber-key", "--secrets", str(directory)])
        told.append(capsys.readouterr().out)
    assert "edge secrets use-key subscriber-key" in told[0]
    assert "edge subscribers reseal" in told[1]
    assert "edge secrets drop-keys subscriber-key" in told[1]
    assert "1 dropped" in told[2]


def test_what_cannot_be_done_is_said_with_the_command_that_comes_before(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(step: str) -> tuple[int, str]:
        code = main(["secrets", step, "edge-signing-key", "--secrets", str(directory)])
        return code, "".join(capsys.readouterr())

    code, told = run("use-key")
    assert (code, "edge secrets add-key" in told) == (1, True)
    assert run("drop-keys") == (0, "edge-signing-key has one key, 0 dropped\n")
    assert [run("add-key")[0] for _ in range(2)] == [0, 0]
    before = read_keys("edge-signing-key", directory)
    code, told = run("add-key")
    assert (code, "edge secrets drop-keys" in told) == (1, True)
    assert read_keys("edge-signing-key", directory) == before


def test_a_file_with_too_many_keys_or_a_short_one_among_them_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m-tmsi-key").write_text("\n".join(["ab" * 32] * 4))
    with pytest.raises(ConfigError, match="4 keys"):
        read_keys("m-tmsi-key", tmp_path)
    (tmp_path / "m-tmsi-key").write_text("ab" * 32 + "\n" + "cd" * 31 + "\n")
    with pytest.raises(ConfigError, match="31 octets"):
        read_keys("m-tmsi-key", tmp_path)


def test_an_enb_has_a_key_of_each_master_key_the_one_to_sign_with_first(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["secrets", "add-key", "edge-signing-key", "--secrets", str(directory)])
    capsys.readouterr()
    assert main(["enbs", "key", "00101-0019b", "--secrets", str(directory)]) == 0
    masters = read_keys("edge-signing-key", directory)
    assert capsys.readouterr().out.split() == [derive_key(master, "00101-0019b").hex() for master in masters]
